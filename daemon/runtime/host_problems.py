"""What is wrong with this host: nothing fails for a trouble, most of them pause the queue."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)

TOLD = 5
"""So many troubles are told in one sentence: each of a thousand folders may have its own."""
MAX_BACKOFF_FACTOR = 8.0
"""How many times its first length a pause becomes at most, while a trouble lasts."""


@dataclass(frozen=True, slots=True)
class HostProblem:
    """Something the operator has to mend."""

    sentence: str
    until: float  # on our monotonic clock: then it is tried again
    pause_seconds: float  # how long it was left alone
    pauses: bool  # whether the queue waits for it


class HostProblems:
    """The troubles there are, each under the name of what it hinders."""

    def __init__(self) -> None:
        self._all: dict[str, HostProblem] = {}

    def report(
        self, what: str, sentence: str, *, now: float, pause_seconds: float, pauses: bool = True
    ) -> None:
        """``what`` does not work; it is tried again after ``pause_seconds``, later less often."""
        known = self._all.get(what)
        if known is not None and now >= known.until:  # it was tried again, in vain
            pause_seconds = min(2 * known.pause_seconds, MAX_BACKOFF_FACTOR * pause_seconds)
        if known is None or known.sentence != sentence:
            log.error("host.trouble", what=what, sentence=sentence, retry_seconds=pause_seconds)
        self._all[what] = HostProblem(sentence, now + pause_seconds, pause_seconds, pauses)

    def clear(self, what: str) -> None:
        """``what`` works (again)."""
        if self._all.pop(what, None) is not None:
            log.info("host.mended", what=what)

    def __contains__(self, what: object) -> bool:
        """Whether ``what`` does not work."""
        return what in self._all

    def blocked(self, *, now: float) -> bool:
        """Whether the queue has to wait."""
        return any(one.pauses and one.until > now for one in self._all.values())

    def pausing(self) -> bool:
        """Whether there is a trouble for which the queue waits, or has waited until now."""
        return any(one.pauses for one in self._all.values())

    def until_of(self, what: str) -> float:
        """When ``what`` is tried again; long ago if nothing is known against it."""
        known = self._all.get(what)
        return float("-inf") if known is None else known.until

    def until(self, *, now: float) -> float | None:
        """When, after ``now``, something is tried again."""
        return min((one.until for one in self._all.values() if one.until > now), default=None)

    def sentence(self) -> str:
        """What to mend, first that for which the queue waits; empty if all is well."""
        ordered = sorted(self._all.values(), key=lambda one: not one.pauses)
        told = [trouble.sentence for trouble in ordered[:TOLD]]
        more = len(ordered) - len(told)
        return " ".join([*told, f"(And {more} more; see the log.)"] if more else told)
