"""Measured speeds of earlier films, and the time that another one will probably take."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from statistics import median

from daemon.jobs.job import Job

KEPT_SPEEDS = 30
"""Newest measured speeds that are kept; a guess. Older ones may be of another configuration."""


@dataclass(frozen=True, slots=True)
class MeasuredSpeed:
    """Time that the last attempt of a film took, with the film's size."""

    job_id: str
    size_bytes: int  # of the source
    seconds: float
    stopped_at: float  # seconds since 1970


def speed_of(job: Job) -> MeasuredSpeed | None:
    """Return the speed of a job that is done; None if its attempt tells none.

    An attempt that went on with another's segments did only a part of the work.
    """
    last = job.attempts[-1] if job.attempts else None
    if last is None or last.stopped_at is None or len(job.attempts) > 1:
        return None
    seconds = last.stopped_at - last.started_at
    if seconds <= 0 or job.size_bytes <= 0:
        return None
    return MeasuredSpeed(job.job_id, job.size_bytes, seconds, last.stopped_at)


def seconds_per_byte(speeds: Collection[MeasuredSpeed]) -> float | None:
    """Return the median time per byte of source, in seconds; None if nothing was measured.

    The median: a film without subtitles is copied in no time, one full of them takes long.
    """
    if not speeds:
        return None
    return median(one.seconds / one.size_bytes for one in speeds)
