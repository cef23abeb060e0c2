"""History of ended jobs: an SQLite file for ``status``. No decision of the daemon depends on it.

If it is lost, ``rebuild`` restores it from the published reports.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple
from pathlib import Path

import structlog

from daemon.jobs.history_view import COLUMNS, ERROR_ENDING, HISTORY_FILE, REPORT_ENDING, Entry
from erasecore.errors import printable

log = structlog.get_logger(__name__)

KEPT_ENTRIES = 100_000
"""Newest jobs that are kept; a guess. The reports of older ones are still in done/ and failed/."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    job_id TEXT PRIMARY KEY, name TEXT, outcome TEXT, published_as TEXT, stopped_at REAL,
    attempts INTEGER, seconds REAL, frames INTEGER, events INTEGER, sentence TEXT);
CREATE INDEX IF NOT EXISTS entry_by_time ON entry (stopped_at);
CREATE INDEX IF NOT EXISTS entry_by_outcome ON entry (outcome);
"""
_FORGET = """
DELETE FROM entry WHERE stopped_at <
    (SELECT stopped_at FROM entry ORDER BY stopped_at DESC LIMIT 1 OFFSET ?)
"""


class History:
    """Database of the jobs that were published.

    Args:
        folder: the state folder; a damaged file in it is renamed and replaced by a new one.
        kept_entries: number of newest jobs to keep; older ones are deleted now.

    Raises:
        OSError: the folder cannot be written to.
    """

    def __init__(self, folder: Path, *, kept_entries: int = KEPT_ENTRIES) -> None:
        self._kept_entries = kept_entries
        self._path = folder / HISTORY_FILE
        self.is_new = not self._path.exists()  # True: ``rebuild`` is to be called
        try:
            self._database = self._open()
        except sqlite3.DatabaseError:
            aside = self._path.with_suffix(".broken")
            log.warning("history.broken", kept_as=str(aside), remedy="it is made anew")
            self._path.replace(aside)
            self.is_new = True
            self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._path, timeout=10, isolation_level=None)
        try:
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=NORMAL")  # a power cut may cost the last lines
            database.executescript(_SCHEMA)
            _check(database)
            database.execute(_FORGET, (self._kept_entries - 1,))
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def record(self, entry: Entry) -> None:
        """Insert or replace an entry (idempotent)."""
        marks = ", ".join("?" * len(COLUMNS))
        values = [_stored(value) for value in astuple(entry)]
        self._database.execute(f"INSERT OR REPLACE INTO entry VALUES ({marks})", values)

    def record_published(self, sidecar: Path, root: Path) -> None:
        """Record a published job by its report; an unreadable report is logged and skipped.

        Args:
            sidecar: path of ``film.report.json`` or ``film.error.json``.
            root: done/ or failed/, the folder above it that names are relative to.
        """
        entry = _entry_in(sidecar, root)
        if entry is not None:
            self.record(entry)

    def rebuild(self, done: Path, failed: Path) -> None:
        """Record every job whose report is below ``done`` or ``failed``."""
        self._database.execute("BEGIN")  # one transaction: one for each of thousands takes minutes
        for root, ending in ((done, REPORT_ENDING), (failed, ERROR_ENDING)):
            for sidecar in root.rglob(f"*{ending}"):
                self.record_published(sidecar, root)
        self._database.execute("COMMIT")

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _check(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("the file is damaged")


def _stored(value: object) -> object:
    """Return a value that SQLite can store: bytes of a name that are no UTF-8 are escaped."""
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


def _entry_in(sidecar: Path, root: Path) -> Entry | None:
    name = str(sidecar.relative_to(root))
    name = name.removesuffix(REPORT_ENDING).removesuffix(ERROR_ENDING)
    try:
        raw = json.loads(sidecar.read_bytes())
        return Entry(**{**raw["history"], "published_as": name})
    except (OSError, ValueError, KeyError, TypeError):
        log.warning("history.unreadable", file=printable(str(sidecar)))
        return None
