"""Where each hidden pixel can be seen: coordinates chained along the motion, sampled once.

For each hidden pixel a place in another frame is followed from frame to frame until the hole no
longer covers it. Only coordinates are chained; the picture is read a single time at their end, so
nothing is blurred by repeated resampling. Long hops keep chains short and free of drift.
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

LONG_STEP = 8  # frames
_FAR_EVERY = 2  # frames from which long hops are tried
_SHORT_TOO = 0.7  # of its error, above which the long way is no better than the short one
_OUTSIDE = -2.0  # of the picture, among the places of hidden pixels; visible ones have -1
_STEP_COST = 0.03  # levels of expected error for each hop
_RESIDUAL_COST = 0.15  # and for each level of the flow's residual


@dataclass(frozen=True, slots=True)
class Sources:
    """For the hidden pixels of one frame: where each can be seen.

    Attributes:
        frame: int ``(n,)``; the frame that shows it, -1 where none does.
        x: float32 ``(n,)``; column there.
        y: float32 ``(n,)``; row there.
        cost: float32 ``(n,)``; what the way there adds to its expected error, in levels.
    """

    frame: NDArray[np.intp]
    x: Floats
    y: Floats
    cost: Floats

    @staticmethod
    def none(count: int) -> Sources:
        """Nothing is seen anywhere."""
        zeros = np.zeros(count, np.float32)
        return Sources(np.full(count, -1, np.intp), zeros, zeros, zeros)


@dataclass(frozen=True, slots=True)
class Views:
    """All that is read for the hidden pixels of one frame.

    Attributes:
        best: where each pixel is seen best.
        ways: sources and, float32 ``(n,)``, their shares, which add up to 1 where ``best`` shows
            anything; to be read one by one.
    """

    best: Sources
    alternatives: tuple[tuple[Sources, Floats], ...]

    @staticmethod
    def of(sources: Sources) -> Views:
        """One way alone."""
        return Views(sources, ((sources, np.ones(sources.frame.size, np.float32)),))


@dataclass(frozen=True, slots=True)
class _ChainStep:
    """Where one step of the walk, to another frame and on from there, shows the hidden pixels.

    Attributes:
        sources: where that is.
        chained: bool ``(n,)``; the way goes on from a pixel that is hidden there too.
        error: float32 ``(n,)``, on the ring nearby, in levels; ``None`` where nothing tells.
    """

    sources: Sources
    chained: NDArray[np.bool_]
    error: Floats | None = None


class FlowChainer:
    """Walks a strip in one direction and gives each frame's sources on that side."""

    def __init__(
        self, strip: InpaintInput, holes: list[Hole], motion: Motion, aligner: Aligner, *, step: int
    ) -> None:
        """Take the direction the sources lie in: ``step`` -1 for the past, 1 for the future."""
        self._strip, self._holes, self._motion, self._step = strip, holes, motion, step
        self._aligner = aligner
        # Of the frames walked last, newest first: what was found, and the places in that list.
        self._behind: deque[tuple[Sources, Floats]] = deque(maxlen=LONG_STEP)
        self._places = [_flat_index_map(hole) for hole in holes]
        self._inked = np.stack([hole.touched for hole in holes])

    def views_of(self, frame: int) -> Views:
        """The sources of ``frame``; must be asked for every frame in order of the direction."""
        index = int(self._strip.mask_of[frame])
        hole = self._holes[index]
        rows, columns = hole.rows_columns
        views = Views.of(Sources.none(rows.size))
        if rows.size:
            near = self._aligned(frame, self._chain_step(frame, 1, rows, columns))
            far = None
            if frame % _FAR_EVERY == 0:  # the frames between reach one of these in a short hop
                far = self._aligned(frame, self._chain_step(frame, LONG_STEP, rows, columns))
            views = _together(near, far) or views
        self._behind.appendleft((views.best, self._places[index]))
        return views

    def _aligned(self, frame: int, hop: _ChainStep | None) -> _ChainStep | None:
        """A hop whose places are moved to where its ring fits best."""
        if hop is None:
            return None
        sources, ring = hop.sources, self._aligner.ring(frame)
        seen = sources.frame.take(ring)
        known = seen >= 0
        at = np.where(known, seen, frame)
        luma = sample_stack(self._strip.planes[0], at, sources.x.take(ring), sources.y.take(ring))
        offset = self._aligner.offset(frame, luma / np.float32(self._strip.layout.scale), known)
        if offset is None:
            # Nor is it checked for ink: a place is one only where nothing is hidden, ring included,
            # in the frame that it is read from. Being moved is what could bring it nearer; unmoved
            # it stays there, but for half a pixel at most that each hop of a chain rounds.
            return hop
        x, y = sources.x + offset.x, sources.y + offset.y
        frames = np.where(self._is_inked(sources.frame, x, y), -1, sources.frame)
        return _ChainStep(replace(sources, frame=frames, x=x, y=y), hop.chained, offset.error)

    def _is_inked(self, frame: NDArray[np.intp], x: Floats, y: Floats) -> NDArray[np.bool_]:
        """Whether places in frames touch the hole there: they have drifted too far to be seen."""
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
        """What a hop over ``length`` frames shows; ``None`` where there is no way."""
        other = frame + self._step * length
        if not self._reachable(frame, other) or len(self._behind) < length:
            return None
        flow = self._motion.flow(frame, other)
        if flow is None:
            return None
        x, y = flow.follow(rows, columns)
        behind, places = self._behind[length - 1]
        place = sample_nearest(places, x, y, outside=_OUTSIDE)
        hidden = place >= 0
        found = np.where(place == _OUTSIDE, -1, other)
        cost = step_cost(flow, rows, columns)
        covered = np.flatnonzero(hidden)
        if covered.size:
            there = place.take(covered).astype(np.intp)
            found[covered] = behind.frame.take(there)
            for own, theirs in ((x, behind.x), (y, behind.y)):
                way = own.take(covered)
                own[covered] = way + theirs.take(there) - np.rint(way)
            cost[covered] += behind.cost.take(there)
        return _ChainStep(Sources(found, x, y, cost), hidden)

    def _reachable(self, frame: int, other: int) -> bool:
        if not 0 <= other < self._strip.frames:
            return False
        first, last = min(frame, other), max(frame, other)
        return not any(first < cut <= last for cut in self._strip.cuts)


def step_cost(flow: Flow, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """What one hop adds to the expected error of the pixels at ``rows, columns``, in levels."""
    return np.asarray(flow.residual_at(rows, columns) * _RESIDUAL_COST + _STEP_COST, np.float32)


def _flat_index_map(hole: Hole) -> Floats:
    """For each pixel its place in the list of hidden ones; as floats, which can be sampled."""
    places = np.full(hole.hidden.shape, -1, np.float32)
    places.ravel()[hole.flat_index[0]] = np.arange(hole.flat_index[0].size)
    return places


def _together(near: _ChainStep | None, far: _ChainStep | None) -> Views | None:
    """What short and long ways show, each as far as it is to be believed.

    What is seen in the next frame already needs no long way.
    """
    if near is None or far is None:
        only = near or far
        return Views.of(only.sources) if only else None
    short, long = near.sources, far.sources
    unseen = short.frame < 0
    possible = (long.frame >= 0) & (near.chained | unseen)
    if near.error is None or far.error is None:
        return Views.of(_pick(possible & (unseen | (long.cost < short.cost)), long, short))
    best = _pick(possible & (unseen | (_SHORT_TOO * far.error < near.error)), long, short)
    near_votes = ~unseen / np.square(1 + np.square(near.error))
    far_votes = possible / np.square(1 + np.square(far.error))
    share = np.asarray(far_votes / np.maximum(near_votes + far_votes, 1e-12), np.float32)
    return Views(best, ((short, 1 - share), (long, share)))


def _pick(where: NDArray[np.bool_], one: Sources, other: Sources) -> Sources:
    """``one`` in the places told, ``other`` elsewhere."""
    return Sources(
        np.where(where, one.frame, other.frame),
        np.where(where, one.x, other.x),
        np.where(where, one.y, other.y),
        np.where(where, one.cost, other.cost),
    )
