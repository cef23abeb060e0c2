"""Events of the queue and of films for other programs: JSON lines in the instance folder.

The lines are made from the daemon's own log lines, of which ``EVENTS`` are of interest to others.
Two files of ``MAX_EVENT_BYTES`` at most are kept.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock, Thread

from structlog.typing import EventDict, WrappedLogger

EVENT_FILE = "events.jsonl"
"""Name of the file in the instance folder."""
OLD_EVENT_FILE = "events.1.jsonl"
"""Name of the file before it."""
MAX_EVENT_BYTES = 1 << 20
"""Size from which a new file is begun, in bytes; guess: some 5000 events."""
MAX_WAITING = 1000
"""Events that wait for a folder that does not answer; further ones are lost. Guess."""
FLUSH_SECONDS = 1.0
"""Longest wait for what is being written when the place changes, in seconds. Guess."""
EVENTS = frozenset(
    {
        "service.started", "service.draining", "service.stopped", "config.reloaded",
        "queue.paused", "queue.resumed", "request.answered", "host.trouble", "host.mended",
        "job.claimed", "job.recovered", "job.preferred", "job.cancelled", "job.handed_back",
        "job.refused", "job.hindered", "job.given_up", "job.set_aside", "job.done", "job.failed",
        "attempt.started", "attempt.finished", "attempt.failed", "attempt.handed_back",
    }
)  # fmt: skip
"""Names of the log lines that are events."""


class EventLog:
    """Writer of the event file, in a thread of its own: a folder that hangs stops no log line."""

    def __init__(self) -> None:
        self._file: Path | None = None
        self._waiting: SimpleQueue[tuple[Path, str]] = SimpleQueue()
        self._writing = Lock()  # held by the one thread that writes

    def write_to(self, instance: Path | None) -> None:
        """Write into an instance folder from now on; None: nowhere.

        What waits is written first, if the folder answers within ``FLUSH_SECONDS``.
        """
        self._file = None if instance is None else instance / EVENT_FILE
        if self._writing.acquire(timeout=FLUSH_SECONDS):
            self._writing.release()

    def append(self, event: EventDict) -> None:
        """Have one event written, if there is a place for it, unless too many wait already."""
        if self._file is None or self._waiting.qsize() >= MAX_WAITING:
            return
        self._waiting.put((self._file, _line_of(event)))
        if not self._writing.locked():
            Thread(target=self._write_all, name="event log", daemon=True).start()

    def _write_all(self) -> None:
        """Write what waits, in order; an error of the disk concerns no film."""
        while not self._waiting.empty() and self._writing.acquire(blocking=False):
            try:
                while True:
                    _append(*self._waiting.get_nowait())
            except Empty:
                pass
            finally:
                self._writing.release()  # an event that came meanwhile is seen by the loop


def _append(path: Path, line: str) -> None:
    """Append a line; begin a new file where this one has become too large."""
    with suppress(OSError):
        with path.open("a", encoding="ascii") as file:
            file.write(line)
            size_bytes = file.tell()
        if size_bytes > MAX_EVENT_BYTES:
            os.replace(path, path.with_name(OLD_EVENT_FILE))


def _line_of(event: EventDict) -> str:
    """Return an event as one line of JSON in ASCII: time and name first, then its fields."""
    hidden = ("timestamp", "event", "exc_info", "level")
    fields = {key: value for key, value in event.items() if key not in hidden}
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return json.dumps({"time": time, "event": event["event"], **fields}, default=str) + "\n"


EVENT_LOG = EventLog()
"""The event log of this process, as its log is one."""


def copy_to_event_log(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: write the line to the event log if it is one of ``EVENTS``."""
    if event["event"] in EVENTS:
        EVENT_LOG.append(event)
    return event
