"""Filling a hole from its surroundings in the same frame, where no other frame shows it."""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.engines.base import Bools, Floats
from erasecore.engines.sampling import soft

_WIDTHS_PX = (5, 11, 23, 47, 95)


def smooth_fill(picture: Floats, hole: Bools) -> Floats:
    """``picture`` with its hole filled from ever wider averages of what surrounds it."""
    filled = picture.copy()
    weight = (~hole).astype(np.float32)
    known, missing = picture * weight, hole.copy()
    for size_px in _WIDTHS_PX:
        if not missing.any():
            break
        share = soft(weight, size_px)
        reached = missing & (share > 0.03)
        filled[reached] = (soft(known, size_px) / np.maximum(share, 1e-6))[reached]
        missing &= ~reached
    if missing.any():
        filled[missing] = float(known.sum() / max(float(weight.sum()), 1.0))
    return filled


def membrane(picture: Floats, hole: Bools, rounds: int = 40) -> Floats:
    """``picture`` with its hole closed by a soap film that meets the border without a step.

    The smooth fill, relaxed towards the solution of Laplace's equation by repeated averaging.
    """
    filled = smooth_fill(picture, hole)
    rows, columns = np.nonzero(hole)
    if not rows.size:
        return filled
    top, left = max(0, rows.min() - 2), max(0, columns.min() - 2)
    window = np.s_[top : rows.max() + 3, left : columns.max() + 3]
    patch = np.ascontiguousarray(filled[window])
    inside = hole[window].astype(np.uint8)
    for _ in range(rounds):
        cv2.copyTo(cv2.blur(patch, (3, 3)), inside, patch)
    filled[window] = patch
    return filled
