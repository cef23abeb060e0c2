"""Classification of lines of text: subtitle, or part of the scene.

A line was drawn over the picture if it stays at its pixels while its surroundings move, lasts
across a cut, or comes or goes while its surroundings stay. A sign in a still shot comes with one
cut and goes with the next: only the rest of the film tells it from a subtitle, so a second pass
compares doubtful lines with similar ones that have been accepted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.line_window import WorkBox, common_edge
from erasecore.detection.movement import DRIFT_PX, movement_of
from erasecore.detection.patterns import Pattern
from erasecore.detection.slides import Slide
from erasecore.detection.spans import Edge, Span
from erasecore.detection.stroke_signature import StrokeSignature, signature_of
from erasecore.detection.tracks import Track
from erasecore.model.events import PathPoint, swept_box

SHORT = "short"
"""Reason of refusal of a brief line, which may still be part of a longer one."""

STAYS_SECONDS = 20.0  # seconds; nobody reads one subtitle for longer: a logo, a banner; guess
MIN_HEIGHT_SHARE = 0.014  # of the picture's shorter side; lower lines are grain; guess

_MAX_HEIGHT_SHARE = 0.28  # of the picture's shorter side; higher lines are scenery; guess
_MIN_FIT = 0.3  # correlation; least match of the template at its place; guess
_MIN_FIT_ONCE = 0.45  # correlation; the same for a line that was seen in a single sample; guess
_SIGN_TILT_DEGREES = 7.0  # degrees; text that is tilted more is a sign ...; guess
_MAX_TILT_DEGREES = 20.0  # ... unless it comes and goes by itself, up to this; guess
_MIN_LENGTH_LINES = 1.5  # line heights; a shorter line is a single letter or a leaf; guess
_HIGH_SHARE = 0.3  # of the height from the top; captions stand above this ...; guess
_LOW_SHARE = 0.62  # ... or below this; guess
_GLIMPSED_SECONDS = 0.25  # seconds; of a line cut off by the film, less needs others of its kind
_CUT_OFF_FRAMES = 2  # frames of a line that the film's start or end cuts off, at least; guess
_REST_FRAMES = 4  # frames that a line stands between sliding in and out, at least; guess
_REST_SHARE = 0.5  # of the frames in which it slides, at least, too; guess
_UNCERTAIN_FRAMES = 2  # frames by which two lines that follow each other may overlap; guess
_LENGTHS_LINES = 0.7  # line heights by which sentences differ in length, at least; guess
_FAINT_LEVELS = 7.0  # levels; least contrast; guess
_FLAT_LEVELS = 2.5  # levels; flatter surroundings do not show whether they move; guess
_MIN_CONTEXT_PX = 200  # pixels of surroundings that are needed to see motion; guess


@dataclass(frozen=True, slots=True)
class TextLine:
    """Measurements of one line of text, taken once it is over."""

    span: Span
    box: WorkBox  # working pixels
    text_height: float  # working pixels
    vertical: bool
    score: float
    contrast: float  # levels
    fit: float  # correlation of the template near its place, median
    drift: float  # working pixels the line has moved in its life
    moved_on: bool  # True if the same line is found beside its place before or after
    tilt: float  # degrees
    sightings: int  # samples that show it
    moving: float  # share of sample pairs between which the surroundings moved; -1 unknown
    path: tuple[PathPoint, ...] = ()  # where it slides or pops in and out, working pixels
    signature: StrokeSignature | None = None
    with_scene: bool = False  # True if it was seen to come or go together with what is around it

    @property
    def swept(self) -> WorkBox:
        """Bounding box of the line at its place and along its path, in working pixels."""
        return np.array(swept_box(self.box.tolist(), self.path))

    @property
    def keeps_still(self) -> bool:
        """True if the line stays at its pixels and keeps its shape."""
        return self.drift <= DRIFT_PX and not self.moved_on and self.fit >= _MIN_FIT


@dataclass(frozen=True, slots=True)
class FilmFacts:
    """Facts of the film that a verdict needs."""

    width: int  # working pixels
    height: int
    frames: int
    clock: Sequence[float]  # seconds; start of each frame, and end of the last one
    cuts: tuple[int, ...]
    flash_candidates: frozenset[int]  # frames that may be cuts, or flashes
    min_seconds: float
    any_place: bool = False  # regions are given: lines anywhere in them count, logos included

    def seconds(self, span: Span) -> float:
        """Duration of a span, in seconds."""
        return self.clock[span.stop] - self.clock[span.start]

    @property
    def portrait(self) -> bool:
        """True if the picture is taller than wide."""
        return self.height > self.width


def line_of(
    track: Track,
    span: Span,
    others: Sequence[WorkBox],
    slides: tuple[Slide, Slide] = (Slide(), Slide()),
) -> TextLine:
    """Measure a finished track's line.

    Args:
        track: the line.
        span: its frames.
        others: boxes of other lines on screen meanwhile, in working pixels.
        slides: how it comes and goes.
    """
    appearance = track.appearance
    patterns = [appearance.pattern(piece) for piece in appearance.samples]
    comes, goes = (slide.path for slide in slides)
    known = track.life is not None  # seen from its first frame to its last
    movement = movement_of(track, span, slides=(known or bool(comes), known or bool(goes)))
    span = _with_paths(span, comes, goes)
    slid = max(sum(point.slides for point in path) for path in (comes, goes))
    with_scene = any(slide.with_scene for slide in slides)
    moves = with_scene or not _rests(span, slid)
    return TextLine(
        span=span,
        box=track.box,
        text_height=track.window.text_height,
        vertical=track.window.vertical,
        score=track.score,
        contrast=appearance.template.contrast,
        fit=movement.fit,
        drift=movement.drift_px,
        moved_on=movement.goes_along or moves,
        with_scene=with_scene,
        tilt=track.tilt,
        sightings=track.sample_count,
        moving=_moving(appearance.context_mask(others), patterns),
        path=(*comes, *goes),
        signature=signature_of(appearance.template.whole, track.box),
    )


def _rests(span: Span, sliding_frames: int) -> bool:
    """Return True if a line stands long enough to be one that slides in or out, not one that rolls.

    Args:
        span: its frames; it stands in those at full opacity.
        sliding_frames: frames in which it is beside its place, at the end at which these are more.
    """
    least = max(_REST_FRAMES, _REST_SHARE * sliding_frames)
    return not sliding_frames or span.full_stop - span.full_start >= least


def _with_paths(span: Span, comes: tuple[PathPoint, ...], goes: tuple[PathPoint, ...]) -> Span:
    """Return the span with the frames in which the line slides in or out."""
    start, full_start, stop, full_stop = span.start, span.full_start, span.stop, span.full_stop
    if comes:
        start, full_start = comes[0][0], comes[-1][0] + 1
    if goes:
        stop, full_stop = goes[-1][0] + 1, goes[0][0]
    full_start = min(full_start, stop - 1)
    full_stop = max(full_stop, full_start + 1)
    return replace(span, start=start, stop=stop, full_start=full_start, full_stop=full_stop)


def _moving(around: NDArray[np.bool_], patterns: Sequence[Pattern]) -> float:
    """Share of adjacent sample pairs between which the surroundings moved; -1 if none shows it."""
    if int(around.sum()) < _MIN_CONTEXT_PX:
        return -1.0
    values = [pattern[around] for pattern in patterns]
    moved = []
    for one, other in pairwise(values):
        power = np.sqrt(float((one * one).mean()) * float((other * other).mean()))
        if power > _FLAT_LEVELS**2:
            moved.append(float((one * other).mean()) / power < 0.6)
    return float(np.mean(moved)) if moved else -1.0


def refusal(line: TextLine, film: FilmFacts) -> str:
    """Return the reason for which the line is certainly no subtitle; empty if it may be one."""
    seconds = film.seconds(line.span)
    short_side = min(film.width, film.height)
    too_long = seconds > STAYS_SECONDS and not stands(line, film)
    brief = seconds < film.min_seconds and not cut_off(line, film)
    too_short = brief and not (film.any_place and _pops_up(line))
    most_tilt = _MAX_TILT_DEGREES if film.any_place or _pops_up(line) else _SIGN_TILT_DEGREES
    checks = (
        (too_short, SHORT),
        (line.drift > DRIFT_PX or line.moved_on, "moves"),
        (line.fit < (_MIN_FIT if line.sightings > 1 else _MIN_FIT_ONCE), "does not keep its shape"),
        (line.tilt > most_tilt, "tilted"),
        (not film.any_place and _runs_off(line, film), "runs off the picture"),
        (not film.any_place and line.contrast < _FAINT_LEVELS, "faint"),
        (
            not MIN_HEIGHT_SHARE * short_side < line.text_height < _MAX_HEIGHT_SHARE * short_side,
            "size",
        ),
        (not film.any_place and too_long, "stays too long"),
        (not film.any_place and _is_logo(line, film), "never appears or disappears"),
    )
    return next((reason for wrong, reason in checks if wrong), "")


def _pops_up(line: TextLine) -> bool:
    """Return True if a line comes and goes by itself, at once or in a fade."""
    span = line.span
    comes = span.comes is Edge.ALONE and (span.switched_on or span.sharp_on or _fades_in(span))
    goes = span.goes is Edge.ALONE and (span.switched_off or span.sharp_off or _fades_out(span))
    return comes and goes


def _fades_in(span: Span) -> bool:
    return span.full_start > span.start


def _fades_out(span: Span) -> bool:
    return span.full_stop < span.stop


def cut_off(line: TextLine, film: FilmFacts) -> bool:
    """Return True if the film's first or last frame cuts off a line that keeps its place."""
    frames = line.span.stop - line.span.start
    at_edge = line.span.start == 0 or line.span.stop >= film.frames
    return at_edge and frames >= _CUT_OFF_FRAMES and film.frames > frames


def _runs_off(line: TextLine, film: FilmFacts) -> bool:
    """Return True if the line goes on beyond a side of the picture: a banner, a ticker."""
    along = 1 if line.vertical else 0
    length = film.height if line.vertical else film.width
    low, high = float(line.box[along]) <= 1, float(line.box[along + 2]) >= length - 1
    return (low or high) if not film.portrait else low != high


def has_paired_line(line: TextLine, accepted: Sequence[TextLine]) -> bool:
    """Return True if the line comes and goes with an accepted one beside it (paired lines)."""
    return any(_is_pair(line, other) for other in accepted)


def _is_pair(one: TextLine, other: TextLine) -> bool:
    """Return True if two lines come and go together, alone, in one size and close by."""
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
    """Return True if the line is there from the film's start to its end."""
    always = line.span.comes in (Edge.FILM, Edge.UNKNOWN) and line.span.goes is Edge.FILM
    return always and not stands(line, film)


def stands(line: TextLine, film: FilmFacts) -> bool:
    """Return True if the line stands where captions do while the scene moves behind it."""
    centred = _centred(line, film, 0.15) and line.moving > 0.5
    return centred and in_caption_place(line, film)


def drawn_over(line: TextLine, film: FilmFacts) -> bool:
    """Return True if the line is certainly drawn over the picture."""
    span = line.span
    low = _row(line, film) > _LOW_SHARE  # in the likeliest rows less proof is enough
    if span.plainly_alone or (span.alone and low) or line.moving > 0.5:
        return True
    if span.sharp_on and not film.flash_candidates & {span.start - 1, span.start, span.start + 1}:
        return True
    if span.sharp_off and not film.flash_candidates & {span.stop - 1, span.stop, span.stop + 1}:
        return True
    return any(span.start + 2 < cut < span.stop - 2 for cut in film.cuts)


def in_caption_place(line: TextLine, film: FilmFacts) -> bool:
    """Return True if subtitles usually stand where the line stands."""
    if film.any_place:
        return True
    row = _row(line, film)
    if line.vertical:
        return True
    if film.portrait:
        return _centred(line, film, 0.2) and 0.03 < row < 0.98
    length = float(line.box[2] - line.box[0]) / line.text_height
    if length < _MIN_LENGTH_LINES:  # a single letter, or a leaf
        return _centred(line, film, 0.06) and (row < _HIGH_SHARE or row > _LOW_SHARE)
    if row > 0.7 and length > 2 * _MIN_LENGTH_LINES and line.span.alone:
        return True  # at the left or the right, as some do
    return _centred(line, film, 0.3) and (row < _HIGH_SHARE or row > _LOW_SHARE)


def _row(line: TextLine, film: FilmFacts) -> float:
    """Middle of the line as a share of the picture's height, from the top."""
    return float(line.box[1] + line.box[3]) / 2 / film.height


def _centred(line: TextLine, film: FilmFacts, share: float) -> bool:
    """Return True if the line's middle is within ``share`` of the width from the picture's."""
    centre = (line.box[0] + line.box[2]) / 2 / film.width
    return abs(float(centre) - 0.5) < share


def has_similar_line(one: TextLine, other: TextLine) -> bool:
    """Return True if two lines stand in the same rows in the same size (similar lines)."""
    larger = max(one.text_height, other.text_height)
    if abs(one.text_height - other.text_height) > 0.3 * larger:
        return False
    axis = 0 if one.vertical else 1
    rows = [(line.box[axis] + line.box[axis + 2]) / 2 for line in (one, other)]
    return one.vertical == other.vertical and abs(float(rows[0] - rows[1])) < 0.6 * larger


def is_kin(one: TextLine, other: TextLine, film: FilmFacts) -> bool:
    """Return True if two lines are similar, and have a middle or an edge in common."""
    if not has_similar_line(one, other):
        return False
    if one.vertical:
        return common_edge(one.box[[1, 0, 3, 2]], other.box[[1, 0, 3, 2]], film.height)
    return common_edge(one.box, other.box, film.width)


def reconsider(lines: Sequence[TextLine], film: FilmFacts) -> list[str]:
    """Return for each line its reason of refusal; empty for a subtitle (second pass).

    Args:
        lines: those that `refusal` found no reason against.
        film: the film's facts.
    """
    whole = [line for line in lines if film.seconds(line.span) >= film.min_seconds]
    drawn = [line for line in whole if drawn_over(line, film)]
    sure = [line for line in drawn if in_caption_place(line, film)]
    return [_compare(line, film, sure, drawn) for line in lines]


def _compare(
    line: TextLine, film: FilmFacts, sure: Sequence[TextLine], drawn: Sequence[TextLine]
) -> str:
    """Return the line's reason of refusal, empty for a subtitle.

    Args:
        line: the line.
        film: the film's facts.
        sure: lines that are subtitles beyond doubt.
        drawn: lines that were certainly drawn over the picture.
    """
    if film.any_place:
        return ""
    is_drawn, in_place = drawn_over(line, film), in_caption_place(line, film)
    is_whole = film.seconds(line.span) >= film.min_seconds
    glimpsed = film.seconds(line.span) < _GLIMPSED_SECONDS
    if is_drawn and in_place and (is_whole or (line.span.plainly_alone and not glimpsed)):
        return ""
    similar = [
        other
        for other in (drawn if is_drawn else sure)
        if has_similar_line(other, line) and not overlap(other.span, line.span)
    ]
    if is_drawn and in_place:  # cut off by the film's start or end
        return "" if similar else SHORT
    if is_drawn:  # in an unusual place: where others come and go too, it is the film's own
        kin = [other for other in similar if is_kin(other, line, film)]
        return "" if len(kin) >= 2 and _differ_in_length(line, kin) else "place"
    return "" if in_place and similar else "part of the scene"


def _differ_in_length(line: TextLine, others: Sequence[TextLine]) -> bool:
    """Return True if lines are of several lengths, as sentences are, and clocks are not."""
    axis = 1 if line.vertical else 0
    lengths = [float(each.box[axis + 2] - each.box[axis]) for each in (line, *others)]
    return max(lengths) - min(lengths) > _LENGTHS_LINES * line.text_height


def overlap(one: Span, other: Span) -> bool:
    """Return True if two spans share more frames than their ends are uncertain by."""
    return min(one.stop, other.stop) - max(one.start, other.start) > _UNCERTAIN_FRAMES
