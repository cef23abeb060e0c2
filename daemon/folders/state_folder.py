"""The state folder: no film needs it, so its troubles are told and stop nothing."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from daemon.folders.checks import sweep_trials
from daemon.storage.os_errors import hint_for

STATE_CONSEQUENCE = "Films go on; until then the history that `status` shows may lack lines."
"""End of a sentence about the state folder."""


def state_trouble(state: Path, *, token: str) -> str:
    """Return a sentence on what is wrong with the state folder; "" if it can be written.

    Args:
        state: created if it is missing.
        token: unique text for the name of the trial file.
    """
    trial = state / f".prove-{token}.tmp"
    try:
        state.mkdir(parents=True, exist_ok=True)
        sweep_trials(state)
        _write_trial(trial)
    except OSError as error:
        with suppress(OSError):
            trial.unlink()
        return f"folders.state: {state} {hint_for(error)} {STATE_CONSEQUENCE}"
    return ""


def _write_trial(trial: Path) -> None:
    """Create, sync and remove a file."""
    with trial.open("xb") as file:
        file.write(b"subtitle-eraser tries this folder out")
        file.flush()
        os.fsync(file.fileno())
    trial.unlink()
