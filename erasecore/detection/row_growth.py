"""Growth of a line's box along its row, to letters that the detector has missed.

Where a line goes its letters do, and the picture around stays: the strokes that change from its
last frame to the first one without it show how far it reaches. Translucent letters over something
bright are often missed while the rest of the line is found. What changes as much while the line
shows is the picture behind it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_window import WorkBox
from erasecore.detection.patterns import strokes
from erasecore.detection.scaling import Luma

_CELL_LINES = 0.5  # text heights of a cell of the row that is looked at; guess
_GAP_CELLS = 2  # cells without letters that are crossed: a space; guess
_INSIDE_SHARE = 0.35  # of the change in the line's own cells: least change of another one; guess
_NOISE_RATIO = 4.0  # of the change above, below and a frame earlier: least change of a cell; guess
_LEAST_LINES = 1.0  # text heights; less is a plate's edge, or in reach of the ink anyway; guess
_MIN_LEVELS = 3.0  # levels; least change of a cell; guess


def extend_along_row(
    box: WorkBox, frames: tuple[Luma, Luma, Luma], text_height: float, *, vertical: bool
) -> WorkBox:
    """Return the box, grown along the row as far as letters vanish with those inside.

    Args:
        box: of the line, left, top, right, bottom in working pixels.
        frames: working luma of two frames that show it and of one next to the second that does
            not, uint8 ``(H, W)`` each.
        text_height: working pixels across the line.
        vertical: True if the line runs downwards.
    """
    if vertical:
        turned = frames[0].T, frames[1].T, frames[2].T
        return extend_along_row(box[[1, 0, 3, 2]], turned, text_height, vertical=False)[
            [1, 0, 3, 2]
        ]
    earlier, shown, bare = (strokes(frame, text_height) for frame in frames)
    change, usual = np.abs(shown - bare), np.abs(shown - earlier)
    top, bottom = max(0, round(float(box[1]))), min(change.shape[0], round(float(box[3])))
    left, right = max(0, round(float(box[0]))), min(change.shape[1], round(float(box[2])))
    if bottom - top < 2 or right - left < 2:
        return box
    side = max(2, round(_CELL_LINES * text_height))
    own = change[top:bottom].mean(axis=0)
    high = bottom - top
    beside = np.concatenate([change[max(0, top - high) : top], change[bottom : bottom + high]])
    noise = usual[top:bottom].mean(axis=0)
    noise = np.maximum(noise, beside.mean(axis=0)) if len(beside) else noise
    least = max(_MIN_LEVELS, _INSIDE_SHARE * float(own[left:right].mean()))
    ahead = _reach(own[right:], noise[right:], side, least)
    behind = _reach(own[:left][::-1], noise[:left][::-1], side, least)
    ahead, behind = (
        grown if grown > _LEAST_LINES * text_height else 0 for grown in (ahead, behind)
    )
    return np.array([box[0] - behind, box[1], box[2] + ahead, box[3]])


def _reach(own: NDArray[np.float32], noise: NDArray[np.float32], side: int, least: float) -> int:
    """Return how many pixels outwards of the line's end letters go on.

    Args:
        own: float32 ``(N,)``; mean change of each column of the row, outwards.
        noise: float32 ``(N,)``; the same above and below it, or while the line shows.
        side: columns of a cell.
        least: least change of a cell with letters, in levels.
    """
    reach = gap = 0
    for first in range(0, len(own), side):
        cell, calm = own[first : first + side], noise[first : first + side]
        if float(cell.mean()) > max(least, _NOISE_RATIO * float(calm.mean())):
            reach, gap = first + len(cell), 0
        elif (gap := gap + 1) > _GAP_CELLS:
            break
    return reach
