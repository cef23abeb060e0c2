"""The last frame's fill, brought along the motion to this one: a fill holds still by it.

Every candidate from afar errs in its own way in each frame, and what errs anew in each frame
flickers. The fill of the frame before, one short hop away, holds what all candidates so far have
agreed on; taken as one more candidate it turns the fill into a recursive temporal filter.

Its ring is carried along with it, as the candidates predicted it and not as it was seen. So the
ring ages like the hole does, by drift and by resampling, and judges the trail honestly. Only what
was invented, or was likely to be wrong, is no better for having been there before: its own expected
error goes along.

Where nothing has moved, what is shown stays as it is until the fill has left it by a level: rounded
anew in each frame, a fill that is certain to a fraction of a level would still twinkle.
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

_DOUBT_KEPT = 0.5  # of the expected error of what was invented
_FAIR_LEVELS = 6.0  # an expected error that is no reason to doubt what other frames show
_STILL_PX = 0.1  # moved by less: does not move
_HELD_LEVELS = 1.0  # how far the fill is from what is shown before that is replaced
_NONE = -2  # before a strip's first frame, and not just before it


class TemporalPrior:
    """The fill of the frame before, as a candidate for the next.

    Args:
        strip: whose frames are filled one after the other.
        motion: between its frames.
        aligner: of its rings.
    """

    def __init__(self, strip: InpaintInput, motion: Motion, aligner: Aligner) -> None:
        self._strip, self._motion, self._aligner = strip, motion, aligner
        self._frame = _NONE  # whose fill it is
        self._pictures: tuple[Floats, ...] = ()
        self._shown: tuple[Floats, ...] = ()  # that frame's planes as they were given back
        self._still: Bools | None = None  # samples of the next frame that have not moved since
        self._real: Floats = np.zeros((0, 0), np.float32)
        self._doubt: Floats = np.zeros((0, 0), np.float32)  # levels

    def remember(
        self, frame: int, hole: Hole, pictures: tuple[Floats, ...], mean: FusedCandidates
    ) -> tuple[Floats, ...]:
        """Keep the fill of ``frame``; what is to be shown of it, as ``mean.planes`` are.

        Args:
            frame: the frame; its candidate has been asked for.
            hole: its hole.
            pictures: its planes in 8-bit levels; written to from now on.
            mean: the candidates' mean for all hidden samples, ring included.
        """
        shown = self._held(hole, mean.planes)
        self._frame = frame
        self._real = np.ones(hole.mask.shape, np.float32)
        self._doubt = np.zeros(hole.mask.shape, np.float32)
        self._pictures, self._shown = pictures, tuple(picture.copy() for picture in pictures)
        if hole.inside.any():
            self._real[hole.mask] = mean.real[hole.inside]
            self._doubt[hole.mask] = _doubt(mean)[hole.inside]
            _write(self._pictures, hole, mean.planes)
            _write(self._shown, hole, shown)
        return shown

    def _held(self, hole: Hole, planes: tuple[Floats, ...]) -> tuple[Floats, ...]:
        """``planes``, or what was shown a frame before where that still holds."""
        if self._still is None:
            return planes
        before = _read(self._shown, hole)
        still = (self._still, *[self._still.take(hole.colour_to_luma)] * (len(planes) - 1))
        return tuple(
            np.where(unmoved & (np.abs(new - old) < _HELD_LEVELS), old, new)
            for unmoved, new, old in zip(still, planes, before, strict=True)
        )

    def candidate(self, frame: int, hole: Hole, visible: tuple[Floats, ...]) -> Candidate | None:
        """The fill of the frame before at this one's place, judged; ``None`` where there is none.

        Args:
            frame: the frame to be filled.
            hole: its hole.
            visible: its own samples in the order of the hole's lists.
        """
        self._still = None
        if self._frame != frame - 1 or frame in self._strip.cuts or not hole.inside.size:
            return None
        flow = self._motion.flow(frame, frame - 1)
        if flow is None:
            return None
        rows, columns = hole.rows_columns
        x, y = self._aligned(frame, *flow.follow(rows, columns))
        self._still = np.hypot(x - columns, y - rows) < _STILL_PX
        height, width = hole.mask.shape
        known = (x > -0.5) & (y > -0.5) & (x < width - 0.5) & (y < height - 0.5)
        luma, *colours = self._pictures
        colour_x, colour_y = hole.colour_flat_index(x, y)
        values = (sample(luma, x, y), *[sample(plane, colour_x, colour_y) for plane in colours])
        real = np.asarray(np.clip(sample(self._real, x, y), 0, 1), np.float32)
        doubt = np.maximum(sample(self._doubt, x, y), 0)
        cost = np.asarray(step_cost(flow, rows, columns) + _DOUBT_KEPT * doubt, np.float32)
        return calibrate_on_ring(hole, visible, Candidate(values, known, cost, real))

    def _aligned(self, frame: int, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """The places at which the fill of the frame before fits this one's ring best."""
        ring = self._aligner.ring(frame)
        luma = sample(self._pictures[0], x.take(ring), y.take(ring))
        offset = self._aligner.offset(frame, luma, np.ones(ring.size, bool))
        return (x, y) if offset is None else (x + offset.x, y + offset.y)


def _doubt(mean: FusedCandidates) -> Floats:
    """What is against a fill that stays as it is: all of what is against what was invented."""
    beyond = np.maximum(mean.error - _FAIR_LEVELS, 0)
    return np.asarray(mean.real * beyond + (1 - mean.real) * mean.error, np.float32)


def _read(pictures: tuple[Floats, ...], hole: Hole) -> list[Floats]:
    places = hole.flat_index_in(len(pictures))
    return [picture.take(place) for picture, place in zip(pictures, places, strict=True)]


def _write(pictures: tuple[Floats, ...], hole: Hole, planes: tuple[Floats, ...]) -> None:
    places = hole.flat_index_in(len(pictures))
    for picture, place, values in zip(pictures, places, planes, strict=True):
        picture.ravel()[place] = values
