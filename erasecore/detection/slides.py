"""Captions that slide in or out: the frames in which they move, and where they are in each.

A line that stands is followed out of its place frame by frame, by template matching around where
its speed would have taken it. Scene text that a camera brings to rest moves together with what is
around it; a caption slides over it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.appearance import Appearance
from erasecore.detection.patterns import strokes
from erasecore.detection.scaling import Luma, cut_out
from erasecore.model.events import PathPoint

MAX_SLIDE_SECONDS = 1.6  # seconds that a caption slides; guess

_HERE_FIT = 0.6  # correlation; least match at the line's own place; guess
_STANDING_RATIO = 0.85  # of the first frame's correlation, too; guess
_SETTLING_PX = 3  # working pixels; a line this near its place has nearly come to rest; guess
_SETTLED_FIT = 0.02  # by which a match a pixel off exceeds that at the place; guess
_MOVED_FIT = 0.55  # correlation; least match of a line that has moved; guess
_BETTER_RATIO = 0.7  # of what the match at the place itself lacks: a match elsewhere lacks; guess
_MIN_SLIDE_PX = 1.5  # working pixels; a shorter way is none; guess
_FIRST_REACH_SHARE = (0.16, 0.12)  # of width and height; reach of the first step; guess
_REACH_PX = 5.0  # working pixels around the expected place; guess
_REACH_SPEED = 0.6  # of the speed, in addition; guess
_MIN_VISIBLE = 0.12  # share of the line in the picture that can be matched; guess
_FADED_FRAMES = 2  # frames beyond the last match on which the line may be too faint; guess
_LEAVING_FRAMES = 8  # frames beyond it in which a line may still be leaving the picture; guess
_STEADY_FRAMES = 5  # places of which the speed is taken if it is steady; guess
_CONTEXT_LINES = 2.5  # text heights around the line in which the scene's motion is seen; guess
_CONTEXT_PAD_LINES = 0.35  # text heights around a line that are not the scene; guess
_ALONG_RATIO = 0.8  # of the difference without motion: less with it, and the scene moves; guess
_FLAT_LEVELS = 2.0  # levels; where neither difference is larger nothing is told; guess
_MIN_CONTEXT_PX = 150  # working pixels that the comparison needs; guess


@dataclass(frozen=True, slots=True)
class _Place:
    """Best match of a line in one frame: its shift in working pixels, and correlation."""

    dx: float
    dy: float
    fit: float


@dataclass(frozen=True, slots=True)
class Slide:
    """One end of a line's life.

    Attributes:
        path: where a caption slides in or out, by frame; empty if it does not.
        with_scene: True if the line moves out of its place together with the scene.
    """

    path: tuple[PathPoint, ...] = ()
    with_scene: bool = False


def follow(appearance: Appearance, frames: Iterable[tuple[int, Luma]], *, max_frames: int) -> Slide:
    """Return how a standing line comes (or goes): on a path, with the scene, or at its place.

    Args:
        appearance: of the line.
        frames: index and working luma, outwards from a frame in which it stands.
        max_frames: frames that it slides, at most.
    """
    matcher, rest = _Matcher(appearance), list(frames)
    standing = matcher.standing(rest)
    if not standing or standing == len(rest):
        return Slide()
    first = matcher.first_step(rest[standing][1])
    if first is None:
        return Slide()
    places, velocity = _follow_on(matcher, first, rest[standing + 1 :][: max_frames - 1])
    last = rest[standing - 1][1]
    seen = list(zip(rest[standing:], places, strict=False))
    if any(matcher.moves_with_scene(last, luma, place) for (_, luma), place in seen[:2]):
        return Slide(with_scene=True)
    settling = matcher.settling(rest[:standing])
    points = [PathPoint(index, round(p.dx), round(p.dy)) for (index, _), p in seen]
    ahead = [index for index, _ in rest[standing + len(places) :][:_LEAVING_FRAMES]]
    beyond = _beyond(places[-1], velocity, ahead, matcher)
    return Slide(tuple(sorted([*settling, *points, *beyond])))


def _follow_on(
    matcher: _Matcher, first: _Place, frames: Sequence[tuple[int, Luma]]
) -> tuple[list[_Place], tuple[float, float]]:
    """Return the line's places from ``first`` on, until it is lost, and its velocity then."""
    places, velocity = [first], (first.dx, first.dy)
    for number, (_, luma) in enumerate(frames):
        # The line may have come to rest between two frames: the first step can be a short one.
        place = matcher.moved(luma, places[-1], velocity, far=number == 0)
        if place is None:
            break
        velocity = (place.dx - places[-1].dx, place.dy - places[-1].dy)
        places.append(place)
    return places, _steady(places, velocity)


def _steady(places: Sequence[_Place], velocity: tuple[float, float]) -> tuple[float, float]:
    """Return the mean of the last steps if these are equal to a pixel, else ``velocity``.

    Places are whole pixels: a single step goes astray within a few frames.
    """
    recent = places[-_STEADY_FRAMES:]
    steps = np.diff([(place.dx, place.dy) for place in recent], axis=0)
    if len(steps) < _STEADY_FRAMES - 1 or np.ptp(steps, axis=0).max() > 1:
        return velocity
    return float(steps[:, 0].mean()), float(steps[:, 1].mean())


def _beyond(
    last: _Place, velocity: tuple[float, float], ahead: Sequence[int], matcher: _Matcher
) -> list[PathPoint]:
    """Return places that follow from the speed, in the frames after the line was lost.

    It may be too faint there, or too little of it in the picture.
    """
    points: list[PathPoint] = []
    dx, dy = last.dx, last.dy
    for number, index in enumerate(ahead):
        dx, dy = dx + velocity[0], dy + velocity[1]
        visible = matcher.visible(dx, dy)
        if visible <= 0 or (number >= _FADED_FRAMES and visible >= 0.5):
            break
        points.append(PathPoint(index, round(dx), round(dy)))
    return points


class _Matcher:
    """Finds one line's strokes in whole frames.

    Args:
        appearance: of the line.
    """

    def __init__(self, appearance: Appearance) -> None:
        self._box = appearance.place
        self._line = appearance.window.text_height
        self._strokes = appearance.template.whole
        self._size = 0, 0  # width and height of the picture

    def standing(self, frames: Sequence[tuple[int, Luma]]) -> int:
        """Return the number of frames, from the first on, that show the line at its place."""
        fits: list[float] = []
        for _, luma in frames:
            fits.append(self._search(luma, (0.0, 0.0), (1, 1)).fit)
            if fits[-1] < max(_HERE_FIT, _STANDING_RATIO * fits[0]):
                return len(fits) - 1
        return len(fits)

    def settling(self, frames: Sequence[tuple[int, Luma]]) -> list[PathPoint]:
        """Return the last of the frames as far as the line is a pixel or more off its place."""
        points: list[PathPoint] = []
        for index, luma in reversed(frames):
            here = self._search(luma, (0.0, 0.0), (0, 0))
            best = self._search(luma, (0.0, 0.0), (_SETTLING_PX, _SETTLING_PX))
            if (best.dx, best.dy) == (0, 0) or best.fit < here.fit + _SETTLED_FIT:
                break
            points.append(PathPoint(index, round(best.dx), round(best.dy)))
        return points

    def first_step(self, luma: Luma) -> _Place | None:
        """Return the line's place one frame out of its own, searched far around."""
        here = self._search(luma, (0.0, 0.0), (1, 1))
        best = self._search(luma, (0.0, 0.0), _first_reach(luma))
        far = np.hypot(best.dx, best.dy) > _MIN_SLIDE_PX
        better = best.fit > _MOVED_FIT and 1 - best.fit < _BETTER_RATIO * (1 - here.fit)
        return best if far and better else None

    def moved(
        self, luma: Luma, before: _Place, velocity: tuple[float, float], *, far: bool = False
    ) -> _Place | None:
        """Return the place near where its speed would take it; far around if ``far``."""
        expected = before.dx + velocity[0], before.dy + velocity[1]
        near = int(_REACH_PX + _REACH_SPEED * np.hypot(*velocity))
        best = self._search(luma, expected, _first_reach(luma) if far else (near, near))
        return best if best.fit > _MOVED_FIT else None

    def visible(self, dx: float, dy: float) -> float:
        """Return the share of the line that lies in the picture, at a place."""
        x0, y0, x1, y1 = self._box
        width, height = self._size
        wide = min(width, x1 + dx) - max(0.0, x0 + dx)
        high = min(height, y1 + dy) - max(0.0, y0 + dy)
        return float(max(0.0, wide) * max(0.0, high) / ((x1 - x0) * (y1 - y0)))

    def moves_with_scene(self, standing: Luma, moved: Luma, place: _Place) -> bool:
        """Return True if what is around the line has moved along, as it does with a sign.

        Where the surroundings are flat the whole picture tells.

        Args:
            standing: a frame in which the line is at its place, or a little beside it.
            moved: one in which it is at ``place``.
            place: shift of the line from its place.
        """
        here = self._search(standing, (0.0, 0.0), (_SETTLING_PX, _SETTLING_PX))
        shift = round(place.dx - here.dx), round(place.dy - here.dy)
        for lines in (_CONTEXT_LINES, np.inf):
            still, along = self._differences(standing, moved, shift, lines)
            if max(still, along) >= _FLAT_LEVELS:
                return along < _ALONG_RATIO * still
        return False

    def _differences(
        self, standing: Luma, moved: Luma, shift: tuple[int, int], lines: float
    ) -> tuple[float, float]:
        """Mean differences of the scene between two frames, without and with a shift, in levels.

        Args:
            standing: the one frame.
            moved: the other, in which the line has moved by ``shift``.
            shift: pixels right and down.
            lines: text heights around the line that are compared.
        """
        rows, columns = np.nonzero(self._around(standing.shape, shift, lines))
        there_y, there_x = rows + shift[1], columns + shift[0]
        height, width = standing.shape
        seen = (there_y >= 0) & (there_y < height) & (there_x >= 0) & (there_x < width)
        rows, columns, there_y, there_x = (a[seen] for a in (rows, columns, there_y, there_x))
        if rows.size < _MIN_CONTEXT_PX:
            return 0.0, 0.0
        here = standing[rows, columns].astype(np.float32)
        still, along = moved[rows, columns], moved[there_y, there_x]
        return float(np.abs(still - here).mean()), float(np.abs(along - here).mean())

    def _around(
        self, shape: tuple[int, ...], shift: tuple[int, int], lines: float
    ) -> NDArray[np.bool_]:
        """Pixels near the line, but neither in it nor where it has moved to (or come from)."""
        around = np.zeros(shape, np.bool_)
        x0, y0, x1, y1 = self._box
        far = int(min(lines * self._line, max(shape)))
        pad = int(_CONTEXT_PAD_LINES * self._line)
        around[max(0, y0 - far) : y1 + far, max(0, x0 - far) : x1 + far] = True
        for sign in (0, 1, -1):
            dx, dy = sign * shift[0], sign * shift[1]
            left, top = max(0, x0 + dx - pad), max(0, y0 + dy - pad)
            around[top : max(0, y1 + dy + pad), left : max(0, x1 + dx + pad)] = False
        return around

    def _search(self, luma: Luma, around: tuple[float, float], reach: tuple[int, int]) -> _Place:
        """Return the best match within ``reach`` of a shift, of what is visible there."""
        height, width = luma.shape
        self._size = width, height
        dx, dy = round(around[0]), round(around[1])
        x0, y0, x1, y1 = (side + shift for side, shift in zip(self._box, (dx, dy) * 2, strict=True))
        cut_left, cut_top = max(0, -x0), max(0, -y0)
        cut_right, cut_bottom = max(0, x1 - width), max(0, y1 - height)
        high, wide = self._strokes.shape
        part = self._strokes[cut_top : high - cut_bottom, cut_left : wide - cut_right]
        seen = part.size >= _MIN_VISIBLE * self._strokes.size and min(part.shape) >= 4
        if not seen or not part.any():
            return _Place(dx, dy, 0.0)
        x0, y0 = x0 + cut_left, y0 + cut_top
        x1, y1 = x0 + part.shape[1], y0 + part.shape[0]
        region = cut_out(luma, (x0 - reach[0], y0 - reach[1], x1 + reach[0], y1 + reach[1]))
        pattern = strokes(region, self._line)
        fits = np.asarray(cv2.matchTemplate(pattern, part, cv2.TM_CCOEFF_NORMED), np.float32)
        row, column = np.unravel_index(int(np.argmax(fits)), fits.shape)
        return _Place(
            dx + int(column) - reach[0], dy + int(row) - reach[1], float(fits[row, column])
        )


def _first_reach(luma: Luma) -> tuple[int, int]:
    """Pixels to each side, and up and down, in which a line's first steps are searched."""
    height, width = luma.shape
    return int(_FIRST_REACH_SHARE[0] * width), int(_FIRST_REACH_SHARE[1] * height)
