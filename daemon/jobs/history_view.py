"""What there is to say of the past, read from the history. Light, for whoever only asks."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field, fields
from pathlib import Path

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


COLUMNS = [one.name for one in fields(Entry)]


@dataclass(frozen=True, slots=True)
class HistorySummary:
    """What there is to say of the past."""

    recent: tuple[Entry, ...] = ()  # the last jobs, the newest first
    counts: dict[str, int] = field(default_factory=dict)  # how many jobs came to which end
    complaint: str = ""  # why it cannot be read


def read_history(folder: Path, most: int) -> HistorySummary:
    """The last jobs and the counts, for whoever only looks: nothing is made, checked or changed."""
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
