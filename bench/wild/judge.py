"""Holds a result against a case's truth, a frame of all three films at a time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import cv2
import numpy as np

from bench.media import I420, BenchError, read_pictures, split
from bench.metrics import Mask, MaskedError, pool
from bench.wild.build import LaneMasks, WildCase, WildObject
from bench.wild.objects import (
    Glyphs,
    Levels,
    Verdict,
    borrowed,
    difference,
    distance,
    floor_levels,
    frame_state,
    glyphs,
    grown,
    verdict,
)
from bench.wild.rows import ObjectRow

TELEA_SAMPLES = 12  # frames of a case that are inpainted for comparison
TELEA_RADIUS_PX = 3
NEAR_PX = 12  # outside begins this far from the changed pixels
PLACE_PX = 3  # around the changed pixels, where another caption's letters are looked for
TOUCHED_LEVELS = 12.0  # distance from the source at which the product has changed a pixel


class Scores:
    """Sums over one film; read them once every frame has been added."""

    def __init__(self, case: WildCase) -> None:
        self._case = case
        self._masks: LaneMasks = case.lane_masks()
        self._sampled = _samples(case)
        self.source, self.ours, self.outside = MaskedError(), MaskedError(), MaskedError()
        self.telea, self.ours_sampled = MaskedError(), MaskedError()
        self._states: dict[WildObject, list[Verdict]] = {item: [] for item in case.objects}
        self._glyphs = _all_glyphs(case, self._masks)
        self.letters: list[int] = []
        self._worst = (-1.0, 0)

    @property
    def worst_frame(self) -> int:
        """Frame with the largest sum of distances in its changed pixels."""
        return self._worst[1]

    def add(self, frame: int, result: I420, clean: I420, hardsub: I420) -> None:
        """Count one frame of the three films."""
        mask = self._masks.every(frame)
        residual, contrast = difference(result, clean), difference(hardsub, clean)
        if mask.any():
            self.source.add(hardsub, clean, mask)
            self.ours.add(result, clean, mask)
            self._worst = max(self._worst, (float(distance(residual)[mask].sum()), frame))
            if frame in self._sampled:
                self.telea.add(telea(hardsub, mask), clean, mask)
                self.ours_sampled.add(result, clean, mask)
        self.outside.add(result, hardsub, ~grown(mask, NEAR_PX))
        shown = [item for item in self._case.objects if item.start <= frame < item.stop]
        floor = floor_levels(self._case.noise_levels)
        for item in shown:
            state = frame_state(residual, contrast, self._masks.of(item, frame), floor)
            if state is not None:
                self._states[item].append(state)
        touched: Mask = distance(residual - contrast) > TOUCHED_LEVELS
        place = grown(mask, PLACE_PX) | touched
        if self._shows_others(shown, residual[..., 0], contrast[..., 0], place):
            self.letters.append(frame)

    def _shows_others(
        self, shown: list[WildObject], residual: Levels, on_screen: Levels, place: Mask
    ) -> bool:
        """Return True if the result has letters of an object that is not on screen."""
        return any(
            borrowed(residual, on_screen, place, other)
            for item, other in self._glyphs.items()
            if item not in shown
        )

    def objects(self) -> tuple[ObjectRow, ...]:
        """Return a row for each object."""
        return tuple(
            ObjectRow(
                name=item.name,
                frames=len(states),
                clear_share=round(states.count(Verdict.FOUND) / max(1, len(states)), 3),
                verdict=verdict(states),
            )
            for item, states in self._states.items()
        )


def judge(case: WildCase, result: Path) -> Scores:
    """Return the scores of a result.

    Raises:
        BenchError: the result has another number of frames or another size.
    """
    scores = Scores(case)
    films = (read_pictures(path) for path in (result, case.clean, case.hardsub))
    for frame, pictures in enumerate(zip_longest(*films)):
        if any(picture is None for picture in pictures):
            raise BenchError(f"{result.name}: not {case.frames} frames")
        if len({picture.shape for picture in pictures}) > 1:
            raise BenchError(f"{result.name}: not {case.width} x {case.height} px")
        scores.add(frame, *pictures)
    return scores


def telea(hardsub: I420, mask: Mask) -> I420:
    """Return the picture with the mask, grown by 1 px, filled by OpenCV's Telea in each plane."""
    made = hardsub.copy()
    luma = grown(mask, 1)
    colour = grown(pool(luma), 1)
    for plane, hole in zip(split(made), (luma, colour, colour), strict=True):
        rows, columns = np.nonzero(hole)
        where = np.s_[
            max(0, rows.min() - 8) : rows.max() + 9, max(0, columns.min() - 8) : columns.max() + 9
        ]
        strip, ink = np.ascontiguousarray(plane[where]), hole[where].astype(np.uint8)
        plane[where] = cv2.inpaint(strip, ink, TELEA_RADIUS_PX, cv2.INPAINT_TELEA)
    return made


def _samples(case: WildCase) -> frozenset[int]:
    """Return evenly spread frames that have an object."""
    frames = sorted({f for item in case.objects for f in range(item.start, item.stop)})
    return frozenset(frames[:: max(1, len(frames) // TELEA_SAMPLES)])


def _all_glyphs(case: WildCase, masks: LaneMasks) -> dict[WildObject, Glyphs]:
    """Return each object's glyphs in the middle of its life."""
    middles = {item: (item.start + item.stop) // 2 for item in case.objects}
    pairs = dict(_pairs_at(case, set(middles.values())))
    found = {}
    for item, frame in middles.items():
        hardsub, clean = pairs[frame]
        drawn = glyphs(hardsub[: case.height], clean[: case.height], masks.of(item, frame))
        if drawn is not None:
            found[item] = drawn
    return found


def _pairs_at(case: WildCase, frames: set[int]) -> Iterator[tuple[int, tuple[I420, I420]]]:
    """Yield (frame, (source, clean)) for the frames asked for."""
    films = zip(read_pictures(case.hardsub), read_pictures(case.clean), strict=True)
    for frame, pair in enumerate(films):
        if frame in frames:
            yield frame, pair
