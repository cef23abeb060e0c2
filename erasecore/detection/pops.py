"""Captions that pop in or out: the frames in which they grow or shrink about their middle.

A line that stands is followed out of its size frame by frame, by template matching at a range of
scales around its middle. An editor's pop is quick; a sign that the camera approaches grows slowly,
and goes on growing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.appearance import Appearance
from erasecore.detection.patterns import strokes
from erasecore.detection.scaling import Luma, cut_out
from erasecore.model.events import PathPoint

MAX_POP_SECONDS = 0.4  # seconds that a caption grows or shrinks; guess

_Picture = TypeVar("_Picture", NDArray[np.float32], NDArray[np.uint8])

_SCALES = (0.3, 1.5)  # of its size; searched in the first frame beside it; guess
_STEP = 0.05  # from one scale to the next, in the coarse search; guess
_COARSE_HEIGHT_PX = 24.0  # working pixels of the line in the coarse search; guess
_FINE_HEIGHT_PX = 48.0  # working pixels of the line in the fine search, at most; guess
_COARSE_FIT = 0.45  # correlation; least match of the coarse search; guess
_FIT = 0.5  # correlation; least match; guess
_BETTER_RATIO = 0.75  # of what the match in its own size lacks: one elsewhere lacks; guess
_REACH_PX = 2  # working pixels around the middle, at coarse and at full size; guess
CHANGED_SCALE = 0.015  # least change of the size; guess
_SURE_FIT = 0.93  # correlation in its own size beyond doubt; guess
_MIN_REST_FRAMES = 2  # frames that a line stands in a size to be of that size; guess
_POP_SCALE = 0.04  # change of the size that is a pop, at least; guess
_KEPT_PX = 1  # working pixels that its middle moves, at most; guess
_SPEED = 0.6  # largest change of the size from one frame to the next; guess


@dataclass(frozen=True, slots=True)
class _Match:
    """Best match of a line in one frame."""

    scale: float
    dx: float
    dy: float
    fit: float


def follow_pop(
    appearance: Appearance, frames: Iterable[tuple[int, Luma]], *, max_frames: int
) -> tuple[PathPoint, ...]:
    """Return the frames in which a standing line is of another size, by frame; often none.

    Args:
        appearance: of the line.
        frames: index and working luma, outwards from a frame in which it stands.
        max_frames: frames that it grows or shrinks, at most.
    """
    matches = _matches(_ScaleMatcher(appearance), frames, max_frames)
    first = next((k for k, (_, match) in enumerate(matches) if match.scale != 1), len(matches))
    moving = matches[first:]
    if not first or len(moving) > max_frames:
        return ()  # it never stands in its own size, or goes on growing
    points = [PathPoint(at, round(m.dx), round(m.dy), round(m.scale, 3)) for at, m in moving]
    return tuple(sorted(points)) if _is_pop(points) else ()


@dataclass(frozen=True, slots=True)
class Life:
    """A brief line from its first frame to its last, at rest and in other sizes.

    Attributes:
        scale: of its rest, of the size in which it was first seen.
        rest: frames in which it stands in that size.
        comes: frames before them, sizes relative to its rest.
        goes: frames after them.
    """

    scale: float
    rest: tuple[int, ...]
    comes: tuple[PathPoint, ...]
    goes: tuple[PathPoint, ...]

    @property
    def stop(self) -> int:
        """First frame after all of it."""
        return max(self.rest[-1], *(point.frame for point in self.goes), -1) + 1

    @property
    def changes_size(self) -> bool:
        """True if the line is of another size before or after its rest."""
        return _is_pop((*self.comes, *self.goes))


def life_of(
    appearance: Appearance, frames: Sequence[tuple[int, Luma]], birth: int, *, max_frames: int
) -> Life | None:
    """Return a brief line's life in all sizes; ``None`` if it stands in none.

    Args:
        appearance: of the line, as one frame shows it.
        frames: index and working luma of the frames around that one, oldest first.
        birth: index of that one.
        max_frames: frames that it grows or shrinks, at most.
    """
    matcher = _ScaleMatcher(appearance)
    before = _matches(matcher, (each for each in reversed(frames) if each[0] < birth), max_frames)
    since = _matches(matcher, (each for each in frames if each[0] >= birth), max_frames)
    runs: list[list[tuple[int, _Match]]] = []
    for entry in [*before[::-1], *since]:
        if runs and abs(runs[-1][-1][1].scale - entry[1].scale) < CHANGED_SCALE:
            runs[-1].append(entry)
        else:
            runs.append([entry])
    longest = max(range(len(runs)), key=lambda k: len(runs[k]), default=-1)
    if longest < 0 or len(runs[longest]) < _MIN_REST_FRAMES:
        return None
    scale = float(np.median([match.scale for _, match in runs[longest]]))
    comes, goes = (
        tuple(
            PathPoint(index, round(match.dx), round(match.dy), round(match.scale / scale, 3))
            for run in part
            for index, match in run
        )
        for part in (runs[:longest], runs[longest + 1 :])
    )
    return Life(scale, tuple(index for index, _ in runs[longest]), comes, goes)


def _is_pop(points: Sequence[PathPoint]) -> bool:
    """Return True if a line plainly grows or shrinks, and its middle keeps its place."""
    grows = any(abs(point.scale - 1) >= _POP_SCALE for point in points)
    return grows and all(max(abs(point.dx), abs(point.dy)) <= _KEPT_PX for point in points)


def _matches(
    matcher: _ScaleMatcher, frames: Iterable[tuple[int, Luma]], max_frames: int
) -> list[tuple[int, _Match]]:
    """Return the matches from the first frame on, until the line is lost, or moves for too long."""
    matches: list[tuple[int, _Match]] = []
    beside = 0  # frames since the line was last seen in its own size
    for index, luma in frames:
        match = matcher.search(luma, matches[-1][1].scale if matches else 1.0)
        beside = 0 if match is not None and match.scale == 1 else beside + 1
        if match is None or beside > max_frames:
            break
        matches.append((index, match))
    return matches


class _ScaleMatcher:
    """Finds one line's strokes in another size, about its middle.

    Args:
        appearance: of the line.
    """

    def __init__(self, appearance: Appearance) -> None:
        self._box = appearance.place
        self._line = appearance.window.text_height
        self._shrink = min(1.0, _FINE_HEIGHT_PX / self._line)
        self._strokes = appearance.template.whole

    def search(self, luma: Luma, before: float) -> _Match | None:
        """Return how a frame shows the line, if it does.

        Args:
            luma: of the whole picture.
            before: scale in the frame next to it.
        """
        here = self._match(luma, 1.0, self._shrink)
        if here.fit > _SURE_FIT:
            return replace(here, dx=0.0, dy=0.0)
        low, high = max(_SCALES[0], before - _SPEED), min(_SCALES[1], before + _SPEED)
        shrink = min(1.0, _COARSE_HEIGHT_PX / self._line)
        coarse = [self._match(luma, scale, shrink) for scale in np.arange(low, high, _STEP)]
        best = max(coarse, key=lambda match: match.fit)
        if best.fit < _COARSE_FIT:
            return None
        near = np.linspace(best.scale - _STEP, best.scale + _STEP, self._fine_steps())
        fine = [self._match(luma, scale, self._shrink) for scale in near]
        best = max(fine, key=lambda match: match.fit)
        if abs(best.scale - 1) < CHANGED_SCALE or 1 - best.fit > _BETTER_RATIO * (1 - here.fit):
            best = replace(here, dx=0.0, dy=0.0)
        return best if best.fit > _FIT else None

    def _fine_steps(self) -> int:
        """Number of scales of the fine search: the line's ends are known to half a pixel."""
        half = max(self._strokes.shape) / 2
        return int(np.clip(2 * np.ceil(2 * _STEP * half) + 1, 9, 21))

    def _match(self, luma: Luma, scale: float, shrink: float) -> _Match:
        """Match the strokes in one size.

        Args:
            luma: of the whole picture.
            scale: of the line.
            shrink: of the pictures that are compared.
        """
        x0, y0, x1, y1 = self._box
        reach = _REACH_PX / shrink
        half = scale * (x1 - x0) / 2, scale * (y1 - y0) / 2
        x, y, wide, high = (x0 + x1) / 2, (y0 + y1) / 2, half[0] + reach, half[1] + reach
        sides = round(x - wide), round(y - high), round(x + wide), round(y + high)
        region = cut_out(luma, sides)
        small = _resized(region, [max(1, round(side * shrink)) for side in region.shape[::-1]])
        pattern = strokes(small, self._line * scale * shrink)
        template = _resized(self._strokes, [max(1, round(2 * h * shrink)) for h in half])
        if min(template.shape) < 4 or any(
            t > p for t, p in zip(template.shape, pattern.shape, strict=True)
        ):
            return _Match(scale, 0.0, 0.0, 0.0)
        fits = np.asarray(cv2.matchTemplate(pattern, template, cv2.TM_CCOEFF_NORMED), np.float32)
        row, column = np.unravel_index(int(np.argmax(fits)), fits.shape)
        dx = (int(column) - (fits.shape[1] - 1) / 2) / shrink
        dy = (int(row) - (fits.shape[0] - 1) / 2) / shrink
        return _Match(float(scale), dx, dy, float(fits[row, column]))


def _resized(picture: _Picture, size: Sequence[int]) -> _Picture:
    """Return a picture at a size (width, height): area average, or bilinear if it grows."""
    width, height = size
    if (picture.shape[1], picture.shape[0]) == (width, height):
        return picture
    shrinks = width < picture.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(_Picture, cv2.resize(picture, (width, height), interpolation=how))
