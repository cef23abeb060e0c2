"""Spatial inpainting of a hole from its surroundings in the same frame.

Without weights: membrane interpolation, i.e. Laplace's equation with the surroundings as boundary
values (as in Perez et al., "Poisson Image Editing", 2003, with zero guidance), which is smooth in
all directions. With `coherence_weights` it is anisotropic and continues streaks and edges:
coherence-enhancing diffusion (Weickert, "Coherence-Enhancing Diffusion Filtering", 1999), directed
by the structure tensor of the surroundings (Bigun and Granlund, "Optimal Orientation Detection of
Linear Symmetry", 1987).
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats

_SMALLEST_PX = 3  # px; shorter side of the coarsest pyramid level (guess)
_AROUND_PX = 4  # px of known picture around the hole that the solver sees (guess)
_VISIBLE_SHARE = 0.1  # share of a reduced pixel that must be visible to count as known (guess)
_COARSE = 4  # px of the picture per cell of the structure tensor (guess)
_TENSOR_CELLS = (4, 8, 16)  # cells; box radii the tensor is averaged with, near to far (guess)
_EDGE_CONTRAST = 40.0  # largest factor by which weights across an edge are reduced (guess)
_NOISE = 1.0  # (levels/px)^2; squared gradient treated as noise without direction (guess)
_NEIGHBOUR_PAIRS = (  # in a row, in a column, on the two diagonals
    [[0, 0, 0], [1, 0, 1], [0, 0, 0]],
    [[0, 1, 0], [0, 0, 0], [0, 1, 0]],
    [[1, 0, 0], [0, 0, 0], [0, 0, 1]],
    [[0, 0, 1], [0, 0, 0], [1, 0, 0]],
)
_KERNELS = tuple(np.array(pair, np.float32) / 2 for pair in _NEIGHBOUR_PAIRS)  # mean of each pair
_NEARNESS = (1.0, 1.0, 0.5, 0.5)  # weight of each pair: inverse of its squared distance

NeighbourWeights: TypeAlias = tuple[Floats, ...]
"""Weights of the four pairs of opposite neighbours at each pixel, float32 ``(H, W)`` each.

In the order of `_NEIGHBOUR_PAIRS`; they sum to 1 at each pixel.
"""


def membrane(
    picture: Floats, hole: Bools, iterations: int = 4, weights: NeighbourWeights | None = None
) -> Floats:
    """Inpaint a hole by membrane interpolation: a smooth surface without a step at the border.

    Solves Laplace's equation by cascadic multigrid (Bornemann and Deuflhard, "The cascadic
    multigrid method for elliptic problems", 1996): first on a reduced copy, then by ``iterations``
    of relaxation at each size.

    Args:
        picture: float32 ``(H, W)``; values in the hole are ignored. Not modified.
        hole: bool ``(H, W)``; pixels to be filled.
        iterations: relaxation steps at each pyramid level.
        weights: from `coherence_weights`, for anisotropic diffusion; ``None``: isotropic.

    Returns:
        A copy of ``picture`` with the hole filled.
    """
    filled = picture.copy()
    rows, columns = np.nonzero(hole)
    if rows.size:
        top, left = max(0, rows.min() - _AROUND_PX), max(0, columns.min() - _AROUND_PX)
        window = np.s_[top : rows.max() + 1 + _AROUND_PX, left : columns.max() + 1 + _AROUND_PX]
        cut = None if weights is None else tuple(weight[window] for weight in weights)
        filled[window] = _solve(picture[window], hole[window].astype(np.uint8), iterations, cut)
    return filled


def coherence_weights(picture: Floats, hole: Bools) -> NeighbourWeights:
    """Return anisotropic diffusion weights that continue edges and streaks into the hole.

    The structure tensor of the visible surroundings is averaged and extended into the hole;
    neighbours across the dominant edge direction get less weight than neighbours along it.

    Args:
        picture: float32 ``(H, W)``, 8-bit levels.
        hole: bool ``(H, W)``; pixels in it are ignored.
    """
    height, width = hole.shape
    seen = cv2.erode((~hole).astype(np.uint8), np.ones((3, 3), np.uint8)).astype(np.float32)
    x, y = (
        np.asarray(cv2.Sobel(picture, cv2.CV_32F, along_x, 1 - along_x, scale=1 / 8)) * seen
        for along_x in (1, 0)
    )
    size = (-(-width // _COARSE), -(-height // _COARSE))
    share, *tensor = (
        np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
        for field in (seen, x * x, y * y, x * y)
    )
    across_x, across_y, mixed = _extend_tensor(share, tensor)
    scale = _EDGE_CONTRAST / (across_x + across_y + _NOISE)
    diagonal = (across_x + across_y) / 2
    edges = np.stack((across_x, across_y, diagonal + mixed, diagonal - mixed))
    nearness = np.array(_NEARNESS, np.float32)[:, None, None]
    weights = nearness / (1 + scale * np.maximum(edges, 0))
    return tuple(_resize(weight, hole.shape) for weight in weights / weights.sum(axis=0))


def _extend_tensor(share: Floats, tensor: list[Floats]) -> list[Floats]:
    """Average the tensor over visible cells, with the smallest box that contains enough of them.

    Args:
        share: float32 ``(h, w)``; visible share of each cell, 0 to 1.
        tensor: its components, summed over the visible part of each cell, ``(h, w)`` each.
    """
    means: list[Floats] = []
    for radius in reversed(_TENSOR_CELLS):
        size = (2 * radius + 1, 2 * radius + 1)
        known = np.asarray(cv2.blur(share, size), np.float32)
        near = known > _VISIBLE_SHARE / 2
        averages = [
            np.asarray(cv2.blur(field, size) / np.maximum(known, np.float32(1e-4)), np.float32)
            for field in tensor
        ]
        means = [
            np.where(near, average, far)
            for average, far in zip(averages, means or averages, strict=True)
        ]
    return means


def _resize(weight: Floats, shape: tuple[int, ...]) -> Floats:
    """Resize a weight map to ``shape`` (rows, columns) by bilinear interpolation."""
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(weight, size, interpolation=cv2.INTER_LINEAR), np.float32)


def _solve(
    picture: Floats, hole: NDArray[np.uint8], iterations: int, weights: NeighbourWeights | None
) -> Floats:
    """Solve one multigrid level, recursively starting from the solution at half size.

    Args:
        picture: float32 ``(H, W)``.
        hole: uint8 ``(H, W)``; 1 inside, 0 where the picture is known.
        iterations: relaxation steps.
        weights: as for `membrane`.
    """
    height, width = hole.shape
    known = (1 - hole).astype(np.float32)
    if min(height, width) <= _SMALLEST_PX:
        mean = float((picture * known).sum()) / max(float(known.sum()), 1e-6)
        return np.where(hole, np.float32(mean), picture)
    size = (-(-width // 2), -(-height // 2))
    share = np.asarray(cv2.resize(known, size, interpolation=cv2.INTER_AREA), np.float32)
    sums = np.asarray(cv2.resize(picture * known, size, interpolation=cv2.INTER_AREA), np.float32)
    coarse = np.asarray(sums / np.maximum(share, np.float32(1e-6)), np.float32)
    unseen = (share < _VISIBLE_SHARE).astype(np.uint8)
    if unseen.any():
        halved = None if weights is None else tuple(_resize(w, unseen.shape) for w in weights)
        coarse = _solve(coarse, unseen, iterations, halved)
    surface = np.asarray(
        cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR), np.float32
    )
    cv2.copyTo(picture, 1 - hole, surface)
    for _ in range(iterations):
        cv2.copyTo(_relax(surface, weights), hole, surface)
    return surface


def _relax(surface: Floats, weights: NeighbourWeights | None) -> Floats:
    """Replace each pixel by the (weighted) mean of its neighbours: one Jacobi relaxation step."""
    if weights is None:
        return np.asarray(cv2.blur(surface, (3, 3)), np.float32)
    mean = np.zeros_like(surface)
    for weight, kernel in zip(weights, _KERNELS, strict=True):
        pair = cv2.filter2D(surface, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        cv2.accumulateProduct(pair, weight, mean)
    return mean
