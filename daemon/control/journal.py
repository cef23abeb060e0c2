"""Journal of the requests that were read: each is recorded, carried out once, then answered.

A request goes this way; the daemon may end after any step, and goes on from there:

==============================  =================================================================
on disk                         next step
==============================  =================================================================
``asked/ID``                    write ``requests/ID``: what is to be done, with which film exactly
``asked/ID`` and ``requests``   remove ``asked/ID``
``requests/ID``, no answer      carry it out (again): each step finds out if it is done already
``requests/ID`` with answer     nothing; it is removed after ``KEPT_SECONDS``
==============================  =================================================================

The film is named by its job id, or by its signature in the inbox. So a request that is carried out
again after a crash cannot meet another film of the same name.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from daemon.config.parsing import as_json, read_record
from daemon.control.requests import BadRequest, Request, command_of, request_of
from daemon.inbox.scanner import FileSignature
from daemon.jobs.instances import REQUESTS_FOLDER
from daemon.storage.untrusted_json import BadJson, read_json
from erasecore.system.atomic_files import write_whole

log = structlog.get_logger(__name__)

KEPT_SECONDS = 600.0
"""Time for which answers are kept, in seconds: longer than anybody waits for one. Guess."""
MAX_KEPT = 200
"""Answers that are kept at most. Guess."""
RECORD_ENDING = ".json"
"""Ending of a record's file, after the request's id."""


@dataclass(frozen=True, slots=True)
class Target:
    """The film that a request is about."""

    name: str  # path below the inbox, or below originals/ for ``redo``
    job_id: str  # of its job; for a film of the inbox, of the job that it is to become
    signature: FileSignature | None = None  # of the film outside of work/; None: it was a job


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer to a request."""

    accepted: bool
    sentence: str
    at: float = 0.0  # seconds since 1970


def accepted(sentence: str) -> Answer:
    """Return the answer to a request that was carried out."""
    return Answer(accepted=True, sentence=sentence)


def refused(sentence: str) -> Answer:
    """Return the answer to a request that is not carried out."""
    return Answer(accepted=False, sentence=sentence)


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A request that was read; the content of its file."""

    request_id: str
    by: str  # person who asked, printable
    at: float  # time at which it was read, seconds since 1970
    command: str = ""  # "": it could not be understood
    body: dict[str, Any] = field(default_factory=dict)
    target: Target | None = None  # the film, if the request is about one
    answer: Answer | None = None  # None: it is not carried out yet

    @property
    def request(self) -> Request:
        """The request itself.

        Raises:
            BadRequest: the record is none of ours.
        """
        return request_of(self.command, self.body)


class _BadRecord(Exception):
    pass


def record_of(request_id: str, request: Request, *, by: str, wall: float) -> RequestRecord:
    """Return the record of a request that was just read; ``wall``: seconds since 1970."""
    return RequestRecord(request_id, by, wall, command_of(request), asdict(request))


class Journal:
    """The records of an instance folder, in memory and on disk."""

    def __init__(self, instance: Path) -> None:
        self._folder = instance / REQUESTS_FOLDER
        self._records: dict[str, RequestRecord] = {}

    def reread(self) -> None:
        """Read the records on disk: those of a daemon that was taken over are among them.

        Raises:
            OSError: the folder cannot be read.
        """
        self._records = {}
        for file in sorted(self._folder.glob(f"*{RECORD_ENDING}")):
            record = read_request_record(file)
            if record is not None and file.stem == record.request_id:
                self._records[record.request_id] = record
            else:
                log.warning("request.unreadable", file=str(file))
                file.unlink(missing_ok=True)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._records

    def open(self) -> list[RequestRecord]:
        """Return the requests without an answer, the oldest first."""
        return [one for _, one in sorted(self._records.items()) if one.answer is None]

    def still_ours(self, record: RequestRecord) -> bool:
        """Return True unless another daemon has taken the record over; it is forgotten then."""
        if self._file_of(record).exists():
            return True
        self._records.pop(record.request_id, None)
        return False

    def _file_of(self, record: RequestRecord) -> Path:
        return self._folder / f"{record.request_id}{RECORD_ENDING}"

    def save(self, record: RequestRecord) -> None:
        """Write a record durably.

        Raises:
            OSError: it cannot be written; the record stays as it was.
        """
        write_whole(self._file_of(record), as_json(record).encode())
        self._records[record.request_id] = record

    def answer(self, record: RequestRecord, answer: Answer, *, wall: float) -> None:
        """Record the answer to a request; ``wall``: seconds since 1970.

        Raises:
            OSError: as ``save``.
        """
        self.save(replace(record, answer=replace(answer, at=wall)))

    def forget_old(self, *, wall: float) -> None:
        """Remove the answers that nobody waits for any more; ``wall``: seconds since 1970."""
        answered = [one for one in self._records.values() if one.answer is not None]
        answered.sort(key=lambda one: one.at, reverse=True)
        for number, record in enumerate(answered):
            if number >= MAX_KEPT or abs(wall - record.at) > KEPT_SECONDS:
                self._file_of(record).unlink(missing_ok=True)
                del self._records[record.request_id]


def read_request_record(file: Path) -> RequestRecord | None:
    """Return the record in ``file``; None if there is none that can be used."""
    try:
        raw = read_json(file)
        record = read_record(
            RequestRecord, raw if isinstance(raw, dict) else {}, error=_BadRecord, lenient=True
        )
        if record.answer is None:
            assert record.request is not None
    except (OSError, BadJson, BadRequest, _BadRecord):
        return None
    return record
