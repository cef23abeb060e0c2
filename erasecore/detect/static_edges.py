"""Whether edges stay at their pixels while what lies behind them seems to move.

A slow scene behind a line of text pulls at where its template fits best, as if the text were
moving. But if it moved, all of its edges would; edges that do not change at all between two frames,
across the supposed motion, were drawn over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.patterns import Shift
from erasecore.detect.scaling import Luma

_STRONG_PERCENTILE = 80  # of the edges across the motion
_LEAST_LEVELS = 1.0  # by which an edge that moves with the others would change
_LEAST_EDGES = 30  # pixels
_LEAST_LENGTH_PX = 0.3
_STAYS = 0.4  # of the change that moving along would make: less is no motion
_ALONG = (0.6, 1.5)
_LEAST_SHARE = 0.3  # of the strong edges that stay


def edges_are_static(
    lumas: Sequence[Luma], shifts: Sequence[Shift], inner: tuple[int, int, int, int]
) -> bool:
    """Whether the line's edges deny that it has moved as its template's best places say.

    Args:
        lumas: pieces of one window, in order of time.
        shifts: where the template fits each best.
        inner: the line's place in the window (left, top, right, bottom).
    """
    one, other = _farthest(shifts)
    dx, dy = shifts[other].dx - shifts[one].dx, shifts[other].dy - shifts[one].dy
    if np.hypot(dx, dy) < _LEAST_LENGTH_PX:
        return True
    stays, along = _shares(_smooth(lumas[one]), _smooth(lumas[other]), (dx, dy), inner)
    return stays >= _LEAST_SHARE and stays > 1.5 * along


def _farthest(shifts: Sequence[Shift]) -> tuple[int, int]:
    """The two samples that lie farthest apart, the earlier first."""
    places = np.array([(shift.dx, shift.dy) for shift in shifts])
    apart = np.hypot(*(places[:, None] - places[None, :]).transpose(2, 0, 1))
    one, other = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return int(min(one, other)), int(max(one, other))


def _shares(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    motion: tuple[float, float],
    inner: tuple[int, int, int, int],
) -> tuple[float, float]:
    """The shares of the strong edges that stay, and that change as the motion would make them."""
    left, top, right, bottom = inner
    middle = (one + other) / 2
    across = cv2.Sobel(middle, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(middle, cv2.CV_32F, 0, 1, ksize=3) / 8
    expected = -(across * motion[0] + down * motion[1])[top:bottom, left:right]
    change = (other - one)[top:bottom, left:right]
    size = np.abs(expected)
    strong = size >= max(_LEAST_LEVELS, float(np.percentile(size, _STRONG_PERCENTILE)))
    if int(strong.sum()) < _LEAST_EDGES:
        return 0.0, 0.0
    ratio = change[strong] / expected[strong]
    along = (ratio > _ALONG[0]) & (ratio < _ALONG[1])
    return float((np.abs(ratio) < _STAYS).mean()), float(along.mean())


def _smooth(luma: Luma) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 0.8), np.float32)
