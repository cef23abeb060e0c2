"""Text probe: the picture around an event in one frame, its text boxes and its fine structure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from erasecore.detection.detector import Bgr, Detector
from erasecore.model.boxes import PixelBox, clip_box
from erasecore.model.events import BoxXyxy
from erasecore.model.inpaint_input import Floats


@dataclass(frozen=True, slots=True)
class TextProbe:
    """Picture of the rows around an event in one frame, reduced.

    Attributes:
        bgr: uint8 ``(H, W, 3)``, blue first.
        left: its first column in the film's picture, px.
        top: its first row in the film's picture, px.
        scale: its pixels for one pixel of the film, at most 1.
    """

    bgr: Bgr
    left: int
    top: int
    scale: float

    def detect_text(self, detector: Detector, box: BoxXyxy | None = None) -> list[BoxXyxy]:
        """Return the boxes of the text in the probe, in pixels of the film.

        Args:
            detector: finds the text.
            box: only this part is searched, with a margin (a guess); pixels of the film.
        """
        x0, y0 = 0, 0
        bgr = self.bgr
        if box is not None:
            margin = max(32.0, 0.5 * (box[3] - box[1]))
            x0, y0, x1, y1 = self._pixels(
                box[0] - 2 * margin,
                box[1] - 1.5 * margin,
                box[2] + 2 * margin,
                box[3] + 1.5 * margin,
            )
            bgr = np.ascontiguousarray(bgr[y0:y1, x0:x1])
        if not bgr.size:
            return []  # the box is outside the probe
        corner = np.array((x0, y0, x0, y0)) / self.scale
        corner += (self.left, self.top, self.left, self.top)
        return [
            _as_box(np.array(text.box_xyxy) / self.scale + corner) for text in detector.detect(bgr)
        ]

    def fine_structure(self, box: BoxXyxy, line_px: float) -> Floats:
        """Return the high-pass filtered gray picture in ``box`` (strokes of letters).

        Args:
            box: pixels of the film.
            line_px: height of the letters, px of the film; a Gaussian of a quarter of it is
                subtracted.

        Returns:
            float32 ``(h, w)`` at the probe's scale, 8-bit levels, around 0; empty if the box is
            outside the probe.
        """
        gray = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        fine = gray - cv2.GaussianBlur(gray, (0, 0), max(1.0, 0.25 * line_px * self.scale))
        x0, y0, x1, y1 = self._pixels(*box)
        return np.asarray(fine[y0:y1, x0:x1], np.float32)

    def _pixels(self, left: float, top: float, right: float, bottom: float) -> PixelBox:
        """Return a box of the film in pixels of the probe, both ends included, clipped to it."""
        sides = (left - self.left, top - self.top, right - self.left, bottom - self.top)
        x0, y0, x1, y1 = (int(side * self.scale) for side in sides)
        return clip_box((x0, y0, x1 + 1, y1 + 1), (self.bgr.shape[0], self.bgr.shape[1]))


def correlation(first: Floats, second: Floats) -> float:
    """Return the normalized cross-correlation of two arrays of one shape, -1 to 1.

    0 if one of them is 0 everywhere.
    """
    norm = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0


def _as_box(sides: Iterable[float]) -> BoxXyxy:
    left, top, right, bottom = (float(side) for side in sides)
    return left, top, right, bottom
