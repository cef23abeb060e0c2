"""The frames at which a line of text is exchanged for another, or comes or goes at once.

Two texts of one look over one background share most of what a frame shows: thin letters over grass
are mostly grass. From one frame to the next, though, the grass hardly changes and the letters do,
all along the line, and only in that one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.patterns import Template
from erasecore.detect.scaling import Luma

_LEAST_SHARE = 0.6  # of the line's cells that change: words that are recoloured are fewer
_LEAST_CHANGE = 0.35  # of the text's contrast
_LEAST_LEVELS = 4.0
_PEAK = 2.2  # of the change to that of the steps before and after
_ALONE = 1.6  # of the change to that of the surroundings in the same step
_CALM = 2.0  # of the surroundings' change to that in the steps before and after: no cut
_CALM_LEVELS = 3.0


@dataclass(frozen=True, slots=True)
class Piece:
    """A track's window of one frame's working luma."""

    index: int
    luma: Luma
    averaged: int = 1  # so many frames up to that one, their mean


def line_changes(
    pieces: Sequence[Piece], template: Template, around: NDArray[np.bool_]
) -> list[int]:
    """The first frame after each switch in a run of consecutive frames.

    Args:
        pieces: the frames; at neither end can a switch be told from motion.
        template: of the line that is there before or after.
        around: the window's pixels away from any line.
    """
    if len(pieces) < 2 or not around.any():
        return []
    least = _least(template.contrast)
    mask = around.astype(np.uint8)
    steps = [
        (template.cell_changes(one.luma, other.luma), _outside(one, other, mask))
        for one, other in pairwise(pieces)
    ]
    found = []
    for k, (cells, outside) in enumerate(steps):
        beside = [steps[j] for j in (k - 1, k + 1) if 0 <= j < len(steps)]
        if outside > _CALM_LEVELS + _CALM * max((calm for _, calm in beside), default=outside):
            continue
        usual = np.max([_PEAK * other for other, _ in beside] or [np.zeros_like(cells)], axis=0)
        floor = np.maximum(max(least, _ALONE * outside), usual)
        if float((cells > floor).mean()) >= _LEAST_SHARE:
            found.append(pieces[k + 1].index)
    return found


def line_changed(cells: NDArray[np.float64], contrast: float) -> bool:
    """Whether a line whose cells change by so many levels changes all along, and not in a word."""
    return float((cells > _least(contrast)).mean()) >= _LEAST_SHARE


def _least(contrast: float) -> float:
    """The levels that a cell changes by, at least, when its text of that contrast is another."""
    return max(_LEAST_LEVELS, _LEAST_CHANGE * contrast)


def _outside(one: Piece, other: Piece, mask: NDArray[np.uint8]) -> float:
    return float(cv2.mean(cv2.absdiff(one.luma, other.luma), mask)[0])
