"""Whether a line of text moves: along in its life, or on with the scene when its life is over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from erasecore.detect.line_changes import Piece
from erasecore.detect.patterns import Shift
from erasecore.detect.spans import Span
from erasecore.detect.static_edges import edges_are_static
from erasecore.detect.tracks import Track

DRIFT_PX = 0.8  # in working pixels; burned text does not move at all
_SAMPLES = 5  # frames of the line's life, besides its samples
_SEEN_FIT = 0.3  # of the template, for the place it fits at to say anything
_BESIDE_PX = 1.2
_BESIDE_FIT = 0.45  # of the template along a way that is walked steadily
_SURE_FIT = 0.85  # no other text of the same look fits as well
_CERTAIN_FIT = 0.9
_UNSURE_PX = 4.0  # of a place, times what the fit lacks
_LINEAR_PX = 2.5  # farther than that edges have nothing to say
_BEYOND = 4  # frames looked at before and after the line's life


@dataclass(frozen=True, slots=True)
class Movement:
    """How still a line of text is."""

    fit: float  # of the template at its place or the nearest better one, median
    drift_px: float  # working pixels it has moved in its life
    goes_along: bool  # it is found beside its place before or after


def movement_of(track: Track, span: Span) -> Movement:
    """How still a finished track's line is."""
    reach = max(4, round(0.55 * track.text_height))
    looks = [(p, track.template.shift(track.pattern(p), reach=reach)) for p in _life(track, span)]
    seen = [(piece, shift) for piece, shift in looks if shift.fit > _SEEN_FIT] or looks
    shifts = [shift for _, shift in seen]
    drift = max(_drift(shifts), float(np.median([shift.length for shift in shifts])))
    if drift > DRIFT_PX and max(shift.length for shift in shifts) < _LINEAR_PX:
        lumas = [piece.luma for piece, _ in seen]
        drift = 0.0 if edges_are_static(lumas, shifts, track.inner) else drift
    fit = float(np.median([shift.fit for _, shift in looks]))
    unsure = _UNSURE_PX * max(0.0, _CERTAIN_FIT - fit)
    return Movement(
        fit=fit,
        drift_px=max(0.0, drift - unsure),
        goes_along=any(_goes_along(way) for way in _ways(track, span, reach)),
    )


def _life(track: Track, span: Span) -> list[Piece]:
    """The track's samples and a few more frames, spread over its life, in order."""
    samples = {piece.index: piece for piece in track.samples}
    held = {piece.index: piece for piece in (*track.head, *track.tail)}
    first, end = span.start, span.stop
    if span.full_stop - span.full_start > 0.3 * (end - first):  # what fades fits anywhere
        first, end = span.full_start, span.full_stop
    inside = sorted(index for index in held if first <= index < end)
    spread = np.linspace(0, len(inside) - 1, min(_SAMPLES, len(inside))).round().astype(int)
    pieces = samples | {inside[k]: held[inside[k]] for k in spread}
    return [pieces[index] for index in sorted(pieces)]


def _drift(shifts: Sequence[Shift]) -> float:
    """Pixels from where the line was first to where it was last."""
    if len(shifts) < 2:
        return 0.0
    third = max(1, len(shifts) // 3)
    first, last = (
        np.median([(s.dx, s.dy) for s in part], axis=0)
        for part in (shifts[:third], shifts[-third:])
    )
    return float(np.hypot(*(last - first)))


def _ways(track: Track, span: Span, reach: int) -> list[list[Shift]]:
    """Where the line is found at both ends of its life and right behind them, outwards."""
    first = span.start - (0 if span.switched_on else _BEYOND)
    end = span.stop + (0 if span.switched_off else _BEYOND)
    before = [p for p in track.head if first <= p.index < span.start + 2]
    behind = [p for p in track.tail if span.stop - 2 <= p.index < end]
    return [
        [track.template.shift(track.pattern(piece), reach=reach) for piece in pieces]
        for pieces in (before[::-1], behind)
    ]


def _goes_along(way: Sequence[Shift]) -> bool:
    """Whether a line is followed out of its place, frame by frame, or is found as it is beside it.

    Args:
        way: where the template fits, from the last frames of the line's life on outwards.
    """
    surely = any(shift.length > _BESIDE_PX and shift.fit > _SURE_FIT for shift in way)
    return surely or _creeps(way) or _walks(way)


def _creeps(way: Sequence[Shift]) -> bool:
    """Whether a line, known beyond doubt, is a little farther from its place in every frame."""
    lengths = [shift.length for shift in way if shift.fit > _CERTAIN_FIT]
    steadily = all(one <= other + 0.02 for one, other in pairwise(lengths))
    return len(lengths) > 2 and steadily and lengths[-1] > max(DRIFT_PX, lengths[0] + 0.25)


def _walks(way: Sequence[Shift]) -> bool:
    """Whether a line goes the same way, at about the same speed, for three frames at least."""
    places = np.array([(s.dx, s.dy) for s in way if s.fit > _BESIDE_FIT and s.length > _BESIDE_PX])
    if len(places) < 4:
        return False
    steps = np.diff(places, axis=0)
    usual = np.median(steps, axis=0)
    speed = float(np.hypot(*usual))
    steady = np.hypot(*(steps - usual).T) < 0.4 * speed
    return speed > 0.4 and float(steady.mean()) > 0.7
