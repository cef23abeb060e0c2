"""Leftovers of proofs that a crash has cut off."""

from __future__ import annotations

import os
from pathlib import Path

from daemon.config.locations import InboxSettings
from daemon.config.schema import load_config
from daemon.folders.checks import paths_of, prove
from daemon.folders.state_folder import state_trouble
from daemon.inbox.blocked_paths import sweep_trials_in
from daemon.inbox.scanner import Rules, SkippedEntries, scan


def test_trial_files_of_a_crashed_daemon_go(tmp_path: Path) -> None:
    """Old ones are swept from every folder and from below the inbox; a young one is in use."""
    folders = load_config(None, tmp_path).folders
    for path in paths_of(folders).values():
        path.mkdir()
    below = folders.inbox / "shows" / "one"
    below.mkdir(parents=True)
    old = [path / ".prove-gone.tmp" for path in (*paths_of(folders).values(), below)]
    young = below / ".prove-live.tmp"
    for trial in (*old, young):
        trial.touch()
    for trial in old:
        os.utime(trial, (1.0, 1.0))
    prove(folders, token="t")
    assert state_trouble(folders.state, token="t") == ""
    assert [trial for trial in old if trial.exists()] == [below / ".prove-gone.tmp"]
    skipped = SkippedEntries()
    assert list(scan(folders.inbox, Rules(InboxSettings()), skipped)) == []
    assert skipped.ignored() == ()  # the status names no trial file
    sweep_trials_in(folders.inbox, skipped.trials)
    assert [one.name for one in below.iterdir()] == [young.name]
