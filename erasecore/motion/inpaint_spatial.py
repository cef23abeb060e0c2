"""Filling a hole from its surroundings in the same frame, where no other frame shows it.

A soap film is smooth in all directions. Streaks, edges and blurred motion go on behind text in one,
and there the film is pulled along them: by diffusion that a tensor directs (Weickert, "Coherence-
Enhancing Diffusion Filtering", 1999), the tensor being that of the slopes around the hole (Bigun
and Granlund, "Optimal Orientation Detection of Linear Symmetry", 1987).
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats

_SMALLEST_PX = 3  # where the pyramid ends
_AROUND_PX = 4  # of the picture around a hole that a soap film is stretched over
_SEEN = 0.1  # share of a reduced pixel that must be visible for it to count as known
_COARSE = 4  # pixels of the picture for one of the tensor
_TENSOR_PX = (4, 8, 16)  # of the tensor, over which it is smoothed: near what is seen, and farther
_ALONG = 40.0  # how much less neighbours pull across a clean edge than along it
_NOISE = 1.0  # squared slope of what has no direction
_PAIRS = (  # of neighbours: in a row, in a column, and on the two diagonals
    [[0, 0, 0], [1, 0, 1], [0, 0, 0]],
    [[0, 1, 0], [0, 0, 0], [0, 1, 0]],
    [[1, 0, 0], [0, 0, 0], [0, 0, 1]],
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
)
_KERNELS = tuple(np.array(pair, np.float32) / 2 for pair in _PAIRS)
_NEARNESS = (1.0, 1.0, 0.5, 0.5)  # of the neighbours in each pair

Pulls: TypeAlias = tuple[Floats, ...]
"""For each pair of neighbours how strongly they pull at a pixel, ``(H, W)``; they sum to 1."""


def membrane(picture: Floats, hole: Bools, rounds: int = 4, pulls: Pulls | None = None) -> Floats:
    """``picture`` with its hole closed by a soap film that meets the border without a step.

    Laplace's equation by cascadic multigrid (Bornemann and Deuflhard, "The cascadic multigrid
    method for elliptic problems", 1996): solved on a reduced copy first, then relaxed at this size
    by ``rounds`` of averaging; where neighbours pull differently, by as many of weighted averaging.
    """
    filled = picture.copy()
    rows, columns = np.nonzero(hole)
    if rows.size:
        top, left = max(0, rows.min() - _AROUND_PX), max(0, columns.min() - _AROUND_PX)
        window = np.s_[top : rows.max() + 1 + _AROUND_PX, left : columns.max() + 1 + _AROUND_PX]
        here = None if pulls is None else tuple(pull[window] for pull in pulls)
        filled[window] = _stretch(picture[window], hole[window].astype(np.uint8), rounds, here)
    return filled


def pulls_along(picture: Floats, hole: Bools) -> Pulls:
    """How neighbours pull so that what is seen around the hole goes on in it.

    Args:
        picture: float32 ``(H, W)``, 8-bit levels.
        hole: bool ``(H, W)``; the picture there is not looked at.
    """
    height, width = hole.shape
    seen = cv2.erode((~hole).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    x, y = (
        np.asarray(cv2.Sobel(picture, cv2.CV_32F, along_x, 1 - along_x, scale=1 / 8)) * seen
        for along_x in (1, 0)
    )
    size = (-(-width // _COARSE), -(-height // _COARSE))
    share, *tensor = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
        for one in (seen, x * x, y * y, x * y)
    )
    across_x, across_y, mixed = _spread(share, tensor)
    scale = _ALONG / (across_x + across_y + _NOISE)
    diagonal = (across_x + across_y) / 2
    edges = np.stack((across_x, across_y, diagonal + mixed, diagonal - mixed))
    nearness = np.array(_NEARNESS, np.float32)[:, None, None]
    ties = nearness / (1 + scale * np.maximum(edges, 0))
    return tuple(_resized(tie, hole.shape) for tie in ties / ties.sum(axis=0))


def _spread(share: Floats, sums: list[Floats]) -> list[Floats]:
    """Means of what is seen, from where most of it is near to where it is far."""
    means: list[Floats] = []
    for window in reversed(_TENSOR_PX):
        size = (2 * window + 1, 2 * window + 1)
        known = np.asarray(cv2.blur(share, size), np.float32)
        near = known > _SEEN / 2
        here = [
            np.asarray(cv2.blur(one, size) / np.maximum(known, np.float32(1e-4)), np.float32)
            for one in sums
        ]
        means = [np.where(near, one, far) for one, far in zip(here, means or here, strict=True)]
    return means


def _resized(pull: Floats, shape: tuple[int, ...]) -> Floats:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(pull, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _stretch(picture: Floats, hole: NDArray[np.uint8], rounds: int, pulls: Pulls | None) -> Floats:
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
        less = None if pulls is None else tuple(_resized(pull, unseen.shape) for pull in pulls)
        coarse = _stretch(coarse, unseen, rounds, less)
    sheet = np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    cv2.copyTo(picture, 1 - hole, sheet)
    for _ in range(rounds):
        cv2.copyTo(_averaged(sheet, pulls), hole, sheet)
    return sheet


def _averaged(sheet: Floats, pulls: Pulls | None) -> Floats:
    """Each pixel the mean of its neighbours."""
    if pulls is None:
        return np.asarray(cv2.blur(sheet, (3, 3)), np.float32)
    mean = np.zeros_like(sheet)
    for pull, kernel in zip(pulls, _KERNELS, strict=True):
        pair = cv2.filter2D(sheet, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        cv2.accumulateProduct(pair, pull, mean)
    return mean
