"""Rungs that were enough, kept in the state folder; rungs at work, noted in the job's folder.

Each site has a small file of its own, replaced as a whole, so that several workers may write at
once. What cannot be read is as good as not there; what cannot be written costs a few tries again.
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

import structlog

from erasecore.errors import DiskFull
from erasecore.memory.ladder import KilledAttempt, RungState, WorkloadKey
from erasecore.system.atomic_files import whole_file

log = structlog.get_logger(__name__)

FOLDER = "rungs"  # in the state folder
NOTES = "rungs.json"  # in a job's folder
_VERSION = 1
_MAX_NAME = 100


class FileLadderStore:
    """The book of one worker; see ``batching.Book``.

    Args:
        state: the folder of what outlives jobs; ``None``: nothing is remembered.
    """

    def __init__(self, state: Path | None = None) -> None:
        self._folder = None if state is None else state / FOLDER
        self._notes_file: Path | None = None
        self._rungs_down = 0
        self._earlier: dict[str, Any] = {}  # notes of the attempts before this one
        self._notes: dict[str, Any] = {}

    def begin(self, job: Path, rungs_down: int) -> None:
        """Open the notes of the film whose folder is ``job``.

        Args:
            job: its folder.
            rungs_down: how many rungs it has to go down because attempts at it were killed.
        """
        self._notes_file, self._rungs_down = job / NOTES, rungs_down
        self._earlier = _read(self._notes_file)
        self._notes = dict(self._earlier)

    def read(self, site: WorkloadKey) -> RungState | None:
        """Where the work of ``site`` stands, if that is known."""
        raw = {} if self._folder is None else _read(self._file(site))
        if raw.get("site") != str(site):
            return None
        try:
            return RungState(str(raw["rung"]), int(raw["successes"]), int(raw["patience"]))
        except (KeyError, TypeError, ValueError):
            return None

    def write(self, site: WorkloadKey, standing: RungState) -> None:
        """Keep it for films to come."""
        if self._folder is None:
            return
        content = {"version": _VERSION, "site": str(site), **asdict(standing)}
        with _locked(self._folder) as mine:
            if mine:
                _write(self._file(site), content)

    def note(self, site: WorkloadKey, rung: str) -> None:
        """Keep it for a later attempt at this film, should this one be killed now."""
        if self._notes_file is not None and site.on_host:
            self._notes[str(site)] = {"rung": rung, "rungs_down": self._rungs_down}
            _write(self._notes_file, {"version": _VERSION, **self._notes})

    def killed_attempt(self, site: WorkloadKey) -> KilledAttempt | None:
        """How earlier attempts at this film ended, if they were killed."""
        if not self._rungs_down or not site.on_host:
            return None
        noted = self._earlier.get(str(site))
        if not isinstance(noted, dict):
            return KilledAttempt("", self._rungs_down)
        rung, before = noted.get("rung"), noted.get("rungs_down")
        if not isinstance(rung, str) or not isinstance(before, int):
            return KilledAttempt("", self._rungs_down)
        return KilledAttempt(rung, max(0, self._rungs_down - before))

    def _file(self, site: WorkloadKey) -> Path:
        assert self._folder is not None
        plain = re.sub(r"[^A-Za-z0-9]+", "-", str(site)).strip("-")[:_MAX_NAME]
        return self._folder / f"{plain}.json"


@contextmanager
def _locked(folder: Path) -> Iterator[bool]:
    """Keep other workers from writing in ``folder``; false where it cannot be locked."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        yield False
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
        except OSError:  # a filesystem without locks
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def _read(file: Path) -> dict[str, Any]:
    try:
        raw = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return raw if isinstance(raw, dict) and raw.get("version") == _VERSION else {}


def _write(file: Path, content: dict[str, Any]) -> None:
    try:
        with whole_file(file) as part:
            part.write_text(json.dumps(content, indent=1), encoding="utf-8")
    except (OSError, DiskFull):
        log.debug("memory.not_remembered", file=str(file), exc_info=True)
