"""Text that is left where subtitles were, and scene text that was damaged."""

from __future__ import annotations

import cv2
import numpy as np

from bench.boxes import Box, area, grow, intersection
from bench.cases import Case, TrueEvent
from bench.media import I420, Bgr, to_bgr
from bench.metrics import psnr_db
from bench.text import TextDetector

STRIP_WIDTH_PX = 960  # a wider strip is scaled down to this before text is looked for
DAMAGED_BELOW_DB = 30.0
SCENE_SAMPLES = 6


class TextJudge:
    """Two loaded detectors: one for the strip around an event, one for whole pictures."""

    def __init__(self) -> None:
        self.strips = TextDetector(32, "min")
        self.pictures = TextDetector(960, "max")

    def open_case(self, case: Case) -> TextVerdict:
        """An empty verdict on a result of ``case``."""
        return TextVerdict(self, case)


class TextVerdict:
    """What was found in the sampled frames of one result."""

    def __init__(self, judge: TextJudge, case: Case) -> None:
        self._judge = judge
        self._case = case
        self._samples = [(event, _sample_frames(event)) for event in case.events]
        evenly = np.linspace(0, case.frames - 1, SCENE_SAMPLES).astype(int)
        self._scene_frames = {int(frame) for frame in evenly}
        self._sampled = 0
        self._residual: list[int] = []
        self._damaged = 0
        self.scene_boxes = 0

    def add(self, frame: int, result: I420, clean: I420) -> None:
        """Look at a frame, if it is one of the sampled ones."""
        for event, frames in self._samples:
            if frame in frames:
                self._sampled += 1
                if self._text_left(event, result, clean):
                    self._residual.append(frame)
        if frame in self._scene_frames:
            self._look_at_scene(frame, result, clean)

    def residual(self) -> float:
        """Share of the sampled subtitle frames in which text is left."""
        return len(self._residual) / max(self._sampled, 1)

    def residual_frames(self) -> tuple[int, ...]:
        """Which frames those are."""
        return tuple(self._residual)

    def scene_damage(self) -> float:
        """Share of the scene-text boxes that no longer look as they did."""
        return self._damaged / max(self.scene_boxes, 1)

    def _text_left(self, event: TrueEvent, result: I420, clean: I420) -> bool:
        true = self._find_in_strip(event, clean)
        return any(
            not any(intersection(box, other) > 0.3 * area(box) for other in true)
            for box in self._find_in_strip(event, result)
        )

    def _find_in_strip(self, event: TrueEvent, picture: I420) -> list[Box]:
        """Boxes in the strip around an event that lie on the event's own."""
        width, height = self._case.width, self._case.height
        margin = max(32, (event.box[3] - event.box[1]) // 2)
        left, top, right, bottom = grow(event.box, margin, width, height)
        left, right = max(0, left - 64), min(width, right + 64)
        scale = min(1.0, STRIP_WIDTH_PX / (right - left))
        strip = np.ascontiguousarray(to_bgr(picture)[top:bottom, left:right])
        own = tuple((event.box[k] - (left, top)[k % 2]) * scale for k in range(4))
        target: Box = (own[0], own[1], own[2], own[3])
        return [
            box
            for box in self._judge.strips.find(_shrink(strip, scale))
            if intersection(box, target) > 0.3 * min(area(box), area(target))
        ]

    def _look_at_scene(self, frame: int, result: I420, clean: I420) -> None:
        width, height = self._case.width, self._case.height
        near = [grow(event.box, 8, width, height) for event in self._case.events_at(frame)]
        for found in self._judge.pictures.find(to_bgr(clean)):
            if any(intersection(found, box) > 0 for box in near):
                continue
            pixels = (int(found[0]), int(found[1]), int(found[2]), int(found[3]))
            left, top, right, bottom = grow(pixels, 0, width, height)
            where = np.s_[top:bottom, left:right]
            difference = result[where].astype(np.float32) - clean[where]
            self.scene_boxes += 1
            damage_db = psnr_db(float((difference**2).sum()), difference.size)
            self._damaged += damage_db < DAMAGED_BELOW_DB


def _sample_frames(event: TrueEvent) -> frozenset[int]:
    evenly = np.linspace(event.start, event.stop - 1, 8).astype(int)
    return frozenset({*map(int, evenly), event.start + 1, event.stop - 2})


def _shrink(picture: Bgr, scale: float) -> Bgr:
    if scale >= 1:
        return picture
    smaller = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(smaller).astype(np.uint8, copy=False)
