"""What a stroke mask has too much of at its borders, taken away pixel by pixel.

A mask that is grown from letters by a distance is too wide wherever the true outline is not. Two
observations tell that a border pixel is picture and not ink: it did not change when the subtitle
came or went, or it lives on, during the whole of the subtitle, as the picture around it does.
Each pixel too many costs quality where nothing is ever revealed: what is invented reaches further.

Letters are told by their strokes, and a cloud's edge between two of them may look like one. Where
nothing changed as the subtitle came nor as it went, they are not believed either, unless they stand
still while the scene around them moves.
"""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.engines.base import Bools, Floats
from erasecore.ink.evidence import Evidence, around

_MOST_LAYERS = 4  # pixels that are taken away from a border at most
_MOST_UNCHANGED = 12  # and more of them that never changed
_LIVELY_LEVELS = 3.0  # spread in time from which a picture's life can be told from coding noise
_LIVES = 0.6  # of the spread of the picture around it: what is under no ink
_STILL = 0.3  # of that spread: what does not live at all
_LEAST_LEVELS, _MOST_LEVELS = 3.0, 8.0  # changes below are noise, whatever the scene; above are not
_KERNEL = np.ones((3, 3), np.uint8)


def trimmed(mask: Bools, letters: Bools, evidence: Evidence) -> Bools:
    """``mask`` without the border pixels that are plainly picture; ``letters`` stay."""
    free = evidence.free & (cv2.dilate(mask.astype(np.uint8), _KERNEL, iterations=2) == 0)
    if int(free.sum()) < 100:
        return mask
    sizes = [moment.size for moment in evidence.moments]
    picture = _unchanged(np.min(sizes, axis=0), free) if sizes else None
    picture = _lives(evidence, free) if picture is None else picture
    if picture is None:
        return mask
    picture &= ~_stands_still(evidence, free)
    kept = _peeled(mask, picture & ~letters, _MOST_LAYERS)
    never = _unchanged(np.max(sizes, axis=0), free) if len(sizes) > 1 else None
    return kept if never is None else _peeled(kept, never & picture, _MOST_UNCHANGED)


def _peeled(mask: Bools, loose: Bools, layers: int) -> Bools:
    """``mask`` without the ``loose`` pixels that are reached from its border, layer by layer."""
    kept = mask.astype(np.uint8)
    for _ in range(layers):
        kept = np.where(loose, np.asarray(cv2.erode(kept, _KERNEL), np.uint8), kept)
    return kept > 0


def _unchanged(change: Floats, free: Bools) -> Bools | None:
    """Where a change is no larger than without any subtitle; ``None`` where all changed."""
    noise = float(np.percentile(change[free], 95))
    if noise > _MOST_LEVELS:
        return None
    unchanged: Bools = change <= max(_LEAST_LEVELS, noise)
    return unchanged


def _lives(evidence: Evidence, free: Bools) -> Bools | None:
    """Pixels that change in time as the picture around does; ``None`` where that is still."""
    spread, mean = evidence.spread, evidence.mean
    if float(np.median(spread[free])) < _LIVELY_LEVELS:
        return None
    usual_spread, usual_mean = around(spread, free), around(mean, free)
    texture = around(np.abs(mean - usual_mean), free)
    lively = (usual_spread > _LIVELY_LEVELS) & (spread > _LIVES * usual_spread)
    picture: Bools = lively & (np.abs(mean - usual_mean) < 3 + texture)
    return picture


def _stands_still(evidence: Evidence, free: Bools) -> Bools:
    """Pixels that hardly change in time where the picture around does."""
    usual = around(evidence.spread, free)
    still: Bools = (usual > _LIVELY_LEVELS) & (evidence.spread < _STILL * usual)
    return still
