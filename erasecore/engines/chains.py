"""Where each hidden pixel can be seen: coordinates chained along the motion, sampled once.

For each hidden pixel a place in another frame is followed from frame to frame until the hole no
longer covers it. Only coordinates are chained; the picture is read a single time at their end, so
nothing is blurred by repeated resampling. Long hops keep chains short and free of drift.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Floats, Strip
from erasecore.engines.holes import Hole
from erasecore.engines.motion import Flow, Motion
from erasecore.engines.sampling import sample_nearest

LONG_HOP = 8  # frames
_FAR_EVERY = 2  # frames from which long hops are tried
_OUTSIDE = -2.0  # of the picture, among the places of hidden pixels; visible ones have -1
_HOP_COST = 0.03  # levels of expected error for each hop
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
class _Hop:
    sources: Sources
    chained: NDArray[np.bool_]  # the way goes on from a pixel that is hidden there too


class ChainWalker:
    """Walks a strip in one direction and gives each frame's sources on that side."""

    def __init__(self, strip: Strip, holes: list[Hole], motion: Motion, step: int) -> None:
        """Take the direction the sources lie in: ``step`` -1 for the past, 1 for the future."""
        self._strip, self._holes, self._motion, self._step = strip, holes, motion, step
        self._behind: deque[tuple[Sources, Floats]] = deque(maxlen=LONG_HOP)
        self._places = [_places(hole) for hole in holes]

    def walk(self, frame: int) -> Sources:
        """The sources of ``frame``; must be asked for every frame in order of the direction."""
        index = int(self._strip.mask_of[frame])
        hole = self._holes[index]
        rows, columns = hole.rows_columns
        sources = Sources.none(rows.size)
        if rows.size:
            near = self._hop(frame, 1, rows, columns)
            far = None
            if frame % _FAR_EVERY == 0:  # the frames between reach one of these in a short hop
                far = self._hop(frame, LONG_HOP, rows, columns)
            sources = _better(near, far) or sources
        self._behind.appendleft((sources, self._places[index]))
        return sources

    def _hop(
        self, frame: int, length: int, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> _Hop | None:
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
        cost = hop_cost(flow, rows, columns)
        covered = np.flatnonzero(hidden)
        if covered.size:
            there = place.take(covered).astype(np.intp)
            found[covered] = behind.frame.take(there)
            for own, theirs in ((x, behind.x), (y, behind.y)):
                way = own.take(covered)
                own[covered] = way + theirs.take(there) - np.rint(way)
            cost[covered] += behind.cost.take(there)
        return _Hop(Sources(found, x, y, cost), hidden)

    def _reachable(self, frame: int, other: int) -> bool:
        if not 0 <= other < self._strip.frames:
            return False
        first, last = min(frame, other), max(frame, other)
        return not any(first < cut <= last for cut in self._strip.cuts)


def hop_cost(flow: Flow, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
    """What one hop adds to the expected error of the pixels at ``rows, columns``, in levels."""
    return np.asarray(flow.residual_at(rows, columns) * _RESIDUAL_COST + _HOP_COST, np.float32)


def _places(hole: Hole) -> Floats:
    """For each pixel its place in the list of hidden ones; as floats, which can be sampled."""
    places = np.full(hole.hidden.shape, -1, np.float32)
    places.ravel()[hole.flat[0]] = np.arange(hole.flat[0].size)
    return places


def _better(near: _Hop | None, far: _Hop | None) -> Sources | None:
    """Seen in the next frame, else by the cheaper way."""
    if near is None or far is None:
        only = near or far
        return only.sources if only else None
    one, long = near.sources, far.sources
    cheaper = near.chained & (long.cost < one.cost)
    use_far = (long.frame >= 0) & ((one.frame < 0) | cheaper)
    return Sources(
        np.where(use_far, long.frame, one.frame),
        np.where(use_far, long.x, one.x),
        np.where(use_far, long.y, one.y),
        np.where(use_far, long.cost, one.cost),
    )
