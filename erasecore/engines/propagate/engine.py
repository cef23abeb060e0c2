"""The default engine: real background pixels, brought along the motion; no weights, CPU only.

Every hidden pixel has up to five candidates: from the past, from the future, from the last frame's
fill, in a fade from what shows through the ink and, where the first two cannot be believed, from
its surroundings. Each is judged by how well it predicts the visible ring around the hole; the
result is their mean, weighted by expected error.
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
from erasecore.engines.propagate.trajectories import FlowChainer, Sources, Views
from erasecore.model.inpaint_input import Bools, Floats, InpaintInput
from erasecore.motion.flow import Motion
from erasecore.motion.inpaint_spatial import membrane, pulls_along
from erasecore.motion.lru_cache import LruCache
from erasecore.motion.resample import sample_stack
from erasecore.video.color import Plane, as_plane, plane_window

_DOUBTFUL_LEVELS = 4.0  # expected error above which the surroundings have a say
_UNKNOWN_LEVELS = 99.0  # the expected error where no other frame shows anything
_DOUBTFUL_SHARE = 0.02  # of the hole's pixels
_FLAT_DEPTH_PX = 3.0  # depth in a hole from which a spatial fill's error grows no more
_MEMBRANE_ROUNDS = (6, 2, 2)  # for luma and the colour planes
_RING_NOISE = 0.7  # levels of a ring's error that are coding noise, which a membrane lacks
_LEAST_ERROR = 0.5  # levels by which a spatial fill errs at least
_MOST_VOTES, _SURE_LEVELS = 4.0, 2.0  # of a membrane on flat ground, and up to which error
_SURER_VOTES, _SURER = 10.0, 0.8  # and where it errs less than so much of the best of the others,
_HOPELESS_LEVELS = 4.0  # which errs by that much itself
_LOST_VOTES, _LOST_LEVELS = 4.0, 12.0  # and where that errs by so much, come what may
_DEPTH_ERROR = 0.15  # levels for each pixel of depth, however smooth the ring


class PropagateEngine:
    """Fills the hole with pixels that other frames show in the same place of the scene."""

    traits = Traits(name="propagate", context_seconds=0.5)

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """The hole's pixels; the prior is not needed and not looked at."""
        del prior
        return _Fill(strip, tick).run()


class _Fill:
    """One strip's work: a walk from the end for the future, then one from the start."""

    def __init__(self, strip: InpaintInput, tick: Tick) -> None:
        self._strip, self._tick = strip, tick
        self._holes = find_holes(strip)
        self._motion = Motion(strip, np.stack([hole.hidden for hole in self._holes]))
        self._scale = np.float32(strip.layout.scale)
        self._aligner = Aligner(strip, self._holes)
        self._trail = TemporalPrior(strip, self._motion, self._aligner)
        self._seen = LruCache(self._make_visible, 1)

    def run(self) -> Filled:
        """Walk both ways, and make one of what they found."""
        strip = self._strip
        future: dict[int, _Waiting] = {}
        walker = FlowChainer(strip, self._holes, self._motion, self._aligner, step=1)
        for frame in range(strip.frames - 1, strip.fill_start - 1, -1):
            views = walker.views_of(frame)
            if frame < strip.fill_stop and views.best.frame.size:
                future[frame] = _Waiting.of(self._candidate(frame, views))
            self._tick(0.5 * (strip.frames - frame) / strip.frames)
        walker = FlowChainer(strip, self._holes, self._motion, self._aligner, step=-1)
        filled = []
        for frame in range(strip.fill_stop):
            views = walker.views_of(frame)
            if frame >= strip.fill_start:
                past = self._candidate(frame, views) if views.best.frame.size else None
                waiting = future.pop(frame, None)
                ahead = None if waiting is None else waiting.whole()
                filled.append(self._merge(frame, past, ahead))
            self._tick(0.5 + 0.5 * (frame + 1) / strip.fill_stop)
        return Filled(tuple(filled))

    # -- candidates --------------------------------------------------------------------------

    def _candidate(self, frame: int, views: Views) -> Candidate:
        """What other frames show, judged."""
        hole, best = self._hole(frame), views.best
        luma = np.zeros(best.frame.size, np.float32)
        colours = [np.zeros(hole.colour_inside.size, np.float32) for _ in self._strip.planes[1:]]
        for sources, share in views.alternatives:
            frames = np.where(sources.frame >= 0, sources.frame, frame)
            values = sample_stack(self._strip.planes[0], frames, sources.x, sources.y)
            luma += share * values / self._scale
            colour_share = share.take(hole.colour_to_luma)
            for total, one in zip(colours, self._colours(hole, frames, sources), strict=True):
                total += colour_share * one
        known = best.frame >= 0
        real = known.astype(np.float32)
        proposal = Candidate((luma, *colours), known, best.cost, real)
        return calibrate_on_ring(hole, self._visible(frame), proposal)

    def _colours(self, hole: Hole, frames: NDArray[np.intp], sources: Sources) -> list[Floats]:
        """What the colour planes show at the places where ``sources`` found the luma."""
        if len(self._strip.planes) == 1:
            return []
        x, y = hole.colour_flat_index(sources.x, sources.y)
        return [
            sample_stack(plane, frames.take(hole.colour_to_luma), x, y) / self._scale
            for plane in self._strip.planes[1:]
        ]

    def _spatial(self, frame: int, others: Floats) -> Candidate:
        """The membrane over the hole, judged by how one over the ring too predicts the ring.

        ``others`` are the least errors that are expected of other candidates.
        """
        hole = self._hole(frame)
        layout = self._strip.layout
        masks = [hole.mask, *[hole.colour_mask] * (len(self._strip.planes) - 1)]
        windows = [plane_window(hole.zone, plane, layout) for plane in range(len(masks))]
        pictures = [
            stack[frame][window].astype(np.float32) / self._scale
            for stack, window in zip(self._strip.planes, windows, strict=True)
        ]
        pulls = pulls_along(pictures[0], hole.hidden[windows[0]])
        filled = [
            membrane(picture, mask[window], rounds, None if plane else pulls)
            for plane, (picture, mask, window, rounds) in enumerate(
                zip(pictures, masks, windows, _MEMBRANE_ROUNDS, strict=False)
            )
        ]
        luma_places, colour_places = hole.in_zone
        values = [filled[0].take(luma_places), *[one.take(colour_places) for one in filled[1:]]]
        known = np.ones(hole.inside.size, bool)
        guess = membrane(pictures[0], hole.hidden[windows[0]], _MEMBRANE_ROUNDS[0], pulls).take(
            luma_places
        )
        nothing = np.zeros(known.size, np.float32)
        proposal = Candidate((guess, *values[1:]), known, nothing, nothing)
        judged = calibrate_on_ring(hole, self._visible(frame), proposal)
        error = _spatial_error(judged.error, hole.depth_px)
        return Candidate(
            tuple(values), known, error, nothing, prior_weight=_prior_weight(error, others)
        )

    def _solved(self, frame: int) -> Candidate | None:
        """What is seen through ink that is translucent in this frame, if it is."""
        seen, hole = self._strip.seen_through.get(frame), self._hole(frame)
        if seen is None or not hole.inside.size:
            return None
        known = hole.inside & seen.mask[hole.rows_columns]
        places = (hole.rows_columns, *[hole.colour_rows_columns] * (len(seen.planes) - 1))
        values = tuple(
            plane[place].astype(np.float32) / self._scale
            for plane, place in zip(seen.planes, places, strict=True)
        )
        error = np.full(known.size, seen.error, np.float32)
        return Candidate(values, known, error, known.astype(np.float32))

    # -- merging -----------------------------------------------------------------------------

    def _merge(self, frame: int, past: Candidate | None, future: Candidate | None) -> FilledFrame:
        """What fills ``frame``: all that is proposed for its hole, made one, and its origin."""
        hole = self._hole(frame)
        real = [candidate for candidate in (past, future) if candidate is not None]
        best = _least_error(real, hole.inside.size)
        candidates = list(real)
        trail = self._trail.candidate(frame, hole, self._visible(frame))
        if trail is not None:
            candidates.append(trail)
        if self._is_doubtful(hole, best):
            candidates.append(self._spatial(frame, _least_error(candidates, best.size)))
        solved = self._solved(frame)
        if solved is not None:
            candidates.append(solved)
        mean = fuse(hole, candidates, planes=len(self._strip.planes))
        shown = self._trail.remember(frame, hole, tuple(self._pictures(frame)), mean)
        inside = hole.inside
        origin = np.where(mean.real > 0.5, Origin.PROPAGATED, Origin.INVENTED)
        if solved is not None:
            sure = solved.known & (solved.error < best)
            origin[sure] = Origin.UNBLENDED
            best[sure] = solved.error[sure]
        return FilledFrame(
            (
                self._native(shown[0][inside]),
                *[self._native(plane[hole.colour_inside]) for plane in shown[1:]],
            ),
            origin[inside].astype(np.uint8),
            best[inside].astype(np.float16),
        )

    @staticmethod
    def _is_doubtful(hole: Hole, best: Floats) -> bool:
        """Whether the surroundings are to have a say, ``best`` being the least expected errors."""
        inside = best[hole.inside]
        if not inside.size:
            return False
        doubtful = float((inside > _DOUBTFUL_LEVELS).mean()) > _DOUBTFUL_SHARE
        return doubtful or bool(inside.max() >= _UNKNOWN_LEVELS)

    # -- views of the strip ------------------------------------------------------------------

    def _hole(self, frame: int) -> Hole:
        return self._holes[int(self._strip.mask_of[frame])]

    def _pictures(self, frame: int) -> list[Floats]:
        """The frame's planes as new float32 arrays in 8-bit levels."""
        return [plane[frame].astype(np.float32) / self._scale for plane in self._strip.planes]

    def _native(self, values: Floats) -> Plane:
        return as_plane(values * self._scale, self._strip.layout)

    def _visible(self, frame: int) -> tuple[Floats, ...]:
        return self._seen[frame]

    def _make_visible(self, frame: int) -> tuple[Floats, ...]:
        places = self._hole(frame).flat_index_in(len(self._strip.planes))
        return tuple(
            plane[frame].take(place).astype(np.float32) / self._scale
            for plane, place in zip(self._strip.planes, places, strict=True)
        )


def _spatial_error(on_ring: Floats, depth_px: Floats) -> Floats:
    """What a membrane's error on the ring says of its error at a depth in the hole, in levels.

    As measured on burned-in text over real clips: coding noise aside, as on the ring at the border
    and twice that deep inside; what the ring does not know of grows with the depth.
    """
    growth = 2.0 - 1.1 * np.exp(-(np.maximum(depth_px, 1) - 1) / _FLAT_DEPTH_PX)
    texture = np.maximum(on_ring - _RING_NOISE, 0)
    return np.asarray(_LEAST_ERROR + growth * texture + _DEPTH_ERROR * depth_px, np.float32)


def _least_error(candidates: Sequence[Candidate], count: int) -> Floats:
    """The least expected error of any candidate for each of ``count`` samples, in levels."""
    least = np.full(count, _UNKNOWN_LEVELS, np.float32)
    for candidate in candidates:
        least = np.minimum(least, np.where(candidate.known, candidate.error, _UNKNOWN_LEVELS))
    return least


def _prior_weight(error: Floats, others: Floats) -> Floats:
    """How many votes a membrane has, ``error`` being its expected error, ``others`` the least else.

    Several where it is sure to be right, on flat ground: there the candidates from other frames err
    together, by what light has changed since, and outvote it; with texture around they are right
    and it is not. And many where all others are worse, and bad: each of them errs anew in each
    frame, and their voices would be heard as flicker only. Some also where the others know nothing
    of what moves in: that a membrane is expected to err as well says little then.
    """
    others = np.maximum(others, _LEAST_ERROR)
    flat = _MOST_VOTES / (1 + np.square(np.square(error / _SURE_LEVELS)))
    surer = _SURER_VOTES / (1 + np.square(np.square(np.square(error / (_SURER * others)))))
    hopeless = 1 / (1 + np.square(_HOPELESS_LEVELS / others) ** 3)
    lost = _LOST_VOTES / (1 + np.square(_LOST_LEVELS / others) ** 3)
    return np.asarray(1 + flat + surer * hopeless + lost, np.float32)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A walk's candidate at a third of the memory, until the other walk comes to its frame.

    An eighth of a level is precise enough to wait in, and what a walk brings is all real.
    """

    planes: tuple[NDArray[np.float16], ...]
    known: Bools
    error: NDArray[np.float16]

    @staticmethod
    def of(candidate: Candidate) -> _Waiting:
        """What is to be kept of a candidate."""
        planes = tuple(plane.astype(np.float16) for plane in candidate.planes)
        return _Waiting(planes, candidate.known, candidate.error.astype(np.float16))

    def whole(self) -> Candidate:
        """The candidate again."""
        planes = tuple(plane.astype(np.float32) for plane in self.planes)
        real = self.known.astype(np.float32)
        return Candidate(planes, self.known, self.error.astype(np.float32), real)
