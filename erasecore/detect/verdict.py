"""Which lines of text are subtitles: drawn over the picture, not part of the scene.

Evidence that a line was drawn over the picture: it stays at its pixels while its surroundings
move, it lasts across a cut, or it comes or goes while its surroundings stay. A sign in a still
shot comes with one cut and goes with the next: nothing tells it from a subtitle but the rest of
the film, so the second look compares what is in doubt with what has been accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from erasecore.detect.patterns import Pattern
from erasecore.detect.spans import Edge, Span
from erasecore.detect.tracks import Box, Track

SHORT = "short"  # the reason that a line may be a part of a longer one despite
_DRIFT_PX = 0.8  # in working pixels; burned text does not move at all
_FIT = 0.3  # of the template at its place, at least
_TILT_DEGREES = 7.0
_FAINT_LEVELS = 7.0
_STAYS_SECONDS = 20.0  # nobody reads one subtitle for longer: a logo, a banner
_FLAT_LEVELS = 2.5  # surroundings with less structure do not show whether they move


@dataclass(frozen=True, slots=True)
class Traits:
    """What is known of one line of text once it is over."""

    span: Span
    box: Box  # working pixels
    text_height: float  # working pixels
    vertical: bool
    score: float
    contrast: float  # levels
    fit: float  # of the template at its place, median over the samples
    drift: float  # working pixels the line has moved in its life
    moved_on: bool  # the same line is found beside its place before or after
    tilt: float  # degrees
    moving: float  # share of sample pairs between which the surroundings moved; -1 unknown

    @property
    def keeps_still(self) -> bool:
        """Whether the line stays at its pixels, in the shape it has."""
        return self.drift <= _DRIFT_PX and not self.moved_on and self.fit >= _FIT


@dataclass(frozen=True, slots=True)
class Film:
    """What a verdict needs to know of the film."""

    width: int  # working pixels
    height: int
    frames: int
    rate: float
    cuts: tuple[int, ...]
    min_seconds: float
    free: bool = False  # regions are given: every place will do, logos included

    @property
    def portrait(self) -> bool:
        """Whether the picture is taller than wide."""
        return self.height > self.width


def traits_of(track: Track, span: Span, others: Sequence[Box]) -> Traits:
    """The traits of a finished track; ``others`` are other lines on screen meanwhile."""
    patterns = [track.pattern(piece) for piece in track.samples]
    shifts = [track.template.shift(pattern) for pattern in patterns]
    drift = 0.0
    if len(shifts) > 1:
        third = max(1, len(shifts) // 3)
        ends = [
            np.median([(s.dx, s.dy) for s in part], axis=0)
            for part in (shifts[:third], shifts[-third:])
        ]
        drift = float(np.hypot(*(ends[1] - ends[0])))
    return Traits(
        span=span,
        box=track.box,
        text_height=track.text_height,
        vertical=track.vertical,
        score=float(np.median(track.scores)),
        contrast=track.template.contrast,
        fit=float(np.median([shift.fit for shift in shifts])),
        drift=max(drift, float(np.median([shift.length for shift in shifts]))),
        moved_on=_moved_on(track, span),
        tilt=float(np.median(track.tilts)),
        moving=_moving(track, patterns, others),
    )


def _moved_on(track: Track, span: Span) -> bool:
    """Whether the line is found beside its place at the ends of its span or right behind them."""
    reach = max(4, round(0.55 * track.text_height))
    near = [p for p in track.head if span.start - 4 <= p.index < span.start + 2]
    near += [p for p in track.tail if span.stop - 2 <= p.index < span.stop + 4]
    for piece in near:
        shift = track.template.shift(track.pattern(piece), reach=reach)
        if shift.length > (0.5 if shift.fit > 0.85 else 1.2) and shift.fit > 0.6:
            return True
    return False


def _moving(track: Track, patterns: Sequence[Pattern], others: Sequence[Box]) -> float:
    around = track.around(others)
    if int(around.sum()) < 200:
        return -1.0
    values = [pattern[around] for pattern in patterns]
    moved = []
    for one, other in pairwise(values):
        power = np.sqrt(float((one * one).mean()) * float((other * other).mean()))
        if power > _FLAT_LEVELS**2:
            moved.append(float((one * other).mean()) / power < 0.6)
    return float(np.mean(moved)) if moved else -1.0


def refusal(traits: Traits, film: Film) -> str:
    """Why the line is certainly no subtitle, in a few words; empty if it may be one."""
    seconds = (traits.span.stop - traits.span.start) / film.rate
    short_side = min(film.width, film.height)
    checks = (
        (seconds < film.min_seconds, SHORT),
        (traits.drift > _DRIFT_PX or traits.moved_on, "moves"),
        (traits.fit < _FIT, "does not keep its shape"),
        (traits.tilt > _TILT_DEGREES, "tilted"),
        (traits.contrast < _FAINT_LEVELS, "faint"),
        (not 0.014 * short_side < traits.text_height < 0.2 * short_side, "size"),
        (not film.free and seconds > _STAYS_SECONDS, "stays too long"),
        (not film.free and _is_logo(traits, film), "never appears or disappears"),
    )
    return next((why for wrong, why in checks if wrong), "")


def _is_logo(traits: Traits, film: Film) -> bool:
    whole = traits.span.comes in (Edge.FILM, Edge.UNKNOWN) and traits.span.goes is Edge.FILM
    return whole and not (_centred(traits, film, 0.15) and traits.moving > 0.5)


def drawn_over(traits: Traits, film: Film) -> bool:
    """Whether the line is certainly drawn over the picture."""
    span = traits.span
    if Edge.ALONE in (span.comes, span.goes) or traits.moving > 0.5:
        return True
    return any(span.start + 2 < cut < span.stop - 2 for cut in film.cuts)


def in_caption_place(traits: Traits, film: Film) -> bool:
    """Whether subtitles usually stand where the line stands."""
    if film.free:
        return True
    row = (traits.box[1] + traits.box[3]) / 2 / film.height
    if traits.vertical:
        return True
    if film.portrait:
        return _centred(traits, film, 0.2) and 0.08 < row < 0.95
    if row > 0.7 and Edge.ALONE in (traits.span.comes, traits.span.goes):
        return True  # at the left or the right, as some do
    return _centred(traits, film, 0.3) and (row < 0.3 or row > 0.62)


def _centred(traits: Traits, film: Film, share: float) -> bool:
    centre = (traits.box[0] + traits.box[2]) / 2 / film.width
    return abs(float(centre) - 0.5) < share


def alike(one: Traits, other: Traits) -> bool:
    """Whether two lines stand in the same rows in the same size."""
    larger = max(one.text_height, other.text_height)
    if abs(one.text_height - other.text_height) > 0.3 * larger:
        return False
    axis = 0 if one.vertical else 1
    rows = [(t.box[axis] + t.box[axis + 2]) / 2 for t in (one, other)]
    return one.vertical == other.vertical and abs(float(rows[0] - rows[1])) < 0.6 * larger


def second_look(lines: Sequence[Traits], film: Film) -> list[str]:
    """For each line that passed the first why it is left alone; empty for a subtitle."""
    drawn = [traits for traits in lines if drawn_over(traits, film)]
    sure = [traits for traits in drawn if in_caption_place(traits, film)]
    return [_compare(traits, film, sure, drawn) for traits in lines]


def _compare(traits: Traits, film: Film, sure: Sequence[Traits], drawn: Sequence[Traits]) -> str:
    if film.free:
        return ""
    is_drawn, in_place = drawn_over(traits, film), in_caption_place(traits, film)
    if is_drawn and in_place:
        return ""
    kin = [
        other
        for other in (drawn if is_drawn else sure)
        if alike(other, traits) and not _overlap(other.span, traits.span)
    ]
    if is_drawn:  # in an unusual place: where others come and go too, it is the film's own
        return "" if len(kin) >= 2 and _centred(traits, film, 0.15) else "place"
    return "" if in_place and kin else "part of the scene"


def _overlap(one: Span, other: Span) -> bool:
    return min(one.stop, other.stop) > max(one.start, other.start)
