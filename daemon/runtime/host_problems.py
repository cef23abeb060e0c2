"""Problems of this host (health): they fail no job; most pause the queue until they are mended."""

from __future__ import annotations

from dataclasses import dataclass, replace

import structlog

from daemon.config.schema import RetrySettings

log = structlog.get_logger(__name__)

MAX_SENTENCES = 5
"""Problems that the status sentence lists in full; the rest are counted. Guess: each of a thousand
folders may have a problem of its own."""
MAX_BACKOFF_FACTOR = 8.0
"""Upper limit of the exponential backoff, as a multiple of the first pause. Guess."""


_DEFAULTS = RetrySettings()


@dataclass(frozen=True, slots=True)
class HostProblem:
    """One problem that the operator has to mend."""

    sentence: str  # for the operator: the place and the next step
    retry_at: float  # monotonic clock, seconds
    pause_seconds: float  # length of the current pause; grows with each failed retry
    pauses_queue: bool  # False: only the affected part waits, other films go on
    kind: str  # logged again only when this changes


class HostProblems:
    """The current host problems, keyed by the affected part (``subject``).

    A subject is "host", "inbox", "publish", the name of a worker or a path, for example.
    """

    def __init__(self, settings: RetrySettings = _DEFAULTS) -> None:
        self._problems: dict[str, HostProblem] = {}
        self.reconfigure(settings)

    def reconfigure(self, settings: RetrySettings) -> None:
        """Use ``settings.pause_seconds`` as the first pause of later problems."""
        self._pause_seconds = settings.pause_seconds

    def report(
        self,
        subject: str,
        sentence: str,
        *,
        now: float,
        pause_seconds: float | None = None,
        pauses: bool = True,
        kind: str = "",
    ) -> None:
        """Record that ``subject`` does not work, and when to retry it (exponential backoff).

        The pause doubles each time a retry has failed, up to ``MAX_BACKOFF_FACTOR`` times
        ``pause_seconds``. The problem is logged when it is new or its kind has changed.

        Args:
            subject: the affected part.
            sentence: text for the operator.
            now: monotonic clock, seconds.
            pause_seconds: length of the first pause; None: ``retry.pause_seconds``.
            pauses: True if the whole queue waits for it.
            kind: what is wrong, without the numbers in ``sentence`` that change all the time;
                empty: the sentence itself.
        """
        if pause_seconds is None:
            pause_seconds = self._pause_seconds
        known = self._problems.get(subject)
        if known is not None and now >= known.retry_at:  # a retry was due, and has failed
            pause_seconds = min(2 * known.pause_seconds, MAX_BACKOFF_FACTOR * pause_seconds)
        kind = kind or sentence
        if known is None or known.kind != kind:
            log.error("host.trouble", what=subject, sentence=sentence, retry_seconds=pause_seconds)
        retry_at = now + pause_seconds
        self._problems[subject] = HostProblem(sentence, retry_at, pause_seconds, pauses, kind)

    def reword(self, subject: str, sentence: str) -> None:
        """Replace the sentence of a problem; its times stay."""
        self._problems[subject] = replace(self._problems[subject], sentence=sentence, kind=sentence)

    def drop(self, subject: str) -> None:
        """Forget the problem of ``subject`` without a line in the log."""
        self._problems.pop(subject, None)

    def clear(self, subject: str) -> None:
        """Forget the problem of ``subject``, which works; log it if there was one."""
        if self._problems.pop(subject, None) is not None:
            log.info("host.mended", what=subject)

    def __contains__(self, subject: object) -> bool:
        """Return True if ``subject`` has a problem."""
        return subject in self._problems

    def blocked(self, *, now: float) -> bool:
        """Return True if the queue has to wait: a pausing problem is not yet due for a retry."""
        return any(one.pauses_queue and one.retry_at > now for one in self._problems.values())

    def pausing(self) -> bool:
        """Return True if any problem pauses the queue, even one whose retry is due now."""
        return any(one.pauses_queue for one in self._problems.values())

    def until_of(self, subject: str) -> float:
        """Return the monotonic time of the retry of ``subject``; ``-inf`` without a problem."""
        known = self._problems.get(subject)
        return float("-inf") if known is None else known.retry_at

    def sentence_of(self, subject: str) -> str:
        """Return the text of the problem of ``subject``; "" without a problem."""
        known = self._problems.get(subject)
        return "" if known is None else known.sentence

    def until(self, *, now: float) -> float | None:
        """Return the earliest retry time after ``now``; ``None`` if no retry is pending."""
        pending = (one.retry_at for one in self._problems.values() if one.retry_at > now)
        return min(pending, default=None)

    def sentence(self) -> str:
        """Return the problems as one text, those that pause the queue first; "" if there are none.

        At most ``MAX_SENTENCES`` are spelled out.
        """
        ordered = sorted(self._problems.values(), key=lambda one: not one.pauses_queue)
        sentences = [problem.sentence for problem in ordered[:MAX_SENTENCES]]
        more = len(ordered) - len(sentences)
        if more:
            sentences.append(f"(And {more} more; see the log.)")
        return " ".join(sentences)
