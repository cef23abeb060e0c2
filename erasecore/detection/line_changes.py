"""Frames at which a line of text is exchanged for another, or comes or goes at once.

Two texts of one style over one background share most of what a frame shows: thin letters over grass
are mostly grass. From one frame to the next, though, the grass hardly changes and the letters do,
all along the line, and only in that one step (docs/decisions.md, 22 and 87).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_window import Piece
from erasecore.detection.patterns import Template

_MIN_CELL_SHARE = 0.6  # of the line's cells that change; words that are recoloured are fewer; guess
_MIN_CONTRAST_SHARE = 0.35  # of the text's contrast; least change of a cell; guess
_MIN_CELL_LEVELS = 4.0  # levels; least change of a cell; guess
_PEAK_RATIO = 2.2  # of the change to that of the steps before and after; guess
_ALONE_RATIO = 1.6  # of the change to that of the surroundings in the same step; guess
_CALM_RATIO = 2.0  # of the surroundings' change to that in adjacent steps; more is a cut; guess
_CALM_LEVELS = 3.0  # levels; change of the surroundings that is allowed beyond that; guess


def line_changes(
    pieces: Sequence[Piece], template: Template, around: NDArray[np.bool_]
) -> list[int]:
    """Return the first frame after each change of the text in a run of consecutive frames.

    Args:
        pieces: crops of the frames; at neither end can a change be told from motion.
        template: of the line that is there before or after.
        around: bool, of a crop's shape; pixels away from any line.

    Returns:
        Frame indices, in order.
    """
    if len(pieces) < 2 or not around.any():
        return []
    least = _min_levels(template.contrast)
    mask = around.astype(np.uint8)
    steps = [
        (template.cell_changes(one.luma, other.luma), _mean_change(one, other, mask))
        for one, other in pairwise(pieces)
    ]
    found = []
    for k, (cells, outside) in enumerate(steps):
        beside = [steps[j] for j in (k - 1, k + 1) if 0 <= j < len(steps)]
        calm = max((calm for _, calm in beside), default=outside)
        if outside > _CALM_LEVELS + _CALM_RATIO * calm:
            continue
        usual = np.max(
            [_PEAK_RATIO * other for other, _ in beside] or [np.zeros_like(cells)], axis=0
        )
        floor = np.maximum(max(least, _ALONE_RATIO * outside), usual)
        if float((cells > floor).mean()) >= _MIN_CELL_SHARE:
            found.append(pieces[k + 1].index)
    return found


def line_changed(cells: NDArray[np.float64], contrast: float) -> bool:
    """Return True if a line changes all along, not in a word.

    Args:
        cells: float64 ``(N,)``; mean change of each cell of the line, in levels.
        contrast: of the text, in levels.
    """
    return float((cells > _min_levels(contrast)).mean()) >= _MIN_CELL_SHARE


def _min_levels(contrast: float) -> float:
    """Least change of a cell whose text, of that contrast, is exchanged; in levels."""
    return max(_MIN_CELL_LEVELS, _MIN_CONTRAST_SHARE * contrast)


def _mean_change(one: Piece, other: Piece, mask: NDArray[np.uint8]) -> float:
    """Mean absolute difference of two crops where ``mask`` is set, in levels."""
    return float(cv2.mean(cv2.absdiff(one.luma, other.luma), mask)[0])
