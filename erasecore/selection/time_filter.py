"""When text is looked for, and which of the lines found are wanted: times asked for, and cues."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from erasecore.model.events import Detection, Event
from erasecore.settings import TimeRange

RUN_UP_SECONDS = 20.0
"""How long before a time that was asked for text is looked for, so that a line which reaches into
it is found from its first frame. Nobody reads one subtitle for longer."""

NOT_ASKED = "outside the times asked for"


@dataclass(frozen=True, slots=True)
class Ranges:
    """Ranges of a film, apart from each other and in order."""

    spans: tuple[TimeRange, ...]

    def hold(self, seconds: float) -> bool:
        """Whether the moment lies in one of them."""
        last = bisect_right(self.spans, seconds, key=_start) - 1
        return last >= 0 and seconds < self.spans[last].stop_seconds

    def meet(self, start: float, stop: float) -> bool:
        """Whether one of them has a moment of ``[start, stop)``."""
        last = bisect_left(self.spans, stop, key=_start) - 1
        return last >= 0 and start < self.spans[last].stop_seconds


def joined(spans: Iterable[TimeRange], *, before: float = 0.0, after: float = 0.0) -> Ranges:
    """``spans``, each begun so much earlier and ended so much later, joined where they meet."""
    found: list[TimeRange] = []
    for span in sorted(spans, key=_start):
        start, stop = max(0.0, span.start_seconds - before), span.stop_seconds + after
        if found and start <= found[-1].stop_seconds:
            stop = max(stop, found[-1].stop_seconds)
            found[-1] = TimeRange(found[-1].start_seconds, stop)
        else:
            found.append(TimeRange(start, stop))
    return Ranges(tuple(found))


class TimeFilter:
    """When subtitles are wanted. A line that shows then for a moment is erased as a whole.

    Args:
        times: as asked for in the settings; none for the whole film.
        cues: when text may appear by a subtitle file, its tolerance included; ``None`` without one.
    """

    def __init__(self, times: tuple[TimeRange, ...], cues: Ranges | None = None) -> None:
        self._wanted = [joined(times)] if times else []
        self._searched = [joined(times, before=RUN_UP_SECONDS)] if times else []
        if cues is not None:
            self._wanted.append(cues)
            self._searched.append(cues)

    def covers(self, seconds: float) -> bool:
        """Whether a frame shown at ``seconds`` is searched for text."""
        return all(ranges.hold(seconds) for ranges in self._searched)

    def wants(self, start: float, stop: float) -> bool:
        """Whether a line shown in ``[start, stop)`` seconds is to be erased."""
        return all(ranges.meet(start, stop) for ranges in self._wanted)

    def wants_at(self, seconds: float) -> bool:
        """Whether what is shown at ``seconds`` is to be erased."""
        return all(ranges.hold(seconds) for ranges in self._wanted)

    def applied(self, detection: Detection, seconds_at: Callable[[int], float]) -> Detection:
        """``detection`` with the events that are not wanted among the rejected."""
        wanted: list[Event] = []
        others: list[Event] = []
        for event in detection.events:
            keep = self.wants(seconds_at(event.start), seconds_at(event.stop))
            (wanted if keep else others).append(event)
        if not others:
            return detection
        rejected = [*detection.rejected, *((event, NOT_ASKED) for event in others)]
        rejected.sort(key=lambda item: item[0].start)
        return replace(detection, events=tuple(wanted), rejected=tuple(rejected))


def _start(span: TimeRange) -> float:
    return span.start_seconds
