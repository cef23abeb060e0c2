"""Fault isolation: an error while one event is erased costs that event, not the film.

The only place in the pipeline that catches ``Exception`` (docs/decisions.md 94).
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from erasecore.errors import EngineMisbehaved, EraseError
from erasecore.memory.oom_errors import first_line, gpu_failure, is_out_of_memory

log = structlog.get_logger(__name__)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class EventFailure:
    """An error that costs one event; ``reason`` is its class and the first line of its text."""

    reason: str


def isolate(work: Callable[[], Result], *, step: str, **event: object) -> Result | EventFailure:
    """Return the result of ``work``, or its error if that costs the event only.

    The error is logged with its traceback, whose frames are then cleared, as they hold arrays.

    Args:
        work: one step of erasing one event or the events of one clip.
        step: name of the step in the log.
        event: fields of the log record that say where in the film that is.
    """
    try:
        return work()
    except Exception as error:
        if not costs_one_event(error):
            raise
        reason = first_line(error)
        log.exception("event.failed", step=step, reason=reason, **event)
        traceback.clear_frames(error.__traceback__)
        return EventFailure(reason)


def costs_one_event(error: Exception) -> bool:
    """Return True if the film can go on without the event.

    That is so for errors in our code, and for engines that break their contract. Memory, disks,
    graphics cards and the film itself concern all events: these errors end the attempt.
    """
    if isinstance(error, EraseError):
        return isinstance(error, EngineMisbehaved)
    if isinstance(error, OSError) or gpu_failure(error) is not None:
        return False
    return not is_out_of_memory(error)
