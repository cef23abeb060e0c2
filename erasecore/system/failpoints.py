"""Named places where the program can be made to die, so that tests can prove it may.

Every step that changes a folder is followed by ``fault_point(NAME)``. Which of them is
armed, if any, is decided by whoever runs the pipeline; unarmed, one costs a comparison.
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


def die() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Switch:
    """Which fault point is armed in this process, and what happens there."""

    armed = ""
    action: Callable[[], None] = staticmethod(die)


def arm(name: str, action: Callable[[], None] = die) -> None:
    """Make the fault point ``name`` perform ``action``; an empty name disarms."""
    _Switch.armed = name
    _Switch.action = staticmethod(action)


def failpoint(name: str) -> None:
    """Go on, unless ``name`` is the armed fault point."""
    if name == _Switch.armed:
        _Switch.action()
