"""Signature of a line of text: its strokes at half the working size, to tell it again."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_window import WorkBox
from erasecore.detection.patterns import Pattern

SAME_TEXT = 0.5  # correlation of strokes from which two lines show the same text; guess

_SCALE = 2  # working pixels for one of a signature, each way; saves memory
_SLACK_PX = 1  # its pixels by which the detector's boxes are off; guess
_MIN_SHARED_PX = 40  # its pixels that must be shared to be compared; guess


@dataclass(frozen=True, slots=True, eq=False)
class StrokeSignature:
    """Strokes of a line in its box.

    Attributes:
        left: column of the first pixel of ``strokes`` in the picture, in pixels of a signature.
        top: its row.
        strokes: int8 ``(h, w)``; 127 is the strongest.
    """

    left: int
    top: int
    strokes: NDArray[np.int8]


def signature_of(strokes: Pattern, box: WorkBox) -> StrokeSignature:
    """Return the signature of a line.

    Args:
        strokes: of its box, float32 ``(H, W)``, in levels.
        box: left, top, right, bottom in working pixels.
    """
    size = max(1, strokes.shape[1] // _SCALE), max(1, strokes.shape[0] // _SCALE)
    small = np.asarray(cv2.resize(strokes, size, interpolation=cv2.INTER_AREA), np.float32)
    strongest = max(1e-3, float(np.abs(small).max()))
    levels = np.rint(127 * small / strongest).astype(np.int8)
    return StrokeSignature(round(float(box[0]) / _SCALE), round(float(box[1]) / _SCALE), levels)


def likeness(one: StrokeSignature, other: StrokeSignature) -> float:
    """Return the correlation of two lines' strokes where both boxes lie, -1 to 1.

    The best of all shifts by a pixel; 0 where they share too little.
    """
    shifts = range(-_SLACK_PX, _SLACK_PX + 1)
    return max(_correlation(one, other, dx, dy) for dx in shifts for dy in shifts)


def _correlation(one: StrokeSignature, other: StrokeSignature, dx: int, dy: int) -> float:
    left, top = max(one.left, other.left + dx), max(one.top, other.top + dy)
    right = min(one.left + one.strokes.shape[1], other.left + dx + other.strokes.shape[1])
    bottom = min(one.top + one.strokes.shape[0], other.top + dy + other.strokes.shape[0])
    if right <= left or bottom <= top or (right - left) * (bottom - top) < _MIN_SHARED_PX:
        return 0.0
    a = one.strokes[top - one.top : bottom - one.top, left - one.left : right - one.left]
    y, x = top - other.top - dy, left - other.left - dx
    b = other.strokes[y : y + bottom - top, x : x + right - left]
    first, second = a.astype(np.float32).ravel(), b.astype(np.float32).ravel()
    power = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / power if power > 0 else 0.0
