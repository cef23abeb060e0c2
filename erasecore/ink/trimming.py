"""What a stroke mask has too much of at its borders, taken away pixel by pixel.

A mask that is grown from letters by a distance is too wide wherever the true outline is not. Two
observations tell that a border pixel is picture and not ink: it did not change when the subtitle
came or went, or it lives on, during the whole of the subtitle, as the picture around it does.
Each pixel too many costs quality where nothing is ever revealed: what is invented reaches further.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.plates import Change

_MOST_LAYERS = 4  # pixels that are taken away from a border at most
_LIVELY_LEVELS = 3.0  # spread in time from which a picture's life can be told from coding noise
_LIVES = 0.6  # of the spread of the picture around it: what is under no ink
_LEAST_LEVELS, _MOST_LEVELS = 3.0, 8.0  # changes below are noise, whatever the scene; above are not
_AROUND_PX = 15
_KERNEL = np.ones((3, 3), np.uint8)

Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of an event's region, all of its size ``(H, W)``.

    Attributes:
        frames: float32 ``(N, H, W)``; luma of frames of the event, 8-bit levels.
        moments: the region just without and just with the subtitle.
        free: pixels on which no subtitle is at any of these times.
    """

    frames: Floats
    moments: list[Change]
    free: Bools


def trimmed(mask: Bools, letters: Bools, evidence: Evidence) -> Bools:
    """``mask`` without the border pixels that are plainly picture; ``letters`` stay."""
    free = evidence.free & (cv2.dilate(mask.astype(np.uint8), _KERNEL, iterations=2) == 0)
    if int(free.sum()) < 100:
        return mask
    picture = _stays(evidence.moments, free)
    picture = _lives(evidence.frames, free) if picture is None else picture
    if picture is None:
        return mask
    kept = mask.astype(np.uint8)
    loose = (picture & ~letters).astype(np.uint8)
    for _ in range(_MOST_LAYERS):
        inner = np.asarray(cv2.erode(kept, _KERNEL), np.uint8)
        kept = np.where(loose > 0, inner, kept)
    return kept > 0


def _stays(moments: list[Change], free: Bools) -> Bools | None:
    """Pixels that did not change as the subtitle came or went; ``None`` where all did."""
    if not moments:
        return None
    change = np.min([moment.size for moment in moments], axis=0)
    noise = float(np.percentile(change[free], 95))
    if noise > _MOST_LEVELS:
        return None
    picture: Bools = change <= max(_LEAST_LEVELS, noise)
    return picture


def _lives(frames: Floats, free: Bools) -> Bools | None:
    """Pixels that change in time as the picture around does; ``None`` where that is still."""
    spread, mean = frames.std(axis=0), frames.mean(axis=0)
    if float(np.median(spread[free])) < _LIVELY_LEVELS:
        return None
    usual_spread, usual_mean = _around(spread, free), _around(mean, free)
    texture = _around(np.abs(mean - usual_mean), free)
    lively = (usual_spread > _LIVELY_LEVELS) & (spread > _LIVES * usual_spread)
    picture: Bools = lively & (np.abs(mean - usual_mean) < 3 + texture)
    return picture


def _around(values: Floats, free: Bools) -> Floats:
    """Each pixel's mean of the free pixels around it, near ones first."""
    weight = free.astype(np.float32)
    result = np.full(values.shape, float(values[free].mean()), np.float32)
    for size in (4 * _AROUND_PX + 1, _AROUND_PX):
        known = cv2.blur(weight, (size, size))
        mean = cv2.blur(np.asarray(values * weight, np.float32), (size, size))
        enough = known > 0.02
        result = np.where(enough, mean / np.maximum(known, np.float32(1e-6)), result)
    return np.asarray(result, np.float32)
