"""Text boxes in one picture: the protocol, and RapidOCR's PP-OCR detector behind it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.resources import as_file, files
from typing import Protocol, TypeAlias

import cv2
import numpy as np
import onnxruntime
from numpy.typing import NDArray

Bgr: TypeAlias = NDArray[np.uint8]
"""A picture as OpenCV has it: ``(H, W, 3)``, blue first."""

LETTERS_SHARE = 0.7
"""What letters take of a box's height: the detector leaves air around them."""

_MODEL = "PP-OCRv6_det_small.onnx"
_MULTIPLE = 32  # the network halves its picture five times
_INK_LEVEL = 0.3  # a pixel of the network's map above it is text
_SCORE_LEVEL = 0.45  # a box whose mean is above it is a text box
_GROWTH = 1.6  # the network is taught shrunken boxes; area * growth / perimeter undoes it
_MIN_SIDE_PX = 3.0


@dataclass(frozen=True, slots=True)
class TextBox:
    """One detection in one picture: its upright hull in pixels, how sure, how tilted."""

    box_xyxy: tuple[float, float, float, float]
    score: float
    tilt_degrees: float = 0.0  # of its long side against the nearer axis; 0 for square boxes


class Detector(Protocol):
    """Finds lines of text in a picture."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The lines of text in ``bgr``, uint8 ``(H, W, 3)``, of any size; not modified."""
        ...


class RapidOcrDetector:
    """PP-OCRv6 (small) from the rapidocr wheel, on the CPU; the model is inside the wheel.

    Args:
        threads: how many the network may use.
    """

    def __init__(self, *, threads: int = 2) -> None:
        self._session = open_session(_MODEL, threads)
        self._input = self._session.get_inputs()[0].name

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The lines of text in ``bgr``, in no particular order."""
        height, width = bgr.shape[:2]
        if min(height, width) < 2:
            return []
        fitted = cv2.resize(bgr, (_fit(width), _fit(height)), interpolation=cv2.INTER_LINEAR)
        tensor = cv2.dnn.blobFromImage(fitted, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        ink = self._session.run(None, {self._input: tensor})[0][0, 0]
        scale_x, scale_y = width / fitted.shape[1], height / fitted.shape[0]
        return _boxes(ink, scale_x, scale_y, (width, height))


def open_session(model: str, threads: int) -> onnxruntime.InferenceSession:
    """A network of the rapidocr wheel, on the CPU, its threads asleep while they wait."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    # Plans of memory are made for each size of picture, and what they plan is kept for all sizes.
    options.enable_mem_pattern = False
    # Threads that spin while they wait burn the second core for nothing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    with as_file(files("rapidocr") / "models" / model) as path:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _fit(side: int) -> int:
    """The network's own size nearest to ``side``."""
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def _boxes(
    ink: NDArray[np.float32], scale_x: float, scale_y: float, size: tuple[int, int]
) -> list[TextBox]:
    """The boxes in the network's map, put back to the picture's scale."""
    solid = cv2.dilate((ink > _INK_LEVEL).astype(np.uint8), np.ones((2, 2), np.uint8))
    outlines, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    scale = (scale_x, scale_y)
    found = (_box(ink, np.asarray(outline, np.int32), scale, size) for outline in outlines)
    return [box for box in found if box is not None]


def _box(
    ink: NDArray[np.float32],
    outline: NDArray[np.int32],
    scale: tuple[float, float],
    size: tuple[int, int],
) -> TextBox | None:
    """The box of one outlined blob, grown to the letters' size; nothing if it is no text."""
    centre, (wide, high), angle = cv2.minAreaRect(outline)
    sides = (wide, high)
    if min(sides) < _MIN_SIDE_PX:
        return None
    score = _score(ink, np.asarray(cv2.boxPoints((centre, sides, angle)), np.float32))
    if score < _SCORE_LEVEL:
        return None
    grow = 2 * sides[0] * sides[1] * _GROWTH / (2 * (sides[0] + sides[1]))
    corners = cv2.boxPoints((centre, (sides[0] + grow, sides[1] + grow), angle))
    low, high = corners.min(axis=0), corners.max(axis=0)
    hull = (
        max(0.0, float(low[0]) * scale[0]),
        max(0.0, float(low[1]) * scale[1]),
        min(float(size[0]), float(high[0] + 1) * scale[0]),
        min(float(size[1]), float(high[1] + 1) * scale[1]),
    )
    return TextBox(hull, score, _tilt(sides, angle))


def _score(ink: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """How sure the network is, on average, of the pixels between four corners."""
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = ink[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def _tilt(sides: tuple[float, float], angle: float) -> float:
    """Degrees between a box's sides and the picture's, 0 to 45."""
    if max(sides) < 2.5 * min(sides):  # a stump has no direction
        return 0.0
    return abs(math.remainder(angle, 90.0))
