"""Confidence of a candidate, calibrated on the ring of visible pixels around the hole.

A candidate predicts the hole and also a ring of pixels around it that are visible. Its error on the
ring, smoothed over the neighbourhood, gives a local brightness correction and an expected error for
the hidden pixels nearby.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import Hole
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.motion.resample import double_box_blur, sample
from erasecore.video.color import plane_window

# All values are guesses, checked only by the bench as a whole.
_NARROW_PX = 9  # px; box over which errors on the ring are averaged, luma
_WIDE_PX = 41  # px; box where the narrow one contains too little of the ring
_COLOUR_PX = 7  # colour samples; box for the colour planes
_WIDE_REDUCED = 4  # factor by which maps are reduced before the wide box
_MEAN_OF_NORMAL = 0.8  # mean absolute deviation per standard deviation: sqrt(2 / pi)
_MOST_LUMA = 16.0  # 8-bit levels; largest correction of luma
_MOST_COLOUR = 10.0  # 8-bit levels; largest correction of a colour plane


@dataclass(frozen=True, slots=True)
class Candidate:
    """One candidate for the hidden samples of a frame; values in 8-bit levels.

    Attributes:
        planes: float32 samples in the order of the hole's lists: luma ``(n,)``, colour ``(m,)``.
        known: bool ``(n,)``; True where the candidate has a luma value.
        error: float32 ``(n,)``; expected error of the luma, in levels.
        real: float32 ``(n,)``; fraction of each luma sample that comes from other frames, 0 to 1.
        prior_weight: float32 ``(n,)``, or one number; factor applied to its weight in the fusion.
    """

    planes: tuple[Floats, ...]
    known: Bools
    error: Floats
    real: Floats
    prior_weight: Floats | float = 1.0


def calibrate_on_ring(hole: Hole, visible: tuple[Floats, ...], candidate: Candidate) -> Candidate:
    """Return ``candidate`` corrected to fit its ring, with the remaining misfit added to ``error``.

    Args:
        hole: the hole and its ring.
        visible: the frame's own samples in the order of the hole's lists, 8-bit levels (those
            inside the hole are ignored).
        candidate: its ``error`` contains error that is known before calibration.
    """
    on_ring = candidate.known & ~hole.inside
    luma, error = _calibrate_luma(hole, visible[0], candidate, on_ring)
    colour_known = candidate.known[hole.colour_to_luma] & ~hole.colour_inside
    colours = _calibrate_colours(hole, visible[1:], candidate.planes[1:], colour_known)
    return Candidate((luma, *colours), candidate.known, error + candidate.error, candidate.real)


def _calibrate_luma(
    hole: Hole, visible: Floats, candidate: Candidate, on_ring: Bools
) -> tuple[Floats, Floats]:
    """Return luma corrected by the mean error on the ring nearby, and its expected error."""
    index, _ = hole.zone_index
    ring = index[on_ring]
    error, weight = _zone_maps(hole, 0)
    error.ravel()[ring] = (visible - candidate.planes[0])[on_ring]
    weight.ravel()[ring] = 1
    known = double_box_blur(weight, _NARROW_PX)
    offset = double_box_blur(error, _NARROW_PX) / (known + np.float32(1e-3))
    spread = double_box_blur(np.abs(error - offset) * weight, _NARROW_PX) / (
        known + np.float32(1e-3)
    )
    offset, spread, known = (field.take(index) for field in (offset, spread, known))
    deep = np.flatnonzero(known < 0.03)  # deep inside dense glyphs: use the wide box
    if deep.size:
        rows, columns = np.divmod(index[deep], weight.shape[1])
        offset[deep], spread[deep] = _wide_statistics(error, weight, rows, columns)
    corrected = candidate.planes[0] + np.clip(offset, -_MOST_LUMA, _MOST_LUMA)
    return corrected, np.asarray(spread + np.float32(0.3) * np.abs(offset), np.float32)


def _wide_statistics(
    error: Floats, weight: Floats, rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> tuple[Floats, Floats]:
    """Return mean error and mean absolute deviation on the ring within the wide box.

    Args:
        error: float32 ``(h, w)``; error on the ring, in 8-bit levels.
        weight: float32 ``(h, w)``; 1 on the ring, 0 elsewhere.
        rows: rows in these maps for which the statistics are wanted, ``(k,)``.
        columns: their columns.
    """
    height, width = weight.shape
    size = (max(1, width // _WIDE_REDUCED), max(1, height // _WIDE_REDUCED))
    small_weight, small_error, small_square = (
        np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
        for field in (weight, error * weight, error * error * weight)
    )
    box = max(3, _WIDE_PX // _WIDE_REDUCED)
    known = double_box_blur(small_weight, box)
    offset = double_box_blur(small_error, box) / (known + np.float32(1e-4))
    square = double_box_blur(small_square, box) / (known + np.float32(1e-4))
    spread = np.float32(_MEAN_OF_NORMAL) * np.sqrt(np.maximum(square - offset * offset, 0))
    empty = known < 0.004
    offset[empty], spread[empty] = 0, 8
    x = ((columns + 0.5) * (size[0] / width) - 0.5).astype(np.float32)
    y = ((rows + 0.5) * (size[1] / height) - 0.5).astype(np.float32)
    return sample(offset, x, y), sample(spread, x, y)


def _calibrate_colours(
    hole: Hole, visible: Sequence[Floats], proposed: Sequence[Floats], on_ring: Bools
) -> list[Floats]:
    """Return the colour planes ``(m,)``, each corrected by its mean error on the ring nearby."""
    _, index = hole.zone_index
    ring = index[on_ring]
    error, weight = _zone_maps(hole, 1)
    weight.ravel()[ring] = 1
    known = double_box_blur(weight, _COLOUR_PX).take(index)
    corrected = []
    for own, values in zip(visible, proposed, strict=True):
        error.ravel()[ring] = (own - values)[on_ring]
        offset = double_box_blur(error, _COLOUR_PX).take(index) / (known + np.float32(1e-3))
        offset[known < 0.02] = 0
        corrected.append(values + np.clip(offset, -_MOST_COLOUR, _MOST_COLOUR))
    return corrected


def _zone_maps(hole: Hole, plane: int) -> tuple[Floats, Floats]:
    """Return two maps of zeros, the size of the hole's zone in plane ``plane``."""
    rows, columns = plane_window(hole.zone, plane, hole.layout)
    shape = rows.stop - rows.start, columns.stop - columns.start
    return np.zeros(shape, np.float32), np.zeros(shape, np.float32)
