"""One try to tell a receiver, its outcome, and when the next try is due."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from daemon.config.notify_settings import EventKind

MAX_RETRY_AFTER_SECONDS = 24 * 3600.0
"""Longest delay that a receiver may ask for, in seconds. A guess."""


@dataclass(frozen=True, slots=True)
class Message:
    """An event as every receiver gets it."""

    event_id: str  # the same in each try: receivers tell a repetition by it
    kind: str  # an ``EventKind``, or "test"
    body: str  # JSON, see ``events.message_of``


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one try."""

    delivered: bool
    reason: str = ""  # why not; contains no address and no secret
    gone: bool = False  # the receiver asks to be told no more
    retry_after_seconds: float = 0.0  # the receiver asks for so long a pause; 0: it does not


class Receiver(Protocol):
    """Somebody who is told of events."""

    @property
    def name(self) -> str:
        """Its name in the configuration, the log and the outbox."""

    @property
    def kinds(self) -> frozenset[EventKind]:
        """Kinds of events that it is told of."""

    @property
    def address_digest(self) -> str:
        """Differs if the receiver is another, though it has the same name."""

    def send(self, message: Message, *, now: float) -> Outcome:
        """Try once; ends within the receiver's time limit and raises nothing.

        Args:
            message: the message.
            now: seconds since 1970.
        """


def next_delay_seconds(
    tries: int, outcome: Outcome, retry_seconds: Sequence[float]
) -> float | None:
    """Return the delay before the next try; ``None`` if the message is given up.

    Args:
        tries: number of tries so far, from 1.
        outcome: outcome of the last one, which has failed.
        retry_seconds: delays before the second and each further try.
    """
    if tries > len(retry_seconds):
        return None
    asked = min(outcome.retry_after_seconds, MAX_RETRY_AFTER_SECONDS)
    return max(retry_seconds[tries - 1], asked)
