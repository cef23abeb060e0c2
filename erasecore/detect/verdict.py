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

from erasecore.detect.movement import DRIFT_PX, movement_of
from erasecore.detect.patterns import Pattern
from erasecore.detect.spans import Edge, Span
from erasecore.detect.tracks import Track, WorkBox

SHORT = "short"  # the reason that a line may be a part of a longer one despite
LEAST_HEIGHT = 0.014  # of the picture's shorter side: lower lines are grain, or not to be read
_FIT = 0.3  # of the template at its place, at least
_FIT_ONCE = 0.45  # of a line that was seen in a single sample
_TILT_DEGREES = 7.0
_STUMP = 1.5  # of a line's length to its height
_HIGH, _LOW = 0.3, 0.62  # of the height: above the one and below the other captions stand
_FAINT_LEVELS = 7.0
_STAYS_SECONDS = 20.0  # nobody reads one subtitle for longer: a logo, a banner
_FLAT_LEVELS = 2.5  # surroundings with less structure do not show whether they move


@dataclass(frozen=True, slots=True)
class TextLine:
    """What is known of one line of text once it is over."""

    span: Span
    box: WorkBox  # working pixels
    text_height: float  # working pixels
    vertical: bool
    score: float
    contrast: float  # levels
    fit: float  # of the template at its place, median over the samples
    drift: float  # working pixels the line has moved in its life
    moved_on: bool  # the same line is found beside its place before or after
    tilt: float  # degrees
    sightings: int  # samples that show it
    moving: float  # share of sample pairs between which the surroundings moved; -1 unknown

    @property
    def keeps_still(self) -> bool:
        """Whether the line stays at its pixels, in the shape it has."""
        return self.drift <= DRIFT_PX and not self.moved_on and self.fit >= _FIT


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """What a verdict needs to know of the film."""

    width: int  # working pixels
    height: int
    frames: int
    clock: Sequence[float]  # when each frame is shown, in seconds, and when the last one ends
    cuts: tuple[int, ...]
    flash_candidates: frozenset[int]  # frames that may be cuts, or flashes
    min_seconds: float
    any_place: bool = False  # regions are given: every place will do, logos included

    def seconds(self, span: Span) -> float:
        """How long a span is shown."""
        return self.clock[span.stop] - self.clock[span.start]

    @property
    def portrait(self) -> bool:
        """Whether the picture is taller than wide."""
        return self.height > self.width


def line_of(track: Track, span: Span, others: Sequence[WorkBox]) -> TextLine:
    """What is known of a finished track's line; ``others`` are other lines on screen meanwhile."""
    patterns = [track.pattern(piece) for piece in track.samples]
    movement = movement_of(track, span)
    return TextLine(
        span=span,
        box=track.box,
        text_height=track.text_height,
        vertical=track.vertical,
        score=float(np.median(track.scores)),
        contrast=track.template.contrast,
        fit=movement.fit,
        drift=movement.drift_px,
        moved_on=movement.goes_along,
        tilt=float(np.median(track.tilts)),
        sightings=len(track.samples),
        moving=_moving(track, patterns, others),
    )


def _moving(track: Track, patterns: Sequence[Pattern], others: Sequence[WorkBox]) -> float:
    """The share of sample pairs between which the surroundings changed; -1 if too few show it."""
    around = track.context_mask(others)
    if int(around.sum()) < 200:
        return -1.0
    values = [pattern[around] for pattern in patterns]
    moved = []
    for one, other in pairwise(values):
        power = np.sqrt(float((one * one).mean()) * float((other * other).mean()))
        if power > _FLAT_LEVELS**2:
            moved.append(float((one * other).mean()) / power < 0.6)
    return float(np.mean(moved)) if moved else -1.0


def refusal(line: TextLine, film: FilmFacts) -> str:
    """Why the line is certainly no subtitle, in a few words; empty if it may be one."""
    seconds = film.seconds(line.span)
    short_side = min(film.width, film.height)
    too_long = seconds > _STAYS_SECONDS and not _stands(line, film)
    checks = (
        (seconds < film.min_seconds, SHORT),
        (line.drift > DRIFT_PX or line.moved_on, "moves"),
        (line.fit < (_FIT if line.sightings > 1 else _FIT_ONCE), "does not keep its shape"),
        (line.tilt > _TILT_DEGREES, "tilted"),
        (not film.any_place and _runs_off(line, film), "runs off the picture"),
        (line.contrast < _FAINT_LEVELS, "faint"),
        (not LEAST_HEIGHT * short_side < line.text_height < 0.2 * short_side, "size"),
        (not film.any_place and too_long, "stays too long"),
        (not film.any_place and _is_logo(line, film), "never appears or disappears"),
    )
    return next((why for wrong, why in checks if wrong), "")


def _runs_off(line: TextLine, film: FilmFacts) -> bool:
    """Whether the line goes on beyond a side of the picture: a banner, a ticker."""
    along = 1 if line.vertical else 0
    length = film.height if line.vertical else film.width
    low, high = float(line.box[along]) <= 1, float(line.box[along + 2]) >= length - 1
    return (low or high) if not film.portrait else low != high


def has_paired_line(line: TextLine, accepted: Sequence[TextLine]) -> bool:
    """Whether the line comes and goes with a subtitle beside it: the other half of a pair."""
    return any(_is_pair(line, other) for other in accepted)


def _is_pair(one: TextLine, other: TextLine) -> bool:
    """Whether two lines come and go together, alone, in one size and close to each other."""
    spans = one.span, other.span
    together = abs(spans[0].start - spans[1].start) <= 2 and abs(spans[0].stop - spans[1].stop) <= 2
    alone = all(span.alone for span in spans)
    larger = max(one.text_height, other.text_height)
    alike_sized = min(one.text_height, other.text_height) > 0.65 * larger
    gaps = [
        max(one.box[axis], other.box[axis]) - min(one.box[axis + 2], other.box[axis + 2])
        for axis in (0, 1)
    ]
    return bool(together and alone and alike_sized and max(gaps) < 0.9 * larger)


def _is_logo(line: TextLine, film: FilmFacts) -> bool:
    """Whether the line is there from the film's start to its end."""
    whole = line.span.comes in (Edge.FILM, Edge.UNKNOWN) and line.span.goes is Edge.FILM
    return whole and not _stands(line, film)


def _stands(line: TextLine, film: FilmFacts) -> bool:
    """Whether the line stands where captions do while the scene moves behind it."""
    centred = _centred(line, film, 0.15) and line.moving > 0.5
    return centred and in_caption_place(line, film)


def drawn_over(line: TextLine, film: FilmFacts) -> bool:
    """Whether the line is certainly drawn over the picture."""
    span = line.span
    low = _row(line, film) > _LOW  # where it is most likely, less will do
    if span.plainly_alone or (span.alone and low) or line.moving > 0.5:
        return True
    if span.sharp_on and not film.flash_candidates & {span.start - 1, span.start, span.start + 1}:
        return True
    if span.sharp_off and not film.flash_candidates & {span.stop - 1, span.stop, span.stop + 1}:
        return True
    return any(span.start + 2 < cut < span.stop - 2 for cut in film.cuts)


def in_caption_place(line: TextLine, film: FilmFacts) -> bool:
    """Whether subtitles usually stand where the line stands."""
    if film.any_place:
        return True
    row = _row(line, film)
    if line.vertical:
        return True
    if film.portrait:
        return _centred(line, film, 0.2) and 0.03 < row < 0.98
    length = float(line.box[2] - line.box[0]) / line.text_height
    if length < _STUMP:  # a single letter, or a leaf
        return _centred(line, film, 0.06) and (row < _HIGH or row > _LOW)
    if row > 0.7 and length > 2 * _STUMP and line.span.alone:
        return True  # at the left or the right, as some do
    return _centred(line, film, 0.3) and (row < _HIGH or row > _LOW)


def _row(line: TextLine, film: FilmFacts) -> float:
    """Where the line's middle is, as a share of the height, from the top."""
    return float(line.box[1] + line.box[3]) / 2 / film.height


def _centred(line: TextLine, film: FilmFacts, share: float) -> bool:
    """Whether the line's middle is within ``share`` of the width from the picture's."""
    centre = (line.box[0] + line.box[2]) / 2 / film.width
    return abs(float(centre) - 0.5) < share


def has_similar_line(one: TextLine, other: TextLine) -> bool:
    """Whether two lines stand in the same rows in the same size."""
    larger = max(one.text_height, other.text_height)
    if abs(one.text_height - other.text_height) > 0.3 * larger:
        return False
    axis = 0 if one.vertical else 1
    rows = [(t.box[axis] + t.box[axis + 2]) / 2 for t in (one, other)]
    return one.vertical == other.vertical and abs(float(rows[0] - rows[1])) < 0.6 * larger


def reconsider(lines: Sequence[TextLine], film: FilmFacts) -> list[str]:
    """For each line that passed the first why it is left alone; empty for a subtitle."""
    drawn = [line for line in lines if drawn_over(line, film)]
    sure = [line for line in drawn if in_caption_place(line, film)]
    return [_compare(line, film, sure, drawn) for line in lines]


def _compare(
    line: TextLine, film: FilmFacts, sure: Sequence[TextLine], drawn: Sequence[TextLine]
) -> str:
    """Why the line is left alone, given those that are subtitles beyond doubt; or nothing."""
    if film.any_place:
        return ""
    is_drawn, in_place = drawn_over(line, film), in_caption_place(line, film)
    if is_drawn and in_place:
        return ""
    kin = [
        other
        for other in (drawn if is_drawn else sure)
        if has_similar_line(other, line) and not _overlap(other.span, line.span)
    ]
    if is_drawn:  # in an unusual place: where others come and go too, it is the film's own
        return "" if len(kin) >= 2 and _centred(line, film, 0.15) else "place"
    return "" if in_place and kin else "part of the scene"


def _overlap(one: Span, other: Span) -> bool:
    return min(one.stop, other.stop) > max(one.start, other.start)
