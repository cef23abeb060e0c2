"""What becomes of a job after a failed attempt: a decision, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.config.schema import RetrySettings
from daemon.workers.messages import Failure
from erasecore.errors import OutOfMemory, Remedy


class Next(StrEnum):
    """What is done next."""

    REQUEUE = "requeue"  # the job tries again, after a delay
    FAIL = "fail"  # the job is given up
    PAUSE = "pause"  # the whole queue waits for the operator


@dataclass(frozen=True, slots=True)
class Decision:
    """What is done next, and after how long."""

    next: Next
    delay_seconds: float = 0.0


MAX_DELAY_SECONDS = 3600.0
MIN_DELAY_SECONDS = 1.0


def retry_delay(age_seconds: float, young_seconds: float) -> float | None:
    """In how many seconds a film that looks unfinished is tried again; nothing once it is old.

    Args:
        age_seconds: for how long it has not changed.
        young_seconds: for how long it is given the benefit of the doubt.
    """
    age_seconds = max(0.0, age_seconds)  # a clock may be set back
    if age_seconds >= young_seconds:
        return None
    # As long again as it has lain there: few tries, and never a long wait after the last byte.
    return min(max(age_seconds, MIN_DELAY_SECONDS), young_seconds - age_seconds)


def decide(remedy: Remedy, attempt: int, settings: RetrySettings) -> Decision:
    """What becomes of a job whose ``attempt``-th counted attempt (from 1) has failed."""
    if remedy is Remedy.FIX_HOST:
        return Decision(Next.PAUSE, settings.pause_seconds)
    if remedy is Remedy.RETRY and attempt < settings.max_attempts:
        delay_seconds = settings.delay_seconds * 2.0 ** (attempt - 1)
        return Decision(Next.REQUEUE, min(delay_seconds, MAX_DELAY_SECONDS))
    return Decision(Next.FAIL)


def given_up(failure: Failure) -> Failure:
    """``failure`` as the reason why a job is given up: who can mend it, now that time has not.

    A film that never fits the memory does not stop the queue, as other faults of the host do: the
    films behind it may well fit.
    """
    if failure.error == OutOfMemory.__name__:
        return replace(failure, remedy=Remedy.FIX_HOST)
    if failure.killed:
        sentence = (
            f"{failure.sentence} Each attempt was made in smaller pieces; stop what else uses "
            "memory, or give the machine more, and requeue the film."
        )
        return replace(failure, remedy=Remedy.FIX_HOST, sentence=sentence)
    return failure
