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
from threading import Lock

from structlog.typing import EventDict, WrappedLogger

EVENT_FILE = "events.jsonl"
"""Name of the file in the instance folder."""
OLD_EVENT_FILE = "events.1.jsonl"
"""Name of the file before it."""
MAX_EVENT_BYTES = 1 << 20
"""Size from which a new file is begun, in bytes; guess: some 5000 events."""
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
    """Writer of the event file; threads may write at the same time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._file: Path | None = None

    def write_to(self, instance: Path | None) -> None:
        """Write into an instance folder from now on; None: nowhere."""
        with self._lock:
            self._file = None if instance is None else instance / EVENT_FILE

    def append(self, event: EventDict) -> None:
        """Write one event, if there is a place for it; an error of the disk concerns no film."""
        with self._lock, suppress(OSError):
            if self._file is None:
                return
            with self._file.open("a", encoding="ascii") as file:
                file.write(_line_of(event))
                size_bytes = file.tell()
            if size_bytes > MAX_EVENT_BYTES:
                os.replace(self._file, self._file.with_name(OLD_EVENT_FILE))


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
