"""Filling a hole from its surroundings in the same frame, where no other frame shows it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Bools, Floats

_SMALLEST_PX = 3  # where the pyramid ends
_AROUND_PX = 4  # of the picture around a hole that a soap film is stretched over
_SEEN = 0.1  # share of a reduced pixel that must be visible for it to count as known


def membrane(picture: Floats, hole: Bools, rounds: int = 4) -> Floats:
    """``picture`` with its hole closed by a soap film that meets the border without a step.

    Laplace's equation by cascadic multigrid (Bornemann and Deuflhard, "The cascadic multigrid
    method for elliptic problems", 1996): solved on a reduced copy first, then relaxed at this size
    by ``rounds`` of averaging.
    """
    filled = picture.copy()
    rows, columns = np.nonzero(hole)
    if rows.size:
        top, left = max(0, rows.min() - _AROUND_PX), max(0, columns.min() - _AROUND_PX)
        window = np.s_[top : rows.max() + 1 + _AROUND_PX, left : columns.max() + 1 + _AROUND_PX]
        filled[window] = _stretch(picture[window], hole[window].astype(np.uint8), rounds)
    return filled


def _stretch(picture: Floats, hole: NDArray[np.uint8], rounds: int) -> Floats:
    """``picture`` with the membrane over ``hole`` (1 inside, 0 where the picture is known)."""
    height, width = hole.shape
    known = (1 - hole).astype(np.float32)
    if min(height, width) <= _SMALLEST_PX:
        mean = float((picture * known).sum()) / max(float(known.sum()), 1e-6)
        return np.where(hole, np.float32(mean), picture)
    size = (-(-width // 2), -(-height // 2))
    share = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    sums = np.asarray(cv2.resize(picture * known, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = np.asarray(sums / np.maximum(share, np.float32(1e-6)), np.float32)
    unseen = (share < _SEEN).astype(np.uint8)
    if unseen.any():
        coarse = _stretch(coarse, unseen, rounds)
    sheet = np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    cv2.copyTo(picture, 1 - hole, sheet)
    for _ in range(rounds):
        cv2.copyTo(cv2.blur(sheet, (3, 3)), hole, sheet)
    return sheet
