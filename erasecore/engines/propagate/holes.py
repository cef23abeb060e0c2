"""Hole geometry: masks, ring and sample indices of each distinct hole of a strip.

Luma samples that are hidden (the hole and its ring) form a list of ``n`` samples, hidden chroma
("colour") samples one of ``m``; all arrays of this engine use the row-major order of these lists.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats, InpaintInput, reduce_mask
from erasecore.video.color import Box, PlaneLayout, plane_window

RING_PX = 3
"""Width in pixels of the ring around a hole on which candidates are calibrated (guess)."""

_ZONE_PX = 8  # px of picture around the hidden pixels in the zone; covers the narrow blurs


@dataclass(frozen=True)
class Hole:
    """One distinct hole and the ring around it.

    Attributes:
        mask: bool ``(H, W)``; the hole.
        hidden: bool ``(H, W)``; the hole and its ring, rounded out to whole chroma samples.
        layout: chroma subsampling.
    """

    mask: Bools
    hidden: Bools
    layout: PlaneLayout

    @cached_property
    def zone(self) -> Box:
        """Bounding box of the hidden pixels with a margin: left, top, right, bottom in luma pixels.

        Aligned to chroma samples; empty for an empty hole.
        """
        rows, columns = self.rows_columns
        if not rows.size:
            return 0, 0, 0, 0
        step_x, step_y = 1 << self.layout.shift_x, 1 << self.layout.shift_y
        height, width = self.hidden.shape
        left = max(0, int(columns.min()) - _ZONE_PX) // step_x * step_x
        top = max(0, int(rows.min()) - _ZONE_PX) // step_y * step_y
        right = min(width, -(-(int(columns.max()) + 1 + _ZONE_PX) // step_x) * step_x)
        bottom = min(height, -(-(int(rows.max()) + 1 + _ZONE_PX) // step_y) * step_y)
        return left, top, right, bottom

    @cached_property
    def zone_index(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Flat indices of the hidden luma ``(n,)`` and colour ``(m,)`` samples within the zone.

        ``take`` with flat indices is five times as fast as indexing by row and column.
        """
        found = []
        for plane, (rows, columns) in enumerate((self.rows_columns, self.colour_rows_columns)):
            high, wide = plane_window(self.zone, plane, self.layout)
            found.append((rows - high.start) * (wide.stop - wide.start) + columns - wide.start)
        return found[0], found[1]

    @cached_property
    def flat_index(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Flat indices of the hidden luma ``(n,)`` and colour ``(m,)`` samples in their planes."""
        luma = np.flatnonzero(self.hidden)
        return luma, np.flatnonzero(reduce_mask(self.hidden, self.layout))

    def flat_index_per_plane(self, planes: int) -> list[NDArray[np.intp]]:
        """Return `flat_index` for each of ``planes`` planes, luma first."""
        luma, colour = self.flat_index
        return [luma, *[colour] * (planes - 1)]

    @cached_property
    def rows_columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the hidden luma samples, ``(n,)`` each."""
        rows, columns = np.nonzero(self.hidden)
        return rows, columns

    @cached_property
    def inside(self) -> Bools:
        """Flag for each hidden luma sample: True in the hole, False on the ring, ``(n,)``."""
        inside: Bools = self.mask[self.rows_columns]
        return inside

    @cached_property
    def depth_px(self) -> Floats:
        """Distance of each hidden luma sample from the hole's border, 0 on the ring, ``(n,)``."""
        deep = cv2.distanceTransform(self.mask.astype(np.uint8), cv2.DIST_L2, 5)
        # In a hole without a border OpenCV gives the largest float.
        return np.minimum(deep[self.rows_columns], np.float32(max(self.mask.shape)))

    @cached_property
    def dilated(self) -> Bools:
        """Hole dilated by one pixel, bool ``(H, W)``."""
        touching = np.ones((3, 3), np.uint8)
        return np.asarray(cv2.dilate(self.mask.astype(np.uint8), touching)) > 0

    @cached_property
    def colour_mask(self) -> Bools:
        """Colour samples that the hole touches, bool ``(h, w)``."""
        return reduce_mask(self.mask, self.layout)

    @cached_property
    def colour_rows_columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns of the hidden colour samples, ``(m,)`` each."""
        rows, columns = np.nonzero(reduce_mask(self.hidden, self.layout))
        return rows, columns

    @cached_property
    def colour_inside(self) -> Bools:
        """Flag for each hidden colour sample: True in the hole, False on the ring, ``(m,)``."""
        inside: Bools = self.colour_mask[self.colour_rows_columns]
        return inside

    @cached_property
    def colour_to_luma(self) -> NDArray[np.intp]:
        """Index of each hidden colour sample's first luma sample in the luma list, ``(m,)``."""
        index = np.full(self.hidden.shape, -1, np.intp)
        index[self.rows_columns] = np.arange(self.rows_columns[0].size)
        rows, columns = self.colour_rows_columns
        found: NDArray[np.intp] = index[rows << self.layout.shift_y, columns << self.layout.shift_x]
        return found

    def colour_points(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Convert luma positions in another frame to the positions of the colour samples there.

        Args:
            x: float32 ``(n,)``; columns of the hidden luma samples in the other frame, in pixels.
            y: float32 ``(n,)``; their rows.

        Returns:
            Columns and rows of the hidden colour samples, float32 ``(m,)`` each, in colour samples.
        """
        rows, columns = self.rows_columns
        colour_rows, colour_columns = self.colour_rows_columns
        first = self.colour_to_luma
        shift_x = (x[first] - columns[first]) / (1 << self.layout.shift_x)
        shift_y = (y[first] - rows[first]) / (1 << self.layout.shift_y)
        return (
            np.asarray(colour_columns + shift_x, np.float32),
            np.asarray(colour_rows + shift_y, np.float32),
        )


def find_holes(strip: InpaintInput) -> list[Hole]:
    """Return a `Hole` for each of ``strip.masks``, in the same order."""
    return [Hole(mask, _dilate_by_ring(mask, strip.layout), strip.layout) for mask in strip.masks]


def _dilate_by_ring(mask: Bools, layout: PlaneLayout) -> Bools:
    """Dilate a mask ``(H, W)`` by `RING_PX` and round it out to whole chroma samples."""
    size = 2 * RING_PX + 1
    ring = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    reduced = reduce_mask(cv2.dilate(mask.astype(np.uint8), ring) > 0, layout)
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = mask.shape
    hidden: Bools = reduced.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]
    return hidden
