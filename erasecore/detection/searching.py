"""Search for text in sampled frames: which parts are searched, and which boxes may be subtitles.

A caption in front of a banner is detected as one box. Averaged over a third of a second a moving
scene is blurred, and text drawn over it is not; and at full size the detector keeps close lines
apart that it joins in a smaller picture. So thick boxes are searched once more (`split_box`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from erasecore.detection.detector import Detector, TextBox
from erasecore.detection.forbidden import Glimpses
from erasecore.detection.line_window import WorkBox
from erasecore.detection.plan import Part, Rows, SearchPlan, in_pixels
from erasecore.detection.scaling import Luma, LumaRing, Scaler, average
from erasecore.detection.sightings import Sighting, shorter_side
from erasecore.detection.tracks import Track
from erasecore.detection.verdict import MIN_HEIGHT_SHARE
from erasecore.model.boxes import area, shared_area
from erasecore.settings import DetectSettings, Region
from erasecore.video.color import Planes

_MIN_SIDE_PX = 480.0  # pixels; longer side of a searched picture, unless the film's is less; guess
_CENTRED_SHARE = 0.1  # of the width from the middle: a line no farther may be a caption; guess
_MAX_TILT_DEGREES = 22.0  # degrees; text that is tilted more is no caption; guess
_MAX_HEIGHT_SHARE = 0.28  # of the shorter side; a higher line is no subtitle; guess
_MIN_LINE_PX = 2.0  # working pixels; shorter side of a line whose strokes can be compared
_SPLIT_MIN_SHARE = 0.12  # of the shorter side; least thickness of a box that is split; guess
_SPLIT_MAX_SHARE = 0.34  # of the shorter side; largest thickness of a box that is split; guess
_SPLIT_SECONDS = 0.34  # seconds; frames whose average is searched for lines inside a box; guess
_SPLIT_MARGIN_SHARE = 0.25  # of a box's thickness; searched around it; guess
_SPLIT_SMALLER_SHARE = 0.65  # of a box's thickness; a thicker line inside it is itself; guess
_MAX_OVERSIZE = 200  # large texts that are kept; bounds memory


class Pictured(Protocol):
    """A frame as the finder needs it: its planes, native depth."""

    @property
    def planes(self) -> Planes:
        """Luma first, then colour."""
        ...


@dataclass(slots=True)
class Oversize:
    """One line of large text, as samples have shown it: too large to be followed."""

    first: int
    last: int
    box: WorkBox  # left, top, right, bottom in working pixels
    score: float
    sightings: int = 1


class OversizeText:
    """Text larger than subtitles are: noted, not followed, so that the log can name it.

    Args:
        step: frames from one sample to the next; text unseen for over four steps is another one.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._seen: list[Oversize] = []

    def note(self, index: int, box: WorkBox, score: float) -> None:
        """Note large text in a sample; text that hardly moved since the last one is the same.

        Args:
            index: the sampled frame's.
            box: working pixels.
            score: the detector's, 0 to 1.
        """
        for seen in reversed(self._seen):
            if seen.last >= index - 4 * self._step and _same_box(seen.box, box):
                seen.sightings += seen.last < index
                seen.last, seen.box = index, box
                return
        if len(self._seen) < _MAX_OVERSIZE:
            self._seen.append(Oversize(index, index, box, score))

    def lasting(self) -> list[Oversize]:
        """Return the texts that more than one sample has shown."""
        return [seen for seen in self._seen if seen.sightings > 1]


class TextSearch:
    """Searches the sampled frames of one film for lines of text.

    Args:
        scaler: makes the pictures that are searched.
        detector: finds text in one of them.
        settings: where and how text is searched.
        rate: frames a second.
        step: frames from one sample to the next.

    Attributes:
        oversize: text that was too large to be a subtitle.
        glimpses: text that is not followed, sample by sample.
    """

    def __init__(
        self,
        scaler: Scaler,
        detector: Detector,
        settings: DetectSettings,
        *,
        rate: float,
        step: int,
    ) -> None:
        self._scaler, self._detector, self._settings = scaler, detector, settings
        self._split_frames = max(3, round(_SPLIT_SECONDS * rate))
        self._plan = SearchPlan(settings.regions, portrait=scaler.height > scaler.width)
        self.oversize = OversizeText(step)
        self.glimpses = Glimpses(step)

    def sightings(
        self,
        index: int,
        frame: Pictured,
        luma: Luma,
        *,
        ring: LumaRing,
        followed: Sequence[Track],
    ) -> Iterator[Sighting]:
        """Yield the lines of text in a sampled frame that may be subtitles, part by part.

        Args:
            index: the frame's.
            frame: its planes.
            luma: its working luma, uint8 ``(H, W)``.
            ring: the newest frames' working luma, this one's included.
            followed: tracks of known lines; may grow between two results.
        """
        for part in self._plan.parts(luma, self._held_rows(index, followed)):
            seen = self._search(part, frame)
            found = [*self._split_boxes(seen, ring, followed), *seen]
            yield from (sighting for sighting in found if self._may_be(index, sighting))

    def sightings_in_rows(self, index: int, luma: Luma, rows: Rows) -> list[Sighting]:
        """Return the lines of text in some rows of a frame's working luma.

        Args:
            index: the frame's.
            luma: its working luma, uint8 ``(H, W)``.
            rows: shares of the height.
        """
        left, top, right, bottom = in_pixels(
            Region(0.0, rows[0], 1.0, rows[1]), luma.shape[1], luma.shape[0]
        )
        part = luma[top:bottom, left:right]
        boxes = self._detector.detect(np.asarray(cv2.cvtColor(part, cv2.COLOR_GRAY2BGR), np.uint8))
        lines = [_moved(box, left, top) for box in boxes]
        found = [
            Sighting(np.array(b.box_xyxy), b.score, b.tilt_degrees, thickness=b.thickness)
            for b in lines
        ]
        return [s for s in found if self._in_region(s.box) and self._may_be(index, s)]

    def learn(self, box: WorkBox) -> None:
        """Note that a line of burned-in text has stood in ``box``."""
        height = self._scaler.work_height
        self._plan.learn(float(box[1]) / height, float(box[3]) / height)

    def _held_rows(self, index: int, followed: Sequence[Track]) -> list[Rows]:
        """Rows in which a centred line is known to stand in frame ``index``."""
        width, height = self._scaler.work_width, self._scaler.work_height
        lines = [
            track.box
            for track in followed
            if track.last_there == index and track.sample_count > 1 and not track.window.vertical
        ]
        middles = [(box[0] + box[2]) / 2 / width for box in lines]
        centred = [
            box
            for box, middle in zip(lines, middles, strict=True)
            if abs(middle - 0.5) < _CENTRED_SHARE
        ]
        return [(float(box[1]) / height, float(box[3]) / height) for box in centred]

    def _search(self, part: Part, frame: Pictured) -> list[Sighting]:
        """Detect lines of text in one part of a frame."""
        width, height = self._scaler.width, self._scaler.height
        rectangle = in_pixels(part.region, width, height)
        left, top, right, bottom = rectangle
        picture = self._scaler.bgr(frame.planes, rectangle, self._scale(part.region))
        step_x, step_y = (right - left) / picture.shape[1], (bottom - top) / picture.shape[0]
        scale = np.array([step_x, step_y, step_x, step_y]) / self._scaler.factor
        corner = np.array([left, top, left, top]) / self._scaler.factor
        boxes = self._detector.detect(picture)
        complete = [box for box in boxes if not _cut_off(box, picture.shape[0], part.region)]
        for box in boxes:
            if box not in complete:
                self._widen(box, rectangle, step_y)
        sightings = [
            Sighting(
                np.array(box.box_xyxy) * scale + corner,
                box.score,
                box.tilt_degrees,
                thickness=box.thickness * float(scale[:2].mean()),
            )
            for box in complete
        ]
        return [sighting for sighting in sightings if self._in_region(sighting.box)]

    def _widen(self, box: TextBox, part: tuple[int, int, int, int], step_y: float) -> None:
        """Have the rows searched in which a part has cut off a box."""
        height = self._scaler.height
        top, bottom = (part[1] + side * step_y for side in box.box_xyxy[1::2])
        self._plan.widen(top / height, bottom / height)

    def _split_boxes(
        self, seen: Sequence[Sighting], ring: LumaRing, followed: Sequence[Track]
    ) -> list[Sighting]:
        """Detect smaller lines inside untracked boxes that are thicker than most subtitles."""
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        least, most = _SPLIT_MIN_SHARE * short_side, _SPLIT_MAX_SHARE * short_side
        thick = [each.box for each in seen if least < shorter_side(each.box) < most]
        lines = [t.box for t in followed if t.sample_count > 1 or t.window.text_height < least]
        unknown = [box for box in thick if not any(same_place(line, box) for line in lines)]
        if not unknown:
            return []
        frames = [luma for _, luma in ring][-self._split_frames :]
        found = [
            Sighting(np.array(line.box_xyxy), line.score, line.tilt_degrees, len(frames))
            for box in unknown
            for line in split_box(frames, box, self._detector)
        ]
        return [sighting for sighting in found if self._in_region(sighting.box)]

    def _may_be(self, index: int, sighting: Sighting) -> bool:
        """Return True if tilt and height are those of a subtitle; large text is noted instead."""
        if not self._is_in_picture(sighting.box):
            return False
        thickness = sighting.line_height
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        if thickness <= MIN_HEIGHT_SHARE * short_side:
            return False
        if sighting.tilt >= _MAX_TILT_DEGREES:
            if thickness < _MAX_HEIGHT_SHARE * short_side:
                self.glimpses.note(index, sighting.box)
            return False
        if thickness < _MAX_HEIGHT_SHARE * short_side:
            return True
        self.oversize.note(index, sighting.box, sighting.score)
        return False

    def _is_in_picture(self, box: WorkBox) -> bool:
        """Return True if at least two pixels of ``box`` each way are in the working picture."""
        wide = min(box[2], self._scaler.work_width) - max(box[0], 0)
        high = min(box[3], self._scaler.work_height) - max(box[1], 0)
        return bool(min(wide, high) >= _MIN_LINE_PX)

    def _scale(self, region: Region) -> float:
        """Scale, up to 1, at which a part is searched; larger if only regions are searched."""
        longer = float(max(self._scaler.width, self._scaler.height))
        side = min(self._settings.side_px, max(_MIN_SIDE_PX, 0.75 * longer))
        if self._settings.regions:
            sides = region.right - region.left, region.bottom - region.top
            longer = max(sides[0] * self._scaler.width, sides[1] * self._scaler.height)
        return float(min(1.0, side / max(1.0, longer)))

    def _in_region(self, box: WorkBox) -> bool:
        """Return True if the middle of ``box`` lies in a region, or if there are none."""
        x = (box[0] + box[2]) / 2 / self._scaler.work_width
        y = (box[1] + box[3]) / 2 / self._scaler.work_height
        regions = self._settings.regions
        return not regions or any(region.holds(x, y) for region in regions)


def split_box(frames: Sequence[Luma], box: WorkBox, detector: Detector) -> list[TextBox]:
    """Detect smaller lines inside a box of text, in the average of several frames.

    Args:
        frames: working luma of the newest frames, uint8 ``(H, W)`` each, at least one.
        box: left, top, right, bottom in working pixels.
        detector: finds text in one picture.

    Returns:
        Boxes in working pixels.
    """
    height, width = frames[0].shape
    thickness = shorter_side(box)
    margin = _SPLIT_MARGIN_SHARE * thickness
    low = np.maximum(np.floor(box[:2] - margin), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + margin), (width, height)).astype(int)
    if (high <= low).any():
        return []  # no pixel of the box is in the picture
    seen = average([luma[low[1] : high[1], low[0] : high[0]] for luma in frames])
    lines = detector.detect(np.asarray(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR), np.uint8))
    found = (_moved(line, low[0], low[1]) for line in lines)
    most = _SPLIT_SMALLER_SHARE * thickness
    return [line for line in found if shorter_side(np.array(line.box_xyxy)) < most]


def _moved(line: TextBox, left: int, top: int) -> TextBox:
    """Return ``line`` moved right and down by so many pixels."""
    x0, y0, x1, y1 = line.box_xyxy
    return replace(line, box_xyxy=(x0 + left, y0 + top, x1 + left, y1 + top))


def _cut_off(box: TextBox, rows: int, region: Region) -> bool:
    """Return True if a box touches an edge of the part that is not the picture's own."""
    at_top = region.top > 0 and box.box_xyxy[1] <= 1
    return at_top or (region.bottom < 1 and box.box_xyxy[3] >= rows - 1)


def same_place(one: WorkBox, other: WorkBox) -> bool:
    """Return True if two boxes overlap enough to be the same line's."""
    smaller, larger = sorted((area(one), area(other)))
    return shared_area(one, other) > 0.6 * smaller and smaller > 0.3 * larger


def _same_box(one: WorkBox, other: WorkBox) -> bool:
    """Return True if two boxes share more than half of the larger one's area."""
    return shared_area(one, other) > 0.5 * max(area(one), area(other))
