"""Detection of a film's subtitles in one pass: ``add`` every frame, then ``finish``.

Sampled frames are searched for text; between them the lines found are tracked on small crops of
luma. Nothing is kept of a frame but its working luma, for a few seconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from fractions import Fraction

from erasecore.detection.bars import ShotGeometry, text_spans
from erasecore.detection.busy_rows import rows_of
from erasecore.detection.columns import join_columns
from erasecore.detection.detector import Detector
from erasecore.detection.families import brief_captions
from erasecore.detection.film_events import line_event, oversize_event, stretch_event
from erasecore.detection.forbidden import forbidden_stretches
from erasecore.detection.line_tracker import LineTracker, track_timing
from erasecore.detection.marks import MARK, parts_of_marks
from erasecore.detection.merging import attach, merge
from erasecore.detection.scaling import Luma, LumaRing, Scaler
from erasecore.detection.searching import Pictured, TextSearch
from erasecore.detection.verdict import (
    SHORT,
    FilmFacts,
    TextLine,
    has_paired_line,
    reconsider,
    refusal,
)
from erasecore.model.events import Detection, Event
from erasecore.settings import DetectSettings
from erasecore.video.color import PlaneLayout

TOO_LARGE = "larger than subtitles are"
"""Reason for which text is left alone, as the log and the report say it."""

_RING_BYTES = 96_000_000  # bytes of working luma that are kept; guess
_LATE_RATIO = 1.25  # of the sampling interval; after so long a frame is sampled early; guess


class SampleClock:
    """Times of the frames so far, and which of them are sampled (searched for text).

    Args:
        rate: frames a second.
        every_seconds: interval from one sample to the next.

    Attributes:
        rate: frames a second.
        step: frames from one sample to the next.
    """

    def __init__(self, rate: float, every_seconds: float) -> None:
        self.rate = rate
        self._every_seconds = every_seconds
        self._seconds = array("d")
        self.step = max(1, round(every_seconds * rate))
        self._last_sample = -self.step + self.step // 2

    @property
    def frames(self) -> int:
        """Number of frames so far."""
        return len(self._seconds)

    def add(self, seconds: float | None) -> int:
        """Note the time of the next frame, or pace it evenly; return its index."""
        index = len(self._seconds)
        self._seconds.append(index / self.rate if seconds is None else seconds)
        return index

    def take_sample(self, index: int) -> bool:
        """Return True if frame ``index`` is sampled: by its number, or its time in slow films."""
        late_seconds = _LATE_RATIO * self._every_seconds
        since = self._seconds[index] - self._seconds[max(0, self._last_sample)]
        due = index - self._last_sample >= self.step or since > late_seconds
        if due:
            self._last_sample = index
        return due

    def times(self) -> tuple[float, ...]:
        """Start of each frame and end of the last one, in seconds."""
        if not self._seconds:
            return (0.0,)
        return (*self._seconds, self._seconds[-1] + 1 / self.rate)


class EventFinder:
    """Detects the subtitles of one film, frame by frame.

    Args:
        layout: how the frames' planes lie.
        size: width and height of the stored picture.
        rate: frames a second.
        settings: where and how text is searched; the caller decides when, frame by frame.
        detector: finds text in one picture.
    """

    def __init__(
        self,
        layout: PlaneLayout,
        size: tuple[int, int],
        rate: Fraction,
        *,
        settings: DetectSettings,
        detector: Detector,
    ) -> None:
        self._scaler = Scaler(*size, layout)
        self._settings = settings
        per_second = float(rate)
        self._ring = LumaRing(frames=track_timing(per_second).frames_before, max_bytes=_RING_BYTES)
        self._shots = ShotGeometry(size, layout, per_second)
        self._clock = SampleClock(per_second, settings.every_seconds)
        self._search = TextSearch(
            self._scaler, detector, settings, rate=per_second, step=self._clock.step
        )
        self._tracker = LineTracker(
            per_second,
            settings.min_seconds,
            width=self._scaler.work_width,
            ring=self._ring,
            search=self._search,
        )

    def add(self, frame: Pictured, *, search: bool = True, seconds: float | None = None) -> None:
        """Take the next frame; frames come in order, from the first.

        Args:
            frame: the film's next.
            search: if False, no new lines are searched; known ones are tracked all the same.
            seconds: time at which it is shown; without it frames are evenly paced.
        """
        luma = self._scaler.luma(frame.planes)
        index = self._clock.add(seconds)
        self._shots.add(luma, frame.planes[0])
        self._ring.add(index, luma)
        self._tracker.add(index, luma)
        if self._clock.take_sample(index):
            self._sample(index, luma, frame if search else None)
        elif search and self._tracker.busy.is_due(index):
            self._tracker.check(self._clock.frames)
            self._search_busy_rows(index)

    def finish(self) -> Detection:
        """Return all that was found, once every frame has been added."""
        lines = self._tracker.finish(self._clock.frames)
        cuts = self._shots.finish()
        film = FilmFacts(
            width=self._scaler.work_width,
            height=self._scaler.work_height,
            frames=self._clock.frames,
            clock=self._clock.times(),
            cuts=cuts,
            flash_candidates=self._shots.flash_candidates,
            min_seconds=self._settings.min_seconds,
            any_place=bool(self._settings.regions),
        )
        accepted, refused = _classified(lines, film)
        factor = self._scaler.factor
        events = sorted((line_event(line, factor) for line in accepted), key=_order)
        left = [(line_event(line, factor), reason) for line, reason in refused]
        left += [
            (oversize_event(text, factor), TOO_LARGE) for text in self._search.oversize.lasting()
        ]
        rejected = sorted(left, key=lambda entry: _order(entry[0]))
        forbidden = sorted(self._forbidden(accepted, [line for line, _ in refused]), key=_order)
        texts = text_spans([*events, *(event for event, _ in rejected), *forbidden])
        return Detection(
            tuple(events),
            tuple(rejected),
            cuts,
            self._clock.frames,
            picture_areas=self._shots.picture_areas(texts),
            forbidden=tuple(forbidden),
        )

    def _forbidden(self, accepted: list[TextLine], refused: list[TextLine]) -> list[Event]:
        """Return text that is no source for the accepted lines, as events that stay."""
        stretches = forbidden_stretches(
            self._search.glimpses.stretches(),
            refused,
            accepted,
            frames=self._clock.frames,
            rate=self._clock.rate,
        )
        events = (stretch_event(each, self._scaler.factor) for each in stretches)
        return list(dict.fromkeys(events))

    def _sample(self, index: int, luma: Luma, frame: Pictured | None) -> None:
        """Close tracks that are over, and search ``frame``, if it is given, for new lines."""
        self._tracker.check(self._clock.frames)
        if frame is None:
            return
        for sighting in self._search.sightings(
            index, frame, luma, ring=self._ring, followed=self._tracker.live
        ):
            self._tracker.assign(index, sighting)
        self._search_busy_rows(index)

    def _search_busy_rows(self, index: int) -> None:
        """Search the busy rows in the frames since they were searched last, up to ``index``."""
        busy = self._tracker.busy
        for band in list(busy.bands(index)):
            rows = rows_of(band, self._scaler.work_height)
            for at, luma in list(self._ring):
                if at < band.searched or (at - band.searched) % busy.stride:
                    continue
                if self._tracker.knows_line(band, at, luma):
                    continue  # one word at a time
                for sighting in self._search.sightings_in_rows(at, luma, rows):
                    if at < index:
                        self._tracker.look_back(at, sighting, self._clock.frames)
                    else:
                        self._tracker.assign(at, sighting)
            band.searched = index + 1


def find_events(frames: Iterable[Pictured], finder: EventFinder) -> Detection:
    """Return what ``finder`` finds in all of ``frames``."""
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def _classified(
    lines: Sequence[TextLine], film: FilmFacts
) -> tuple[list[TextLine], list[tuple[TextLine, str]]]:
    """Return the subtitles among the lines, and every other line with the reason of its refusal."""
    lines = join_columns(lines)
    still = [k for k, line in enumerate(lines) if line.keeps_still]
    marks = {still[k] for k in parts_of_marks([lines[k] for k in still], film)}
    first = [(line, MARK if k in marks else refusal(line, film)) for k, line in enumerate(lines)]
    unopposed = [line for line, reason in first if not reason]
    words = brief_captions([line for line, reason in first if reason in ("", SHORT)], film)
    known = {id(word) for word in words}
    brief = [line for line, reason in first if reason == SHORT and id(line) not in known]
    whole = attach(merge([line for line in unopposed if id(line) not in known]), brief)
    second = list(zip(whole, reconsider(whole, film), strict=True))
    accepted = [*words, *(line for line, reason in second if not reason)]
    refused = [(line, reason) for line, reason in (*first, *second) if reason]
    refused = [(line, reason) for line, reason in refused if id(line) not in known]
    paired = [has_paired_line(line, accepted) for line, _ in refused]
    accepted += [line for (line, _), pair in zip(refused, paired, strict=True) if pair]
    left = [entry for entry, pair in zip(refused, paired, strict=True) if not pair]
    return merge(accepted), left


def _order(event: Event) -> tuple[int, float, float]:
    """Sort key: by time, then from top to bottom, then from left to right."""
    return event.start, event.box_xyxy[1], event.box_xyxy[0]
