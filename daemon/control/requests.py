"""Requests as values: one record for each command, and their JSON form.

A request is a small file ``work/<instance>/asked/<id>.json``. Whoever may write there is trusted to
steer the queue, but not to write sound files: everything is checked when it is read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TypeAlias

from daemon.config.parsing import nearest, read_record
from daemon.storage.untrusted_json import BadJson, parse_json
from erasecore.errors import printable

SCHEMA = 1
"""Version of the format of a request."""
MAX_REQUEST_BYTES = 128 << 10
"""Largest request, in bytes: it may have the text of a settings file. Guess."""
MAX_SETTINGS_CHARACTERS = 64 << 10
"""Longest settings text of ``redo``, in characters: more than ``MAX_YAML_BYTES`` allows. Guess."""
MAX_FILM_CHARACTERS = 4096
"""Longest name of a film; PATH_MAX of Linux."""
MAX_HOST_CHARACTERS = 64
"""Longest name of the asker's host that is shown; HOST_NAME_MAX of Linux."""
MAX_PAUSE_SECONDS = 366 * 86400.0
"""Longest pause with an end, in seconds: longer ones are mistakes. Guess."""
REQUEST_ID = re.compile(r"[0-9a-z]{26}")
"""Form of a request's id: a ULID in lower case, so that requests sort by time."""


class BadRequest(ValueError):
    """A request that cannot be understood, or has values that are not allowed."""


@dataclass(frozen=True, slots=True)
class PauseQueue:
    """Begin no film any more; with no end given, until somebody resumes."""

    for_seconds: float | None = None  # from the time it is read, by the daemon's clock
    until: float | None = None  # seconds since 1970
    at_once: bool = False  # True: films at work are interrupted, else they are finished
    daemon: str = ""  # host of the daemon that is meant; "": whoever reads it


@dataclass(frozen=True, slots=True)
class ResumeQueue:
    """End the pause."""

    daemon: str = ""  # as of ``PauseQueue``


@dataclass(frozen=True, slots=True)
class CancelFilm:
    """Give a film up: it goes to failed/ as Cancelled."""

    film: str  # path below the inbox, or job id


@dataclass(frozen=True, slots=True)
class PreferFilm:
    """Let a film go before all others; a film that was handed back is taken again."""

    film: str


@dataclass(frozen=True, slots=True)
class HandBackFilm:
    """Put a film back into the inbox and leave it alone."""

    film: str


@dataclass(frozen=True, slots=True)
class RedoFilm:
    """Put the original of a film that is done into the inbox again."""

    film: str  # path below originals/, or job id
    settings: str = ""  # text of a settings file for it; "": as it was


FilmRequest: TypeAlias = CancelFilm | PreferFilm | HandBackFilm | RedoFilm
Request: TypeAlias = PauseQueue | ResumeQueue | FilmRequest

COMMANDS: dict[str, type[Request]] = {
    "pause": PauseQueue,
    "resume": ResumeQueue,
    "cancel": CancelFilm,
    "prefer": PreferFilm,
    "hand-back": HandBackFilm,
    "redo": RedoFilm,
}
"""Requests by the name of their command."""
_NAMES = {kind: name for name, kind in COMMANDS.items()}


@dataclass(frozen=True, slots=True)
class Message:
    """Content of a request's file."""

    request: Request
    host: str = ""  # host name of the asker, as the asker says


def command_of(request: Request) -> str:
    """Return the name of the command that ``request`` belongs to."""
    return _NAMES[type(request)]


def encode(message: Message) -> bytes:
    """Return the content of a request's file."""
    content = {
        "schema": SCHEMA,
        "command": command_of(message.request),
        "body": asdict(message.request),
        "host": message.host,
    }
    return json.dumps(content).encode()


def decode(content: bytes) -> Message:
    """Return the message in the content of a file that others may have written.

    Raises:
        BadRequest: the text says what is wrong.
    """
    if len(content) > MAX_REQUEST_BYTES:
        raise BadRequest(f"it is larger than {MAX_REQUEST_BYTES} bytes")
    try:
        raw = parse_json(content)
    except BadJson as error:
        raise BadRequest(str(error)) from error
    if not isinstance(raw, dict):
        raise BadRequest("it is no JSON object")
    if raw.get("schema") != SCHEMA:
        raise BadRequest(f"its schema is not {SCHEMA}")
    request = request_of(raw.get("command"), raw.get("body", {}))
    host = raw.get("host", "")
    shown = printable(host)[:MAX_HOST_CHARACTERS] if isinstance(host, str) else ""
    return Message(request, shown)


def request_of(command: object, body: object) -> Request:
    """Return the request of a command's name and its JSON body, checked.

    Raises:
        BadRequest: there is no such command, or a value is not allowed.
    """
    kind = COMMANDS.get(command) if isinstance(command, str) else None
    if kind is None:
        known = ", ".join(COMMANDS)
        near = nearest(command, COMMANDS) if isinstance(command, str) else ""
        raise BadRequest(f"it has none of the commands {known}.{near}")
    if not isinstance(body, Mapping):
        raise BadRequest("its body is no JSON object")
    request: Request = read_record(kind, body, error=BadRequest)
    if isinstance(request, PauseQueue):
        _check_pause(request)
    elif not isinstance(request, ResumeQueue):
        _check_film(request.film)
        if isinstance(request, RedoFilm) and len(request.settings) > MAX_SETTINGS_CHARACTERS:
            raise BadRequest("settings: the text is too long")
    return request


def _check_pause(request: PauseQueue) -> None:
    seconds, until = request.for_seconds, request.until
    if seconds is not None and until is not None:
        raise BadRequest("for_seconds and until: give one of them")
    if seconds is not None and not 0 < seconds <= MAX_PAUSE_SECONDS:  # NaN is refused, too
        raise BadRequest("for_seconds: must be above 0 and at most a year")
    if until is not None and not math.isfinite(until):
        raise BadRequest("until: must be a time")


def _check_film(film: str) -> None:
    parts = film.split("/")
    if not film or len(film) > MAX_FILM_CHARACTERS or "\0" in film:
        raise BadRequest("film: must be a path below the inbox, or a job id")
    if {"", ".", ".."} & set(parts):
        raise BadRequest("film: must be a path below the inbox, without . and ..")
