"""The search for text in sampled frames: in which parts of them, and what may be a subtitle."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from erasecore.detect.box_split import split_box
from erasecore.detect.detector import Detector, TextBox
from erasecore.detect.oversize import OversizeText
from erasecore.detect.plan import Part, Rows, SearchPlan, in_pixels
from erasecore.detect.scaling import Luma, LumaRing, Scaler
from erasecore.detect.tracks import Track, WorkBox
from erasecore.detect.verdict import LEAST_HEIGHT
from erasecore.model.boxes import area, shared_area
from erasecore.settings import DetectSettings, Region
from erasecore.video.color import Planes

_LEAST_SIDE_PX = 480.0  # of a searched picture, unless the film's is smaller
_CENTRED = 0.1  # of the width: how far from the middle a line may be to pass for a caption
_LARGEST = 0.19  # of the picture's shorter side: height of a line that may be a subtitle
_SWALLOWS = 0.12, 0.34  # of the picture's shorter side: height of a box that may hide a line
_AVERAGED_SECONDS = 0.34  # of the frames in which such a line is looked for


class Pictured(Protocol):
    """What the finder needs of a frame: its planes, native depth."""

    @property
    def planes(self) -> Planes:
        """Luma first, then colour."""
        ...


@dataclass(frozen=True, slots=True)
class Sighting:
    """A line of text in one sampled frame."""

    box: WorkBox
    score: float  # the detector's, 0 to 1
    tilt: float  # degrees
    averaged: int = 1  # how many frames it was found in the average of


class TextSearch:
    """Searches the sampled frames of one film for lines of text.

    Args:
        scaler: makes the pictures that are looked at.
        detector: finds text in one of them.
        settings: where and how to look.
        rate: frames a second.
        step: frames between two samples.
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
        self._averaged = max(3, round(_AVERAGED_SECONDS * rate))
        self._plan = SearchPlan(settings.regions, portrait=scaler.height > scaler.width)
        self.oversize = OversizeText(step)

    def sightings(
        self,
        index: int,
        frame: Pictured,
        luma: Luma,
        *,
        ring: LumaRing,
        followed: Sequence[Track],
    ) -> Iterator[Sighting]:
        """The lines of text in a sampled frame that may be subtitles, one part after the other.

        Args:
            index: the frame's.
            frame: its planes.
            luma: its working luma.
            ring: the newest frames' working luma, this one's included.
            followed: the lines that are known; may grow by what was found so far.
        """
        for part in self._plan.parts(luma, self._held(index, followed)):
            seen = self._search(part, frame)
            found = [*self._split_boxes(seen, ring, followed), *seen]
            yield from (sighting for sighting in found if self._may_be(index, sighting))

    def learn(self, box: WorkBox) -> None:
        """Note that a line of burned-in text has stood in ``box``."""
        height = self._scaler.work_height
        self._plan.learn(float(box[1]) / height, float(box[3]) / height)

    def _held(self, index: int, followed: Sequence[Track]) -> list[Rows]:
        """The rows in which a centred line is known to stand."""
        width, height = self._scaler.work_width, self._scaler.work_height
        lines = [
            track.box
            for track in followed
            if track.last_there == index and len(track.samples) > 1 and not track.vertical
        ]
        centred = [box for box in lines if abs((box[0] + box[2]) / 2 / width - 0.5) < _CENTRED]
        return [(float(box[1]) / height, float(box[3]) / height) for box in centred]

    def _search(self, part: Part, frame: Pictured) -> list[Sighting]:
        """The lines of text in one part of a frame."""
        width, height = self._scaler.width, self._scaler.height
        rectangle = in_pixels(part.region, width, height)
        left, top, right, bottom = rectangle
        picture = self._scaler.bgr(frame.planes, rectangle, self._scale(part.region))
        step_x, step_y = (right - left) / picture.shape[1], (bottom - top) / picture.shape[0]
        scale = np.array([step_x, step_y, step_x, step_y]) / self._scaler.factor
        corner = np.array([left, top, left, top]) / self._scaler.factor
        boxes = self._detector.detect(picture)
        whole = [box for box in boxes if not _cut_off(box, picture.shape[0], part.region)]
        if len(whole) < len(boxes):
            self._plan.widen()
        sightings = [
            Sighting(np.array(box.box_xyxy) * scale + corner, box.score, box.tilt_degrees)
            for box in whole
        ]
        return [one for one in sightings if self._in_region(one.box)]

    def _split_boxes(
        self, seen: Sequence[Sighting], ring: LumaRing, followed: Sequence[Track]
    ) -> list[Sighting]:
        """The smaller lines inside boxes that are thicker than most subtitles and not followed."""
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        least, most = (share * short_side for share in _SWALLOWS)
        thick = [one.box for one in seen if least < _thickness(one.box) < most]
        unknown = [box for box in thick if not any(same_place(t.box, box) for t in followed)]
        if not unknown:
            return []
        frames = [luma for _, luma in ring][-self._averaged :]
        found = [
            Sighting(np.array(line.box_xyxy), line.score, line.tilt_degrees, len(frames))
            for box in unknown
            for line in split_box(frames, box, self._detector)
        ]
        return [one for one in found if self._in_region(one.box)]

    def _may_be(self, index: int, sighting: Sighting) -> bool:
        """Whether a subtitle may look like this at all; what may not is not followed."""
        thickness = _thickness(sighting.box)
        short_side = min(self._scaler.work_width, self._scaler.work_height)
        if sighting.tilt >= 12 or thickness <= LEAST_HEIGHT * short_side:
            return False
        if thickness < _LARGEST * short_side:
            return True
        self.oversize.note(index, sighting.box, sighting.score)
        return False

    def _scale(self, region: Region) -> float:
        """How much smaller the detector sees a part: finer, if only a part is of interest."""
        longer = float(max(self._scaler.width, self._scaler.height))
        side = min(self._settings.side_px, max(_LEAST_SIDE_PX, 0.75 * longer))
        if self._settings.regions:
            sides = region.right - region.left, region.bottom - region.top
            longer = max(sides[0] * self._scaler.width, sides[1] * self._scaler.height)
        return float(min(1.0, side / max(1.0, longer)))

    def _in_region(self, box: WorkBox) -> bool:
        x = (box[0] + box[2]) / 2 / self._scaler.work_width
        y = (box[1] + box[3]) / 2 / self._scaler.work_height
        regions = self._settings.regions
        return not regions or any(region.holds(x, y) for region in regions)


def _cut_off(box: TextBox, rows: int, region: Region) -> bool:
    """Whether a box touches an edge of the part that is not the picture's own."""
    at_top = region.top > 0 and box.box_xyxy[1] <= 1
    return at_top or (region.bottom < 1 and box.box_xyxy[3] >= rows - 1)


def same_place(one: WorkBox, other: WorkBox) -> bool:
    """Whether two boxes of text may well be the same line's."""
    smaller, larger = sorted((area(one), area(other)))
    return shared_area(one, other) > 0.6 * smaller and smaller > 0.3 * larger


def _thickness(box: WorkBox) -> float:
    return float(min(box[2] - box[0], box[3] - box[1]))
