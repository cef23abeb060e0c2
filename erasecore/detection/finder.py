"""Detection of a film's subtitles in one pass: ``add`` every frame, then ``finish``.

Sampled frames are searched for text; between them the lines found are tracked on small crops of
luma. Nothing is kept of a frame but its working luma, for a few seconds.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction

from erasecore.detection.bars import ShotGeometry, text_spans
from erasecore.detection.detector import Detector
from erasecore.detection.film_events import line_event, oversize_event, stretch_event
from erasecore.detection.forbidden import forbidden_stretches
from erasecore.detection.line_window import TrackTiming, WorkBox
from erasecore.detection.marks import MARK, parts_of_marks
from erasecore.detection.merging import attach, merge
from erasecore.detection.row_growth import extend_along_row
from erasecore.detection.scaling import Luma, LumaRing, Scaler
from erasecore.detection.searching import Pictured, Sighting, TextSearch, same_place
from erasecore.detection.slides import MAX_SLIDE_SECONDS, Slide
from erasecore.detection.spans import Edge, measure_span
from erasecore.detection.tracks import Track
from erasecore.detection.verdict import (
    SHORT,
    FilmFacts,
    TextLine,
    has_paired_line,
    line_of,
    reconsider,
    refusal,
)
from erasecore.model.boxes import area, shared_area
from erasecore.model.events import Detection, Event
from erasecore.settings import DetectSettings
from erasecore.video.color import PlaneLayout

TOO_LARGE = "larger than subtitles are"
"""Reason for which text is left alone, as the log and the report say it."""

_RING_BYTES = 96_000_000  # bytes of working luma that are kept; guess
_BACK_SECONDS = 2.8  # seconds of working luma that are kept; guess
_MIN_BACK_FRAMES = 12  # frames of it in films of few frames a second; guess
_AFTER_SECONDS = 1.0  # seconds after a line's first sighting of which crops are kept; guess
_MIN_AFTER_FRAMES = 6  # frames of it in films of few frames a second; guess
_GONE_SECONDS = 0.4  # seconds without the text after which a track is over; guess
_MIN_GONE_FRAMES = 3  # frames of it in films of few frames a second; guess
_BRIEF_SHARE = 0.4  # of the least duration; a line seen once for less is dropped unmeasured; guess
_RAMP_SECONDS = 1.2  # seconds that the longest fade lasts; guess
_LATE_RATIO = 1.25  # of the sampling interval; after so long a frame is sampled early; guess
_MAX_PAST = 12  # finished tracks whose boxes are kept, as neighbours of later ones; guess


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


@dataclass(frozen=True, slots=True)
class _Tracks:
    """Lines that are followed.

    Attributes:
        live: those that may be in the newest frame.
        leaving: those that are over, and were sliding out when they were last seen.
    """

    live: list[Track] = field(default_factory=list)
    leaving: list[Track] = field(default_factory=list)


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
        back = max(_MIN_BACK_FRAMES, round(_BACK_SECONDS * per_second))
        self._ring = LumaRing(frames=back, max_bytes=_RING_BYTES)
        self._timing = TrackTiming(
            gone_frames=max(_MIN_GONE_FRAMES, round(_GONE_SECONDS * per_second)),
            frames_before=back,
            frames_after=max(_MIN_AFTER_FRAMES, round(_AFTER_SECONDS * per_second)),
            slide_frames=max(2, round(MAX_SLIDE_SECONDS * per_second)),
        )
        self._brief_frames = max(2, round(_BRIEF_SHARE * settings.min_seconds * per_second))
        self._ramp_frames = round(_RAMP_SECONDS * per_second)
        self._shots = ShotGeometry(size, layout, per_second)
        self._tracks = _Tracks()
        self._lines: list[TextLine] = []
        self._past: list[tuple[int, int, WorkBox]] = []  # start, stop, box of finished tracks
        self._clock = SampleClock(per_second, settings.every_seconds)
        self._search = TextSearch(
            self._scaler, detector, settings, rate=per_second, step=self._clock.step
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
        for track in self._tracks.live:
            track.add(index, luma)
            if index - track.birth == self._timing.frames_after and not track.doubtful:
                track.follow_back(self._ring, self._timing.slide_frames)
        if self._clock.take_sample(index):
            self._sample(index, luma, frame if search else None)

    def finish(self) -> Detection:
        """Return all that was found, once every frame has been added."""
        for track in (*self._tracks.live, *self._tracks.leaving):
            self._close(track, final=True)
        self._tracks = _Tracks()
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
        accepted, refused = _classified(self._lines, film)
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
        leaving = self._tracks.leaving[:]
        self._tracks.leaving.clear()
        for track in leaving:
            self._close(track)
        alive = []
        for track in self._tracks.live:
            if track.check():
                alive.append(track)
            else:
                self._close(track)
        self._tracks.live[:] = alive
        if frame is not None:
            for sighting in self._search.sightings(
                index, frame, luma, ring=self._ring, followed=self._tracks.live
            ):
                self._assign(index, sighting)

    def _assign(self, index: int, sighting: Sighting) -> None:
        """Add a sighting to the track it belongs to, or begin a track with it."""
        for track in self._tracks.live:
            if not same_place(track.box, sighting.box):
                continue
            if not track.doubtful or (
                track.sample_count < 4 and _same_bounds(track.box, sighting.box) and track.resume()
            ):
                track.sighted(sighting.box, sighting.score, sighting.tilt)
                return
        track = Track(
            index,
            sighting.box,
            seen=(sighting.score, sighting.tilt),
            held=self._ring,
            timing=self._timing,
            averaged=sighting.averaged,
        )
        self._tracks.live.append(track)

    def _close(self, track: Track, *, final: bool = False) -> None:
        """Measure a line that is over, and keep its record; later if it slides out just now.

        Args:
            track: of the line.
            final: no more frames will come.
        """
        is_edge = track.birth < self._brief_frames or track.last_there >= self._clock.frames - 1
        once = track.last_there == track.birth and not is_edge
        if once and track.is_brief(self._brief_frames):
            self._search.glimpses.note(track.birth, track.box)
            return  # the most frequent end by far: scene text that has moved on
        if track.comes is None:
            track.follow_back(self._ring, self._timing.slide_frames)
        goes = track.follow_on(self._ring, self._timing.slide_frames)
        if not final and goes.path and goes.path[-1][0] >= self._clock.frames - 1:
            self._tracks.leaving.append(track)
            return
        slides = track.comes or Slide(), goes
        track.close()
        span = measure_span(track, self._clock.frames, self._ramp_frames)
        others = [other.box for other in self._tracks.live if other is not track]
        others += [box for start, stop, box in self._past if stop > span.start < span.stop > start]
        self._past = [*self._past[-(_MAX_PAST - 1) :], (span.start, span.stop, track.box)]
        line = line_of(track, span, others, slides)
        line = replace(line, box=self._grown_box(line))
        self._lines.append(line)
        if line.keeps_still:
            self._search.learn(line.box)

    def _grown_box(self, line: TextLine) -> WorkBox:
        """Return the line's box, with letters of its row that come or go as it does."""
        held, span = dict(self._ring), line.span
        ends = (
            (span.full_stop - 2, span.full_stop - 1, span.stop, span.goes),
            (span.full_start + 1, span.full_start, span.start - 1, span.comes),
        )
        for *numbers, edge in ends:
            if edge is Edge.ALONE and all(number in held for number in numbers) and not line.path:
                earlier, shown, bare = (held[number] for number in numbers)
                return extend_along_row(
                    line.box, (earlier, shown, bare), line.text_height, vertical=line.vertical
                )
        return line.box


def find_events(frames: Iterable[Pictured], finder: EventFinder) -> Detection:
    """Return what ``finder`` finds in all of ``frames``."""
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def _classified(
    lines: Sequence[TextLine], film: FilmFacts
) -> tuple[list[TextLine], list[tuple[TextLine, str]]]:
    """Return the subtitles among the lines, and every other line with the reason of its refusal."""
    still = [k for k, line in enumerate(lines) if line.keeps_still]
    marks = {still[k] for k in parts_of_marks([lines[k] for k in still], film)}
    first = [(line, MARK if k in marks else refusal(line, film)) for k, line in enumerate(lines)]
    brief = [line for line, reason in first if reason == SHORT]
    whole = attach(merge([line for line, reason in first if not reason]), brief)
    second = list(zip(whole, reconsider(whole, film), strict=True))
    accepted = [line for line, reason in second if not reason]
    refused = [(line, reason) for line, reason in (*first, *second) if reason]
    paired = [has_paired_line(line, accepted) for line, _ in refused]
    accepted += [line for (line, _), pair in zip(refused, paired, strict=True) if pair]
    left = [entry for entry, pair in zip(refused, paired, strict=True) if not pair]
    return merge(accepted), left


def _same_bounds(one: WorkBox, other: WorkBox) -> bool:
    """Return True if two boxes share most of the larger one's area."""
    return shared_area(one, other) > 0.8 * max(area(one), area(other))


def _order(event: Event) -> tuple[int, float, float]:
    """Sort key: by time, then from top to bottom, then from left to right."""
    return event.start, event.box_xyxy[1], event.box_xyxy[0]
