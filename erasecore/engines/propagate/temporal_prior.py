"""Temporal prior: the previous frame's fill, warped to this frame, as one more candidate.

Candidates from distant frames err differently in each frame, which flickers. The previous frame's
fill, one flow step away, is the average of all earlier candidates; used as a candidate it turns the
fill into a recursive temporal filter.

Its ring is warped along as the candidates predicted it, not as it was visible. So the ring ages
like the hole, by drift and resampling, and its calibration is honest. Pixels that were invented or
doubtful are no more reliable for being repeated: part of their expected error is carried along.

Where nothing moves, the output keeps its value until the fill differs by one level. Otherwise
rounding in each frame would make a steady fill twinkle.
"""

from __future__ import annotations

import numpy as np

from erasecore.engines.propagate.confidence import Candidate, calibrate_on_ring
from erasecore.engines.propagate.fusion import FusedCandidates
from erasecore.engines.propagate.holes import Hole
from erasecore.engines.propagate.subpixel_align import Aligner
from erasecore.engines.propagate.trajectories import step_cost
from erasecore.model.inpaint_input import Bools, Floats, InpaintInput
from erasecore.motion.flow import Motion
from erasecore.motion.resample import sample

_ERROR_KEPT = 0.5  # share of the carried error that is added to the next frame's (guess)
_FAIR_LEVELS = 6.0  # 8-bit levels; real pixels are doubtful only above this expected error (guess)
_STILL_PX = 0.1  # px; displacement below which a pixel counts as not moving (guess)
_HELD_LEVELS = 1.0  # 8-bit levels; change of the fill from which a still pixel is updated
_NO_FRAME = -2  # neither a frame nor the one before the first


class TemporalPrior:
    """Keeps the previous frame's fill and warps it to the next frame.

    Args:
        strip: frames that are filled in order.
        motion: flow between them.
        aligner: subpixel alignment on their rings.
    """

    def __init__(self, strip: InpaintInput, motion: Motion, aligner: Aligner) -> None:
        self._strip, self._motion, self._aligner = strip, motion, aligner
        self._frame = _NO_FRAME  # index of the frame whose fill is kept
        self._pictures: tuple[Floats, ...] = ()  # its planes with the fill, 8-bit levels
        self._output: tuple[Floats, ...] = ()  # its planes as they were returned, 8-bit levels
        self._still: Bools | None = None  # (n,); hidden samples of the next frame that do not move
        self._real: Floats = np.zeros((0, 0), np.float32)  # (H, W); 0 invented to 1 real
        self._carried: Floats = np.zeros((0, 0), np.float32)  # (H, W); carried error, in levels

    def update(
        self, frame: int, hole: Hole, pictures: tuple[Floats, ...], mean: FusedCandidates
    ) -> tuple[Floats, ...]:
        """Store the fill of ``frame`` and return its output samples, shaped as ``mean.planes``.

        Args:
            frame: the frame; `candidate` must have been called for it.
            hole: its hole.
            pictures: its planes in 8-bit levels; ownership passes to this object, which modifies
                them.
            mean: fused candidates for all hidden samples, ring included.
        """
        output = self._hold_still(hole, mean.planes)
        self._frame = frame
        self._real = np.ones(hole.mask.shape, np.float32)
        self._carried = np.zeros(hole.mask.shape, np.float32)
        self._pictures, self._output = pictures, tuple(picture.copy() for picture in pictures)
        if hole.inside.any():
            self._real[hole.mask] = mean.real[hole.inside]
            self._carried[hole.mask] = _carried_error(mean)[hole.inside]
            _write(self._pictures, hole, mean.planes)
            _write(self._output, hole, output)
        return output

    def _hold_still(self, hole: Hole, planes: tuple[Floats, ...]) -> tuple[Floats, ...]:
        """Return ``planes``, with the previous output where a still pixel changed by < 1 level."""
        if self._still is None:
            return planes
        before = _read(self._output, hole)
        still = (self._still, *[self._still.take(hole.colour_to_luma)] * (len(planes) - 1))
        return tuple(
            np.where(unmoved & (np.abs(new - old) < _HELD_LEVELS), old, new)
            for unmoved, new, old in zip(still, planes, before, strict=True)
        )

    def candidate(self, frame: int, hole: Hole, visible: tuple[Floats, ...]) -> Candidate | None:
        """Return the previous fill, warped to ``frame`` and calibrated on its ring.

        Args:
            frame: the frame to be filled.
            hole: its hole.
            visible: its own samples in the order of the hole's lists, 8-bit levels.

        Returns:
            The candidate; ``None`` if the previous frame is not stored, belongs to another shot or
            has no flow, or if the hole is empty.
        """
        self._still = None
        if self._frame != frame - 1 or frame in self._strip.cuts or not hole.inside.size:
            return None
        flow = self._motion.flow(frame, frame - 1)
        if flow is None:
            return None
        rows, columns = hole.rows_columns
        x, y = self._align(frame, *flow.warp_points(rows, columns))
        self._still = np.hypot(x - columns, y - rows) < _STILL_PX
        height, width = hole.mask.shape
        known = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
        luma, *colours = self._pictures
        colour_x, colour_y = hole.colour_points(x, y)
        values = (sample(luma, x, y), *[sample(plane, colour_x, colour_y) for plane in colours])
        real = np.asarray(np.clip(sample(self._real, x, y), 0, 1), np.float32)
        carried = np.maximum(sample(self._carried, x, y), 0)
        error = np.asarray(step_cost(flow, rows, columns) + _ERROR_KEPT * carried, np.float32)
        return calibrate_on_ring(hole, visible, Candidate(values, known, error, real))

    def _align(self, frame: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Shift positions ``(n,)`` in the previous frame to where its fill fits the ring best."""
        ring = self._aligner.ring(frame)
        luma = sample(self._pictures[0], x.take(ring), y.take(ring))
        offset = self._aligner.offset(frame, luma, np.ones(ring.size, bool))
        return (x, y) if offset is None else (x + offset.x, y + offset.y)


def _carried_error(mean: FusedCandidates) -> Floats:
    """Return the expected error that the fill carries to the next frame, ``(n,)``, in levels.

    All of it for invented pixels; for real ones what exceeds `_FAIR_LEVELS`.
    """
    excess = np.maximum(mean.error - _FAIR_LEVELS, 0)
    return np.asarray(mean.real * excess + (1 - mean.real) * mean.error, np.float32)


def _read(pictures: tuple[Floats, ...], hole: Hole) -> list[Floats]:
    """Return the hidden samples of each plane, in the order of the hole's lists."""
    indices = hole.flat_index_per_plane(len(pictures))
    return [picture.take(index) for picture, index in zip(pictures, indices, strict=True)]


def _write(pictures: tuple[Floats, ...], hole: Hole, planes: tuple[Floats, ...]) -> None:
    """Write the hidden samples of each plane into ``pictures``, in place."""
    indices = hole.flat_index_per_plane(len(pictures))
    for picture, index, values in zip(pictures, indices, planes, strict=True):
        picture.ravel()[index] = values
