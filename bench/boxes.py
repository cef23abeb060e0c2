"""Rectangles as ``(left, top, right, bottom)`` in pixels of the stored picture."""

from __future__ import annotations

from typing import TypeAlias

Box: TypeAlias = tuple[float, float, float, float]
PixelBox: TypeAlias = tuple[int, int, int, int]


def intersection(one: Box, other: Box) -> float:
    """The area two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, width) * max(0.0, height)


def area(box: Box) -> float:
    """The area of a box; 0 for one turned inside out."""
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def grow(box: PixelBox, by_px: int, width: int, height: int) -> PixelBox:
    """The box grown on all sides, kept inside a picture of that size."""
    return (
        max(0, box[0] - by_px),
        max(0, box[1] - by_px),
        min(width, box[2] + by_px),
        min(height, box[3] + by_px),
    )
