"""Subtitles of a film in one pass: ``add`` every frame, then ``finish``.

Sampled frames are searched for text; between them the lines found are followed on small
pieces of luma. Nothing is kept of a frame but its working luma, for about a second and a half.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from fractions import Fraction

from erasecore.detect.detector import LETTERS_SHARE, Detector
from erasecore.detect.merging import attach, merge
from erasecore.detect.oversize import Oversize
from erasecore.detect.scaling import Luma, LumaRing, Scaler
from erasecore.detect.searching import Pictured, Sighting, TextSearch, same_place
from erasecore.detect.shots import ShotFinder
from erasecore.detect.spans import measure_span
from erasecore.detect.tracks import Pace, Track, WorkBox
from erasecore.detect.verdict import (
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

_RING_BYTES = 96_000_000
_LOOK_BACK_SECONDS = 2.8
_GONE_SECONDS = 0.4
TOO_LARGE = "larger than subtitles are"
_RAMP_SECONDS = 1.2  # the longest fade


class EventFinder:
    """Finds the subtitles of one film, frame by frame.

    Args:
        layout: how the frames' planes lie.
        size: width and height of the stored picture.
        rate: frames a second.
        settings: where and how to look; when is the caller's to say, frame by frame.
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
        self._rate = float(rate)
        self._settings = settings
        look_back = round(_LOOK_BACK_SECONDS * self._rate)
        self._ring = LumaRing(frames=max(12, look_back), max_bytes=_RING_BYTES)
        self._pace = Pace(
            gone=max(3, round(_GONE_SECONDS * self._rate)),
            look_back=max(12, look_back),
            look_on=max(6, round(self._rate)),
        )
        self._brief = max(2, round(0.4 * settings.min_seconds * self._rate))
        self._step = max(1, round(settings.every_seconds * self._rate))
        self._shots = ShotFinder()
        self._live: list[Track] = []
        self._lines: list[TextLine] = []
        self._past: list[tuple[int, int, WorkBox]] = []  # start, stop, box of tracks lately ended
        self._search = TextSearch(
            self._scaler, detector, settings, rate=self._rate, step=self._step
        )
        self._clock = array("d")
        self._last_sample = -self._step + self._step // 2
        self._frames = 0

    def add(self, frame: Pictured, *, search: bool = True, seconds: float | None = None) -> None:
        """Look at the next frame; frames come in order, from the first.

        Args:
            frame: the film's next.
            search: without it no new lines are looked for; known ones are followed all the same.
            seconds: when it is shown; without it frames are evenly paced.
        """
        luma = self._scaler.luma(frame.planes)
        index = self._frames
        self._frames += 1
        self._clock.append(index / self._rate if seconds is None else seconds)
        self._shots.add(luma)
        self._ring.add(index, luma)
        for track in self._live:
            track.add(index, luma)
        if self._is_due(index):
            self._last_sample = index
            self._sample(index, luma, frame if search else None)

    def _is_due(self, index: int) -> bool:
        """Whether a frame is searched for text: by its number, sooner where frames last longer."""
        late = 1.25 * self._settings.every_seconds
        since = self._clock[index] - self._clock[max(0, self._last_sample)]
        return index - self._last_sample >= self._step or since > late

    def finish(self) -> Detection:
        """What was found, once every frame has been added."""
        for track in self._live:
            self._close(track)
        self._live = []
        cuts = self._shots.finish()
        film = FilmFacts(
            width=self._scaler.work_width,
            height=self._scaler.work_height,
            frames=self._frames,
            clock=(*self._clock, self._clock[-1] + 1 / self._rate) if self._clock else (0.0,),
            cuts=cuts,
            flash_candidates=self._shots.flash_candidates,
            min_seconds=self._settings.min_seconds,
            any_place=bool(self._settings.regions),
        )
        accepted, refused = _judged(self._lines, film)
        events = sorted((self._event(line) for line in accepted), key=_order)
        left = [(self._event(line), why) for line, why in refused]
        left += [
            (self._oversize_event(seen), TOO_LARGE) for seen in self._search.oversize.lasting()
        ]
        rejected = sorted(left, key=lambda one: _order(one[0]))
        return Detection(tuple(events), tuple(rejected), cuts, self._frames)

    def _sample(self, index: int, luma: Luma, frame: Pictured | None) -> None:
        """See which lines are over, and search ``frame``, if it is given, for more."""
        alive = []
        for track in self._live:
            if track.check():
                alive.append(track)
            else:
                self._close(track)
        self._live = alive
        if frame is not None:
            for sighting in self._search.sightings(
                index, frame, luma, ring=self._ring, followed=self._live
            ):
                self._assign(index, sighting)

    def _assign(self, index: int, sighting: Sighting) -> None:
        """Give a sighting to the track it belongs to, or begin one with it."""
        for track in self._live:
            if not same_place(track.box, sighting.box):
                continue
            if not track.doubtful or (
                len(track.samples) < 4 and _same_extent(track.box, sighting.box) and track.resume()
            ):
                track.sighted(sighting.box, sighting.score, sighting.tilt)
                return
        track = Track(
            index,
            sighting.box,
            seen=(sighting.score, sighting.tilt),
            held=self._ring,
            pace=self._pace,
            averaged=sighting.averaged,
        )
        self._live.append(track)

    def _close(self, track: Track) -> None:
        """Keep what there is to say of a line that is over."""
        if track.last_there == track.birth and track.is_brief(self._brief):
            return  # the most frequent end by far: scene text that has moved on
        track.close()
        span = measure_span(track, self._frames, round(_RAMP_SECONDS * self._rate))
        others = [other.box for other in self._live if other is not track]
        others += [box for start, stop, box in self._past if stop > span.start < span.stop > start]
        self._past = [*self._past[-11:], (span.start, span.stop, track.box)]
        line = line_of(track, span, others)
        self._lines.append(line)
        if line.keeps_still:
            self._search.learn(line.box)

    def _oversize_event(self, seen: Oversize) -> Event:
        """The event of text that is too large to be followed: no longer than it was seen."""
        left, top, right, bottom = (float(side) * self._scaler.factor for side in seen.box)
        height = min(right - left, bottom - top)
        start, stop = seen.first, seen.last + 1
        box = left, top, right, bottom
        return Event(start, stop, start, stop, box, LETTERS_SHARE * height, seen.score)

    def _event(self, line: TextLine) -> Event:
        """The event of one line, in pixels of the film."""
        factor = self._scaler.factor
        left, top, right, bottom = (float(side) * factor for side in line.box)
        return Event(
            start=line.span.start,
            stop=line.span.stop,
            full_start=line.span.full_start,
            full_stop=line.span.full_stop,
            box_xyxy=(left, top, right, bottom),
            text_height_px=LETTERS_SHARE * line.text_height * factor,
            score=line.score,
        )


def find_events(frames: Iterable[Pictured], finder: EventFinder) -> Detection:
    """What ``finder`` finds in all of ``frames``."""
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def _judged(
    lines: Sequence[TextLine], film: FilmFacts
) -> tuple[list[TextLine], list[tuple[TextLine, str]]]:
    """The subtitles among the lines, and of every other one why it is left alone."""
    first = [(line, refusal(line, film)) for line in lines]
    brief = [line for line, why in first if why == SHORT]
    whole = attach(merge([line for line, why in first if not why]), brief)
    second = list(zip(whole, reconsider(whole, film), strict=True))
    accepted = [line for line, why in second if not why]
    refused = [(line, why) for line, why in (*first, *second) if why]
    paired = [has_paired_line(line, accepted) for line, _ in refused]
    accepted += [one[0] for one, pair in zip(refused, paired, strict=True) if pair]
    return merge(accepted), [one for one, pair in zip(refused, paired, strict=True) if not pair]


def _same_extent(one: WorkBox, other: WorkBox) -> bool:
    return shared_area(one, other) > 0.8 * max(area(one), area(other))


def _order(event: Event) -> tuple[int, float, float]:
    """By time, then as one reads: from top to bottom, from left to right."""
    return event.start, event.box_xyxy[1], event.box_xyxy[0]
