"""Events of the inbox: hints that a look is worth while, as long as the system grants them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import structlog
from watchdog.events import (
    DirCreatedEvent,
    DirDeletedEvent,
    DirMovedEvent,
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer
from watchdog.observers.api import BaseObserver

log = structlog.get_logger(__name__)

RELEVANT_EVENTS: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileMovedEvent, FileDeletedEvent, FileClosedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
"""Each ``write`` of a sender is an event, too, and tells nothing: a file that was seen once is
looked at again when it may be settled. Not asking for them saves a core."""


_USED_UP = (errno.ENOSPC, errno.EMFILE)


class _Hint(FileSystemEventHandler):
    """Passes on that something may have changed."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, _event: FileSystemEvent) -> None:
        """Pass it on."""
        self._hint()


class InboxWatcher:
    """Events of the inbox, as long as the system grants them; without, rescans must do."""

    def __init__(self, folder: Path, hint: Callable[[], None]) -> None:
        self._folder = folder
        self._handler = _Hint(hint)
        self._observer: BaseObserver | None = None
        self._refused = False  # whether it was said that the system grants no events

    def start(self) -> bool:
        """Begin to pass on events; False if the system has no watches left."""
        try:
            self._observer = self._observing()
        except OSError as error:
            if error.errno not in (*_USED_UP, errno.ENOENT, errno.EACCES):
                raise
            self._complain(error)
        else:
            self._refused = False
        return self._observer is not None

    def _complain(self, error: OSError) -> None:
        """Say it once: it is tried again at every look."""
        say = log.debug if self._refused else log.warning
        self._refused = True
        used_up = "raise fs.inotify.max_user_watches and max_user_instances; "
        remedy = (used_up if error.errno in _USED_UP else "") + "polling instead"
        say("inbox.no_events", reason=os.strerror(error.errno or 0), remedy=remedy)

    def _observing(self) -> BaseObserver:
        observer = Observer()  # it asks the system for an instance already
        try:
            observer.schedule(
                self._handler, str(self._folder), recursive=True, event_filter=RELEVANT_EVENTS
            )
            observer.start()
        except OSError:
            observer.stop()  # or a thread of its own stays
            raise
        return observer

    def alive(self) -> bool:
        """Whether events still arrive: whoever reads them ends with the folder that is watched."""
        if self._observer is None or not self._observer.is_alive():
            return False
        readers = self._observer.emitters
        return all(one.is_alive() and one.should_keep_running() for one in readers)

    def stop(self) -> None:
        """Pass on nothing more, and leave no thread behind."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()
            self._observer = None
