"""What is wrong with this host: each trouble pauses the queue, nothing fails for it."""

from __future__ import annotations

from dataclasses import dataclass

import structlog

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something the operator has to mend."""

    sentence: str
    until: float  # on our monotonic clock: then it is tried again


class Troubles:
    """The troubles there are, each under the name of what it hinders."""

    def __init__(self) -> None:
        self._all: dict[str, Trouble] = {}

    def report(self, what: str, sentence: str, *, now: float, pause_seconds: float) -> None:
        """``what`` does not work; it is tried again after ``pause_seconds``."""
        known = self._all.get(what)
        if known is None or known.sentence != sentence:
            log.error("host.trouble", what=what, sentence=sentence, retry_seconds=pause_seconds)
        self._all[what] = Trouble(sentence, now + pause_seconds)

    def clear(self, what: str) -> None:
        """``what`` works (again)."""
        if self._all.pop(what, None) is not None:
            log.info("host.mended", what=what)

    def blocked(self, *, now: float) -> bool:
        """Whether anything has to wait."""
        return any(trouble.until > now for trouble in self._all.values())

    def until(self) -> float | None:
        """When something is tried again."""
        return min((trouble.until for trouble in self._all.values()), default=None)

    def sentence(self) -> str:
        """What to mend; empty if all is well."""
        return " ".join(trouble.sentence for trouble in self._all.values())
