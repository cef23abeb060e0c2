"""How far a candidate for the hidden pixels can be believed: its ring of visible pixels tells.

A candidate predicts not only the hole but also a ring of pixels around it that can be seen. The
error on the ring, smoothed, gives a correction of brightness and an expected error for the hidden
pixels nearby.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import Hole
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.motion.resample import sample, soft
from erasecore.video.color import plane_window

_NARROW_PX, _WIDE_PX, _COLOUR_PX = 9, 41, 7
_WIDE_REDUCED = 4
_MEAN_OF_NORMAL = 0.8  # mean absolute deviation for one standard deviation
_MOST_LUMA, _MOST_COLOUR = 16.0, 10.0  # largest correction, in levels


@dataclass(frozen=True, slots=True)
class Candidate:
    """One proposal for the hidden pixels of a frame, values in 8-bit levels.

    Attributes:
        planes: float32 samples in the order of the hole's lists: luma ``(n,)``, colour ``(m,)``.
        known: bool ``(n,)``; which luma samples it has a value for.
        error: float32 ``(n,)``; expected error of the luma, in levels.
        real: float32 ``(n,)``; how much of each luma sample is other frames' pixels, 0 to 1.
        favour: float32 ``(n,)``, or one number; what its weight is multiplied by.
    """

    planes: tuple[Floats, ...]
    known: Bools
    error: Floats
    real: Floats
    prior_weight: Floats | float = 1.0


def calibrate_on_ring(hole: Hole, visible: tuple[Floats, ...], proposal: Candidate) -> Candidate:
    """``proposal`` corrected to fit its ring, its ``error`` raised by how badly it fitted.

    Args:
        hole: the hole and its ring.
        visible: the frame's own samples in the order of the hole's lists (of no meaning inside
            the hole itself).
        proposal: what to judge; its ``error`` holds what is known against it already.
    """
    on_ring = proposal.known & ~hole.inside
    luma, error = _luma(hole, visible[0], proposal, on_ring)
    colour_known = proposal.known[hole.colour_to_luma] & ~hole.colour_inside
    colours = _colours(hole, visible[1:], proposal.planes[1:], colour_known)
    return Candidate((luma, *colours), proposal.known, error + proposal.error, proposal.real)


def _luma(
    hole: Hole, visible: Floats, proposal: Candidate, on_ring: Bools
) -> tuple[Floats, Floats]:
    """Luma corrected by the ring nearby, and by how much it is still expected to err, in levels."""
    places, _ = hole.in_zone
    ring = places[on_ring]
    error, weight = _maps(hole, 0)
    error.ravel()[ring] = (visible - proposal.planes[0])[on_ring]
    weight.ravel()[ring] = 1
    known = soft(weight, _NARROW_PX)
    offset = soft(error, _NARROW_PX) / (known + np.float32(1e-3))
    spread = soft(np.abs(error - offset) * weight, _NARROW_PX) / (known + np.float32(1e-3))
    offset, spread, known = (one.take(places) for one in (offset, spread, known))
    deep = np.flatnonzero(known < 0.03)  # deep inside dense glyphs: ask a wider ring
    if deep.size:
        rows, columns = np.divmod(places[deep], weight.shape[1])
        offset[deep], spread[deep] = _ask_wide(error, weight, rows, columns)
    corrected = proposal.planes[0] + np.clip(offset, -_MOST_LUMA, _MOST_LUMA)
    return corrected, np.asarray(spread + np.float32(0.3) * np.abs(offset), np.float32)


def _ask_wide(
    error: Floats, weight: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Offset and spread at the given places from a wide surrounding, on reduced maps."""
    height, width = weight.shape
    size = (max(1, width // _WIDE_REDUCED), max(1, height // _WIDE_REDUCED))
    small_weight, small_error, small_square = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
        for one in (weight, error * weight, error * error * weight)
    )
    blur = max(3, _WIDE_PX // _WIDE_REDUCED)
    known = soft(small_weight, blur)
    offset = soft(small_error, blur) / (known + np.float32(1e-4))
    square = soft(small_square, blur) / (known + np.float32(1e-4))
    spread = np.float32(_MEAN_OF_NORMAL) * np.sqrt(np.maximum(square - offset * offset, 0))
    nothing = known < 0.004
    offset[nothing], spread[nothing] = 0, 8
    x = ((columns + 0.5) * (size[0] / width) - 0.5).astype(np.float32)
    y = ((rows + 0.5) * (size[1] / height) - 0.5).astype(np.float32)
    return sample(offset, x, y), sample(spread, x, y)


def _colours(
    hole: Hole, visible: Sequence[Floats], proposed: Sequence[Floats], on_ring: Bools
) -> list[Floats]:
    """The colour planes, each corrected by its ring nearby."""
    _, places = hole.in_zone
    ring = places[on_ring]
    error, weight = _maps(hole, 1)
    weight.ravel()[ring] = 1
    known = soft(weight, _COLOUR_PX).take(places)
    corrected = []
    for own, values in zip(visible, proposed, strict=True):
        error.ravel()[ring] = (own - values)[on_ring]
        offset = soft(error, _COLOUR_PX).take(places) / (known + np.float32(1e-3))
        offset[known < 0.02] = 0
        corrected.append(values + np.clip(offset, -_MOST_COLOUR, _MOST_COLOUR))
    return corrected


def _maps(hole: Hole, plane: int) -> tuple[Floats, Floats]:
    """Two empty maps of the hole's zone in plane ``plane``."""
    rows, columns = plane_window(hole.zone, plane, hole.layout)
    shape = rows.stop - rows.start, columns.stop - columns.start
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
