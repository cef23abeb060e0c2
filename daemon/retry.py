"""What becomes of a job after a failed attempt: a decision, as a value."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from daemon.config import RetrySettings
from daemon.jobs import Fault
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


def decide(remedy: Remedy, attempt: int, settings: RetrySettings) -> Decision:
    """What becomes of a job whose ``attempt``-th counted attempt (from 1) has failed."""
    if remedy is Remedy.FIX_HOST:
        return Decision(Next.PAUSE, settings.pause_seconds)
    if remedy is Remedy.RETRY and attempt < settings.max_attempts:
        delay_seconds = settings.delay_seconds * 2.0 ** (attempt - 1)
        return Decision(Next.REQUEUE, min(delay_seconds, MAX_DELAY_SECONDS))
    return Decision(Next.FAIL)


def given_up(fault: Fault) -> Fault:
    """``fault`` as the reason why a job is given up: who can mend it, now that time has not.

    A film that never fits the memory does not stop the queue, as other faults of the host do: the
    films behind it may well fit.
    """
    if fault.error == OutOfMemory.__name__:
        return replace(fault, remedy=Remedy.FIX_HOST)
    if fault.killed:
        sentence = (
            f"{fault.sentence} Each attempt was made in smaller pieces; stop what else uses "
            "memory, or give the machine more, and requeue the film."
        )
        return replace(fault, remedy=Remedy.FIX_HOST, sentence=sentence)
    return fault
