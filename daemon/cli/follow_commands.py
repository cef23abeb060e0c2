"""Commands that show what a daemon does as it does it: logs and events."""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from daemon.cli.control_commands import film_name
from daemon.cli.terminal import write_line
from daemon.config.locations import FolderSettings, Locations
from daemon.control.film_search import is_there, jobs_elsewhere
from daemon.jobs.job import LOG_FILE
from daemon.runtime.event_log import EVENT_FILE, OLD_EVENT_FILE
from daemon.storage.below import open_below
from erasecore.errors import FolderError, printable
from erasecore.system.safe_open import open_plain

FOLLOW_SECONDS = 0.5
"""Time between two looks for new lines, in seconds; a guess."""
BLOCK_BYTES = 1 << 16
"""Bytes that are read at once."""


class LineReader:
    """Reads the complete lines of a file that grows, from an open handle."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._incomplete = b""

    def lines(self) -> Iterator[str]:
        """Yield the lines that were completed since the last call."""
        while block := os.read(self._handle, BLOCK_BYTES):
            *lines, self._incomplete = (self._incomplete + block).split(b"\n")
            for line in lines:
                yield line.decode("utf-8", "replace")

    def is_file(self, path: Path) -> bool:
        """Return True if ``path`` is still the open file."""
        try:
            return os.path.samestat(path.lstat(), os.fstat(self._handle))
        except OSError:
            return False

    def close(self) -> None:
        """Close the handle."""
        os.close(self._handle)


# --- logs -----------------------------------------------------------------------------------------


def show_log(places: Locations, options: argparse.Namespace) -> int:
    """Print the log of a film, and with -f what is added until its job ends; return the exit code.

    Raises:
        FolderError: there is no log of such a film.
    """
    folders = places.folders
    film = film_name(options.film, folders)
    reader, job_id = _open_log(film, folders, wait=options.follow)
    try:
        while True:
            running = job_id != "" and _is_at_work(job_id, folders.work)
            for line in reader.lines():
                write_line(printable(line))
            if not (options.follow and running):
                return 0
            time.sleep(FOLLOW_SECONDS)
    finally:
        reader.close()


def _open_log(film: str, folders: FolderSettings, *, wait: bool) -> tuple[LineReader, str]:
    """Return a reader of a film's log, and the id of its job if that has not ended.

    Args:
        film: path below the inbox, below done/ or failed/, or a job id.
        folders: the daemon's folders.
        wait: wait for a film of the inbox to be begun.

    Raises:
        FolderError: there is no log.
    """
    while True:
        for instance, job in jobs_elsewhere(folders.work, folders.work):
            if film in (job.name, job.job_id):
                with suppress(OSError):  # it has just been published
                    handle = open_plain(instance / job.job_id / LOG_FILE)
                    return LineReader(handle), job.job_id
        in_inbox = is_there(folders.inbox, film)
        if not in_inbox:
            for root in (folders.done, folders.failed):
                with suppress(OSError):
                    return LineReader(open_below(root, PurePosixPath(f"{film}.log"))), ""
        if not (wait and in_inbox):
            state = "waits in the inbox, and has no log yet" if in_inbox else "is not known here"
            raise FolderError(folders.work, f"{printable(film)} {state}.")
        time.sleep(FOLLOW_SECONDS)


def _is_at_work(job_id: str, work: Path) -> bool:
    """Return True if some daemon holds a job."""
    return any(job.job_id == job_id for _, job in jobs_elsewhere(work, work))


# --- events ---------------------------------------------------------------------------------------


def show_events(places: Locations, options: argparse.Namespace) -> int:
    """Print the events of all daemons of the work folder as JSON lines; with -f go on."""
    follower = EventFollower(places.folders.work)
    for line in sorted(follower.new_lines()):  # they begin with the time
        write_line(line)
    while options.follow:
        time.sleep(FOLLOW_SECONDS)
        for line in follower.new_lines():
            write_line(line)
    return 0


class EventFollower:
    """Reads the event files of all instance folders, those that come later included."""

    def __init__(self, work: Path) -> None:
        self._work = work
        self._readers: dict[Path, LineReader] = {}  # by instance folder
        self._begun = False

    def new_lines(self) -> Iterator[str]:
        """Yield the events that came since the last call, as lines of JSON.

        Raises:
            FolderError: the work folder cannot be read.
        """
        try:
            instances = [one for one in self._work.iterdir() if not one.name.startswith(".")]
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise FolderError(self._work, f"cannot be searched for events: {reason}.") from error
        for instance in sorted({*instances, *self._readers}):
            yield from self._lines_of(instance)
        self._begun = True

    def _lines_of(self, instance: Path) -> Iterator[str]:
        """Yield the new events of one instance folder, which may be gone or have a new file."""
        reader = self._readers.get(instance)
        if reader is None and not self._begun:
            yield from _all_lines(instance / OLD_EVENT_FILE)
        if reader is not None:
            yield from filter(_is_event, reader.lines())
            if reader.is_file(instance / EVENT_FILE):
                return
            self._readers.pop(instance).close()
        with suppress(OSError):
            reader = self._readers[instance] = LineReader(open_plain(instance / EVENT_FILE))
            yield from filter(_is_event, reader.lines())


def _all_lines(file: Path) -> Iterator[str]:
    """Yield the events of a file that does not grow any more."""
    with suppress(OSError):
        reader = LineReader(open_plain(file))
        yield from filter(_is_event, reader.lines())
        reader.close()


def _is_event(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False
