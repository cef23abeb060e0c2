"""Rectangles as left, top, right, bottom: what two of them share, what is around several."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Sides: TypeAlias = Sequence[float] | NDArray[np.float64]
"""Left, top, right and bottom, in whatever unit both have."""

PixelBox: TypeAlias = tuple[int, int, int, int]
_Side = TypeVar("_Side", int, float)


def area(box: Sides) -> float:
    """Width times height."""
    return float((box[2] - box[0]) * (box[3] - box[1]))


def shared_area(one: Sides, other: Sides) -> float:
    """The area of what lies in both; 0 where they only meet or lie apart."""
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return float(wide * high) if wide > 0 and high > 0 else 0.0


def overlap(one: Sides, other: Sides) -> float:
    """How much of the smaller one lies in the other, 0 to 1."""
    shared = shared_area(one, other)
    return shared / min(area(one), area(other)) if shared else 0.0


def touch(one: Sides, other: Sides) -> bool:
    """Whether something lies in both."""
    return shared_area(one, other) > 0


def union(
    boxes: Iterable[tuple[_Side, _Side, _Side, _Side]],
) -> tuple[_Side, _Side, _Side, _Side]:
    """The smallest box around all of them, of which there is at least one."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def inside(box: PixelBox, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Where ``box`` lies in a picture of this shape, as far as it does: bool ``shape``."""
    here = np.zeros(shape, bool)
    left, top, right, bottom = box
    here[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return here


def bounds(mask: NDArray[np.bool_]) -> PixelBox:
    """The smallest box around what is set in ``mask``, of which there is something."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
