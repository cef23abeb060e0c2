"""Motion of a line of text: within its life, or on with the scene when its life is over.

A slow scene behind a line pulls at where its template matches best, as if the text were moving. But
if it moved, all of its edges would; edges that stay the same between two frames, across the
supposed motion, were drawn over the picture (docs/decisions.md 22).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_window import Piece
from erasecore.detection.patterns import Shift
from erasecore.detection.scaling import Luma
from erasecore.detection.spans import Span
from erasecore.detection.tracks import Track

DRIFT_PX = 0.8  # working pixels; burned text does not move at all, but its best match may; guess

_SAMPLES = 5  # frames of the line's life that are matched, besides its samples; guess
_MIN_FIT = 0.3  # correlation; least match whose place means anything; guess
_BESIDE_PX = 1.2  # working pixels from its place from which on a line is beside it; guess
_STEADY_FIT = 0.45  # correlation; least match along a path of steady speed; guess
_SURE_FIT = 0.85  # correlation that no other text of the same style reaches; guess
_CERTAIN_FIT = 0.9  # correlation of the same text beyond doubt; guess
_UNSURE_PX = 4.0  # working pixels of doubt for each unit that the match is below that; guess
_EDGES_MAX_PX = 2.5  # working pixels; farther motions can not be checked by edges; guess
_BEYOND_FRAMES = 4  # frames before and after the line's life that are matched; guess

_STRONG_PERCENTILE = 80  # of the expected changes; edges above it are strong; guess
_MIN_EDGE_LEVELS = 1.0  # levels; least change that a moving edge would show; guess
_MIN_EDGES = 30  # pixels of strong edges that are needed; guess
_MIN_MOTION_PX = 0.3  # working pixels; a shorter motion is none; guess
_STATIC_RATIO = 0.4  # of the expected change: an edge that changes less is static; guess
_ALONG_MIN_RATIO = 0.6  # of the expected change: an edge that moves along changes so much; guess
_ALONG_MAX_RATIO = 1.5  # and at most so much; guess
_MIN_STATIC_SHARE = 0.3  # of the strong edges that are static, to deny a motion; guess


@dataclass(frozen=True, slots=True)
class Movement:
    """Motion of a line of text."""

    fit: float  # correlation of the template at its best place near its own, median
    drift_px: float  # working pixels it has moved in its life
    goes_along: bool  # True if it is found beside its place before or after its life


def movement_of(
    track: Track, span: Span, *, slides: tuple[bool, bool] = (False, False)
) -> Movement:
    """Measure the motion of a finished track's line.

    Args:
        track: the line.
        span: its frames.
        slides: True if it slides in, and out, as captions do; it may be beside its place then.
    """
    appearance, template = track.appearance, track.appearance.template
    reach = max(4, round(0.55 * track.window.text_height))
    matches = [
        (piece, template.shift(appearance.pattern(piece), reach=reach))
        for piece in _life(track, span)
    ]
    seen = [(piece, shift) for piece, shift in matches if shift.fit > _MIN_FIT] or matches
    shifts = [shift for _, shift in seen]
    drift = max(_drift(shifts), float(np.median([shift.length for shift in shifts])))
    if drift > DRIFT_PX and max(shift.length for shift in shifts) < _EDGES_MAX_PX:
        lumas = [piece.luma for piece, _ in seen]
        drift = 0.0 if edges_are_static(lumas, shifts, appearance.inner) else drift
    fit = float(np.median([shift.fit for _, shift in matches]))
    unsure = _UNSURE_PX * max(0.0, _CERTAIN_FIT - fit)
    return Movement(
        fit=fit,
        drift_px=max(0.0, drift - unsure),
        goes_along=any(
            _goes_along(path)
            for path, slide in zip(_paths(track, span, reach), slides, strict=True)
            if not slide
        ),
    )


def _life(track: Track, span: Span) -> list[Piece]:
    """Return the track's samples and a few more crops, spread over its life, in order."""
    samples = {piece.index: piece for piece in track.appearance.samples}
    held = {piece.index: piece for piece in (*track.held.head, *track.held.tail)}
    first, end = span.start, span.stop
    if span.full_stop - span.full_start > 0.3 * (end - first):  # what fades fits anywhere
        first, end = span.full_start, span.full_stop
    inside = sorted(index for index in held if first <= index < end)
    spread = np.linspace(0, len(inside) - 1, min(_SAMPLES, len(inside))).round().astype(int)
    pieces = samples | {inside[k]: held[inside[k]] for k in spread}
    return [pieces[index] for index in sorted(pieces)]


def _drift(shifts: Sequence[Shift]) -> float:
    """Distance between the line's first and last places (medians over a third), in pixels."""
    if len(shifts) < 2:
        return 0.0
    third = max(1, len(shifts) // 3)
    first, last = (
        np.median([(s.dx, s.dy) for s in part], axis=0)
        for part in (shifts[:third], shifts[-third:])
    )
    return float(np.hypot(*(last - first)))


def _paths(track: Track, span: Span, reach: int) -> list[list[Shift]]:
    """Matches of the line at both ends of its life and right beyond them, outwards."""
    first = span.start - (0 if span.switched_on else _BEYOND_FRAMES)
    end = span.stop + (0 if span.switched_off else _BEYOND_FRAMES)
    before = [piece for piece in track.held.head if first <= piece.index < span.start + 2]
    after = [piece for piece in track.held.tail if span.stop - 2 <= piece.index < end]
    appearance = track.appearance
    return [
        [appearance.template.shift(appearance.pattern(piece), reach=reach) for piece in pieces]
        for pieces in (before[::-1], after)
    ]


def _goes_along(path: Sequence[Shift]) -> bool:
    """Return True if a line is followed out of its place, or matches plainly beside it.

    Args:
        path: best matches, from the last frames of the line's life outwards.
    """
    surely = any(shift.length > _BESIDE_PX and shift.fit > _SURE_FIT for shift in path)
    return surely or _creeps(path) or _walks(path)


def _creeps(path: Sequence[Shift]) -> bool:
    """Return True if a line, known beyond doubt, is farther from its place in every frame."""
    lengths = [shift.length for shift in path if shift.fit > _CERTAIN_FIT]
    steadily = all(one <= other + 0.02 for one, other in pairwise(lengths))
    return len(lengths) > 2 and steadily and lengths[-1] > max(DRIFT_PX, lengths[0] + 0.25)


def _walks(path: Sequence[Shift]) -> bool:
    """Return True if a line moves in one direction, at about one speed, over three steps."""
    beside = [s for s in path if s.fit > _STEADY_FIT and s.length > _BESIDE_PX]
    places = np.array([(s.dx, s.dy) for s in beside])
    if len(places) < 4:
        return False
    steps = np.diff(places, axis=0)
    usual = np.median(steps, axis=0)
    speed = float(np.hypot(*usual))
    steady = np.hypot(*(steps - usual).T) < 0.4 * speed
    return speed > 0.4 and float(steady.mean()) > 0.7


def edges_are_static(
    lumas: Sequence[Luma], shifts: Sequence[Shift], inner: tuple[int, int, int, int]
) -> bool:
    """Return True if the line's edges deny the motion that its template's matches suggest.

    Args:
        lumas: uint8 ``(H, W)`` each; crops to one window, in order of time.
        shifts: best match of the template in each.
        inner: place of the line in the window: left, top, right, bottom in pixels.
    """
    one, other = _farthest(shifts)
    dx, dy = shifts[other].dx - shifts[one].dx, shifts[other].dy - shifts[one].dy
    if np.hypot(dx, dy) < _MIN_MOTION_PX:
        return True
    static, along = _edge_shares(_smooth(lumas[one]), _smooth(lumas[other]), (dx, dy), inner)
    return static >= _MIN_STATIC_SHARE and static > 1.5 * along


def _farthest(shifts: Sequence[Shift]) -> tuple[int, int]:
    """Indices of the two samples whose matches lie farthest apart, the earlier first."""
    places = np.array([(shift.dx, shift.dy) for shift in shifts])
    apart = np.hypot(*(places[:, None] - places[None, :]).transpose(2, 0, 1))
    one, other = np.unravel_index(int(np.argmax(apart)), apart.shape)
    return int(min(one, other)), int(max(one, other))


def _edge_shares(
    one: NDArray[np.float32],
    other: NDArray[np.float32],
    motion: tuple[float, float],
    inner: tuple[int, int, int, int],
) -> tuple[float, float]:
    """Shares of the strong edges that are static, and that change as ``motion`` predicts."""
    left, top, right, bottom = inner
    middle = (one + other) / 2
    across = cv2.Sobel(middle, cv2.CV_32F, 1, 0, ksize=3) / 8
    down = cv2.Sobel(middle, cv2.CV_32F, 0, 1, ksize=3) / 8
    expected = -(across * motion[0] + down * motion[1])[top:bottom, left:right]
    change = (other - one)[top:bottom, left:right]
    size = np.abs(expected)
    strong = size >= max(_MIN_EDGE_LEVELS, float(np.percentile(size, _STRONG_PERCENTILE)))
    if int(strong.sum()) < _MIN_EDGES:
        return 0.0, 0.0
    ratio = change[strong] / expected[strong]
    along = (ratio > _ALONG_MIN_RATIO) & (ratio < _ALONG_MAX_RATIO)
    return float((np.abs(ratio) < _STATIC_RATIO).mean()), float(along.mean())


def _smooth(luma: Luma) -> NDArray[np.float32]:
    """Return a crop blurred by a Gaussian of 0.8 px, as float32."""
    return np.asarray(cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 0.8), np.float32)
