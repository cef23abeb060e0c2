"""Read-only view of the history, for ``status``; imports only the standard library."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path

REPORT_ENDING = ".report.json"
"""Appended to the name of a result, in done/."""
ERROR_ENDING = ".error.json"
"""Appended to the name of a source, in failed/."""
HISTORY_FILE = "history.sqlite3"
"""Name of the database in the state folder."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One job that has ended."""

    job_id: str
    name: str  # the source's path below the inbox
    outcome: str  # "done" or "failed"
    published_as: str  # path of the film below done/ or failed/
    stopped_at: float  # seconds since 1970
    attempts: int
    seconds: float  # duration of the last attempt
    frames: int
    events: int
    sentence: str  # reason of the failure; "" for a job that is done


COLUMNS = [column.name for column in fields(Entry)]
"""Columns of the table ``entry``, in the order of the fields."""


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """Newest jobs of the history, and totals."""

    recent: tuple[Entry, ...] = ()  # the newest first
    counts: dict[str, int] = field(default_factory=dict)  # outcome -> number of jobs
    complaint: str = ""  # reason why the history cannot be read; "" if it can


def read_history(folder: Path, most: int) -> HistorySummary:
    """Read the newest ``most`` jobs and the totals; creates, repairs and changes nothing.

    Args:
        folder: the state folder.
        most: maximum number of jobs in ``recent``.
    """
    path = folder / HISTORY_FILE
    if not path.exists():
        return HistorySummary()
    try:
        with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", timeout=2, uri=True)) as database:
            query = f"SELECT {', '.join(COLUMNS)} FROM entry ORDER BY stopped_at DESC LIMIT ?"
            recent = tuple(Entry(*row) for row in database.execute(query, (most,)))
            rows = database.execute("SELECT outcome, COUNT(*) FROM entry GROUP BY outcome")
            return HistorySummary(recent, {str(outcome): int(count) for outcome, count in rows})
    except sqlite3.Error as error:
        return HistorySummary(
            complaint=f"{path} cannot be read ({error}); the daemon mends it at its start."
        )
