"""The fault points of the whole program, and what ``FAULT_AT`` makes of one.

With ``FAULT_AT=publish.after_link`` in the environment the program ends there as a power cut would
end it: at once, by SIGKILL, a worker together with its daemon. With ``FAULT_DOES=freeze`` it stands
still there instead, as under SIGSTOP, until somebody sends SIGCONT.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

from erasecore.errors import ConfigError
from erasecore.system import failpoints as faults
from erasecore.system.failpoints import ERASE_FAILPOINTS, die, failpoint

__all__ = ["DAEMON_FAILPOINTS", "FAILPOINTS", "arm", "arm_from", "failpoint"]

DAEMON_FAILPOINTS = (
    "instance.after_hidden",
    "instance.after_folder",
    "claim.after_mkdir",
    "claim.after_folder",
    "claim.after_rename",
    "claim.after_sidecar",
    "claim.after_cues",
    "claim.after_claimed",
    "claim.after_mask",
    "claim.after_queued",
    "attempt.after_begin",
    "attempt.after_start",
    "attempt.after_report",
    "attempt.after_outcome",
    "attempt.after_failure",
    "attempt.after_doubt",
    "attempt.after_hand_back",
    "attempt.after_products",
    "attempt.after_renewal",
    "worker.after_start",
    "worker.before_outcome",
    "publish.after_plan",
    "publish.after_report",
    "publish.after_log",
    "publish.after_preview",
    "publish.after_subtitles",
    "publish.after_sidecars",
    "publish.after_link",
    "publish.after_settings",
    "publish.after_cues",
    "publish.after_original",
    "publish.after_done",
    "reject.after_explanation",
    "reject.after_plan",
    "reject.after_error",
    "reject.after_log",
    "reject.after_settings",
    "reject.after_cues",
    "reject.after_sidecars",
    "reject.after_link",
    "reject.after_failed",
    "undo.after_file",
    "undo.after_all",
    "move.after_copy",
    "move.after_rename",
    "move.after_unlink",
    "move.after_reserve",
    "history.after_record",
    "discard.after_aside",
    "discard.after_removal",
    "recover.after_salvage",
    "recover.after_save",
    "takeover.after_owner",
    "takeover.after_job",
    "takeover.after_jobs",
    "leave.after_files",
    "requeue.after_settings",
    "requeue.after_cues",
    "requeue.after_film",
    "requeue.after_log",
)
FAILPOINTS = (*DAEMON_FAILPOINTS, *ERASE_FAILPOINTS)


def arm(name: str, action: Callable[[], None] = die) -> None:
    """Make the fault point ``name`` perform ``action``; an empty name disarms.

    Raises:
        ConfigError: there is no such fault point.
    """
    if name and name not in FAILPOINTS:
        raise ConfigError(f"FAULT_AT: no fault point {name}; known: {', '.join(FAILPOINTS)}")
    faults.arm(name, action)


def arm_from(name: str, does: str, *, parent_pid: int | None = None) -> None:
    """Make the fault point ``name`` do what the environment asks for.

    Args:
        name: of the fault point; empty for none.
        does: ``freeze``, or anything else to die.
        parent_pid: of the daemon, in a worker: the power is cut for both.

    Raises:
        ConfigError: there is no such fault point.
    """

    def act() -> None:
        number = signal.SIGSTOP if does == "freeze" else signal.SIGKILL
        for pid in (parent_pid, os.getpid()):
            if pid is not None:
                os.kill(pid, number)

    arm(name, act)
