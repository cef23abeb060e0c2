"""Flow chaining (accumulation): trajectories from hidden pixels to frames where they are visible.

One direction of bidirectional flow-guided propagation, as in ProPainter and E2FGVI, but of pixel
coordinates instead of colours or features: each hidden pixel is followed along the flow from frame
to frame until the hole no longer covers it. Only coordinates are accumulated; the picture is
sampled once, at the end of the trajectory, so repeated resampling does not blur it. Steps over 8
frames keep trajectories short, which limits drift. There is no forward-backward consistency check:
steps are weighted by the flow's residual and by the error on the ring after alignment.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import Hole
from erasecore.engines.propagate.subpixel_align import Aligner
from erasecore.model.inpaint_input import Floats, InpaintInput
from erasecore.motion.flow import Flow, Motion
from erasecore.motion.resample import sample_nearest, sample_stack

LONG_STEP = 8  # frames; length of the long chain step (guess)
_FAR_EVERY = 2  # frames; long steps are taken from every second frame, to save half their time
_LONG_ERROR_FACTOR = (
    0.7  # applied to a long step's ring error when compared to a short one's (guess)
)
_OUTSIDE = -2.0  # value outside the picture in maps of hidden pixels; visible pixels have -1
_STEP_COST = 0.03  # 8-bit levels of expected error added by each step (guess)
_RESIDUAL_COST = 0.15  # levels of expected error per level of the flow's residual (guess)


@dataclass(frozen=True, slots=True)
class Sources:
    """End points of the trajectories of one frame's hidden pixels: the positions to copy from.

    Attributes:
        frame: int ``(n,)``; frame in which the pixel is visible, -1 if none was found.
        x: float32 ``(n,)``; column there, in pixels.
        y: float32 ``(n,)``; row there, in pixels.
        cost: float32 ``(n,)``; expected error accumulated along the trajectory, in 8-bit levels.
    """

    frame: NDArray[np.intp]
    x: Floats
    y: Floats
    cost: Floats

    @staticmethod
    def none(count: int) -> Sources:
        """Return sources for ``count`` pixels of which none is visible anywhere."""
        zeros = np.zeros(count, np.float32)
        return Sources(np.full(count, -1, np.intp), zeros, zeros, zeros)


@dataclass(frozen=True, slots=True)
class WeightedSources:
    """Alternative sources of one frame's hidden pixels in one direction, with blending weights.

    Attributes:
        best: the best source of each pixel.
        alternatives: pairs of sources and float32 ``(n,)`` weights; the weights sum to 1 where
            ``best`` has a source.
    """

    best: Sources
    alternatives: tuple[tuple[Sources, Floats], ...]

    @staticmethod
    def single(sources: Sources) -> WeightedSources:
        """Return one set of sources with weight 1."""
        return WeightedSources(sources, ((sources, np.ones(sources.frame.size, np.float32)),))


@dataclass(frozen=True, slots=True)
class _ChainStep:
    """Sources reached by one chain step: to another frame, and on along that frame's trajectories.

    Attributes:
        sources: end points of the trajectories.
        chained: bool ``(n,)``; True if the pixel is hidden there too, so the trajectory goes on.
        error: float32 ``(n,)``; RMS error on the ring nearby, in 8-bit levels; ``None`` if unknown.
    """

    sources: Sources
    chained: NDArray[np.bool_]
    error: Floats | None = None


class FlowChainer:
    """Chains flow through a strip in one direction: the sources of each frame on that side."""

    def __init__(
        self, strip: InpaintInput, holes: list[Hole], motion: Motion, aligner: Aligner, *, step: int
    ) -> None:
        """Create a chainer for the sources in one direction.

        Args:
            strip: the frames.
            holes: from `find_holes`.
            motion: flow between the frames.
            aligner: subpixel alignment on the ring.
            step: direction in which sources are searched: -1 for the past, 1 for the future.
        """
        self._strip, self._holes, self._motion, self._step = strip, holes, motion, step
        self._aligner = aligner
        # Results of the last frames, newest first: sources, and map from pixel to index in them.
        self._recent: deque[tuple[Sources, Floats]] = deque(maxlen=LONG_STEP)
        self._index_maps = [_index_map(hole) for hole in holes]
        self._inked = np.stack([hole.dilated for hole in holes])

    def sources_of(self, frame: int) -> WeightedSources:
        """Return the sources of ``frame``, in the order of its list of hidden pixels.

        Must be called for every frame, in order against the direction of ``step``.
        """
        mask_index = int(self._strip.mask_of[frame])
        hole = self._holes[mask_index]
        rows, columns = hole.rows_columns
        weighted = WeightedSources.single(Sources.none(rows.size))
        if rows.size:
            near = self._aligned(frame, self._chain_step(frame, 1, rows, columns))
            far = None
            if frame % _FAR_EVERY == 0:  # the frames between reach one of these in one short step
                far = self._aligned(frame, self._chain_step(frame, LONG_STEP, rows, columns))
            weighted = _blend_steps(near, far) or weighted
        self._recent.appendleft((weighted.best, self._index_maps[mask_index]))
        return weighted

    def _aligned(self, frame: int, chain: _ChainStep | None) -> _ChainStep | None:
        """Return a chain step with its positions shifted to where the ring fits best."""
        if chain is None:
            return None
        sources, ring = chain.sources, self._aligner.ring(frame)
        seen = sources.frame.take(ring)
        known = seen >= 0
        at = np.where(known, seen, frame)
        luma = sample_stack(self._strip.planes[0], at, sources.x.take(ring), sources.y.take(ring))
        offset = self._aligner.offset(frame, luma / np.float32(self._strip.layout.scale), known)
        if offset is None:
            # No check for ink either: a position becomes a source only where no pixel is hidden,
            # ring included, in its frame. Only a shift could bring it nearer to the ink; without
            # one it stays, apart from rounding by at most half a pixel per chain step.
            return chain
        x, y = sources.x + offset.x, sources.y + offset.y
        frames = np.where(self._is_inked(sources.frame, x, y), -1, sources.frame)
        return _ChainStep(replace(sources, frame=frames, x=x, y=y), chain.chained, offset.error)

    def _is_inked(self, frame: NDArray[np.intp], x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Return True for positions that touch the hole of their frame, i.e. have drifted into ink.

        Args:
            frame: int ``(n,)``; frame of each position.
            x: float32 ``(n,)``; columns in pixels.
            y: float32 ``(n,)``; rows in pixels.
        """
        _holes, height, width = self._inked.shape
        rows = np.clip(np.rint(y), 0, height - 1).astype(np.intp)
        columns = np.clip(np.rint(x), 0, width - 1).astype(np.intp)
        hole = self._strip.mask_of.take(np.maximum(frame, 0))
        inked: NDArray[np.bool_] = self._inked.ravel().take(
            (hole * height + rows) * width + columns
        )
        return inked

    def _chain_step(
        self, frame: int, length: int, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> _ChainStep | None:
        """Chain a step over ``length`` frames with the trajectories that continue there.

        Args:
            frame: frame whose hidden pixels are followed.
            length: length of the step in frames.
            rows: rows of the hidden pixels, ``(n,)``.
            columns: their columns.

        Returns:
            The sources; ``None`` if there is a cut, no such frame, or no flow between the two.
        """
        other = frame + self._step * length
        if not self._reachable(frame, other) or len(self._recent) < length:
            return None
        flow = self._motion.flow(frame, other)
        if flow is None:
            return None
        x, y = flow.warp_points(rows, columns)
        following, index_map = self._recent[length - 1]
        index = sample_nearest(index_map, x, y, outside=_OUTSIDE)
        hidden = index >= 0
        found = np.where(index == _OUTSIDE, -1, other)
        cost = step_cost(flow, rows, columns)
        covered = np.flatnonzero(hidden)
        if covered.size:
            there = index.take(covered).astype(np.intp)
            found[covered] = following.frame.take(there)
            # The next trajectory starts at the nearest whole pixel: keep the fraction.
            for own, theirs in ((x, following.x), (y, following.y)):
                position = own.take(covered)
                own[covered] = position + theirs.take(there) - np.rint(position)
            cost[covered] += following.cost.take(there)
        return _ChainStep(Sources(found, x, y, cost), hidden)

    def _reachable(self, frame: int, other: int) -> bool:
        """Return True if ``other`` is a frame of the strip in the same shot as ``frame``."""
        if not 0 <= other < self._strip.frames:
            return False
        first, last = min(frame, other), max(frame, other)
        return not any(first < cut <= last for cut in self._strip.cuts)


def step_cost(flow: Flow, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """Return the expected error that one step of ``flow`` adds, ``(n,)``, in 8-bit levels."""
    return np.asarray(flow.residual_at(rows, columns) * _RESIDUAL_COST + _STEP_COST, np.float32)


def _index_map(hole: Hole) -> Floats:
    """Return for each pixel ``(H, W)`` its index in the list of hidden pixels, -1 if visible.

    Float32, so that it can be sampled.
    """
    index_map = np.full(hole.hidden.shape, -1, np.float32)
    index_map.ravel()[hole.flat_index[0]] = np.arange(hole.flat_index[0].size)
    return index_map


def _blend_steps(near: _ChainStep | None, far: _ChainStep | None) -> WeightedSources | None:
    """Blend the sources of the short and the long step by their error on the ring.

    Weights are (1 + e^2)^-2. A pixel that is visible in the next frame uses the short step only.
    Without ring errors, the source of smaller cost is chosen.
    """
    if near is None or far is None:
        only = near or far
        return WeightedSources.single(only.sources) if only else None
    short, long = near.sources, far.sources
    unseen = short.frame < 0
    possible = (long.frame >= 0) & (near.chained | unseen)
    if near.error is None or far.error is None:
        by_cost = _select(possible & (unseen | (long.cost < short.cost)), long, short)
        return WeightedSources.single(by_cost)
    best = _select(possible & (unseen | (_LONG_ERROR_FACTOR * far.error < near.error)), long, short)
    near_weight = ~unseen / np.square(1 + np.square(near.error))
    far_weight = possible / np.square(1 + np.square(far.error))
    share = np.asarray(far_weight / np.maximum(near_weight + far_weight, 1e-12), np.float32)
    return WeightedSources(best, ((short, 1 - share), (long, share)))


def _select(condition: NDArray[np.bool_], chosen: Sources, other: Sources) -> Sources:
    """Return ``chosen`` where ``condition`` is True and ``other`` elsewhere (``np.where``)."""
    return Sources(
        np.where(condition, chosen.frame, other.frame),
        np.where(condition, chosen.x, other.x),
        np.where(condition, chosen.y, other.y),
        np.where(condition, chosen.cost, other.cost),
    )
