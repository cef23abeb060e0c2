"""The history's SQLite database: opened, checked, set aside if damaged, written in transactions."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from dataclasses import astuple
from pathlib import Path

import structlog

from daemon.jobs.history_view import COLUMNS, HISTORY_FILE, Content, Entry
from daemon.jobs.speeds import KEPT_SPEEDS, MeasuredSpeed
from daemon.storage import sqlite_files

log = structlog.get_logger(__name__)

BUSY_SECONDS = 1.0
"""Longest wait for a lock that another program holds, in seconds; only the history's thread waits.
A guess."""
COMPLETE = 1
"""``PRAGMA user_version`` of a database that has the jobs from before it was made; 0: not yet."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS entry (
    job_id TEXT PRIMARY KEY, name TEXT, outcome TEXT, published_as TEXT, stopped_at REAL,
    attempts INTEGER, seconds REAL, frames INTEGER, events INTEGER, sentence TEXT);
CREATE INDEX IF NOT EXISTS entry_by_time ON entry (stopped_at);
CREATE INDEX IF NOT EXISTS entry_by_outcome ON entry (outcome);
CREATE TABLE IF NOT EXISTS content (
    job_id TEXT PRIMARY KEY, sha256 TEXT, size_bytes INTEGER, published_as TEXT);
CREATE INDEX IF NOT EXISTS content_by_size ON content (size_bytes);
CREATE TABLE IF NOT EXISTS speed (
    job_id TEXT PRIMARY KEY, stopped_at REAL, size_bytes INTEGER, seconds REAL);
"""
_FORGET_SPEEDS = """
DELETE FROM speed WHERE stopped_at <
    (SELECT stopped_at FROM speed ORDER BY stopped_at DESC LIMIT 1 OFFSET ?)
"""
_FORGET = """
DELETE FROM entry WHERE stopped_at <
    (SELECT stopped_at FROM entry ORDER BY stopped_at DESC LIMIT 1 OFFSET ?)
"""

_FORGET_CONTENTS = "DELETE FROM content WHERE job_id NOT IN (SELECT job_id FROM entry)"


class HistoryFile:
    """An open database of ended jobs; used by one thread.

    Args:
        folder: the state folder. A damaged database in it is renamed to ``history.broken`` and
            replaced by a new one; one that is locked, full or read-only is left as it is.
        kept_entries: number of newest jobs to keep; older ones are deleted now.

    Raises:
        sqlite3.Error: the database cannot be opened or written.
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path, kept_entries: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / HISTORY_FILE
        try:
            self._database = _connect(self._path, kept_entries)
        except (sqlite3.DatabaseError, sqlite_files.Damaged) as error:
            if not sqlite_files.is_damage(error):
                raise
            aside = sqlite_files.set_aside(self._path)
            log.warning("history.broken", kept_as=str(aside), error=str(error), remedy="made anew")
            self._database = _connect(self._path, kept_entries)
        self._inode = self._path.stat().st_ino

    def is_current(self) -> bool:
        """Return False if the file was removed or replaced since it was opened."""
        try:
            return self._path.stat().st_ino == self._inode
        except FileNotFoundError:
            return False

    @property
    def complete(self) -> bool:
        """True if every job from before the database was made has been added."""
        version: int = self._database.execute("PRAGMA user_version").fetchone()[0]
        return version >= COMPLETE

    def mark_complete(self, *, complete: bool = True) -> None:
        """Record in the database that every earlier job has been added, or that some are not."""
        self._database.execute(f"PRAGMA user_version = {COMPLETE if complete else 0}")

    def add(self, entries: Iterable[Entry], *, replace: bool = True) -> None:
        """Insert entries in one transaction.

        Args:
            entries: ended jobs.
            replace: True: overwrite entries with the same job id; False: keep those.
        """
        marks = ", ".join("?" * len(COLUMNS))
        verb = "REPLACE" if replace else "IGNORE"
        rows = [[_stored(value) for value in astuple(entry)] for entry in entries]
        with sqlite_files.transaction(self._database):
            self._database.executemany(f"INSERT OR {verb} INTO entry VALUES ({marks})", rows)

    def add_contents(self, contents: Iterable[Content]) -> None:
        """Insert the contents of films that are done, in one transaction."""
        rows = [
            (one.job_id, one.sha256, one.size_bytes, _stored(one.published_as)) for one in contents
        ]
        if rows:
            with sqlite_files.transaction(self._database):
                self._database.executemany(
                    "INSERT OR REPLACE INTO content VALUES (?, ?, ?, ?)", rows
                )

    def add_speeds(self, speeds: Iterable[MeasuredSpeed]) -> None:
        """Insert or overwrite measured speeds in one transaction; forget the oldest."""
        rows = [(one.job_id, one.stopped_at, one.size_bytes, one.seconds) for one in speeds]
        with sqlite_files.transaction(self._database):
            self._database.executemany("INSERT OR REPLACE INTO speed VALUES (?, ?, ?, ?)", rows)
            self._database.execute(_FORGET_SPEEDS, (KEPT_SPEEDS - 1,))

    def speeds(self) -> list[MeasuredSpeed]:
        """Return the newest ``KEPT_SPEEDS`` measured speeds, the oldest first."""
        query = "SELECT job_id, size_bytes, seconds, stopped_at FROM speed ORDER BY stopped_at"
        return [MeasuredSpeed(*row) for row in self._database.execute(query)][-KEPT_SPEEDS:]

    def close(self) -> None:
        """Close the database."""
        self._database.close()


def _connect(path: Path, kept_entries: int) -> sqlite3.Connection:
    """Open the database, check it, and prove by a write that it can be written."""
    database = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
    try:
        # No write-ahead log: it maps a file into memory, and a disk that fails kills who maps it.
        database.execute("PRAGMA journal_mode=TRUNCATE")
        database.executescript(_SCHEMA)
        sqlite_files.check(database)
        database.execute(_FORGET, (kept_entries - 1,))
        database.execute(_FORGET_CONTENTS)
        version = database.execute("PRAGMA user_version").fetchone()[0]
        database.execute(f"PRAGMA user_version = {version}")
    except BaseException:
        database.close()
        raise
    return database


def _stored(value: object) -> object:
    """Return a value that SQLite can store: what is no UTF-8 in a text is escaped."""
    if not isinstance(value, str):
        return value
    try:
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    except UnicodeEncodeError:  # surrogates that stand for no byte, from a foreign report
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
