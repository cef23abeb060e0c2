"""Crop of the picture that the diffusion model sees: around the ink, in one of a few sizes."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, ContextNeeds
from erasecore.video.color import Box, PlaneLayout

SURROUNDINGS = ContextNeeds(margin_px=64, min_side_px=256, multiple_of=64, coarse_from_px=1024)
"""Margin and allowed sides of a crop, in pixels (guess).

The model's attention sees nothing outside the crop, so it needs some picture around the ink; few
different sizes keep the number of memory ladders and compiled variants small.
"""


@dataclass(frozen=True, slots=True)
class Crop:
    """Rectangle of a picture, and the size to which it is padded for the model.

    Attributes:
        box: left, top, right, bottom in pixels; inside the picture.
        width: padded width in pixels, an allowed side of `SURROUNDINGS`.
        height: padded height, likewise.
    """

    box: Box
    width: int
    height: int

    def padded(self, part: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Pad ``part``, ``(H, W, ...)`` of the box's size, by reflection on the right and below."""
        below, beside = self.height - part.shape[0], self.width - part.shape[1]
        padded = cv2.copyMakeBorder(part, 0, below, 0, beside, cv2.BORDER_REFLECT_101)
        return np.asarray(padded, np.uint8)


def crop_around(hole: Bools, layout: PlaneLayout) -> Crop:
    """Return the crop for a hole: its bounding box with a margin, aligned to chroma samples.

    Args:
        hole: bool ``(H, W)`` of the whole picture's size; not empty.
        layout: chroma subsampling.
    """
    (top, bottom), (left, right) = (_extent(hole, axis) for axis in (1, 0))
    height, width = hole.shape
    rows = SURROUNDINGS.span(top, bottom, room=height, step=1 << layout.shift_y)
    columns = SURROUNDINGS.span(left, right, room=width, step=1 << layout.shift_x)
    sides = (SURROUNDINGS.side(last - first) for first, last in (columns, rows))
    return Crop((columns[0], rows[0], columns[1], rows[1]), *sides)


def _extent(hole: Bools, across: int) -> tuple[int, int]:
    """Return start and stop of the hole along one axis, reduced over the axis ``across``."""
    indices = np.flatnonzero(hole.any(axis=across))
    return int(indices[0]), int(indices[-1]) + 1
