"""Named places where the program can be made to die, so that tests can prove it may.

Every step of a film's way that changes a folder is followed by ``fault_point("step.after_it")``.
With ``FAULT_AT=publish.after_link`` in the environment the process ends there as a power cut
would end it: at once, by SIGKILL. Without it a fault point costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from erasecore.errors import ConfigError

FAULT_POINTS = (
    "claim.after_folder",
    "claim.after_rename",
    "claim.after_sidecar",
    "claim.after_cues",
    "claim.after_claimed",
    "claim.after_mask",
    "claim.after_queued",
    "attempt.after_begin",
    "attempt.after_start",
    "attempt.after_outcome",
    "worker.after_start",
    "worker.before_outcome",
    "publish.after_plan",
    "publish.after_sidecars",
    "publish.after_link",
    "publish.after_original",
    "publish.after_done",
    "reject.after_plan",
    "reject.after_sidecars",
    "reject.after_link",
    "reject.after_failed",
)


def die() -> None:
    """End this process as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


class _Switch:
    """Which fault point is armed in this process, and what happens there."""

    armed = ""
    action: Callable[[], None] = staticmethod(die)


def arm(name: str, action: Callable[[], None] = die) -> None:
    """Make the fault point ``name`` perform ``action``; an empty name disarms.

    Raises:
        ConfigError: there is no such fault point.
    """
    if name and name not in FAULT_POINTS:
        raise ConfigError(f"FAULT_AT: no fault point {name}; known: {', '.join(FAULT_POINTS)}")
    _Switch.armed = name
    _Switch.action = staticmethod(action)


def fault_point(name: str) -> None:
    """Go on, unless ``name`` is the armed fault point."""
    if name == _Switch.armed:
        _Switch.action()
