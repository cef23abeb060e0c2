"""Failpoints: named places where a test can crash the process, to prove that it recovers.

Every step that changes a folder is followed by ``failpoint(NAME)``. The caller of the pipeline arms
one of them at most; an unarmed one costs a string comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

ERASE_FAILPOINTS = (
    "workspace.after_clearing",
    "workspace.after_stamp",
    "detect.after_timeline",
    "detect.after_events",
    "segment.after_video",
    "segment.after_previews",
    "segment.after_record",
    "segment.after_second",
    "assemble.after_part",
    "assemble.after_result",
    "assemble.after_preview",
    "verify.after_check",
    "subtitles.after_file",
    "copy.after_result",
)
"""Names of all failpoints in ``erasecore``, for tests that go through them."""


def die() -> None:
    """Kill this process with SIGKILL, without cleanup, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Armed:
    """The armed failpoint of this process, and its action."""

    name = ""  # empty: none is armed
    action: Callable[[], None] = staticmethod(die)


def arm(name: str, action: Callable[[], None] = die) -> None:
    """Run ``action`` when execution reaches the failpoint ``name``; an empty name disarms."""
    _Armed.name = name
    _Armed.action = staticmethod(action)


def failpoint(name: str) -> None:
    """Run the armed action if ``name`` is the armed failpoint, else do nothing."""
    if name == _Armed.name:
        _Armed.action()
