"""One look at an event in one frame: the text that the detector finds there, and its strokes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from erasecore.detect.detector import Bgr, Detector
from erasecore.model.events import BoxXyxy
from erasecore.model.inpaint_input import Floats


@dataclass(frozen=True, slots=True)
class TextProbe:
    """The rows around an event in one frame, in colour and reduced.

    Attributes:
        bgr: uint8 ``(H, W, 3)``.
        left: where it lies in the film's picture, in pixels.
        top: the same for rows.
        scale: its pixels for one of the film's, 1 at most.
    """

    bgr: Bgr
    left: int
    top: int
    scale: float

    def text(self, detector: Detector, place: BoxXyxy | None = None) -> list[BoxXyxy]:
        """The boxes of the text in it, or of that around ``place``, in the film's pixels."""
        x0, y0 = 0, 0
        bgr = self.bgr
        if place is not None:
            margin = max(32.0, 0.5 * (place[3] - place[1]))
            x0 = max(0, int((place[0] - 2 * margin - self.left) * self.scale))
            y0 = max(0, int((place[1] - 1.5 * margin - self.top) * self.scale))
            x1 = int((place[2] + 2 * margin - self.left) * self.scale) + 1
            y1 = int((place[3] + 1.5 * margin - self.top) * self.scale) + 1
            bgr = np.ascontiguousarray(bgr[y0:y1, x0:x1])
        corner = np.array((x0, y0, x0, y0)) / self.scale
        corner += (self.left, self.top, self.left, self.top)
        found = detector.detect(bgr)
        return [_box(np.array(box.box_xyxy) / self.scale + corner) for box in found]

    def strokes(self, place: BoxXyxy, line_px: float) -> Floats:
        """The fine structure in ``place``: what is finer than a quarter of a line's height."""
        gray = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        fine = gray - cv2.GaussianBlur(gray, (0, 0), max(1.0, 0.25 * line_px * self.scale))
        x0, y0 = int((place[0] - self.left) * self.scale), int((place[1] - self.top) * self.scale)
        x1, y1 = (place[2] - self.left) * self.scale, (place[3] - self.top) * self.scale
        return np.asarray(fine[max(0, y0) : int(y1) + 1, max(0, x0) : int(x1) + 1], np.float32)


def likeness(one: Floats, other: Floats) -> float:
    """-1 to 1: the correlation of two pieces of fine structure."""
    power = float(np.sqrt((one * one).sum() * (other * other).sum()))
    return float((one * other).sum()) / power if power > 0 else 0.0


def _box(sides: Iterable[float]) -> BoxXyxy:
    left, top, right, bottom = (float(side) for side in sides)
    return left, top, right, bottom
