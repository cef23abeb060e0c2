"""Loggers of the pipeline: silent in a host application that has configured no logging.

An unconfigured structlog prints to standard output, which is not for a library to do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, cast

import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

# As the logging documentation asks of libraries: without it, warnings would go to stderr.
logging.getLogger("erasecore").addHandler(logging.NullHandler())


def get_logger(name: str) -> FilteringBoundLogger:
    """Return a logger of events with fields, e.g. ``log.info("film.probed", codec="h264")``.

    Each event goes to structlog if the application has configured it, else to the standard
    library's logger ``name``, as a line like ``film.probed codec=h264``.
    """
    return cast("FilteringBoundLogger", _Logger(name))


class _Logger:
    """Decides for each event, so that an application may configure logging after the import."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, method: str) -> object:
        if structlog.is_configured():
            return getattr(structlog.get_logger(self._name), method)
        return getattr(_standard_logger(self._name), method)


def _standard_logger(name: str) -> object:
    """Return a structlog front of ``logging.getLogger(name)``, whatever structlog's defaults."""
    return structlog.wrap_logger(
        logging.getLogger(name),
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.processors.format_exc_info,
            _one_line,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        context_class=dict,
        cache_logger_on_first_use=False,
    )


def _one_line(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    """Return the event's name and its fields as ``key=value``."""
    fields = [f"{key}={value}" for key, value in event.items() if key != "event"]
    return " ".join([str(event["event"]), *fields])
