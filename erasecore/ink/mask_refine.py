"""What a stroke mask has too much of at its borders, taken away pixel by pixel.

A mask that is grown from letters by a distance is too wide wherever the true outline is not. Two
observations tell that a border pixel is picture and not ink: it did not change when the subtitle
came or went, or it lives on, during the whole of the subtitle, as the picture around it does.
Each pixel too many costs quality where nothing is ever revealed: what is invented reaches further.

Letters are told by their strokes, and a cloud's edge between two of them, or the bright gap between
their outlines, may look like one. They are not believed either where nothing changed as the
subtitle came nor as it went, unless they stand still while the scene around them moves; nor, where
no such moment tells, where they live quite as the picture does.
"""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.ink.statistics import CALM_LEVELS, NOISY_LEVELS, InkStatistics, context_mask, noise
from erasecore.model.inpaint_input import Bools, Floats

_MOST_LAYERS = 4  # pixels that are taken away from a border at most
_MOST_UNCHANGED = 12  # and more of them that never changed
_LIVELY_LEVELS = 3.0  # spread in time from which a picture's life can be told from coding noise
_LIVES = 0.6  # of the spread of the picture around it: what is under no ink
_LIVES_FULLY = 0.8  # what is no letter, either
_STILL = 0.3  # of that spread: what does not live at all
_STILL_PX = 31  # wide surroundings, in which nothing is as still
_LEAST_LEVELS, _MOST_LEVELS = 3.0, 5.0  # changes below are noise, whatever the scene; above are not
_KERNEL = np.ones((3, 3), np.uint8)


def trim_mask(mask: Bools, letters: Bools, stats: InkStatistics) -> Bools:
    """``mask`` without the border pixels that are plainly picture; most ``letters`` stay."""
    free = stats.free & (cv2.dilate(mask.astype(np.uint8), _KERNEL, iterations=2) == 0)
    if int(free.sum()) < 100:
        return mask
    change = stats.change(free)
    picture = None if change is None else _unchanged(change, free)
    usual = context_mask(stats.spread, free)
    picture = _lives(stats, usual, free, _LIVES) if picture is None else picture
    if picture is None:
        return mask
    picture &= ~_stands_still(stats, usual, free)
    kept = _peeled(mask, picture & ~letters, _MOST_LAYERS)
    never = _never_changed(stats, free)
    if never is not None:
        return _peeled(kept, never & picture, _MOST_UNCHANGED)
    lives = _lives(stats, usual, free, _LIVES_FULLY)
    return kept if lives is None else _peeled(kept, lives & picture, _MOST_LAYERS)


def _peeled(mask: Bools, loose: Bools, layers: int) -> Bools:
    """``mask`` without the ``loose`` pixels that are reached from its border, layer by layer."""
    kept = mask.astype(np.uint8)
    for _ in range(layers):
        kept = np.where(loose, np.asarray(cv2.erode(kept, _KERNEL), np.uint8), kept)
    return kept > 0


def _unchanged(change: Floats, free: Bools) -> Bools | None:
    """Where a change is no larger than without any subtitle; ``None`` where all changed."""
    if noise(change, free) > NOISY_LEVELS:
        return None
    most = float(np.clip(np.percentile(change[free], 98), _LEAST_LEVELS, _MOST_LEVELS))
    unchanged: Bools = change <= most
    return unchanged


def _never_changed(stats: InkStatistics, free: Bools) -> Bools | None:
    """What changed at no moment; ``None`` where that cannot be told for certain."""
    sizes = [moment.size for moment in stats.transitions]
    if not sizes or (len(sizes) == 1 and noise(sizes[0], free) > CALM_LEVELS):
        return None
    return _unchanged(np.max(sizes, axis=0), free)


def _lives(stats: InkStatistics, usual: Floats, free: Bools, share: float) -> Bools | None:
    """Pixels that change in time as the picture around does; ``None`` where that is still.

    They have more than ``share`` of its spread, which is the ``usual`` one, and its mean.
    """
    spread, mean = stats.spread, stats.mean
    if float(np.median(spread[free])) < _LIVELY_LEVELS:
        return None
    usual_mean = context_mask(mean, free)
    texture = context_mask(np.abs(mean - usual_mean), free)
    lively = (usual > _LIVELY_LEVELS) & (spread > share * usual)
    picture: Bools = lively & (np.abs(mean - usual_mean) < 3 + texture)
    return picture


def _stands_still(stats: InkStatistics, usual: Floats, free: Bools) -> Bools:
    """Pixels that hardly change in time where all of the picture around does."""
    spread = stats.spread
    lively = np.where(free, spread, np.float32(np.inf)).astype(np.float32)
    stillest = cv2.erode(lively, np.ones((_STILL_PX, _STILL_PX), np.uint8))
    least = np.minimum(usual, stillest)
    still: Bools = (least > _LIVELY_LEVELS) & (spread < _STILL * least)
    return still
