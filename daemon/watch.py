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

WORTH_A_LOOK: list[type[FileSystemEvent]] = [
    *(FileCreatedEvent, FileMovedEvent, FileDeletedEvent, FileClosedEvent),
    *(DirCreatedEvent, DirMovedEvent, DirDeletedEvent),
]
"""Each ``write`` of a sender is an event, too, and tells nothing: a file that was seen once is
looked at again when it may be settled. Not asking for them saves a core."""


class _Hint(FileSystemEventHandler):
    """Passes on that something may have changed."""

    def __init__(self, hint: Callable[[], None]) -> None:
        self._hint = hint

    def on_any_event(self, _event: FileSystemEvent) -> None:
        """Pass it on."""
        self._hint()


class Watch:
    """Events of the inbox, as long as the system grants them; without, rescans must do."""

    def __init__(self, folder: Path, hint: Callable[[], None]) -> None:
        self._folder = folder
        self._handler = _Hint(hint)
        self._observer: BaseObserver | None = None

    def start(self) -> bool:
        """Begin to pass on events; False if the system has no watches left."""
        observer = Observer()
        try:
            observer.schedule(
                self._handler, str(self._folder), recursive=True, event_filter=WORTH_A_LOOK
            )
            observer.start()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EMFILE, errno.ENOENT, errno.EACCES):
                raise
            log.warning(
                "inbox.no_events",
                reason=os.strerror(error.errno),
                remedy="raise fs.inotify.max_user_watches and max_user_instances; polling instead",
            )
            return False
        self._observer = observer
        return True

    def alive(self) -> bool:
        """Whether events still arrive, as far as one can know."""
        return self._observer is not None and self._observer.is_alive()

    def stop(self) -> None:
        """Pass on nothing more, and leave no thread behind."""
        if self._observer is not None:
            self._observer.stop()
            if self._observer.is_alive():
                self._observer.join()
            self._observer = None
