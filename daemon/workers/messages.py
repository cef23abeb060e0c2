"""The messages between the daemon and its worker: frozen records, one JSON line each."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import TypeAlias

from daemon.config.parsing import read_record
from erasecore.errors import Remedy
from erasecore.reports import EraseReport, Progress
from erasecore.settings import Companions, EraseSettings


@dataclass(frozen=True, slots=True)
class Failure:
    """How an attempt failed."""

    error: str  # the error's class
    remedy: Remedy
    sentence: str  # for the person who can mend it
    detail: str = ""  # the traceback
    killed: bool = False  # the worker was, as the system does when memory runs out
    unfinished: bool = False  # so looks a film, too, that is still being copied


MAX_LINE_BYTES = 64 << 20


class MessageError(Exception):
    """A line that is no message."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker has loaded its tools and waits for work."""

    versions: dict[str, str] = field(default_factory=dict)  # of libraries, engines, devices


@dataclass(frozen=True, slots=True)
class Start:
    """Begin one attempt."""

    job_id: str
    attempt: int
    source: str  # absolute path
    folder: str  # the job's folder, absolute path
    shown_as: str  # what the sender calls the film
    log: str  # the job's log file, absolute path; empty: none
    settings: EraseSettings
    companions: Companions = field(default_factory=Companions)
    rungs_down: int = 0  # how much smaller its pieces are to be; see ``Job.rungs_down``


@dataclass(frozen=True, slots=True)
class ProgressUpdate:
    """The attempt is alive, and this far."""

    job_id: str
    progress: Progress | None  # none: a sign of life outside the pipeline


@dataclass(frozen=True, slots=True)
class Finished:
    """The attempt made a verified result."""

    job_id: str
    report: EraseReport
    source_sha256: str
    result_sha256: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt failed; with an empty ``job_id``: the worker cannot work at all."""

    job_id: str
    failure: Failure
    last: bool = False  # the worker ends with this: its graphics card is lost to it


Message: TypeAlias = Ready | Start | ProgressUpdate | Finished | Failed
_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind for kind in (Ready, Start, ProgressUpdate, Finished, Failed)
}


def encode(message: Message) -> bytes:
    """``message`` as one line."""
    body = {"kind": type(message).__name__, "body": asdict(message)}
    return json.dumps(body).encode() + b"\n"


def decode(line: bytes) -> Message:
    """The message that ``line`` holds.

    Raises:
        WireError: it holds none.
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
    """Puts the pieces that a pipe delivers together into lines."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The lines that ``piece`` completes.

        Raises:
            WireError: a line grows beyond all measure.
        """
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            raise MessageError(f"a line of more than {MAX_LINE_BYTES} bytes")
        yield from lines
