"""Messages between the daemon and a worker: frozen records, one JSON line each (JSON Lines)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TypeAlias

from daemon.config.parsing import read_record
from erasecore.errors import Remedy
from erasecore.plans import Expectation
from erasecore.reports import EraseReport, Progress
from erasecore.settings import Companions, EraseSettings, TimeRange


@dataclass(frozen=True, slots=True)
class Failure:
    """Record of the error that ended an attempt; also kept in ``job.json``."""

    error: str  # name of the error's class
    remedy: Remedy
    sentence: str  # for the person who can put it right
    detail: str = ""  # traceback
    killed: bool = False  # the worker got SIGKILL, e.g. from the kernel's OOM killer
    unfinished: bool = False  # the film may merely be incomplete because it is still being copied


MAX_LINE_BYTES = 64 << 20
"""Longest message, in bytes; a report of a long film has many events (guess)."""


class MessageError(Exception):
    """Error for a line that is not a valid message."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Message of a worker: its models are loaded and it waits for work."""

    versions: dict[str, str] = field(default_factory=dict)  # of libraries, engines, devices


class Task(StrEnum):
    """Work that an attempt does on a film."""

    ERASE = "erase"
    PLAN = "plan"  # detection and reading only; writes a plan and its contact sheet


@dataclass(frozen=True, slots=True)
class Start:
    """Message to a worker: begin one attempt."""

    job_id: str
    attempt: int
    source: str  # absolute path
    folder: str  # the job's folder, absolute path
    shown_as: str  # the sender's name of the film, printable
    log: str  # the job's log file, absolute path; empty: none
    settings: EraseSettings
    companions: Companions = field(default_factory=Companions)
    rungs_down: int = 0  # steps to go down the memory ladder; see ``Job.rungs_down``
    task: Task = Task.ERASE
    span: TimeRange | None = None  # stretch of the film that is erased; None: all
    preview_seconds: float = 0.0  # length of the hardest stretch, which is erased; 0: none
    ending: str = ""  # of the result's file name, which decides its container; empty: the film's


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """Message of a worker: heartbeat of the attempt, with its progress."""

    job_id: str
    progress: Progress | None  # None: a heartbeat from outside the pipeline, e.g. while hashing


@dataclass(frozen=True, slots=True)
class Finished:
    """Message of a worker: the attempt has made a verified result."""

    job_id: str
    report: EraseReport
    source_sha256: str
    result_sha256: str


@dataclass(frozen=True, slots=True)
class Planned:
    """Message of a worker: the plan of the film and its contact sheet are in the job's folder."""

    job_id: str
    erased: int  # objects to be erased
    kept: int  # objects to be kept
    expected: Expectation


@dataclass(frozen=True, slots=True)
class Failed:
    """Message of a worker: the attempt failed; with empty ``job_id``: no model can be loaded."""

    job_id: str
    failure: Failure
    last: bool = False  # the worker exits after this message: it has lost its GPU


Message: TypeAlias = Ready | Start | ProgressUpdate | Finished | Planned | Failed
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Ready, Start, ProgressUpdate, Finished, Planned, Failed)
}


def encode(message: Message) -> bytes:
    """Return ``message`` as one line of JSON, its newline included."""
    body = {"kind": type(message).__name__, "body": asdict(message)}
    return json.dumps(body).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Return the message in ``line``.

    Raises:
        MessageError: the line is not valid JSON, or not one of the known messages.
    """
    try:
        raw = json.loads(line)
    except ValueError as error:
        raise MessageError(f"not JSON: {line[:80]!r}") from error
    if not isinstance(raw, dict) or raw.get("kind") not in _KINDS:
        raise MessageError(f"no message: {line[:80]!r}")
    kind, body = _KINDS[raw["kind"]], raw.get("body")
    if not isinstance(body, dict):
        raise MessageError(f"no body: {line[:80]!r}")
    return read_record(kind, body, error=MessageError)


class LineBuffer:
    """Buffer that splits the bytes of a pipe into lines."""

    def __init__(self) -> None:
        self._incomplete = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Append ``piece``; yield the lines that it completes, without their newlines.

        Raises:
            MessageError: an incomplete line is longer than ``MAX_LINE_BYTES``.
        """
        *lines, self._incomplete = (self._incomplete + piece).split(b"\n")
        if len(self._incomplete) > MAX_LINE_BYTES:
            raise MessageError(f"a line of more than {MAX_LINE_BYTES} bytes")
        yield from lines
