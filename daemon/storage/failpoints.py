"""Failpoints (injected crash points) of the whole program, and how the environment arms one.

With ``SUBTITLE_ERASER_TEST=1 SUBTITLE_ERASER_FAULT_AT=publish.after_link`` in the environment the
program is killed at that point by SIGKILL, as by a power cut; a worker together with its daemon.
With ``SUBTITLE_ERASER_FAULT_DOES=freeze`` it is stopped there by SIGSTOP instead, until SIGCONT.
Without the first variable, which no service has, the others count for nothing.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

from erasecore.errors import ConfigError
from erasecore.system import failpoints
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
    "claim.after_film_plan",
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
    "attempt.after_refusal",
    "attempt.after_cancel",
    "attempt.after_preference",
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
    "publish.after_film_plan",
    "publish.after_original",
    "publish.after_done",
    "reject.after_explanation",
    "reject.after_plan",
    "reject.after_error",
    "reject.after_log",
    "reject.after_settings",
    "reject.after_cues",
    "reject.after_film_plan",
    "reject.after_sidecars",
    "reject.after_link",
    "reject.after_failed",
    "undo.after_file",
    "undo.after_all",
    "withdraw.after_save",
    "stop.after_copy",
    "move.after_block",
    "move.after_copy",
    "move.after_rename",
    "move.after_unlink",
    "move.after_reserve",
    "history.after_record",
    "notify.after_event",
    "notify.after_publication",
    "notify.after_store",
    "notify.after_begin",
    "notify.after_send",
    "discard.after_aside",
    "discard.after_removal",
    "recover.after_salvage",
    "recover.after_save",
    "takeover.after_owner",
    "takeover.after_job",
    "takeover.after_jobs",
    "takeover.after_request",
    "leave.after_files",
    "requeue.after_settings",
    "requeue.after_cues",
    "requeue.after_film_plan",
    "requeue.after_film",
    "requeue.after_log",
    "unclaim.after_intent",
    "unclaim.after_file",
    "redo.after_settings",
    "redo.after_film",
    "left.after_file",
    "pause.after_file",
    "resume.after_file",
    "request.after_record",
    "request.after_removal",
    "request.after_step",
    "request.after_answer",
)
"""Failpoints of the daemon: a kind of step and the action that has just been done in it."""
FAILPOINTS = (*DAEMON_FAILPOINTS, *ERASE_FAILPOINTS)
"""All failpoints. The tests that kill the program at each of them are made from this list."""


def arm(name: str, action: Callable[[], None] = die) -> None:
    """Arm the failpoint ``name``: it performs ``action`` when reached. An empty name disarms.

    Raises:
        ConfigError: there is no such failpoint.
    """
    if name and name not in FAILPOINTS:
        raise ConfigError(
            f"SUBTITLE_ERASER_FAULT_AT: no failpoint {name}; known: {', '.join(FAILPOINTS)}"
        )
    failpoints.arm(name, action)


def arm_from(name: str, action: str, *, parent_pid: int | None = None) -> None:
    """Arm the failpoint that the environment variables name: it sends signals to processes.

    Args:
        name: value of ``SUBTITLE_ERASER_FAULT_AT``; empty for none.
        action: ``SUBTITLE_ERASER_FAULT_DOES``: ``freeze`` sends SIGSTOP, all else SIGKILL.
        parent_pid: in a worker, the daemon's process id; the daemon gets the signal first.

    Raises:
        ConfigError: there is no such failpoint.
    """

    def send_signals() -> None:
        number = signal.SIGSTOP if action == "freeze" else signal.SIGKILL
        if parent_pid is not None:
            os.kill(parent_pid, number)
        # To this thread: of SIGSTOP to the process, another thread may be the first to hear.
        signal.pthread_kill(threading.get_ident(), number)

    arm(name, send_signals)
