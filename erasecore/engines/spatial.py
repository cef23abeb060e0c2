"""Filling a hole from its surroundings in the same frame, where no other frame shows it."""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.engines.base import Bools, Floats

_SMALLEST_PX = 3  # where the pyramid ends


def smooth_fill(picture: Floats, hole: Bools) -> Floats:
    """``picture`` with its hole filled smoothly from what surrounds it, near and far.

    Push-pull: the visible pixels' means on ever smaller copies, brought back up where nothing finer
    is known (Gortler et al., "The Lumigraph", 1996).
    """
    weight = (~hole).astype(np.float32)
    filled = _push_pull(picture * weight, weight)
    return np.where(hole, filled, picture)


def _push_pull(weighted: Floats, weight: Floats) -> Floats:
    """The picture whose samples times ``weight`` are given, without gaps."""
    height, width = weight.shape
    known = np.asarray(weighted / np.maximum(weight, np.float32(1e-6)), np.float32)
    if float(weight.min()) > 0.5 or min(height, width) <= _SMALLEST_PX:
        mean = float(weighted.sum() / max(float(weight.sum()), 1e-6))
        return np.where(weight > 0, known, np.float32(mean))
    size = (-(-width // 2), -(-height // 2))
    coarse = _push_pull(
        np.asarray(cv2.resize(weighted, size, interpolation=cv2.INTER_AREA), np.float32),
        np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_AREA), np.float32),
    )
    below = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    trust = np.minimum(1.0, 2 * weight)
    return np.asarray(trust * known + (1 - trust) * below, np.float32)


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
