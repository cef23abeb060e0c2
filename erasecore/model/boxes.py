"""Axis-aligned boxes (left, top, right, bottom): area, intersection, union, bounding box."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Sides: TypeAlias = Sequence[float] | NDArray[np.float64]
"""Left, top, right and bottom of a box; boxes that are compared have the same unit."""

PixelBox: TypeAlias = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels; right and bottom are exclusive."""

_Side = TypeVar("_Side", int, float)


def area(box: Sides) -> float:
    """Return width times height."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def shared_area(first: Sides, second: Sides) -> float:
    """Return the area of the intersection; 0 for boxes that are apart or only touch."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    return float(width * height) if width > 0 and height > 0 else 0.0


def overlap(first: Sides, second: Sides) -> float:
    """Return the overlap coefficient: intersection area / area of the smaller box, 0 to 1."""
    shared = shared_area(first, second)
    return shared / min(area(first), area(second)) if shared else 0.0


def intersect(first: Sides, second: Sides) -> bool:
    """Return True if the intersection has an area."""
    return shared_area(first, second) > 0


def union(
    boxes: Iterable[tuple[_Side, _Side, _Side, _Side]],
) -> tuple[_Side, _Side, _Side, _Side]:
    """Return the bounding box of ``boxes``.

    Raises:
        ValueError: ``boxes`` is empty.
    """
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def clip_box(box: PixelBox, size: tuple[int, int]) -> PixelBox:
    """Return the part of ``box`` inside a picture; its slices never wrap around.

    Args:
        box: pixels of the picture; may reach beyond it, lie outside it or be reversed.
        size: height and width of the picture.

    Returns:
        A box with ``0 <= left <= right <= width`` and ``0 <= top <= bottom <= height``; without
        area where no pixel of ``box`` is in the picture.
    """
    height, width = size
    left, top = min(max(0, box[0]), width), min(max(0, box[1]), height)
    return left, top, max(left, min(box[2], width)), max(top, min(box[3], height))


def shift_box(box: PixelBox, x: int, y: int) -> PixelBox:
    """Return ``box`` moved by ``x`` columns and ``y`` rows."""
    return box[0] + x, box[1] + y, box[2] + x, box[3] + y


def mostly_inside(box: Sides, frame: Sides) -> bool:
    """Return True if at least half of the area of ``box`` lies in ``frame``."""
    return shared_area(box, frame) >= max(0.5 * area(box), 1e-9)


def inside(box: PixelBox, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Return a mask of ``box``, clipped to a picture of ``shape``: bool, ``shape``."""
    mask = np.zeros(shape, bool)
    left, top, right, bottom = clip_box(box, (shape[0], shape[1]))
    mask[top:bottom, left:right] = True
    return mask


def bounds(mask: NDArray[np.bool_]) -> PixelBox:
    """Return the bounding box of the True pixels of ``mask``, bool ``(H, W)``.

    Raises:
        IndexError: no pixel is True.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
