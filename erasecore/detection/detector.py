"""Text detection in one picture: the protocol, and RapidOCR's PP-OCR detector (a DB network)."""

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
"""A picture as OpenCV stores it: uint8 ``(H, W, 3)``, blue first."""

LETTERS_SHARE = 0.7
"""Share of a box's height that letters take, as the detector leaves a margin; guess."""

_MODEL = "PP-OCRv6_det_small.onnx"
_MULTIPLE = 32  # pixels; the network halves its picture five times
_TEXT_PROBABILITY = 0.3  # 0 to 1; a pixel of the network's map above it is text (PP-OCR's default)
_MIN_SCORE = 0.45  # 0 to 1; mean probability of a text box, at least; guess
_UNCLIP_RATIO = 1.6  # the network learns shrunken boxes; area * ratio / perimeter grows them back
_MIN_SIDE_PX = 3.0  # pixels of the network's map; least shorter side (PP-OCR's default)
_LEVEL_DEGREES = 3.0  # degrees; up to here the bounding box tells the thickness; guess
_STUMP_RATIO = 2.5  # of long to short side; a box that is less long has no direction; guess


@dataclass(frozen=True, slots=True)
class TextBox:
    """One detection in one picture.

    Attributes:
        box_xyxy: axis-aligned bounding box: left, top, right, bottom in pixels.
        score: mean probability of its pixels, 0 to 1.
        tilt_degrees: of its long side against the nearer axis, 0 to 45; 0 for square boxes.
        thickness: shorter side of the box as it is tilted, pixels; 0 if that is not known.
    """

    box_xyxy: tuple[float, float, float, float]
    score: float
    tilt_degrees: float = 0.0
    thickness: float = 0.0


class Detector(Protocol):
    """Detects lines of text in a picture."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Return the lines of text in ``bgr``, uint8 ``(H, W, 3)``, of any size; not modified."""
        ...


class RapidOcrDetector:
    """PP-OCRv6 (small) from the rapidocr wheel, on the CPU; the model is inside the wheel.

    Args:
        threads: number that the network may use.
    """

    def __init__(self, *, threads: int = 2) -> None:
        self._session = open_session(_MODEL, threads)
        self._input = self._session.get_inputs()[0].name

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Return the lines of text in ``bgr``, uint8 ``(H, W, 3)``, in no particular order."""
        height, width = bgr.shape[:2]
        if min(height, width) < 2:
            return []
        fitted = cv2.resize(bgr, (_fit(width), _fit(height)), interpolation=cv2.INTER_LINEAR)
        tensor = cv2.dnn.blobFromImage(fitted, 1 / 127.5, mean=(127.5, 127.5, 127.5))
        ink = self._session.run(None, {self._input: tensor})[0][0, 0]
        scale_x, scale_y = width / fitted.shape[1], height / fitted.shape[0]
        return _boxes(ink, scale_x, scale_y, (width, height))


def open_session(model: str, threads: int) -> onnxruntime.InferenceSession:
    """Open a network of the rapidocr wheel on the CPU; its threads sleep while they wait.

    Args:
        model: file name in the wheel.
        threads: number that one run may use.
    """
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
    """Size nearest to ``side`` that the network takes: a multiple of 32."""
    return max(_MULTIPLE, round(side / _MULTIPLE) * _MULTIPLE)


def _boxes(
    ink: NDArray[np.float32], scale_x: float, scale_y: float, size: tuple[int, int]
) -> list[TextBox]:
    """Return the boxes in the network's map, scaled back to the picture.

    Args:
        ink: float32 ``(H, W)``; probability of text, 0 to 1.
        scale_x: pixels of the picture in one of the map.
        scale_y: the same for rows.
        size: width and height of the picture.
    """
    solid = cv2.dilate((ink > _TEXT_PROBABILITY).astype(np.uint8), np.ones((2, 2), np.uint8))
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
    """Return the box of one contour, grown to the letters' size; ``None`` if it is no text."""
    centre, (wide, high), angle = cv2.minAreaRect(outline)
    sides = (wide, high)
    if min(sides) < _MIN_SIDE_PX:
        return None
    score = _score(ink, np.asarray(cv2.boxPoints((centre, sides, angle)), np.float32))
    if score < _MIN_SCORE:
        return None
    grow = 2 * sides[0] * sides[1] * _UNCLIP_RATIO / (2 * (sides[0] + sides[1]))
    corners = cv2.boxPoints((centre, (sides[0] + grow, sides[1] + grow), angle))
    low, high = corners.min(axis=0), corners.max(axis=0)
    hull = (
        max(0.0, float(low[0]) * scale[0]),
        max(0.0, float(low[1]) * scale[1]),
        min(float(size[0]), float(high[0] + 1) * scale[0]),
        min(float(size[1]), float(high[1] + 1) * scale[1]),
    )
    thickness = (min(sides) + grow) * (scale[0] + scale[1]) / 2
    tilt = _tilt(sides, angle)
    return TextBox(hull, score, tilt, thickness if tilt > _LEVEL_DEGREES else 0.0)


def _score(ink: NDArray[np.float32], corners: NDArray[np.float32]) -> float:
    """Mean probability of the pixels inside four corners, 0 to 1."""
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int), 0)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = ink[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def _tilt(sides: tuple[float, float], angle: float) -> float:
    """Angle between a box's sides and the picture's, 0 to 45 degrees."""
    if max(sides) < _STUMP_RATIO * min(sides):  # a stump has no direction
        return 0.0
    return abs(math.remainder(angle, 90.0))
