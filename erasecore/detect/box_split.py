"""Lines of text that a larger text swallows: a caption in front of a banner, found as one box.

Averaged over a third of a second a scene that moves is blurred, and what is drawn over it is not;
and at full size the detector keeps close lines apart that it joins in a smaller picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.detector import Detector, TextBox
from erasecore.detect.scaling import Luma, average

_AIR = 0.25  # of a box's thickness: looked at around it
_SMALLER = 0.65  # of the box's thickness: a line as large as that is the box itself


def split_box(
    frames: Sequence[Luma], box: NDArray[np.float64], detector: Detector
) -> list[TextBox]:
    """The smaller lines inside a box of text, in working pixels.

    Args:
        frames: working luma of the newest frames, at least one.
        box: left, top, right, bottom in working pixels.
        detector: finds text in one picture.
    """
    height, width = frames[0].shape
    thickness = float(min(box[2] - box[0], box[3] - box[1]))
    low = np.maximum(np.floor(box[:2] - _AIR * thickness), 0).astype(int)
    high = np.minimum(np.ceil(box[2:] + _AIR * thickness), (width, height)).astype(int)
    seen = average([luma[low[1] : high[1], low[0] : high[0]] for luma in frames])
    lines = detector.detect(np.asarray(cv2.cvtColor(seen, cv2.COLOR_GRAY2BGR), np.uint8))
    found = (_moved(line, low[0], low[1]) for line in lines)
    return [line for line in found if _thickness(line) < _SMALLER * thickness]


def _moved(line: TextBox, left: int, top: int) -> TextBox:
    """The box as seen from the whole picture's corner."""
    x0, y0, x1, y1 = line.box_xyxy
    return TextBox((x0 + left, y0 + top, x1 + left, y1 + top), line.score, line.tilt_degrees)


def _thickness(line: TextBox) -> float:
    x0, y0, x1, y1 = line.box_xyxy
    return min(x1 - x0, y1 - y0)
