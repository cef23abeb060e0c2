"""File system events (inotify) of the inbox: hints that a scan is worth while."""

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
"""Event types that cause a scan. Modifications (one event per ``write`` of a sender) are left out:
a file that was seen once is scanned again when it may be settled, and the events would keep a
core busy."""
_LIMIT_REACHED = (errno.ENOSPC, errno.EMFILE)
"""Errnos of inotify when the user's limit of watches, or of instances, is reached."""


class _EventForwarder(FileSystemEventHandler):
    """Handler of watchdog that calls ``hint`` for every event."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, _event: FileSystemEvent) -> None:
        """Call ``hint``; the event itself does not matter."""
        self._hint()


class InboxWatcher:
    """Watch on the inbox and its subfolders; it calls ``hint`` when something may have changed.

    The system may refuse it (limits of inotify) or end it; the periodic rescans work without it.
    """

    def __init__(self, folder: Path, hint: Callable[[], None], *, warn: bool = True) -> None:
        """Prepare the watch.

        Args:
            folder: the folder to watch, with those below it.
            hint: called for every event, from another thread.
            warn: log a warning if the system refuses; False: at level debug.
        """
        self._folder = folder
        self._handler = _EventForwarder(hint)
        self._observer: BaseObserver | None = None
        self._warned = not warn  # the refusal of the system was logged as a warning

    def start(self) -> bool:
        """Start to watch; return False if the system refuses.

        Raises:
            OSError: for a reason other than a limit, or a missing or closed folder.
        """
        try:
            self._observer = self._start_observer()
        except OSError as error:
            if error.errno not in (*_LIMIT_REACHED, errno.ENOENT, errno.EACCES):
                raise
            self._log_refusal(error)
        else:
            self._warned = False
        return self._observer is not None

    def _log_refusal(self, error: OSError) -> None:
        """Log that there are no events: the first time as a warning, then at level debug.

        After each scan the watch is tried again.
        """
        write = log.debug if self._warned else log.warning
        self._warned = True
        raise_limits = "raise fs.inotify.max_user_watches and max_user_instances; "
        remedy = (raise_limits if error.errno in _LIMIT_REACHED else "") + "polling instead"
        write("inbox.no_events", reason=os.strerror(error.errno or 0), remedy=remedy)

    def _start_observer(self) -> BaseObserver:
        """Return a started observer of the folder; leave no thread behind on failure."""
        observer = Observer()  # opens an inotify instance: may raise OSError
        try:
            observer.schedule(
                self._handler, str(self._folder), recursive=True, event_filter=RELEVANT_EVENTS
            )
            observer.start()
        except OSError:
            observer.stop()
            raise
        return observer

    def alive(self) -> bool:
        """Return True if events still arrive; the reading threads end when the folder is gone."""
        if self._observer is None or not self._observer.is_alive():
            return False
        emitters = self._observer.emitters
        return all(emitter.is_alive() and emitter.should_keep_running() for emitter in emitters)

    def stop(self) -> None:
        """Stop to watch, and wait until the threads have ended."""
        observer, self._observer = self._observer, None
        if observer is None:
            return
        try:
            observer.stop()
        except KeyError:
            # watchdog 7.1 loses count of folders that are exchanged while it watches them. Its
            # threads may stay then; they are daemon threads, and nobody listens to them any more.
            log.debug("inbox.watch_not_stopped", exc_info=True)
            return
        if observer.is_alive():
            observer.join()
