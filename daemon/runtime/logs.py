"""Structured logging: events with fields, as console lines for people or as JSON for machines.

Lines of a job are also appended to the log file in its folder, which is published with the film.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.config.schema import LogFormat, LogSettings
from daemon.runtime.event_log import copy_to_event_log

_job_log: ContextVar[Path | None] = ContextVar("job_log", default=None)
"""Log file of the job that the current context works on; ``None`` outside of jobs."""


def configure(settings: LogSettings, stream: TextIO = sys.stderr) -> None:
    """Set up logging of the daemon process.

    Args:
        settings: format and lowest level.
        stream: destination of all later lines; "auto" means console lines if it is a terminal.
    """
    level = getattr(logging, settings.level.value.upper())
    console = settings.format is LogFormat.CONSOLE or (
        settings.format is LogFormat.AUTO and stream.isatty()
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    _forward_library("watchdog")
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            copy_to_event_log,
            partial(_drop_below, level),
            copy_to_job_log,
            structlog.processors.format_exc_info,
            renderer,
        ],
        # Events are told to others whatever the level of the log is.
        wrapper_class=structlog.make_filtering_bound_logger(min(level, logging.INFO)),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def _forward_library(name: str) -> None:
    """Have what a library logs among our lines at level debug: nothing that a person must act on.

    When it is stopped, watchdog warns that it has stopped, and may call the rest of an event an
    error. Lost events cost time only, since the inbox is scanned without them, too.
    """
    library = logging.getLogger(name)
    if not library.handlers:
        library.addHandler(_Forwarder())
    library.setLevel(logging.WARNING)


class _Forwarder(logging.Handler):
    """Handler that passes the records of a library on to our log."""

    def emit(self, record: logging.LogRecord) -> None:
        """Log the record's message, which may be written by another thread."""
        log = structlog.get_logger(record.name)
        log.debug("library.said", library=record.name, text=record.getMessage())


def _drop_below(level: int, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: end the line here if it is less severe than ``level``."""
    if getattr(logging, str(event["level"]).upper()) < level:
        raise structlog.DropEvent
    return event


def tell_outdated(warnings: Iterable[str]) -> None:
    """Log what the configuration file should say differently."""
    log = structlog.get_logger(__name__)
    for sentence in warnings:
        log.warning("config.outdated", sentence=sentence)


def configure_worker() -> None:
    """Set up logging of the worker process: readable lines on standard output.

    The worker redirects its standard output to the log of its current job.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: format_event(event),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )


@contextmanager
def job_bound(job_id: str, log: Path, **fields: object) -> Iterator[None]:
    """Bind the job to all log lines of the block, and copy these to the job's log file.

    Args:
        job_id: added to every line, as ``job_id``.
        log: the job's log file; lines are not copied while it does not exist.
        fields: further fields of every line, e.g. the attempt.
    """
    token = _job_log.set(log)
    try:
        with structlog.contextvars.bound_contextvars(job_id=job_id, **fields):
            yield
    finally:
        _job_log.reset(token)


def copy_to_job_log(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Structlog processor: append the line to the bound job's log file, return the event unchanged.

    Does nothing if no job is bound or its log file does not exist.
    """
    log = _job_log.get()
    if log is not None:
        with suppress(OSError):  # the job meets the same error, and reports it
            _append_if_exists(log, format_event(event) + "\n")
    return event


def _append_if_exists(log: Path, line: str) -> None:
    if log.is_file():
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line)


def format_event(event: EventDict) -> str:
    """Return an event as a line for people: time, level, event name, other fields as key=value.

    The job id and an exception that is not yet formatted (``exc_info``) are left out.
    """
    timestamp = event.get("timestamp") or datetime.now().astimezone().isoformat()
    hidden = ("timestamp", "level", "event", "job_id", "exc_info")
    pairs = [f"{key}={value}" for key, value in event.items() if key not in hidden]
    level = f"{event.get('level', ''):<7}"
    return " ".join([str(timestamp)[:23], level, str(event["event"]), *pairs])
