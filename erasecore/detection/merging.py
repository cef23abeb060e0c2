"""Merging of detected pieces of one line of text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from erasecore.detection.line_window import WorkBox
from erasecore.detection.spans import Span
from erasecore.detection.stroke_signature import SAME_TEXT, likeness
from erasecore.detection.verdict import TextLine

_SAME_PLACE = 0.8  # least overlap of two boxes each way, to be one line's; guess


def merge(lines: Sequence[TextLine]) -> list[TextLine]:
    """Return the lines by start; parts of one line, and one line seen twice, become one."""
    merged: list[TextLine] = []
    for line in sorted(lines, key=lambda each: each.span.start):
        for k, other in enumerate(merged):
            if _belong(other, line):
                merged[k] = _union(other, line)
                break
        else:
            merged.append(line)
    return merged if len(merged) == len(lines) else merge(merged)


def attach(lines: Sequence[TextLine], brief: Sequence[TextLine]) -> list[TextLine]:
    """Return the lines, extended by brief ones that belong to them.

    These are text typed bit by bit, which leads into a line, and frames of a line on the other
    side of a cut, which show its strokes.
    """
    grown = list(lines)
    for part in sorted(brief, key=lambda each: -each.span.start):
        grown = [
            _union(line, part) if _leads_into(part, line) or _goes_on(part, line) else line
            for line in grown
        ]
    return grown


def _goes_on(part: TextLine, line: TextLine) -> bool:
    """Return True if ``part`` is ``line`` right before its first frame, or after its last one."""
    before, after = line.span.start - part.span.stop, part.span.start - line.span.stop
    if not (-2 <= before <= 1 or -2 <= after <= 1) or part.vertical != line.vertical:
        return False
    if min(box_overlap(part.box, line.box, axis) for axis in (0, 1)) < _SAME_PLACE:
        return False
    if part.signature is None or line.signature is None:
        return False
    return likeness(part.signature, line.signature) > SAME_TEXT


def _leads_into(part: TextLine, line: TextLine) -> bool:
    """Return True if ``part`` ends as ``line`` begins, in its rows and within its length."""
    if part.vertical != line.vertical or not -2 <= line.span.start - part.span.stop <= 1:
        return False
    across = 0 if line.vertical else 1
    same_rows = box_overlap(part.box, line.box, across) > 0.7
    inside = box_overlap(part.box, line.box, 1 - across) > 0.8
    return bool(same_rows and inside and part.text_height < 1.3 * line.text_height)


def _belong(one: TextLine, other: TextLine) -> bool:
    """Return True if two lines are one: at the same time, in the same rows, side by side."""
    shared = min(one.span.stop, other.span.stop) - max(one.span.start, other.span.start)
    shorter, longer = sorted(line.span.stop - line.span.start for line in (one, other))
    if shared < 0.6 * shorter or one.vertical != other.vertical:
        return False
    across = 0 if one.vertical else 1
    if box_overlap(one.box, other.box, across) < 0.6:
        return False
    heights = sorted((one.text_height, other.text_height))
    if _joint_thickness(one, other, across) > 1.35 * heights[1] or heights[1] > 1.6 * heights[0]:
        return False
    gap = _gap(one.box, other.box, 1 - across)
    if gap < -0.3 * min(one.text_height, other.text_height):
        return True  # one lies on the other
    close = gap < 1.5 * max(one.text_height, other.text_height)
    return bool(close and shared > 0.9 * longer)


def box_overlap(one: WorkBox, other: WorkBox, axis: int) -> float:
    """Share of the shorter side that the boxes have in common along ``axis``; < 0 if apart."""
    shared = min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
    return float(shared / max(1e-6, min(b[axis + 2] - b[axis] for b in (one, other))))


def _joint_thickness(one: TextLine, other: TextLine, axis: int) -> float:
    """Thickness along ``axis`` of the bounding box of both lines, in working pixels."""
    low, high = min(one.box[axis], other.box[axis]), max(one.box[axis + 2], other.box[axis + 2])
    return float(high - low)


def _gap(one: WorkBox, other: WorkBox, axis: int) -> float:
    """Distance of the boxes along ``axis``, in working pixels; negative if they overlap."""
    return float(max(one[axis], other[axis]) - min(one[axis + 2], other[axis + 2]))


def _weight(line: TextLine) -> float:
    """Return how much a line's measurements are worth: its frames at rest, and its contrast."""
    at_rest = line.span.stop - line.span.start - len(line.path)
    return max(0.5, at_rest) * line.contrast


def _union(one: TextLine, other: TextLine) -> TextLine:
    """Return both lines as one; most fields are of the longer and clearer one."""
    first, second = one.span, other.span
    main = max((one, other), key=_weight)
    span = Span(
        start=min(first.start, second.start),
        stop=max(first.stop, second.stop),
        full_start=main.span.full_start,
        full_stop=main.span.full_stop,
        comes=first.comes if first.start <= second.start else second.comes,
        goes=first.goes if first.stop >= second.stop else second.goes,
    )
    box: WorkBox = np.concatenate(
        [np.minimum(one.box[:2], other.box[:2]), np.maximum(one.box[2:], other.box[2:])]
    )
    return replace(main, span=span, box=box, moving=max(one.moving, other.moving))
