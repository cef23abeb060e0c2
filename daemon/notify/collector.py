"""Collection of events: one thread for each folder in which the daemon puts them.

A folder on a share may hang, with the thread that lists it; the other folder's events and the
messages that wait go on.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event as Flag
from threading import Thread

import structlog

from daemon.notify.events import ENDING, BadEvent, Event, read_event
from erasecore.errors import printable

log = structlog.get_logger(__name__)

POLL_SECONDS = 1.0
"""Time between two looks at a folder, in seconds. A guess."""
BATCH = 100
"""Events that are handed over at a time. A guess."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """Events of a folder; their files are removed once ``stored`` is set."""

    events: tuple[Event, ...]
    stored: Flag = field(default_factory=Flag)


class Collector:
    """Hands the events of one folder over, oldest first, until ``stopping`` is set.

    Args:
        folder: may be missing.
        hand_over: takes an arrival; thread-safe.
        stopping: set when the process ends.
    """

    def __init__(self, folder: Path, hand_over: Callable[[Arrival], None], stopping: Flag) -> None:
        self._folder = folder
        self._hand_over = hand_over
        self._stopping = stopping
        self._complained = ""

    def start(self) -> None:
        """Begin, in a thread that does not keep the process from ending."""
        Thread(target=self._run, name=f"collector {self._folder}", daemon=True).start()

    def _run(self) -> None:
        while not self._stopping.is_set():
            more = False
            try:
                more = self._take_batch()
                self._complained = ""
            except OSError as error:
                if str(error) != self._complained:  # once, not each second
                    self._complained = str(error)
                    log.warning("notify.folder_unreadable", reason=printable(str(error)))
            if not more:
                self._stopping.wait(POLL_SECONDS)

    def _take_batch(self) -> bool:
        """Hand some events over and remove their files; return True if there are more."""
        paths = self._files()
        found = {path: event for path in paths[:BATCH] if (event := _event_in(path)) is not None}
        if not found:
            return len(paths) > BATCH
        events = sorted(found.values(), key=lambda event: event.at)
        arrival = Arrival(tuple(events))
        self._hand_over(arrival)
        while not arrival.stored.wait(POLL_SECONDS):
            if self._stopping.is_set():
                return False
        for path in found:
            path.unlink(missing_ok=True)
        return len(paths) > BATCH

    def _files(self) -> list[Path]:
        with suppress(FileNotFoundError):
            names = os.listdir(self._folder)  # noqa: PTH208 - names only
            whole = (name for name in names if name.endswith(ENDING) and not name.startswith("."))
            return [self._folder / name for name in sorted(whole)]
        return []


def _event_in(path: Path) -> Event | None:
    """Return the event in a file; None if it is none, and set aside under another name."""
    try:
        return read_event(path)
    except FileNotFoundError:
        return None
    except BadEvent as error:
        log.warning("notify.bad_event", file=printable(str(path)), reason=printable(str(error)))
        path.replace(path.with_suffix(".bad"))
        return None
