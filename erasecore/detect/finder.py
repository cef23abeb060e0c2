"""Subtitles of a film in one pass: ``add`` every frame, then ``finish``.

Sampled frames are searched for text; between them the lines found are followed on small
pieces of luma. Nothing is kept of a frame but its working luma, for about a second and a half.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import numpy as np

from erasecore.boxes import area, shared_area
from erasecore.detect.detector import Detector, TextBox
from erasecore.detect.events import Detection, Event
from erasecore.detect.merging import attach, merge
from erasecore.detect.oversize import Oversize, OversizeText
from erasecore.detect.pictures import Luma, LumaRing, Scaler
from erasecore.detect.plan import Part, SearchPlan, in_pixels
from erasecore.detect.shots import ShotFinder
from erasecore.detect.spans import measure_span
from erasecore.detect.swallowed import swallowed_lines
from erasecore.detect.tracks import Box, Pace, Track
from erasecore.detect.verdict import (
    SHORT,
    Film,
    Traits,
    in_company,
    refusal,
    second_look,
    traits_of,
)
from erasecore.settings import DetectSettings, Region
from erasecore.video.color import PlaneLayout, Planes

_RING_BYTES = 96_000_000
_LOOK_BACK_SECONDS = 2.8
_LEAST_SIDE_PX = 480.0  # of a searched picture, unless the film's is smaller
_GONE_SECONDS = 0.4
_CENTRED = 0.1  # of the width: how far from the middle a line may be to pass for a caption
_LARGEST = 0.19  # of the picture's shorter side: height of a line that may be a subtitle
TOO_LARGE = "larger than subtitles are"
_SWALLOWS = 0.12, 0.34  # of the picture's shorter side: height of a box that may hide a line
_AVERAGED_SECONDS = 0.34  # of the frames in which such a line is looked for
_LETTERS = 0.7  # of a detected box's height: the detector leaves air around the letters
_RAMP_SECONDS = 1.2  # the longest fade


class Pictured(Protocol):
    """What the finder needs of a frame: its planes, native depth."""

    @property
    def planes(self) -> Planes:
        """Luma first, then colour."""
        ...


@dataclass(frozen=True, slots=True)
class _Sighting:
    box: Box
    score: float
    tilt: float
    averaged: int = 1  # how many frames it was found in the average of


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
        self._detector = detector
        look_back = round(_LOOK_BACK_SECONDS * self._rate)
        self._ring = LumaRing(frames=max(12, look_back), max_bytes=_RING_BYTES)
        self._pace = Pace(
            gone=max(3, round(_GONE_SECONDS * self._rate)),
            look_back=max(12, look_back),
            look_on=max(6, round(self._rate)),
        )
        self._brief = max(2, round(0.4 * settings.min_seconds * self._rate))
        self._step = max(1, round(settings.every_seconds * self._rate))
        self._plan = SearchPlan(settings.regions, portrait=size[1] > size[0])
        self._shots = ShotFinder()
        self._live: list[Track] = []
        self._lines: list[Traits] = []
        self._past: list[tuple[int, int, Box]] = []  # spans and boxes of tracks that ended lately
        self._oversize = OversizeText(self._step)
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
        film = Film(
            width=self._scaler.work_width,
            height=self._scaler.work_height,
            frames=self._frames,
            clock=(*self._clock, self._clock[-1] + 1 / self._rate) if self._clock else (0.0,),
            cuts=cuts,
            jolts=self._shots.jolts,
            min_seconds=self._settings.min_seconds,
            free=bool(self._settings.regions),
        )
        accepted, refused = _judged(self._lines, film)
        events = sorted((self._event(traits) for traits in accepted), key=_order)
        left = [(self._event(traits), why) for traits, why in refused]
        left += [(self._oversize_event(seen), TOO_LARGE) for seen in self._oversize.lasting()]
        rejected = sorted(left, key=lambda one: _order(one[0]))
        return Detection(tuple(events), tuple(rejected), cuts, self._frames)

    def _sample(self, index: int, luma: Luma, frame: Pictured | None) -> None:
        alive = []
        for track in self._live:
            if track.check():
                alive.append(track)
            else:
                self._close(track)
        self._live = alive
        if frame is not None:
            for part in self._plan.parts(luma, self._held(index)):
                seen = self._search(part, frame)
                for sighting in [*self._swallowed(seen), *filter(self._may_be, seen)]:
                    self._assign(index, sighting)

    def _held(self, index: int) -> list[tuple[float, float]]:
        """The rows in which a centred line is known to stand, in fractions."""
        width, height = self._scaler.work_width, self._scaler.work_height
        lines = [
            track.box
            for track in self._live
            if track.last_there == index and len(track.samples) > 1 and not track.vertical
        ]
        centred = [box for box in lines if abs((box[0] + box[2]) / 2 / width - 0.5) < _CENTRED]
        return [(float(box[1]) / height, float(box[3]) / height) for box in centred]

    def _search(self, part: Part, frame: Pictured) -> list[_Sighting]:
        width, height = self._scaler.width, self._scaler.height
        rectangle = in_pixels(part.region, width, height)
        left, top, right, bottom = rectangle
        picture = self._scaler.bgr(frame.planes, rectangle, self._scale(part.region))
        step_x, step_y = (right - left) / picture.shape[1], (bottom - top) / picture.shape[0]
        scale = np.array([step_x, step_y, step_x, step_y]) / self._scaler.factor
        corner = np.array([left, top, left, top]) / self._scaler.factor
        boxes = self._detector.find(picture)
        whole = [box for box in boxes if not _cut_off(box, picture.shape[0], part.region)]
        if len(whole) < len(boxes):
            self._plan.widen()
        sightings = [
            _Sighting(np.array(box.box_xyxy) * scale + corner, box.score, box.tilt_degrees)
            for box in whole
        ]
        return [one for one in sightings if self._in_region(one.box)]

    def _swallowed(self, seen: Sequence[_Sighting]) -> list[_Sighting]:
        """The smaller lines inside boxes that are thicker than most subtitles and not followed."""
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        least, most = (share * short_side for share in _SWALLOWS)
        thick = [one.box for one in seen if least < _thickness(one.box) < most]
        unknown = [box for box in thick if not any(_same_place(t.box, box) for t in self._live)]
        if not unknown:
            return []
        frames = [luma for _, luma in self._ring][-max(3, round(_AVERAGED_SECONDS * self._rate)) :]
        found = [
            _Sighting(np.array(line.box_xyxy), line.score, line.tilt_degrees, len(frames))
            for box in unknown
            for line in swallowed_lines(frames, box, self._detector)
        ]
        return [one for one in found if self._in_region(one.box) and self._may_be(one)]

    def _may_be(self, sighting: _Sighting) -> bool:
        """Whether a subtitle may look like this at all; what may not is not followed."""
        thickness = _thickness(sighting.box)
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        if sighting.tilt >= 12 or thickness <= 0.014 * short_side:
            return False
        if thickness < _LARGEST * short_side:
            return True
        self._oversize.note(self._last_sample, sighting.box, sighting.score)
        return False

    def _scale(self, region: Region) -> float:
        """How much smaller the detector sees a part: finer, if only a part is of interest."""
        longer = float(max(self._scaler.width, self._scaler.height))
        side = min(self._settings.side_px, max(_LEAST_SIDE_PX, 0.75 * longer))
        if self._settings.regions:
            sides = region.right - region.left, region.bottom - region.top
            longer = max(sides[0] * self._scaler.width, sides[1] * self._scaler.height)
        return float(min(1.0, side / max(1.0, longer)))

    def _in_region(self, box: Box) -> bool:
        x = (box[0] + box[2]) / 2 / self._scaler.work_width
        y = (box[1] + box[3]) / 2 / self._scaler.work_height
        regions = self._settings.regions
        return not regions or any(region.holds(x, y) for region in regions)

    def _assign(self, index: int, sighting: _Sighting) -> None:
        """Give a sighting to the track it belongs to, or begin one with it."""
        for track in self._live:
            if not _same_place(track.box, sighting.box):
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
        if track.last_there == track.birth and track.is_brief(self._brief):
            return  # the most frequent end by far: scene text that has moved on
        track.close()
        span = measure_span(track, self._frames, round(_RAMP_SECONDS * self._rate))
        others = [other.box for other in self._live if other is not track]
        others += [box for start, stop, box in self._past if stop > span.start < span.stop > start]
        self._past = [*self._past[-11:], (span.start, span.stop, track.box)]
        traits = traits_of(track, span, others)
        self._lines.append(traits)
        if traits.keeps_still:
            height = self._scaler.work_height
            self._plan.learn(float(traits.box[1]) / height, float(traits.box[3]) / height)

    def _oversize_event(self, seen: Oversize) -> Event:
        left, top, right, bottom = (float(side) * self._scaler.factor for side in seen.box)
        height = min(right - left, bottom - top)
        start, stop = seen.first, seen.last + 1
        box = left, top, right, bottom
        return Event(start, stop, start, stop, box, _LETTERS * height, seen.score)

    def _event(self, traits: Traits) -> Event:
        factor = self._scaler.factor
        left, top, right, bottom = (float(side) * factor for side in traits.box)
        return Event(
            start=traits.span.start,
            stop=traits.span.stop,
            full_start=traits.span.full_start,
            full_stop=traits.span.full_stop,
            box_xyxy=(left, top, right, bottom),
            text_height_px=_LETTERS * traits.text_height * factor,
            score=traits.score,
        )


def find_events(frames: Iterable[Pictured], finder: EventFinder) -> Detection:
    """What ``finder`` finds in all of ``frames``."""
    for frame in frames:
        finder.add(frame)
    return finder.finish()


def _judged(lines: Sequence[Traits], film: Film) -> tuple[list[Traits], list[tuple[Traits, str]]]:
    """The subtitles among the lines, and of every other one why it is left alone."""
    first = [(traits, refusal(traits, film)) for traits in lines]
    brief = [traits for traits, why in first if why == SHORT]
    whole = attach(merge([traits for traits, why in first if not why]), brief)
    second = list(zip(whole, second_look(whole, film), strict=True))
    accepted = [traits for traits, why in second if not why]
    refused = [(traits, why) for traits, why in (*first, *second) if why]
    paired = [in_company(traits, accepted) for traits, _ in refused]
    accepted += [one[0] for one, pair in zip(refused, paired, strict=True) if pair]
    return merge(accepted), [one for one, pair in zip(refused, paired, strict=True) if not pair]


def _cut_off(box: TextBox, rows: int, region: Region) -> bool:
    """Whether a box touches an edge of the part that is not the picture's own."""
    at_top = region.top > 0 and box.box_xyxy[1] <= 1
    return at_top or (region.bottom < 1 and box.box_xyxy[3] >= rows - 1)


def _thickness(box: Box) -> float:
    return float(min(box[2] - box[0], box[3] - box[1]))


def _same_place(one: Box, other: Box) -> bool:
    smaller, larger = sorted((area(one), area(other)))
    return shared_area(one, other) > 0.6 * smaller and smaller > 0.3 * larger


def _same_extent(one: Box, other: Box) -> bool:
    return shared_area(one, other) > 0.8 * max(area(one), area(other))


def _order(event: Event) -> tuple[int, float, float]:
    return event.start, event.box_xyxy[1], event.box_xyxy[0]
