"""Read-only view of the history, for ``status``; imports only the standard library."""

from __future__ import annotations

import re
import sqlite3
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field, fields
from pathlib import Path

REPORT_ENDING = ".report.json"
"""Appended to the name of a result, in done/."""
ERROR_ENDING = ".error.json"
"""Appended to the name of a source, in failed/."""
HISTORY_FILE = "history.sqlite3"
"""Name of the database in the state folder."""
READ_SECONDS = 0.5
"""Longest wait of ``status`` for a database that another program has locked, in seconds; guess."""
MAX_TEXT_CHARACTERS = 20_000
"""Longest text in an entry: a path of 4096 bytes (PATH_MAX), each escaped as four characters."""
MAX_COUNT = 2**63 - 1
"""Largest whole number in an entry: the largest that SQLite stores."""
MAX_SECONDS = 1e11
"""Largest time or duration in an entry, in seconds: the year 5138, which ``datetime`` can show."""
OUTCOMES = ("done", "failed")


@dataclass(frozen=True, slots=True)
class Entry:
    """One job that has ended."""

    job_id: str
    name: str  # the source's path below the inbox
    outcome: str  # one of ``OUTCOMES``
    published_as: str  # path of the film below done/ or failed/
    stopped_at: float  # seconds since 1970
    attempts: int
    seconds: float  # duration of the last attempt
    frames: int
    events: int
    sentence: str  # reason of the failure; "" for a job that is done


COLUMNS = [column.name for column in fields(Entry)]
"""Columns of the table ``entry``, in the order of the fields."""
_TEXTS = ("job_id", "name", "outcome", "published_as", "sentence")
_COUNTS = ("attempts", "frames", "events")
_SECONDS = ("stopped_at", "seconds")


@dataclass(frozen=True, slots=True)
class Content:
    """Content of the source of a film that is done."""

    sha256: str  # 64 hexadecimal digits
    size_bytes: int
    job_id: str
    published_as: str  # path of the result below done/


def content_of(raw: Mapping[str, object], job_id: str, published_as: str) -> Content | None:
    """Return the content that an untrusted report tells of; None if it tells of none."""
    sha256, size = raw.get("source_sha256"), raw.get("size_bytes")
    if not isinstance(sha256, str) or not re.fullmatch("[0-9a-f]{64}", sha256):
        return None
    if not _is_count(size) or not isinstance(size, int):
        return None
    return Content(sha256, size, job_id, published_as)


def contents_of_size(folder: Path, size_bytes: int) -> tuple[Content, ...]:
    """Return the films that are done whose sources have this size, the newest first.

    Empty as well if the history cannot be read.

    Args:
        folder: the state folder.
        size_bytes: size of a source.
    """
    path = folder / HISTORY_FILE
    query = (
        "SELECT sha256, size_bytes, job_id, published_as FROM content"
        " WHERE size_bytes = ? ORDER BY job_id DESC"
    )
    if not path.is_file():
        return ()
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, timeout=READ_SECONDS, uri=True)) as database:
            rows = database.execute(query, (size_bytes,)).fetchall()
    except sqlite3.Error:
        return ()
    return tuple(Content(*row) for row in rows if all(map(isinstance, row, (str, int, str, str))))


class BadEntry(ValueError):
    """Values that are no entry; the text names the first field that is wrong."""


def checked_entry(raw: object) -> Entry:
    """Return an untrusted mapping as an entry, checked field by field.

    Raises:
        BadEntry: a field is missing, unknown, of another type or out of range.
    """
    if not isinstance(raw, Mapping) or set(raw) != set(COLUMNS):
        raise BadEntry("the fields are not those of an entry")
    for names, fits in ((_TEXTS, _is_text), (_COUNTS, _is_count), (_SECONDS, _is_time)):
        for name in names:
            if not fits(raw[name]):
                raise BadEntry(f"{name} has a wrong type or is out of range")
    if not raw["job_id"] or raw["outcome"] not in OUTCOMES:
        raise BadEntry("job_id or outcome is none")
    return Entry(**raw)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT_CHARACTERS


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= MAX_COUNT  # not isinstance: a bool is an int, too


def _is_time(value: object) -> bool:
    return type(value) in (int, float) and -MAX_SECONDS <= value <= MAX_SECONDS  # type: ignore[operator]


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
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return HistorySummary(complaint=f"{path} is no file; remove it, it is made anew.")
    except FileNotFoundError:
        return HistorySummary()
    except OSError as error:
        return HistorySummary(complaint=_complaint(path, error.strerror or str(error)))
    uri = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, timeout=READ_SECONDS, uri=True)) as database:
            query = f"SELECT {', '.join(COLUMNS)} FROM entry ORDER BY stopped_at DESC LIMIT ?"
            rows = database.execute(query, (most,))
            recent = tuple(_valid_entries(rows))
            totals = database.execute("SELECT outcome, COUNT(*) FROM entry GROUP BY outcome")
            counts = {str(outcome): int(count) for outcome, count in totals}
    except sqlite3.Error as error:
        return HistorySummary(complaint=_complaint(path, str(error)))
    return HistorySummary(recent, counts)


def _valid_entries(rows: Iterable[tuple[object, ...]]) -> Iterator[Entry]:
    """Yield the rows that are entries; others were not written by us."""
    for row in rows:
        with suppress(BadEntry):
            yield checked_entry(dict(zip(COLUMNS, row, strict=True)))


def _complaint(path: Path, reason: str) -> str:
    return f"{path} cannot be read ({reason}); films go on without it."
