"""The default engine: real background pixels, brought along the motion; no weights, CPU only.

Every hidden pixel has up to three candidates: from the past, from the future and, where neither
can be believed, from its surroundings. Each is judged by how well it predicts the visible ring
around the hole; the result is their mean, weighted by expected error.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import (
    Bools,
    Filled,
    FilledFrame,
    Floats,
    Origin,
    Strip,
    Tick,
    Traits,
    reduce_mask,
)
from erasecore.engines.chains import ChainWalker, Sources
from erasecore.engines.holes import Hole, find_holes
from erasecore.engines.motion import Motion
from erasecore.engines.sampling import sample, sample_stack
from erasecore.engines.spatial import membrane, smooth_fill
from erasecore.engines.trust import Candidate, judge
from erasecore.video.color import Plane, as_plane, plane_window

_DOUBTFUL_LEVELS = 4.0  # expected error above which the surroundings have a say
_DOUBTFUL_SHARE = 0.02  # of the hole's pixels
_SPATIAL_STRICTNESS = 2.2  # how much worse a spatial fill is inside the hole than on its ring
_FILM_ROUNDS = (12, 6, 6)  # for luma and the colour planes
_SPATIAL_ERROR = 0.8  # what is known against it from the start


@dataclass(frozen=True, slots=True)
class _Blend:
    """The weighted mean of a frame's candidates, in the order of the hole's lists."""

    luma: Floats
    colours: list[Floats]
    weight: Floats  # behind each luma sample
    real_weight: Floats  # how much of it real pixels have


class PropagateEngine:
    """Fills the hole with pixels that other frames show in the same place of the scene."""

    traits = Traits(name="propagate", context_seconds=0.5)

    def fill(self, strip: Strip, prior: Filled | None, tick: Tick) -> Filled:
        """The hole's pixels; the prior is not needed and not looked at."""
        del prior
        return _Fill(strip, tick).run()


class _Fill:
    """One strip's work: a walk from the end for the future, then one from the start."""

    def __init__(self, strip: Strip, tick: Tick) -> None:
        self._strip, self._tick = strip, tick
        self._holes = find_holes(strip)
        self._motion = Motion(strip, np.stack([hole.hidden for hole in self._holes]))
        self._scale = np.float32(strip.layout.scale)
        self._previous: tuple[Floats, ...] | None = None  # the last frame's filled planes

    def run(self) -> Filled:
        """Walk both ways and merge."""
        strip = self._strip
        future: dict[int, Candidate] = {}
        walker = ChainWalker(strip, self._holes, self._motion, step=1)
        for frame in range(strip.frames - 1, strip.fill_start - 1, -1):
            sources = walker.walk(frame)
            if frame < strip.fill_stop and sources.frame.size:
                future[frame] = _packed(self._candidate(frame, sources))
            self._tick(0.5 * (strip.frames - frame) / strip.frames)
        walker = ChainWalker(strip, self._holes, self._motion, step=-1)
        filled = []
        for frame in range(strip.fill_stop):
            sources = walker.walk(frame)
            if frame >= strip.fill_start:
                past = self._candidate(frame, sources) if sources.frame.size else None
                filled.append(self._merge(frame, past, _unpacked(future.pop(frame, None))))
            self._tick(0.5 + 0.5 * (frame + 1) / strip.fill_stop)
        return Filled(tuple(filled))

    # -- candidates --------------------------------------------------------------------------

    def _candidate(self, frame: int, sources: Sources) -> Candidate:
        """What the sources show, judged."""
        hole = self._hole(frame)
        known = sources.frame >= 0
        frames = np.where(known, sources.frame, frame)
        luma = sample_stack(self._strip.planes[0], frames, sources.x, sources.y) / self._scale
        colours = self._colours(hole, frames, sources)
        proposal = Candidate((luma, *colours), known, sources.cost)
        return judge(hole, self._visible(frame), proposal)

    def _colours(self, hole: Hole, frames: NDArray[np.intp], sources: Sources) -> list[Floats]:
        if len(self._strip.planes) == 1:
            return []
        rows, columns = hole.rows_columns
        first = hole.colour_to_luma
        colour_rows, colour_columns = hole.colour_rows_columns
        layout = self._strip.layout
        shift_x = (sources.x[first] - columns[first]) / (1 << layout.shift_x)
        shift_y = (sources.y[first] - rows[first]) / (1 << layout.shift_y)
        x = np.asarray(colour_columns + shift_x, np.float32)
        y = np.asarray(colour_rows + shift_y, np.float32)
        return [
            sample_stack(plane, frames[first], x, y) / self._scale
            for plane in self._strip.planes[1:]
        ]

    def _spatial(self, frame: int) -> Candidate:
        """The soap film over the hole, judged by how a smooth fill predicts the ring."""
        hole = self._hole(frame)
        layout = self._strip.layout
        masks = [hole.mask, *[hole.colour_mask] * (len(self._strip.planes) - 1)]
        windows = [plane_window(hole.zone, plane, layout) for plane in range(len(masks))]
        pictures = [
            stack[frame][window].astype(np.float32) / self._scale
            for stack, window in zip(self._strip.planes, windows, strict=True)
        ]
        films = [
            membrane(picture, mask[window], rounds)
            for picture, mask, window, rounds in zip(
                pictures, masks, windows, _FILM_ROUNDS, strict=False
            )
        ]
        luma_places, colour_places = hole.in_zone
        values = [films[0][luma_places], *[film[colour_places] for film in films[1:]]]
        known = np.ones(hole.inside.size, bool)
        guess = smooth_fill(pictures[0], hole.hidden[windows[0]])[luma_places]
        against = np.full(known.size, _SPATIAL_ERROR, np.float32)
        judged = judge(
            hole,
            self._visible(frame),
            Candidate((guess, *values[1:]), known, against),
            strictness=_SPATIAL_STRICTNESS,
        )
        return Candidate(tuple(values), known, judged.error)

    # -- merging -----------------------------------------------------------------------------

    def _merge(self, frame: int, past: Candidate | None, future: Candidate | None) -> FilledFrame:
        hole = self._hole(frame)
        real = [candidate for candidate in (past, future) if candidate is not None]
        best = np.full(hole.inside.size, 99.0, np.float32)
        for candidate in real:
            best = np.minimum(best, np.where(candidate.known, candidate.error, 99.0))
        doubtful = best > _DOUBTFUL_LEVELS
        candidates = list(real)
        if hole.inside.any() and doubtful[hole.inside].mean() > _DOUBTFUL_SHARE:
            candidates.append(self._spatial(frame))
        blend = self._mean(hole, candidates, len(real))
        planes = self._finish(frame, blend)
        inside = hole.inside
        is_real = blend.real_weight > 0.5 * blend.weight
        origin = np.where(is_real, Origin.PROPAGATED, Origin.INVENTED)
        return FilledFrame(
            (
                self._native(planes[0][hole.mask]),
                *[self._native(plane[hole.colour_mask]) for plane in planes[1:]],
            ),
            origin[inside].astype(np.uint8),
            best[inside].astype(np.float16),
        )

    def _mean(self, hole: Hole, candidates: list[Candidate], real: int) -> _Blend:
        """The candidates' mean, those expected to err less weighing more."""
        count = hole.inside.size
        first = hole.colour_to_luma if len(self._strip.planes) > 1 else np.zeros(0, np.intp)
        luma, weight, real_weight = (np.zeros(count, np.float32) for _ in range(3))
        colours = [np.zeros(first.size, np.float32) for _ in self._strip.planes[1:]]
        for place, candidate in enumerate(candidates):
            share = np.asarray(candidate.known / (1.0 + candidate.error**2) ** 1.5, np.float32)
            luma += share * candidate.planes[0]
            weight += share
            if place < real:
                real_weight += share
            for total, values in zip(colours, candidate.planes[1:], strict=True):
                total += share[first] * values
        safe = np.maximum(weight, np.float32(1e-9))
        means = [np.asarray(total / safe[first], np.float32) for total in colours]
        return _Blend(np.asarray(luma / safe, np.float32), means, weight, real_weight)

    def _finish(self, frame: int, blend: _Blend) -> tuple[Floats, ...]:
        """Whole planes with the hole filled; what no candidate reaches follows the last frame."""
        hole = self._hole(frame)
        pictures = self._pictures(frame)
        pictures[0][hole.mask] = blend.luma[hole.inside]
        for picture, values in zip(pictures[1:], blend.colours, strict=True):
            picture[hole.colour_mask] = values[hole.colour_inside]
        lost = np.zeros(hole.mask.shape, bool)
        lost[hole.mask] = blend.weight[hole.inside] <= 1e-4
        if lost.any():
            self._close(frame, pictures, lost)
        self._previous = tuple(pictures)
        return self._previous

    def _close(self, frame: int, pictures: list[Floats], lost: Bools) -> None:
        """Fill ``lost`` in place: from the previous result along the motion, else a soap film."""
        flow = None
        if frame > self._strip.fill_start and frame not in self._strip.cuts:
            flow = self._motion.flow(frame, frame - 1)
        layout = self._strip.layout
        lost_colour = reduce_mask(lost, layout)
        for index, picture in enumerate(pictures):
            where = lost_colour if index else lost
            if flow is None or self._previous is None:
                picture[:] = membrane(picture, where)
                continue
            shift_x, shift_y = (layout.shift_x, layout.shift_y) if index else (0, 0)
            rows, columns = np.nonzero(where)
            x, y = flow.follow(rows << shift_y, columns << shift_x)
            x = np.asarray(x / (1 << shift_x), np.float32)
            y = np.asarray(y / (1 << shift_y), np.float32)
            picture[rows, columns] = sample(self._previous[index], x, y)

    # -- views of the strip ------------------------------------------------------------------

    def _hole(self, frame: int) -> Hole:
        return self._holes[int(self._strip.mask_of[frame])]

    def _pictures(self, frame: int) -> list[Floats]:
        """The frame's planes as new float32 arrays in 8-bit levels."""
        return [plane[frame].astype(np.float32) / self._scale for plane in self._strip.planes]

    def _native(self, values: Floats) -> Plane:
        return as_plane(values * self._scale, self._strip.layout)

    def _visible(self, frame: int) -> tuple[Floats, ...]:
        hole = self._hole(frame)
        luma, *colours = self._strip.planes
        values = [luma[frame][hole.rows_columns]]
        values += [plane[frame][hole.colour_rows_columns] for plane in colours]
        return tuple(value.astype(np.float32) / self._scale for value in values)


def _packed(candidate: Candidate) -> Candidate:
    """The candidate at half the memory: an eighth of a level is precise enough to wait in."""
    return Candidate(
        tuple(plane.astype(np.float16) for plane in candidate.planes),
        candidate.known,
        candidate.error.astype(np.float16),
    )


def _unpacked(candidate: Candidate | None) -> Candidate | None:
    if candidate is None:
        return None
    return Candidate(
        tuple(plane.astype(np.float32) for plane in candidate.planes),
        candidate.known,
        candidate.error.astype(np.float32),
    )
