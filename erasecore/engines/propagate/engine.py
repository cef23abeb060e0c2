"""Default engine: bidirectional flow-guided propagation of real background pixels, CPU only.

As the propagation stage of ProPainter or E2FGVI, without learned weights. Every hidden pixel has
up to five candidates: propagated from the past, propagated from the future, the temporal prior
(previous fill, warped), the unblended background if the ink is translucent, and, where the first
two are doubtful, spatial inpainting. Candidates are calibrated on the visible ring around the hole
and averaged with weights that fall with their expected error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Filled, FilledFrame, Origin, Tick, Traits
from erasecore.engines.propagate.confidence import Candidate, calibrate_on_ring
from erasecore.engines.propagate.fusion import fuse
from erasecore.engines.propagate.holes import Hole, find_holes
from erasecore.engines.propagate.subpixel_align import Aligner
from erasecore.engines.propagate.temporal_prior import TemporalPrior
from erasecore.engines.propagate.trajectories import FlowChainer, Sources, WeightedSources
from erasecore.model.inpaint_input import Bools, Floats, InpaintInput
from erasecore.motion.flow import Motion
from erasecore.motion.inpaint_spatial import coherence_weights, membrane
from erasecore.motion.lru_cache import LruCache
from erasecore.motion.resample import sample_stack
from erasecore.video.color import Plane, as_plane, plane_window

# Levels are 8-bit luma levels. Values without a source are guesses, checked only by the bench.
_DOUBTFUL_LEVELS = 4.0  # levels; expected error above which a pixel wants a spatial candidate
_DOUBTFUL_SHARE = 0.02  # of the hole's pixels; if more are doubtful, the candidate is computed
_UNKNOWN_LEVELS = 99.0  # levels; expected error of a pixel that no other frame shows
_MEMBRANE_ITERATIONS = (6, 2, 2)  # relaxation steps for luma and the two colour planes

# Expected error of a spatial fill; measured with burned-in text over real clips.
_FLAT_DEPTH_PX = 3.0  # px; depth constant with which the error's growth into the hole levels off
_RING_NOISE = 0.7  # levels; part of the ring's error that is coding noise
_LEAST_ERROR = 0.5  # levels; smallest expected error
_DEPTH_ERROR = 0.15  # levels per px of depth, for any ring

# Weight multiplier of a spatial fill, 1 plus three terms; see `_spatial_weight`.
_FLAT_WEIGHT = 4.0  # added where its expected error is small (8 left visible specks on the bench)
_FLAT_LEVELS = 2.0  # levels; error at which this term has half its value
_BETTER_WEIGHT = 10.0  # added where all other candidates are bad and it is better
_BETTER_FACTOR = 0.8  # its error relative to the best other one at which the term is halved
_BAD_LEVELS = 4.0  # levels; best error of the others at which the same term is halved
_LOST_WEIGHT = 4.0  # added where the others' errors are so large that they are useless
_LOST_LEVELS = 12.0  # levels; best error of the others at which this term has half its value


class PropagateEngine:
    """Fills the hole with real pixels of other frames that show the same point of the scene."""

    traits = Traits(name="propagate", context_seconds=0.5)

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """Return new samples for the hole; ``prior`` is ignored."""
        del prior
        return _Fill(strip, tick).run()


class _Fill:
    """State of filling one strip."""

    def __init__(self, strip: InpaintInput, tick: Tick) -> None:
        self._strip, self._tick = strip, tick
        self._holes = find_holes(strip)
        self._motion = Motion(strip, np.stack([hole.hidden for hole in self._holes]))
        self._scale = np.float32(strip.layout.scale)
        self._aligner = Aligner(strip, self._holes)
        self._temporal_prior = TemporalPrior(strip, self._motion, self._aligner)
        self._visible_cache = LruCache(self._make_visible, 1)

    def run(self) -> Filled:
        """Propagate backward in time from the last frame, then forward, fusing frame by frame."""
        strip = self._strip
        future: dict[int, _StoredCandidate] = {}
        chainer = FlowChainer(strip, self._holes, self._motion, self._aligner, step=1)
        for frame in range(strip.frames - 1, strip.fill_start - 1, -1):
            sources = chainer.sources_of(frame)
            if frame < strip.fill_stop and sources.best.frame.size:
                future[frame] = _StoredCandidate.pack(self._propagated(frame, sources))
            self._tick(0.5 * (strip.frames - frame) / strip.frames)
        chainer = FlowChainer(strip, self._holes, self._motion, self._aligner, step=-1)
        filled = []
        for frame in range(strip.fill_stop):
            sources = chainer.sources_of(frame)
            if frame >= strip.fill_start:
                past = self._propagated(frame, sources) if sources.best.frame.size else None
                stored = future.pop(frame, None)
                ahead = None if stored is None else stored.unpack()
                filled.append(self._fuse(frame, past, ahead))
            self._tick(0.5 + 0.5 * (frame + 1) / strip.fill_stop)
        return Filled(tuple(filled))

    # -- candidates --------------------------------------------------------------------------

    def _propagated(self, frame: int, weighted: WeightedSources) -> Candidate:
        """Sample other frames at ``weighted``: the candidate of one direction, calibrated."""
        hole, best = self._hole(frame), weighted.best
        luma = np.zeros(best.frame.size, np.float32)
        colours = [np.zeros(hole.colour_inside.size, np.float32) for _ in self._strip.planes[1:]]
        for sources, share in weighted.alternatives:
            frames = np.where(sources.frame >= 0, sources.frame, frame)
            values = sample_stack(self._strip.planes[0], frames, sources.x, sources.y)
            luma += share * values / self._scale
            colour_share = share.take(hole.colour_to_luma)
            sampled = self._sample_colours(hole, frames, sources)
            for total, colour in zip(colours, sampled, strict=True):
                total += colour_share * colour
        known = best.frame >= 0
        real = known.astype(np.float32)
        candidate = Candidate((luma, *colours), known, best.cost, real)
        return calibrate_on_ring(hole, self._visible(frame), candidate)

    def _sample_colours(
        self, hole: Hole, frames: NDArray[np.intp], sources: Sources
    ) -> list[Floats]:
        """Sample the colour planes at the positions of ``sources``: ``(m,)`` each, 8-bit levels."""
        if len(self._strip.planes) == 1:
            return []
        x, y = hole.colour_points(sources.x, sources.y)
        return [
            sample_stack(plane, frames.take(hole.colour_to_luma), x, y) / self._scale
            for plane in self._strip.planes[1:]
        ]

    def _spatial(self, frame: int, others: Floats) -> Candidate:
        """Spatial inpainting of the hole, with an expected error from how it predicts the ring.

        The values come from filling the hole only; the error from filling hole and ring.

        Args:
            frame: the frame.
            others: float32 ``(n,)``; smallest expected error of the other candidates, in levels.
        """
        hole = self._hole(frame)
        layout = self._strip.layout
        masks = [hole.mask, *[hole.colour_mask] * (len(self._strip.planes) - 1)]
        windows = [plane_window(hole.zone, plane, layout) for plane in range(len(masks))]
        pictures = [
            stack[frame][window].astype(np.float32) / self._scale
            for stack, window in zip(self._strip.planes, windows, strict=True)
        ]
        weights = coherence_weights(pictures[0], hole.hidden[windows[0]])
        filled = [
            membrane(picture, mask[window], iterations, None if plane else weights)
            for plane, (picture, mask, window, iterations) in enumerate(
                zip(pictures, masks, windows, _MEMBRANE_ITERATIONS, strict=False)
            )
        ]
        luma_index, colour_index = hole.zone_index
        values = [filled[0].take(luma_index), *[one.take(colour_index) for one in filled[1:]]]
        known = np.ones(hole.inside.size, bool)
        over_ring = membrane(
            pictures[0], hole.hidden[windows[0]], _MEMBRANE_ITERATIONS[0], weights
        ).take(luma_index)
        zero = np.zeros(known.size, np.float32)
        trial = Candidate((over_ring, *values[1:]), known, zero, zero)
        calibrated = calibrate_on_ring(hole, self._visible(frame), trial)
        error = _spatial_error(calibrated.error, hole.depth_px)
        return Candidate(
            tuple(values), known, error, zero, prior_weight=_spatial_weight(error, others)
        )

    def _unblended(self, frame: int) -> Candidate | None:
        """Background solved for through translucent ink, or ``None`` if this frame has none."""
        unblended, hole = self._strip.seen_through.get(frame), self._hole(frame)
        if unblended is None or not hole.inside.size:
            return None
        known = hole.inside & unblended.mask[hole.rows_columns]
        indices = (hole.rows_columns, *[hole.colour_rows_columns] * (len(unblended.planes) - 1))
        values = tuple(
            plane[index].astype(np.float32) / self._scale
            for plane, index in zip(unblended.planes, indices, strict=True)
        )
        error = np.full(known.size, unblended.error, np.float32)
        return Candidate(values, known, error, known.astype(np.float32))

    # -- fusion ------------------------------------------------------------------------------

    def _fuse(self, frame: int, past: Candidate | None, future: Candidate | None) -> FilledFrame:
        """Collect all candidates for ``frame``, fuse them and classify the origin of each pixel."""
        hole = self._hole(frame)
        real = [candidate for candidate in (past, future) if candidate is not None]
        best = _least_error(real, hole.inside.size)
        candidates = list(real)
        prior = self._temporal_prior.candidate(frame, hole, self._visible(frame))
        if prior is not None:
            candidates.append(prior)
        if self._is_doubtful(hole, best):
            candidates.append(self._spatial(frame, _least_error(candidates, best.size)))
        unblended = self._unblended(frame)
        if unblended is not None:
            candidates.append(unblended)
        mean = fuse(hole, candidates, planes=len(self._strip.planes))
        output = self._temporal_prior.update(frame, hole, tuple(self._pictures(frame)), mean)
        inside = hole.inside
        origin = np.where(mean.real > 0.5, Origin.PROPAGATED, Origin.INVENTED)
        if unblended is not None:
            better = unblended.known & (unblended.error < best)
            origin[better] = Origin.UNBLENDED
            best[better] = unblended.error[better]
        return FilledFrame(
            (
                self._native(output[0][inside]),
                *[self._native(plane[hole.colour_inside]) for plane in output[1:]],
            ),
            origin[inside].astype(np.uint8),
            best[inside].astype(np.float16),
        )

    @staticmethod
    def _is_doubtful(hole: Hole, best: Floats) -> bool:
        """Return True if the hole needs a spatial candidate.

        That is if enough pixels have a large smallest error ``best`` (``(n,)``, in levels), or if
        any pixel is visible nowhere.
        """
        inside = best[hole.inside]
        if not inside.size:
            return False
        doubtful = float((inside > _DOUBTFUL_LEVELS).mean()) > _DOUBTFUL_SHARE
        return doubtful or bool(inside.max() >= _UNKNOWN_LEVELS)

    # -- samples of the strip ----------------------------------------------------------------

    def _hole(self, frame: int) -> Hole:
        """Hole of a frame."""
        return self._holes[int(self._strip.mask_of[frame])]

    def _pictures(self, frame: int) -> list[Floats]:
        """Planes of a frame as new float32 arrays in 8-bit levels."""
        return [plane[frame].astype(np.float32) / self._scale for plane in self._strip.planes]

    def _native(self, values: Floats) -> Plane:
        """Convert 8-bit levels to samples of the strip's depth, rounded and clipped."""
        return as_plane(values * self._scale, self._strip.layout)

    def _visible(self, frame: int) -> tuple[Floats, ...]:
        """Frame's own samples in the order of its hole's lists, 8-bit levels; with ink inside."""
        return self._visible_cache[frame]

    def _make_visible(self, frame: int) -> tuple[Floats, ...]:
        """Compute `_visible`."""
        indices = self._hole(frame).flat_index_per_plane(len(self._strip.planes))
        return tuple(
            plane[frame].take(index).astype(np.float32) / self._scale
            for plane, index in zip(self._strip.planes, indices, strict=True)
        )


def _spatial_error(on_ring: Floats, depth_px: Floats) -> Floats:
    """Return the expected error of a spatial fill at a depth in the hole, ``(n,)``, in levels.

    As measured with burned-in text over real clips. Without coding noise the error is that of the
    ring at the border, and about twice that deep inside; content that the ring does not show adds
    error in proportion to the depth.

    Args:
        on_ring: float32 ``(n,)``; error of the fill on the ring nearby, in levels.
        depth_px: float32 ``(n,)``; distance from the hole's border, in pixels.
    """
    growth = 2.0 - 1.1 * np.exp(-(np.maximum(depth_px, 1) - 1) / _FLAT_DEPTH_PX)
    texture = np.maximum(on_ring - _RING_NOISE, 0)
    return np.asarray(_LEAST_ERROR + growth * texture + _DEPTH_ERROR * depth_px, np.float32)


def _least_error(candidates: Sequence[Candidate], count: int) -> Floats:
    """Return the smallest expected error of all candidates, float32 ``(count,)``, in levels."""
    least = np.full(count, _UNKNOWN_LEVELS, np.float32)
    for candidate in candidates:
        least = np.minimum(least, np.where(candidate.known, candidate.error, _UNKNOWN_LEVELS))
    return least


def _spatial_weight(error: Floats, others: Floats) -> Floats:
    """Return the weight multiplier of a spatial fill, ``(n,)``, 1 to 19.

    Larger in three cases:

    - flat surroundings (small ``error``): candidates from other frames share one error there, a
      change of light since, and would outweigh the fill; with texture they are right;
    - all other candidates are worse, and bad: their errors change in each frame and would flicker;
    - the others are useless, e.g. with an object moving in: the fill's own expected error then says
      little about which is better.

    Args:
        error: float32 ``(n,)``; expected error of the fill, in levels.
        others: float32 ``(n,)``; smallest expected error of the other candidates, in levels.
    """
    others = np.maximum(others, _LEAST_ERROR)
    flat = _FLAT_WEIGHT / (1 + np.square(np.square(error / _FLAT_LEVELS)))
    better = _BETTER_WEIGHT / (
        1 + np.square(np.square(np.square(error / (_BETTER_FACTOR * others))))
    )
    bad = 1 / (1 + np.square(_BAD_LEVELS / others) ** 3)
    lost = _LOST_WEIGHT / (1 + np.square(_LOST_LEVELS / others) ** 3)
    return np.asarray(1 + flat + better * bad + lost, np.float32)


@dataclass(frozen=True, slots=True)
class _StoredCandidate:
    """Candidate of the backward pass at a third of the memory, kept until the forward pass.

    float16 keeps an eighth of a level, which is precise enough; ``real`` is not stored, since all
    known samples of a propagated candidate are real.
    """

    planes: tuple[NDArray[np.float16], ...]
    known: Bools
    error: NDArray[np.float16]

    @staticmethod
    def pack(candidate: Candidate) -> _StoredCandidate:
        """Convert a propagated candidate to half precision."""
        planes = tuple(plane.astype(np.float16) for plane in candidate.planes)
        return _StoredCandidate(planes, candidate.known, candidate.error.astype(np.float16))

    def unpack(self) -> Candidate:
        """Convert back to float32."""
        planes = tuple(plane.astype(np.float32) for plane in self.planes)
        real = self.known.astype(np.float32)
        return Candidate(planes, self.known, self.error.astype(np.float32), real)
