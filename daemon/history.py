"""What was done: a small SQLite file for status and reports, never for decisions.

Losing it loses nothing but the view back; ``rebuild`` makes it anew from what was published.
"""

from __future__ import annotations

import json
import sqlite3
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import structlog

from daemon.names import shown

log = structlog.get_logger(__name__)

REPORT_ENDING = ".report.json"
ERROR_ENDING = ".error.json"
HISTORY_FILE = "history.sqlite3"


@dataclass(frozen=True, slots=True)
class Entry:
    """One job that came to an end."""

    job_id: str
    name: str  # the source's path below the inbox
    outcome: str  # done or failed
    published_as: str  # its path below done/ or failed/
    stopped_at: float  # seconds since 1970
    attempts: int
    seconds: float  # of the last attempt
    frames: int
    events: int
    sentence: str  # why it failed


_COLUMNS = [one.name for one in fields(Entry)]
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    job_id TEXT PRIMARY KEY, name TEXT, outcome TEXT, published_as TEXT, stopped_at REAL,
    attempts INTEGER, seconds REAL, frames INTEGER, events INTEGER, sentence TEXT);
CREATE INDEX IF NOT EXISTS entry_by_time ON entry (stopped_at);
"""


class History:
    """The list of jobs that came to an end."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / HISTORY_FILE
        self.is_new = not self._path.exists()
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
            database.executescript(_SCHEMA)
            _check(database)
        except sqlite3.DatabaseError:
            database.close()
            raise
        return database

    def record(self, entry: Entry) -> None:
        """Remember ``entry``; doing so twice is as good as once."""
        marks = ", ".join("?" * len(_COLUMNS))
        values = [_stored(value) for value in astuple(entry)]
        self._database.execute(f"INSERT OR REPLACE INTO entry VALUES ({marks})", values)

    def recent(self, most: int) -> list[Entry]:
        """The last jobs, the newest first."""
        query = f"SELECT {', '.join(_COLUMNS)} FROM entry ORDER BY stopped_at DESC LIMIT ?"
        return [Entry(*row) for row in self._database.execute(query, (most,))]

    def counts(self) -> dict[str, int]:
        """How many jobs came to which end."""
        rows = self._database.execute("SELECT outcome, COUNT(*) FROM entry GROUP BY outcome")
        return {str(outcome): int(count) for outcome, count in rows}

    def record_published(self, sidecar: Path, root: Path) -> None:
        """Remember the job whose report or error was published as ``sidecar`` below ``root``."""
        entry = _entry_in(sidecar, root)
        if entry is not None:
            self.record(entry)

    def rebuild(self, done: Path, failed: Path) -> None:
        """Remember every job whose report lies in ``done`` or ``failed``."""
        for root, ending in ((done, REPORT_ENDING), (failed, ERROR_ENDING)):
            for sidecar in root.rglob(f"*{ending}"):
                self.record_published(sidecar, root)

    def close(self) -> None:
        """Give the file back."""
        self._database.close()


def _check(database: sqlite3.Connection) -> None:
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise sqlite3.DatabaseError("the file is damaged")


def _stored(value: object) -> object:
    """A value as SQLite can hold it: bytes of names that are no Unicode are escaped."""
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
        log.warning("history.unreadable", file=shown(str(sidecar)))
        return None
