"""Time filter: times searched for text, and which of the lines found there are erased."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from erasecore.model.events import Detection, Event
from erasecore.settings import Region, TimeRange

SEARCH_LEAD_SECONDS = 20.0
"""Length of film that is searched before a requested range, so that a line which reaches into the
range is found from its first frame. A guess: no subtitle is shown for longer."""

OUTSIDE_TIMES = "outside the times asked for"
"""Reason given for lines that are not erased because of their times."""
OTHER_SCRIPT = "another script"
"""Reason given for lines that are not erased because of their script."""


@dataclass(frozen=True, slots=True)
class Ranges:
    """Disjoint time ranges in ascending order; see ``merge_ranges``."""

    spans: tuple[TimeRange, ...]

    def contain(self, seconds: float) -> bool:
        """Return True if the time ``seconds`` is in one of the ranges."""
        last = bisect_right(self.spans, seconds, key=_start) - 1
        return last >= 0 and seconds < self.spans[last].stop_seconds

    def intersect(self, start: float, stop: float) -> bool:
        """Return True if one of the ranges intersects ``[start, stop)``, in seconds."""
        last = bisect_left(self.spans, stop, key=_start) - 1
        return last >= 0 and start < self.spans[last].stop_seconds


def merge_ranges(spans: Iterable[TimeRange], *, before: float = 0.0, after: float = 0.0) -> Ranges:
    """Return the union of ``spans`` as disjoint ranges.

    Args:
        spans: in any order; they may overlap.
        before: seconds by which each one is extended at its start, but not below 0.
        after: seconds by which each one is extended at its end.
    """
    merged: list[TimeRange] = []
    for span in sorted(spans, key=_start):
        start, stop = max(0.0, span.start_seconds - before), span.stop_seconds + after
        if merged and start <= merged[-1].stop_seconds:
            stop = max(stop, merged[-1].stop_seconds)
            merged[-1] = TimeRange(merged[-1].start_seconds, stop)
        else:
            merged.append(TimeRange(start, stop))
    return Ranges(tuple(merged))


class TimeFilter:
    """Times at which lines are erased. A line that shows then for a moment is erased as a whole.

    All times are seconds on the clock that players show.

    Args:
        times: ranges of the settings; empty for the whole film.
        cues: times of a subtitle file, tolerance included; ``None`` without a file.
    """

    def __init__(self, times: tuple[TimeRange, ...], cues: Ranges | None = None) -> None:
        self._wanted = [merge_ranges(times)] if times else []
        self._searched = [merge_ranges(times, before=SEARCH_LEAD_SECONDS)] if times else []
        if cues is not None:
            self._wanted.append(cues)
            self._searched.append(cues)

    def covers(self, seconds: float) -> bool:
        """Return True if a frame shown at ``seconds`` is searched for text."""
        return all(ranges.contain(seconds) for ranges in self._searched)

    def wants(self, start: float, stop: float) -> bool:
        """Return True if a line shown in ``[start, stop)`` seconds is erased."""
        return all(ranges.intersect(start, stop) for ranges in self._wanted)

    def wants_at(self, seconds: float) -> bool:
        """Return True if a frame shown at ``seconds`` is erased where a mask is white."""
        return all(ranges.contain(seconds) for ranges in self._wanted)

    def apply(self, detection: Detection, seconds_at: Callable[[int], float]) -> Detection:
        """Return ``detection`` with the events outside the times moved to the rejected text.

        Args:
            detection: of the whole film.
            seconds_at: gives the time of a film frame, also of the frame after the last one.
        """
        return without(
            detection,
            lambda event: self.wants(seconds_at(event.start), seconds_at(event.stop)),
            OUTSIDE_TIMES,
        )


def without(detection: Detection, keeps: Callable[[Event], bool], reason: str) -> Detection:
    """Return ``detection`` with some events moved to the rejected text; no source of pixels.

    Args:
        detection: of the whole film.
        keeps: returns True for events that are erased.
        reason: why the others are not.
    """
    unwanted = [event for event in detection.events if not keeps(event)]
    if not unwanted:
        return detection
    rejected = [*detection.rejected, *((event, reason) for event in unwanted)]
    rejected.sort(key=lambda item: item[0].start)
    return replace(
        detection,
        events=tuple(event for event in detection.events if event not in unwanted),
        rejected=tuple(rejected),
        forbidden=(*detection.forbidden, *unwanted),
    )


def in_regions(
    detection: Detection,
    regions: Sequence[Region],
    size: tuple[int, int],
    seconds_at: Callable[[int], float],
) -> Detection:
    """Return ``detection`` without the events whose regions do not count at their times.

    Args:
        detection: of the whole film, searched in ``regions``.
        regions: in fractions of the picture as it is seen.
        size: width and height of that picture, px.
        seconds_at: gives the time of a film frame, also of the frame after the last one.
    """

    def keeps(event: Event) -> bool:
        left, top, right, bottom = event.box_xyxy
        x, y = (left + right) / 2 / size[0], (top + bottom) / 2 / size[1]
        start, stop = seconds_at(event.start), seconds_at(event.stop)
        holding = [region for region in regions if region.holds(x, y)]
        return not holding or any(
            not region.times or merge_ranges(region.times).intersect(start, stop)
            for region in holding
        )

    if not any(region.times for region in regions):
        return detection
    return without(detection, keeps, OUTSIDE_TIMES)


def _start(span: TimeRange) -> float:
    return span.start_seconds
