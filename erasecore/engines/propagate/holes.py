"""The holes of a strip, with everything about them that is the same in every frame."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats, InpaintInput, reduce_mask
from erasecore.video.color import Box, PlaneLayout, plane_window

RING_PX = 3
"""Width of the ring of visible pixels around a hole whose values judge every candidate."""

_ZONE_PX = 8


@dataclass(frozen=True)
class Hole:
    """One hole and the ring around it.

    Attributes:
        mask: bool ``(H, W)``; the hole.
        hidden: bool ``(H, W)``; the hole and its ring, in whole colour samples.
        layout: how the colour planes are reduced.
    """

    mask: Bools
    hidden: Bools
    layout: PlaneLayout

    @cached_property
    def zone(self) -> Box:
        """The rectangle that matters to the hole: its hidden pixels and some around them."""
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
    def in_zone(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the hidden luma and colour samples lie in the zone, counted along its rows.

        With ``take`` such places are read five times as fast as by row and column.
        """
        found = []
        for plane, (rows, columns) in enumerate((self.rows_columns, self.colour_rows_columns)):
            high, wide = plane_window(self.zone, plane, self.layout)
            found.append((rows - high.start) * (wide.stop - wide.start) + columns - wide.start)
        return found[0], found[1]

    @cached_property
    def flat_index(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the hidden luma and colour samples lie in their planes, counted along the rows."""
        luma = np.flatnonzero(self.hidden)
        return luma, np.flatnonzero(reduce_mask(self.hidden, self.layout))

    def flat_index_in(self, planes: int) -> list[NDArray[np.intp]]:
        """The same for each of so many planes, luma first."""
        luma, colour = self.flat_index
        return [luma, *[colour] * (planes - 1)]

    @cached_property
    def rows_columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the hidden luma samples lie, ``(n,)`` each."""
        rows, columns = np.nonzero(self.hidden)
        return rows, columns

    @cached_property
    def inside(self) -> Bools:
        """Which of the hidden luma samples belong to the hole itself, ``(n,)``."""
        inside: Bools = self.mask[self.rows_columns]
        return inside

    @cached_property
    def depth_px(self) -> Floats:
        """How far each hidden luma sample is from the hole's border, 0 on the ring, ``(n,)``."""
        deep = cv2.distanceTransform(self.mask.astype(np.uint8), cv2.DIST_L2, 5)
        return np.asarray(deep[self.rows_columns], np.float32)

    @cached_property
    def touched(self) -> Bools:
        """The hole and the pixels that touch it, ``(H, W)``."""
        touching = np.ones((3, 3), np.uint8)
        return np.asarray(cv2.dilate(self.mask.astype(np.uint8), touching)) > 0

    @cached_property
    def colour_mask(self) -> Bools:
        """The colour samples that the hole touches, ``(h, w)``."""
        return reduce_mask(self.mask, self.layout)

    @cached_property
    def colour_rows_columns(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Where the hidden colour samples lie, ``(m,)`` each."""
        rows, columns = np.nonzero(reduce_mask(self.hidden, self.layout))
        return rows, columns

    @cached_property
    def colour_inside(self) -> Bools:
        """Which of the hidden colour samples belong to the hole itself, ``(m,)``."""
        inside: Bools = self.colour_mask[self.colour_rows_columns]
        return inside

    @cached_property
    def colour_to_luma(self) -> NDArray[np.intp]:
        """For each hidden colour sample the place of its first luma sample in the luma list."""
        place = np.full(self.hidden.shape, -1, np.intp)
        place[self.rows_columns] = np.arange(self.rows_columns[0].size)
        rows, columns = self.colour_rows_columns
        found: NDArray[np.intp] = place[rows << self.layout.shift_y, columns << self.layout.shift_x]
        return found

    def colour_flat_index(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Where the hidden colour samples lie in a frame in which the luma ones lie at ``x, y``."""
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
    """The holes of ``strip.masks``, in their order."""
    return [Hole(mask, _hide(mask, strip.layout), strip.layout) for mask in strip.masks]


def _hide(mask: Bools, layout: PlaneLayout) -> Bools:
    size = 2 * RING_PX + 1
    ring = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    reduced = reduce_mask(cv2.dilate(mask.astype(np.uint8), ring) > 0, layout)
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = mask.shape
    hidden: Bools = reduced.repeat(rows, axis=0).repeat(columns, axis=1)[:height, :width]
    return hidden
