"""How a frame's planes are laid out, so that they can be worked on without conversion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane, ``(H, W)``; uint8 for 8 bits, uint16 (value in the low bits) above."""

Stack: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of a run of frames, ``(T, H, W)``, in the film's own depth."""

Planes: TypeAlias = tuple[Plane, ...]
"""Luma first, then the two colour planes (one plane only for gray)."""


Box: TypeAlias = tuple[int, int, int, int]
"""``(left, top, right, bottom)`` in luma pixels, right and bottom outside."""


@dataclass(frozen=True, slots=True)
class PlaneLayout:
    """A planar pixel format: depth and how far the colour planes are reduced.

    ``pix_fmt`` is FFmpeg's name. Where ``rgb`` is set the planes are green, blue and red, all full
    size, and there is no luma; green does for one. A colour plane has
    ``ceil(width / 2**shift_x)`` columns and ``ceil(height / 2**shift_y)`` rows. ``matrix`` is
    FFmpeg's number of the matrix between the planes and RGB, ``transfer`` that of the curve between
    RGB and light.
    """

    pix_fmt: str
    bits: int
    shift_x: int
    shift_y: int
    planes: int
    full_range: bool
    rgb: bool = False
    matrix: int = 1
    transfer: int = 1

    @property
    def scale(self) -> int:
        """Levels of this depth for one level at 8 bits: 1, 4 (10 bits), 16 (12 bits)."""
        return 1 << (self.bits - 8)

    @property
    def peak(self) -> int:
        """The largest value a sample can have."""
        return (1 << self.bits) - 1

    def plane_size(self, index: int, width: int, height: int) -> tuple[int, int]:
        """Rows and columns of plane ``index`` of a ``width`` x ``height`` picture."""
        if index == 0:
            return height, width
        return -(-height >> self.shift_y), -(-width >> self.shift_x)


def plane_window(box: Box, index: int, layout: PlaneLayout) -> tuple[slice, slice]:
    """The rows and columns of plane ``index`` that ``box`` covers."""
    left, top, right, bottom = box
    if index == 0:
        return np.s_[top:bottom, left:right]
    x, y = layout.shift_x, layout.shift_y
    return np.s_[top >> y : -(-bottom >> y), left >> x : -(-right >> x)]


def as_plane(values: NDArray[np.floating] | NDArray[np.integer], layout: PlaneLayout) -> Plane:
    """``values``, rounded and clipped, as samples of the layout's depth."""
    levels = np.clip(np.rint(values), 0, layout.peak)
    if layout.bits == 8:
        return np.asarray(levels, np.uint8)
    return np.asarray(levels, np.uint16)
