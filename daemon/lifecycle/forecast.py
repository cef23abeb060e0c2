"""Forecast of the ends of films: measured speeds, played forward over the workers. Pure.

Films begin in their order, each on the worker that is free first, within the working hours and
after a pause. What a pause without an end holds up has no end, either.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from daemon.config.schedule import Hours, is_open, next_opening

MIN_SHARE = 0.05
"""Finished share of a film from which its own progress tells its end, 0 to 1; a guess."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Circumstances that decide when a film may begin."""

    wall: float  # the present, seconds since 1970
    hours: tuple[Hours, ...] = ()  # working hours
    paused: bool = False
    paused_until: float | None = None  # seconds since 1970; None: the pause has no end
    blocked: bool = False  # a problem of the host keeps the queue from going on


def remaining_seconds(
    elapsed_seconds: float, share: float, size_bytes: int, seconds_per_byte: float | None
) -> float | None:
    """Return how long a film at work will still take; None if that is not known.

    Args:
        elapsed_seconds: since its attempt began.
        share: finished part of the job, 0 to 1.
        size_bytes: size of its source.
        seconds_per_byte: typical speed of earlier films; None: not known.
    """
    if share >= MIN_SHARE:
        return elapsed_seconds * (1.0 - share) / share
    if seconds_per_byte is None:
        return None
    return max(0.0, size_bytes * seconds_per_byte - elapsed_seconds)


def ends_of_waiting(
    sizes_bytes: Iterable[int],
    free_at: Sequence[float],
    seconds_per_byte: float,
    conditions: Conditions,
) -> Iterator[float | None]:
    """Yield the estimated end of each waiting film, seconds since 1970; None: not known.

    Args:
        sizes_bytes: sizes of their sources, in the order in which they begin.
        free_at: time at which each worker is free, seconds since 1970.
        seconds_per_byte: typical speed of earlier films.
        conditions: what decides when a film may begin.
    """
    workers = list(free_at)
    heapq.heapify(workers)
    for size_bytes in sizes_bytes:
        begins_at = may_begin_at(workers[0], conditions) if workers else None
        if begins_at is None:
            yield None
            continue
        end = begins_at + size_bytes * seconds_per_byte
        heapq.heapreplace(workers, end)
        yield end


def may_begin_at(earliest: float, conditions: Conditions) -> float | None:
    """Return the first time from ``earliest`` on at which a film may begin; None: not known."""
    if conditions.blocked or (conditions.paused and conditions.paused_until is None):
        return None
    begins_at = max(earliest, conditions.paused_until or 0.0, conditions.wall)
    moment = datetime.fromtimestamp(begins_at)
    if is_open(conditions.hours, moment):
        return begins_at
    opening = next_opening(conditions.hours, moment)
    return opening.timestamp() if opening is not None else None
