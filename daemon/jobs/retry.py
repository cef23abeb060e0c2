"""Retry policy: the decision about a job after a failed attempt, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.config.schema import RetrySettings
from daemon.jobs.job import Job
from daemon.workers.messages import Failure
from erasecore.errors import DiskFull, FilmBlocked, FolderGone, OutOfMemory, Remedy


class Next(StrEnum):
    """Next step after a failed attempt."""

    REQUEUE = "requeue"  # the job tries again, after a delay
    FAIL = "fail"  # the job is given up
    PAUSE = "pause"  # the whole queue waits for the operator


class Blame(StrEnum):
    """Owner of an error that the operator has to mend."""

    HOST = "host"  # the proof of a folder failed, or no folder is concerned: weights, a GPU
    JOB = "job"  # the folders work: only this job meets the error


@dataclass(frozen=True, slots=True)
class Decision:
    """Next step after a failed attempt, and the delay before it."""

    next: Next
    delay_seconds: float = 0.0


MAX_DELAY_SECONDS = 3600.0
"""Upper limit of the exponential backoff between two attempts of a job; a guess."""
MIN_DELAY_SECONDS = 1.0
"""Shortest delay before a film that looks truncated is tried again; a guess."""


def unfinished_delay(age_seconds: float, young_seconds: float) -> float | None:
    """Return the delay before a film that looks unfinished is tried again; None once it is old.

    Args:
        age_seconds: time since the source last changed.
        young_seconds: age up to which a source may still be being copied (``inbox.young_seconds``).

    Returns:
        Seconds: as long as the age, at least ``MIN_DELAY_SECONDS``, at most until the source is
        ``young_seconds`` old.
    """
    age_seconds = max(0.0, age_seconds)  # the system clock may be set back
    if age_seconds >= young_seconds:
        return None
    # Doubling the age keeps tries few and never waits long after the sender's last byte.
    return min(max(age_seconds, MIN_DELAY_SECONDS), young_seconds - age_seconds)


def decide(
    remedy: Remedy, attempt: int, settings: RetrySettings, *, blame: Blame = Blame.HOST
) -> Decision:
    """Decide about a job after a failed attempt or step, with exponential backoff for retries.

    A problem of the host pauses the queue: no job is at fault. If the folders were proved and work,
    the job alone waits, and is given up after as many tries as any other.

    Args:
        remedy: who can mend the failure.
        attempt: number of tries that count so far, this one included (from 1).
        settings: limits and delays.
        blame: owner of a failure with the remedy FIX_HOST.
    """
    if remedy is Remedy.FIX_HOST and blame is Blame.HOST:
        return Decision(Next.PAUSE, settings.pause_seconds)
    if remedy in (Remedy.RETRY, Remedy.FIX_HOST) and attempt < settings.max_attempts:
        delay_seconds = settings.delay_seconds * 2.0 ** (attempt - 1)
        return Decision(Next.REQUEUE, min(delay_seconds, MAX_DELAY_SECONDS))
    return Decision(Next.FAIL)


FOLDER_FAILURES = (DiskFull.__name__, FolderGone.__name__, FilmBlocked.__name__)
"""Errors of a worker that are due to the disk or share of the job's folder."""


def given_up(failure: Failure, film: str = "") -> Failure:
    """Return ``failure`` as the reason for giving a job up, with the remedy that is left.

    Args:
        failure: record of the last attempt's error.
        film: name of the film, for an error of a folder, which does not name it.

    Out of memory after the last attempt becomes FIX_HOST on this job alone: other host problems
    pause the queue, but the films behind this one may well fit into memory.
    """
    if failure.error in FOLDER_FAILURES and film:
        sentence = f"{film}: {failure.sentence} Other films have no such trouble; requeue it then."
        return replace(failure, sentence=sentence)
    if failure.error == OutOfMemory.__name__:
        return replace(failure, remedy=Remedy.FIX_HOST)
    if failure.killed:
        sentence = (
            f"{failure.sentence} Each attempt was made in smaller pieces; stop what else uses "
            "memory, or give the machine more, and requeue the film."
        )
        return replace(failure, remedy=Remedy.FIX_HOST, sentence=sentence)
    return failure


def yields_to_others(job: Job, *, wall: float) -> bool:
    """Return True if other films of the same priority go before a job that has failed.

    This holds for ``MAX_DELAY_SECONDS`` after its delay, so that no job waits forever.

    Args:
        job: a queued job.
        wall: the current time, seconds since 1970.
    """
    if job.preferred_at:
        return False
    last = job.attempts[-1] if job.attempts else None
    was_delayed = last is not None and last.counted and job.not_before > (last.stopped_at or 0.0)
    return was_delayed and wall - job.not_before < MAX_DELAY_SECONDS
