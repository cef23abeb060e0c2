"""Commands that ask a running daemon for something: pause, cancel and the like.

Exit code 0: carried out (or asked, with --no-wait); 1: refused; 75: asked, but not answered yet.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from daemon.cli.context import WrongUsage
from daemon.config.locations import FolderSettings, Locations
from daemon.control.client import (
    DaemonFolder,
    await_answer,
    daemon_folders,
    holder_of,
    send,
)
from daemon.control.requests import (
    MAX_PAUSE_SECONDS,
    MAX_SETTINGS_CHARACTERS,
    BadRequest,
    PauseQueue,
    Request,
    ResumeQueue,
    request_of,
)
from daemon.jobs.instances import this_process
from erasecore.errors import printable
from erasecore.system.safe_open import read_plain

EXIT_REFUSED = 1
EXIT_UNANSWERED = 75  # EX_TEMPFAIL of sysexits.h

_FILM_COMMANDS = ("cancel", "prefer", "hand-back", "redo")
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
"""Units of a duration: seconds in each."""
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")


def ask(places: Locations, options: argparse.Namespace) -> int:
    """Send the requests of a command, wait for the answers and print them; return the exit code.

    Raises:
        WrongUsage: a time cannot be understood.
        FolderError: there is no daemon to ask, or it cannot be asked.
    """
    work = places.folders.work
    daemons = daemon_folders(work, this_process(places.claims.instance), options.daemon)
    try:
        requests = list(_requests(places, options, daemons))
    except BadRequest as error:
        raise WrongUsage(str(error)) from error
    codes = [
        _ask_one(work, folder, subject, request, wait=not options.no_wait)
        for folder, subject, request in requests
    ]
    return max(codes)


def _requests(
    places: Locations, options: argparse.Namespace, daemons: list[DaemonFolder]
) -> Iterator[tuple[DaemonFolder, str, Request]]:
    """Yield what is asked of whom, with the name of what it is about."""
    if options.command in _FILM_COMMANDS:
        for film in options.films:
            name = film_name(film, places.folders)
            holder = holder_of(name, daemons, places.folders.work)
            body = {"film": name}
            if options.command == "redo" and options.settings:
                body["settings"] = _settings_text(Path(options.settings))
            yield holder, name, request_of(options.command, body)
        return
    for one in daemons:
        request: Request = ResumeQueue(one.host)
        if options.command == "pause":
            request = pause_of(options.duration, options.until, now=datetime.now())
            request = PauseQueue(request.for_seconds, request.until, options.now, one.host)
        yield one, one.path.name, request


def _ask_one(
    work: Path, folder: DaemonFolder, subject: str, request: Request, *, wait: bool
) -> int:
    request_id = send(folder, request)
    if not folder.runs:
        _print(f"{subject}: asked; no daemon is running, the next one to start reads it.")
        return EXIT_UNANSWERED
    if not wait:
        _print(f"{subject}: asked.")
        return 0
    answer = await_answer(work, request_id)
    if answer is None:
        _print(f"{subject}: asked, but not answered yet; `subtitle-eraser status` tells more.")
        return EXIT_UNANSWERED
    _print(f"{subject}: {answer.sentence}")
    return 0 if answer.accepted else EXIT_REFUSED


def film_name(film: str, folders: FolderSettings) -> str:
    """Return the path below its folder of a film that may be named by its whole path."""
    path = Path(film)
    for folder in (folders.inbox, folders.done, folders.failed, folders.originals):
        if path.is_absolute() and path.is_relative_to(folder):
            return str(path.relative_to(folder))
    return film


def _settings_text(file: Path) -> str:
    """Return the text of a settings file.

    Raises:
        WrongUsage: it cannot be read, or is too large.
    """
    try:
        content = read_plain(file, MAX_SETTINGS_CHARACTERS + 1)
        text = content.decode("utf-8")
    except (OSError, ValueError) as error:
        raise WrongUsage(f"--settings {file}: {error}") from error
    if not text.strip():
        raise WrongUsage(f"--settings {file}: it is empty.")
    return text


def pause_of(duration: str | None, until: str | None, *, now: datetime) -> PauseQueue:
    """Return the pause that the options ask for.

    Args:
        duration: e.g. "2h" or "1h30m"; None: not given.
        until: a time of day or a date and time, local; None: not given.
        now: the local time.

    Raises:
        WrongUsage: one of them cannot be understood.
    """
    if duration is not None:
        return PauseQueue(for_seconds=_seconds_of(duration))
    if until is not None:
        return PauseQueue(until=_time_of(until, now).timestamp())
    return PauseQueue()


def _seconds_of(duration: str) -> float:
    found = _DURATION.fullmatch(duration.strip().lower())
    parts = zip(_UNITS.values(), found.groups("0") if found else (), strict=False)
    seconds = float(sum(unit * int(number) for unit, number in parts))
    if not 0 < seconds <= MAX_PAUSE_SECONDS:
        raise WrongUsage(f"--for {duration}: write a time of at most a year, as in 2h or 1h30m.")
    return seconds


def _time_of(until: str, now: datetime) -> datetime:
    """Return the next time of day ``until`` after ``now``, or the date and time that it is."""
    try:
        if re.fullmatch(r"\d{1,2}:\d\d", until):
            hour, minute = map(int, until.split(":"))
            moment = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
            return moment if moment > now else moment + timedelta(days=1)
        return datetime.fromisoformat(until)
    except ValueError as error:
        raise WrongUsage(f"--until {until}: write 06:00, or 2026-12-01T06:00.") from error


def _print(text: str) -> None:
    sys.stdout.write(f"{printable(text)}\n")
