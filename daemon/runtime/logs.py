"""Log lines: events with fields, on a console for people or as JSON for machines.

A job's own lines also go to the log file in its folder, which is published with the film.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from datetime import datetime
from pathlib import Path
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.config.schema import LogFormat, LogSettings

_job_log: ContextVar[Path | None] = ContextVar("job_log", default=None)


def configure(settings: LogSettings, stream: TextIO = sys.stderr) -> None:
    """Make every later log line go to ``stream`` in the format and from the level asked for."""
    console = settings.format is LogFormat.CONSOLE or (
        settings.format is LogFormat.AUTO and stream.isatty()
    )
    renderer: Processor = (
        structlog.dev.ConsoleRenderer(colors=stream.isatty())
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    # On leaving it warns that it has left, which is what we asked it to do.
    logging.getLogger("watchdog").setLevel(logging.ERROR)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            copy_to_job_log,
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(
            getattr(logging, settings.level.value.upper())
        ),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )


def configure_worker() -> None:
    """Make every later log line a readable one on standard output, wherever that leads then.

    The worker's output goes to the log of the job it is at.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=False),
            structlog.processors.format_exc_info,
            lambda _logger, _method, event: readable(event),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=False,
    )


@contextmanager
def job_bound(job_id: str, log: Path, **fields: object) -> Iterator[None]:
    """Within it every line names the job, and also goes to its log file while that is there."""
    token = _job_log.set(log)
    try:
        with structlog.contextvars.bound_contextvars(job_id=job_id, **fields):
            yield
    finally:
        _job_log.reset(token)


def copy_to_job_log(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The event, unchanged, once its line is in the job's log, if one is bound and still there."""
    log = _job_log.get()
    if log is not None:
        with suppress(OSError):  # what hinders it hinders the work as well, which speaks of it
            _append(log, readable(event) + "\n")
    return event


def _append(log: Path, line: str) -> None:
    if log.is_file():
        with log.open("a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line)


def readable(event: EventDict) -> str:
    """An event as a line for people: time, level, what happened, ``key=value`` for the rest."""
    at = event.get("timestamp") or datetime.now().astimezone().isoformat()
    hidden = ("timestamp", "level", "event", "job_id", "exc_info")
    rest = [f"{key}={value}" for key, value in event.items() if key not in hidden]
    return " ".join([str(at)[:23], f"{event.get('level', ''):<7}", str(event["event"]), *rest])
