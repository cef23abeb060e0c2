"""Static marks: one text at one place that shows nearly all the time, with gaps.

Something bright that passes behind a translucent mark hides it, and a hand confuses the detector:
the mark seems to come and go as subtitles do. Its parts are judged together: a mark is left whole.
"""

from __future__ import annotations

from collections.abc import Sequence

from erasecore.detection.merging import box_overlap
from erasecore.detection.spans import Edge
from erasecore.detection.stroke_signature import SAME_TEXT, likeness
from erasecore.detection.verdict import STAYS_SECONDS, FilmFacts, TextLine, stands

MARK = "a mark that is there nearly all the time"
"""Reason of refusal of a part of a static mark."""

_MAX_GAP_SECONDS = 6.0  # seconds for which a mark is hidden at once, at most; guess
_COVERAGE = 0.6  # of the time from its first part to its last that a mark shows, at least; guess
_SAME_ROWS = 0.7  # least overlap of the parts across the line; guess
_SAME_LENGTH = 0.7  # least overlap along it; guess
_SAME_HEIGHT = 0.7  # least ratio of their heights; guess


def parts_of_marks(lines: Sequence[TextLine], film: FilmFacts) -> set[int]:
    """Return the numbers of the lines that are parts of static marks.

    Args:
        lines: all lines of the film that keep still, accepted or not.
        film: the film's facts.
    """
    order = sorted(range(len(lines)), key=lambda k: lines[k].span.start)
    groups: list[list[int]] = []
    for k in order:
        for group in groups:
            if _continues(lines[group[-1]], lines[k], film):
                group.append(k)
                break
        else:
            groups.append([k])
    marks = [group for group in groups if _is_mark([lines[k] for k in group], film)]
    return {k for group in marks for k in group}


def _continues(before: TextLine, line: TextLine, film: FilmFacts) -> bool:
    """Return True if a line may be the next part of the mark that ``before`` is a part of."""
    pause = film.clock[line.span.start] - film.clock[before.span.stop]
    after = line.span.start >= before.span.stop and pause <= _MAX_GAP_SECONDS
    if not after or before.signature is None or line.signature is None:
        return False
    return _same_place(before, line) and likeness(before.signature, line.signature) > SAME_TEXT


def _same_place(one: TextLine, other: TextLine) -> bool:
    """Return True if two lines stand in the same rows, in one size, one in the other's length."""
    heights = sorted((one.text_height, other.text_height))
    if one.vertical != other.vertical or heights[0] < _SAME_HEIGHT * heights[1]:
        return False
    across = 0 if one.vertical else 1
    in_rows = box_overlap(one.box, other.box, across) > _SAME_ROWS
    return in_rows and box_overlap(one.box, other.box, 1 - across) > _SAME_LENGTH


def _is_mark(parts: Sequence[TextLine], film: FilmFacts) -> bool:
    """Return True if lines of one text at one place are a mark, not a caption that comes again."""
    if len(parts) < 2 or any(stands(line, film) for line in parts):
        return False
    first, last = parts[0].span, parts[-1].span
    whole = film.clock[last.stop] - film.clock[first.start]
    if sum(film.seconds(line.span) for line in parts) < _COVERAGE * whole:
        return False
    always = first.comes in (Edge.FILM, Edge.UNKNOWN) and last.goes is Edge.FILM
    return always or whole > STAYS_SECONDS
