"""Text probe: the picture around an event in one frame, its text boxes and its fine structure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from erasecore.detection.detector import Bgr, Detector
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
            x0 = max(0, int((box[0] - 2 * margin - self.left) * self.scale))
            y0 = max(0, int((box[1] - 1.5 * margin - self.top) * self.scale))
            x1 = int((box[2] + 2 * margin - self.left) * self.scale) + 1
            y1 = int((box[3] + 1.5 * margin - self.top) * self.scale) + 1
            bgr = np.ascontiguousarray(bgr[y0:y1, x0:x1])
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
            float32 ``(h, w)`` at the probe's scale, 8-bit levels, around 0.
        """
        gray = cv2.cvtColor(self.bgr, cv2.COLOR_BGR2GRAY).astype(np.float32)
        fine = gray - cv2.GaussianBlur(gray, (0, 0), max(1.0, 0.25 * line_px * self.scale))
        x0, y0 = int((box[0] - self.left) * self.scale), int((box[1] - self.top) * self.scale)
        x1, y1 = (box[2] - self.left) * self.scale, (box[3] - self.top) * self.scale
        return np.asarray(fine[max(0, y0) : int(y1) + 1, max(0, x0) : int(x1) + 1], np.float32)


def correlation(first: Floats, second: Floats) -> float:
    """Return the normalized cross-correlation of two arrays of one shape, -1 to 1.

    0 if one of them is 0 everywhere.
    """
    norm = float(np.sqrt((first * first).sum() * (second * second).sum()))
    return float((first * second).sum()) / norm if norm > 0 else 0.0


def _as_box(sides: Iterable[float]) -> BoxXyxy:
    left, top, right, bottom = (float(side) for side in sides)
    return left, top, right, bottom
