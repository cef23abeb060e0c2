"""Pieces of one line of text, put together again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from erasecore.detect.spans import Span
from erasecore.detect.tracks import WorkBox
from erasecore.detect.verdict import TextLine


def merge(lines: Sequence[TextLine]) -> list[TextLine]:
    """The lines, with those that are the same line seen twice, or its parts, made one."""
    merged: list[TextLine] = []
    for line in sorted(lines, key=lambda one: one.span.start):
        for k, other in enumerate(merged):
            if _belong(other, line):
                merged[k] = _union(other, line)
                break
        else:
            merged.append(line)
    return merged if len(merged) == len(lines) else merge(merged)


def attach(lines: Sequence[TextLine], brief: Sequence[TextLine]) -> list[TextLine]:
    """The lines, longer by brief ones that go over into them: text that is typed bit by bit."""
    grown = list(lines)
    for part in sorted(brief, key=lambda one: -one.span.start):
        grown = [_union(line, part) if _goes_over(part, line) else line for line in grown]
    return grown


def _goes_over(part: TextLine, line: TextLine) -> bool:
    """Whether the brief ``part`` ends as ``line`` begins, in its rows and within its length."""
    if part.vertical != line.vertical or not -2 <= line.span.start - part.span.stop <= 1:
        return False
    across = 0 if line.vertical else 1
    same_rows = _overlap(part.box, line.box, across) > 0.7
    inside = _overlap(part.box, line.box, 1 - across) > 0.8
    return bool(same_rows and inside and part.text_height < 1.3 * line.text_height)


def _belong(one: TextLine, other: TextLine) -> bool:
    """Whether two lines are parts of one: at the same time, in the same rows, side by side."""
    shared = min(one.span.stop, other.span.stop) - max(one.span.start, other.span.start)
    shorter, longer = sorted(t.span.stop - t.span.start for t in (one, other))
    if shared < 0.6 * shorter or one.vertical != other.vertical:
        return False
    across = 0 if one.vertical else 1
    if _overlap(one.box, other.box, across) < 0.6:
        return False
    heights = sorted((one.text_height, other.text_height))
    if _across(one, other, across) > 1.35 * heights[1] or heights[1] > 1.6 * heights[0]:
        return False
    gap = _gap(one.box, other.box, 1 - across)
    if gap < -0.3 * min(one.text_height, other.text_height):
        return True  # one lies on the other
    close = gap < 1.5 * max(one.text_height, other.text_height)
    return bool(close and shared > 0.9 * longer)


def _overlap(one: WorkBox, other: WorkBox, axis: int) -> float:
    """How much of the shorter side the boxes share along ``axis``; negative: they lie apart."""
    shared = min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
    return float(shared / max(1e-6, min(b[axis + 2] - b[axis] for b in (one, other))))


def _across(one: TextLine, other: TextLine, axis: int) -> float:
    """How thick the line would be if both were one."""
    low, high = min(one.box[axis], other.box[axis]), max(one.box[axis + 2], other.box[axis + 2])
    return float(high - low)


def _gap(one: WorkBox, other: WorkBox, axis: int) -> float:
    """How far apart the boxes lie along ``axis``; negative: they overlap."""
    return float(max(one[axis], other[axis]) - min(one[axis + 2], other[axis + 2]))


def _union(one: TextLine, other: TextLine) -> TextLine:
    """Both lines as one; what the longer one shows of its surroundings counts."""
    first, second = one.span, other.span
    main = max((one, other), key=lambda t: (t.span.stop - t.span.start) * t.contrast)
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
