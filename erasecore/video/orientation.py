"""Orientation: how players turn or mirror the stored picture (display matrix, rotation flag).

Phones store portrait films lying on their side, with a flag. Everything that looks at a picture
(detection, OCR, recovery, preview, regions) works on it as it is seen; files hold it as stored.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.settings import DetectSettings, PictureFrame, Region, RegionUnit
from erasecore.video.color import Plane, PlaneLayout

_Array = TypeVar("_Array", bound=NDArray[np.generic])
_MATRIX_BYTES = 36
"""FFmpeg's display matrix: nine int32, row by row ``a b u, c d v, x y w`` (ISO 14496-12, 6.2.2)."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight ways to turn a picture by quarters: transposed first, then mirrored."""

    transposed: bool = False  # rows and columns are exchanged: a quarter turn, with one mirror
    mirrored_x: bool = False  # left and right are exchanged, after transposing
    mirrored_y: bool = False  # top and bottom are exchanged, after transposing

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Return the size of a turned ``width`` x ``height`` picture; its own inverse."""
        return (height, width) if self.transposed else (width, height)

    def layout(self, layout: PlaneLayout) -> PlaneLayout:
        """Return the layout of turned planes; its own inverse."""
        if not self.transposed:
            return layout
        return replace(layout, shift_x=layout.shift_y, shift_y=layout.shift_x)

    def view(self, picture: _Array) -> _Array:
        """Return a turned view of a stored picture or plane, ``(H, W)`` or ``(H, W, C)``."""
        turned = picture.swapaxes(0, 1) if self.transposed else picture
        rows, columns = (slice(None, None, -1 if m else 1) for m in self._mirrored)
        return turned[rows, columns]  # type: ignore[return-value]

    def copy(self, plane: Plane) -> Plane:
        """Return a turned copy of a stored plane ``(H, W)``; the plane itself where nothing turns.

        The copy is contiguous, since OpenCV copies a turned view each time it is used.
        """
        if self == UPRIGHT:
            return plane
        turned = cv2.transpose(plane) if self.transposed else plane
        if any(self._mirrored):
            turned = cv2.flip(turned, _FLIP_CODES[self._mirrored])
        return turned  # type: ignore[return-value]

    @property
    def _mirrored(self) -> tuple[bool, bool]:
        """Mirrored rows (top and bottom), mirrored columns (left and right)."""
        return self.mirrored_y, self.mirrored_x


UPRIGHT = Orientation()
"""Orientation of a picture that is seen as it is stored."""
_FLIP_CODES = {(True, False): 0, (False, True): 1, (True, True): -1}
"""Mirrored rows and columns -> OpenCV's flip code."""


def orientation_of(matrix: bytes | None) -> Orientation:
    """Return the orientation that a frame's display matrix asks for.

    Args:
        matrix: FFmpeg's side data ``AV_FRAME_DATA_DISPLAYMATRIX``; ``None``: the frame has none.

    Returns:
        ``UPRIGHT`` also for turns by other angles than quarters, which only players can show.
    """
    if matrix is None or len(matrix) < _MATRIX_BYTES:
        return UPRIGHT
    # A stored point (x, y) is seen at (a x + c y, b x + d y), but for the offsets.
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:_MATRIX_BYTES])
    if a and d and not b and not c:
        return Orientation(mirrored_x=a < 0, mirrored_y=d < 0)
    if b and c and not a and not d:
        return Orientation(transposed=True, mirrored_x=c < 0, mirrored_y=b < 0)
    return UPRIGHT


def regions_as_seen(
    detect: DetectSettings, orientation: Orientation, size: tuple[int, int]
) -> tuple[Region, ...]:
    """Return ``detect.regions`` as rectangles of the picture as it is seen, in fractions of it.

    Args:
        detect: the regions, and the picture that they are places of (``regions_frame``).
        orientation: of the film.
        size: width and height of the picture as it is seen, px.
    """
    if detect.regions_frame is PictureFrame.SEEN:
        return tuple(_in_fractions(region, *size) for region in detect.regions)
    stored = orientation.size(*size)
    return tuple(_turned(_in_fractions(one, *stored), orientation) for one in detect.regions)


def _in_fractions(region: Region, width: int, height: int) -> Region:
    """Return a region in fractions of a picture of ``width`` x ``height`` px, clipped to it."""
    if region.unit is RegionUnit.SHARE:
        return region
    if region.unit is RegionUnit.PERCENT:
        width = height = 100
    left, right = (min(1.0, side / width) for side in (region.left, region.right))
    top, bottom = (min(1.0, side / height) for side in (region.top, region.bottom))
    return Region(left, top, right, bottom, times=region.times)


def _turned(region: Region, orientation: Orientation) -> Region:
    """Return where a rectangle of the stored picture is seen."""
    left, top, right, bottom = region.left, region.top, region.right, region.bottom
    if orientation.transposed:
        left, top, right, bottom = top, left, bottom, right
    if orientation.mirrored_x:
        left, right = 1 - right, 1 - left
    if orientation.mirrored_y:
        top, bottom = 1 - bottom, 1 - top
    return Region(left, top, right, bottom, times=region.times)
