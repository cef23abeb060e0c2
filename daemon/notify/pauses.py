"""Pauses of the queue as events, seen by the daemon's loop and written by a thread.

Each reason of a pause is a subject of its own, with one call of ``observe`` in each turn. The loop
never waits for the state folder. What is written may repeat itself, e.g. after a restart: the
notifier, whose outbox remembers which subjects are paused, tells changes only.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

import structlog
from ulid import ULID

from daemon.config.notify_settings import EventKind
from daemon.config.schema import Config
from daemon.notify.events import Event, host_of, queue_events_folder, write_queue_event
from erasecore.errors import printable

log = structlog.get_logger(__name__)

HOST = "host"
"""Subject of the pauses that problems of this host make."""
PERSON = "person"
"""Subject of the pauses that a person has asked for."""
RESUMED_AFTER_SECONDS = 30.0
"""A subject counts as resumed when it has been without a reason for so long: a share that comes and
goes each second is one pause. A guess."""
CLOSE_SECONDS = 1.0
"""Longest wait for the thread when the daemon ends, in seconds. A guess."""
RESUMED_SENTENCE = "Films go on."
"""What is said of the end of a pause."""


class PauseEvents:
    """Writer of the events of a queue that waits and goes on.

    Args:
        config: the configuration.
        new_id: makes ids that nobody else has.
    """

    def __init__(self, config: Config, new_id: Callable[[], str] = lambda: str(ULID())) -> None:
        self._new_id = new_id
        self._said: dict[str, bool] = {}  # subject -> paused, as last written
        self._well_since: dict[str, float] = {}  # subject -> monotonic seconds
        self._events: SimpleQueue[Event] = SimpleQueue()
        self._writing = Lock()  # held by the one thread that writes
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Tell whom ``config`` names, from now on."""
        self._enabled = config.notify.enabled
        self._host, self._folder = host_of(config), queue_events_folder(config)

    def observe(self, subject: str, sentence: str, *, now: float, wall: float) -> None:
        """Note why the queue waits; in each turn.

        Args:
            subject: the kind of reason, e.g. ``HOST``.
            sentence: the reason, for a person; "" if it does not wait for this one.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        if not self._enabled:
            return
        if sentence:
            self._well_since.pop(subject, None)
            if not self._said.get(subject, False):
                self._say(subject, EventKind.PAUSED, sentence, wall)
            return
        well_since = self._well_since.setdefault(subject, now)
        # Also after the start: it may have been paused before.
        if now - well_since >= RESUMED_AFTER_SECONDS and self._said.get(subject, True):
            self._say(subject, EventKind.RESUMED, RESUMED_SENTENCE, wall)

    def _say(self, subject: str, kind: EventKind, sentence: str, wall: float) -> None:
        self._said[subject] = kind is EventKind.PAUSED
        event_id = f"{self._new_id()}-{kind}"
        text = printable(sentence)
        self._events.put(Event(event_id, kind, wall, self._host, text, subject=subject))
        Thread(target=self._write_all, args=(self._folder,), name="events", daemon=True).start()

    def _write_all(self, folder: Path) -> None:
        """Write what waits, in order; the work of a thread."""
        with self._writing:
            while True:
                try:
                    event = self._events.get_nowait()
                except Empty:
                    return
                try:
                    write_queue_event(event, folder)
                except OSError as error:
                    log.warning("notify.event_lost", kind=event.kind.value, reason=str(error))

    def close(self) -> None:
        """Wait for what is being written; a folder that hangs is not waited for."""
        if self._writing.acquire(timeout=CLOSE_SECONDS):
            self._writing.release()
