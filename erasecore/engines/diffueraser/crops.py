"""The rectangle that the networks see of a shot: around the ink, and of one of a few sizes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, ContextNeeds
from erasecore.video.color import Box, PlaneLayout

SURROUNDINGS = ContextNeeds(margin_px=64, min_side_px=256, multiple_of=64, coarse_from_px=1024)
"""Attention inside a frame sees no further than the rectangle: it needs something to go by."""


@dataclass(frozen=True, slots=True)
class Crop:
    """A rectangle of a picture, and the size to which it is padded for the networks.

    ``box`` lies inside the picture; ``width`` and ``height`` are allowed sides.
    Where the picture is smaller, it is reflected at its right and lower border.
    """

    box: Box
    width: int
    height: int

    def padded(self, part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """``part``, ``(H, W, ...)`` of the rectangle's size, as the networks get it."""
        below, beside = self.height - part.shape[0], self.width - part.shape[1]
        padded = cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_REFLECT_101)
        return np.asarray(padded, np.uint8)


def crop_around(hole: Bools, layout: PlaneLayout) -> Crop:
    """The crop for the ink in ``hole``, bool of the whole picture's size, not empty."""
    (top, bottom), (left, right) = (_extent(hole, axis) for axis in (1, 0))
    height, width = hole.shape
    rows = SURROUNDINGS.span(top, bottom, room=height, step=1 << layout.shift_y)
    columns = SURROUNDINGS.span(left, right, room=width, step=1 << layout.shift_x)
    sides = (SURROUNDINGS.side(last - first) for first, last in (columns, rows))
    return Crop((columns[0], rows[0], columns[1], rows[1]), *sides)


def _extent(hole: Bools, across: int) -> tuple[int, int]:
    places = np.flatnonzero(hole.any(axis=across))
    return int(places[0]), int(places[-1]) + 1
