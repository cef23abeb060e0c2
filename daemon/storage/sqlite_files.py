"""SQLite databases as files of ours: damage told from other errors, set aside, transactions."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PRIMARY_CODE = 0xFF
"""Bits of an extended result code that hold its primary code (sqlite.org/rescode.html)."""
_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
"""Result codes of a damaged file. Locked, full and read-only ones have other codes."""


class Damaged(Exception):
    """The integrity check of SQLite found errors in the file."""


def is_damage(error: Exception) -> bool:
    """Return True if ``error`` says that the file is corrupt, not locked, full or read-only."""
    code = getattr(error, "sqlite_errorcode", None)
    return isinstance(error, Damaged) or (code is not None and code & PRIMARY_CODE in _DAMAGE)


def check(database: sqlite3.Connection) -> None:
    """Check the integrity of an open database.

    Raises:
        Damaged: it is not intact.
        sqlite3.Error: it cannot be read.
    """
    if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise Damaged("quick_check failed")


def set_aside(path: Path) -> Path:
    """Rename a damaged database and its journal, which would be applied to a new one.

    Returns:
        The new path, with the ending ``.broken``.
    """
    aside = path.with_suffix(".broken")
    for journal in ("-journal", "-wal"):  # the second of releases before 0.2
        with suppress(FileNotFoundError):
            os.replace(f"{path}{journal}", f"{aside}{journal}")
    path.replace(aside)
    return aside


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """Commit what the block does, or roll it back if it raises; for ``isolation_level=None``."""
    database.execute("BEGIN IMMEDIATE")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled it back itself
            database.execute("ROLLBACK")
        raise
