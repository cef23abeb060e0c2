"""Pixel plane layouts: bit depth, chroma subsampling, range and matrix of a planar format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Plane: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of one frame, ``(H, W)``; uint8 for 8 bits, uint16 (value in the low bits) above."""

Stack: TypeAlias = NDArray[np.uint8] | NDArray[np.uint16]
"""One plane of T consecutive frames, ``(T, H, W)``; uint8 or uint16, in the film's bit depth."""

Planes: TypeAlias = tuple[Plane, ...]
"""All planes of one frame: luma, then the two chroma planes (luma alone for gray; RGB: G, B, R)."""


Box: TypeAlias = tuple[int, int, int, int]
"""Bounding box ``(left, top, right, bottom)`` in luma pixels; half-open (right, bottom outside)."""


@dataclass(frozen=True, slots=True)
class PlaneLayout:
    """A planar pixel format: bit depth, chroma subsampling, range, matrix and transfer function.

    A chroma plane has ``ceil(width / 2**shift_x)`` columns and ``ceil(height / 2**shift_y)`` rows.
    With ``rgb`` the planes are green, blue and red, all of full size; green stands in for luma.
    """

    pix_fmt: str  # FFmpeg's name
    bits: int  # per sample, 8 to 16
    shift_x: int  # log2 of the horizontal chroma subsampling
    shift_y: int  # log2 of the vertical chroma subsampling
    planes: int  # number of colour planes, without alpha
    full_range: bool
    rgb: bool = False
    matrix: int = 1  # ITU-T H.273 MatrixCoefficients, between planes and RGB; 1: Rec. 709
    transfer: int = 1  # ITU-T H.273 TransferCharacteristics, between RGB and light; 1: Rec. 709

    @property
    def scale(self) -> int:
        """Number of levels at this depth per 8-bit level: 1, 4 (10 bits), 16 (12 bits)."""
        return 1 << (self.bits - 8)

    @property
    def peak(self) -> int:
        """Largest sample value, ``2**bits - 1``."""
        return (1 << self.bits) - 1

    def plane_size(self, index: int, width: int, height: int) -> tuple[int, int]:
        """Return (rows, columns) of plane ``index`` of a ``width`` x ``height`` picture."""
        if index == 0:
            return height, width
        return -(-height >> self.shift_y), -(-width >> self.shift_x)


def plane_window(box: Box, index: int, layout: PlaneLayout) -> tuple[slice, slice]:
    """Return the slices (rows, columns) of plane ``index`` that ``box`` covers, rounded outward."""
    left, top, right, bottom = box
    if index == 0:
        return np.s_[top:bottom, left:right]
    x, y = layout.shift_x, layout.shift_y
    return np.s_[top >> y : -(-bottom >> y), left >> x : -(-right >> x)]


def as_plane(values: NDArray[np.floating] | NDArray[np.integer], layout: PlaneLayout) -> Plane:
    """Return ``values`` rounded and clipped to ``[0, peak]``, as uint8 (8 bits) or uint16.

    Args:
        values: any shape, in levels of the layout's own depth; the shape is kept.
        layout: gives the bit depth.
    """
    levels = np.clip(np.rint(values), 0, layout.peak)
    if layout.bits == 8:
        return np.asarray(levels, np.uint8)
    return np.asarray(levels, np.uint16)
