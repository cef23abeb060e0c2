"""Ladder store in files: rungs that fitted in the state folder, running rungs in the job's folder.

Each workload has a small file of its own, replaced atomically, so that several workers may write at
once. Unreadable files count as absent; a failed write only costs repeated tries later.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from erasecore.errors import DiskFull
from erasecore.memory.ladder import KilledAttempt, RungState, WorkloadKey
from erasecore.system.atomic_files import whole_file
from erasecore.system.logger import get_logger

log = get_logger(__name__)

FOLDER = "rungs"  # in the state folder
NOTES = "rungs.json"  # in a job's folder
_VERSION = 1  # of both JSON formats; files of other versions are ignored
_MAX_NAME_CHARACTERS = 100  # of a file's stem; guess, file systems allow 255 bytes


class FileLadderStore:
    """Ladder store of one worker, in JSON files; implements ``ladder.LadderStore``.

    Args:
        state: the state folder; ``None``: rungs are not remembered from film to film.
    """

    def __init__(self, state: Path | None = None) -> None:
        self._folder = None if state is None else state / FOLDER
        self._notes_file: Path | None = None
        self._rungs_down = 0
        self._earlier_notes: dict[str, Any] = {}  # notes of the attempts before this one
        self._notes: dict[str, Any] = {}

    def begin(self, job: Path, rungs_down: int) -> None:
        """Read the notes that earlier attempts left in the job's folder.

        Args:
            job: the film's job folder.
            rungs_down: total number of rungs to go down because attempts were killed; 0: none was.
        """
        self._notes_file, self._rungs_down = job / NOTES, rungs_down
        self._earlier_notes = _read_json(self._notes_file)
        self._notes = dict(self._earlier_notes)

    def read(self, key: WorkloadKey) -> RungState | None:
        """Return the remembered state of a workload, ``None`` if absent or unreadable."""
        raw = {} if self._folder is None else _read_json(self._state_file(key))
        if raw.get("site") != str(key):
            return None
        try:
            return RungState(str(raw["rung"]), int(raw["successes"]), int(raw["patience"]))
        except (KeyError, TypeError, ValueError):
            return None

    def write(self, key: WorkloadKey, state: RungState) -> None:
        """Store the state for later films; not written if the folder cannot be locked."""
        if self._folder is None:
            return
        content = {"version": _VERSION, "site": str(key), **asdict(state)}
        with _locked(self._folder) as locked:
            if locked:
                _write_json(self._state_file(key), content)

    def note(self, key: WorkloadKey, rung: str) -> None:
        """Note in the job's folder that ``rung`` is about to run; host memory only."""
        if self._notes_file is not None and key.on_host:
            self._notes[str(key)] = {"rung": rung, "rungs_down": self._rungs_down}
            _write_json(self._notes_file, {"version": _VERSION, **self._notes})

    def killed_attempt(self, key: WorkloadKey) -> KilledAttempt | None:
        """Return the rung noted by a killed attempt, and how far below it to start.

        ``None`` if none was killed, and for GPU memory, whose shortage kills no process. ``lower``
        is ``rungs_down`` less the part that the noting attempt had already gone down.
        """
        if not self._rungs_down or not key.on_host:
            return None
        note = self._earlier_notes.get(str(key))
        if not isinstance(note, dict):
            return KilledAttempt("", self._rungs_down)
        rung, noted_rungs_down = note.get("rung"), note.get("rungs_down")
        if not isinstance(rung, str) or not isinstance(noted_rungs_down, int):
            return KilledAttempt("", self._rungs_down)
        return KilledAttempt(rung, max(0, self._rungs_down - noted_rungs_down))

    def _state_file(self, key: WorkloadKey) -> Path:
        """Return the path of a workload's state file, its key in plain characters."""
        assert self._folder is not None
        plain = re.sub(r"[^A-Za-z0-9]+", "-", str(key)).strip("-")[:_MAX_NAME_CHARACTERS]
        return self._folder / f"{plain}.json"


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Hold an exclusive lock (flock) on ``folder``; yields False where it cannot be locked now.

    It does not wait: a rung that is not stored only costs a repeated try later.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # locked by somebody else, or a file system without locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _read_json(file: Path) -> dict[str, Any]:
    """Return the file's object; empty if absent, unreadable or of another version."""
    try:
        raw = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return raw if isinstance(raw, dict) and raw.get("version") == _VERSION else {}


def _write_json(file: Path, content: dict[str, Any]) -> None:
    """Replace the file atomically; failures are only logged, at DEBUG."""
    try:
        with whole_file(file) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    except (OSError, DiskFull):
        log.debug("memory.not_remembered", file=str(file), exc_info=True)
