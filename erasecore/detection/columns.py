"""Columns: vertical lines whose characters were detected one by one.

Characters of one column are squares of one size, in a stack, that come and go together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from erasecore.detection.verdict import TextLine

_MIN_CHARACTERS = 3  # characters of a column, at least; guess
_SQUARE = (0.6, 2.2)  # height of a character (or two) by its width; guess
_SAME_WIDTH = 0.65  # least ratio of two characters' widths; guess
_CENTRED_WIDTHS = 0.3  # widths between the middles of two characters, at most; guess
_GAP_WIDTHS = 1.7  # widths between two characters, at most: one may be missed; guess
_TOGETHER_FRAMES = 2  # frames between their starts, or ends, at most; guess


def join_columns(lines: Sequence[TextLine]) -> list[TextLine]:
    """Return the lines, with the characters of each column joined to one vertical line."""
    columns: list[list[TextLine]] = []
    rest: list[TextLine] = []
    for line in sorted(lines, key=lambda each: (each.span.start, float(each.box[1]))):
        if not _is_character(line):
            rest.append(line)
            continue
        column = next((each for each in columns if _goes_on(each, line)), None)
        if column is None:
            columns.append([line])
        else:
            column.append(line)
    for column in columns:
        rest += [_joined(column)] if len(column) >= _MIN_CHARACTERS else column
    return sorted(rest, key=lambda each: each.span.start)


def _is_character(line: TextLine) -> bool:
    """Return True if a line has the shape of one or two characters of a column."""
    return line.keeps_still and _SQUARE[0] < _height(line) / _width(line) < _SQUARE[1]


def _goes_on(column: Sequence[TextLine], line: TextLine) -> bool:
    """Return True if a line is a character of the column: beside one, of its size, at its times."""
    for other in column:
        widths = sorted((_width(line), _width(other)))
        apart = abs(float(line.box[0] + line.box[2] - other.box[0] - other.box[2])) / 2
        gap = max(line.box[1], other.box[1]) - min(line.box[3], other.box[3])
        times = (line.span.start - other.span.start, line.span.stop - other.span.stop)
        if (
            widths[0] > _SAME_WIDTH * widths[1]
            and apart < _CENTRED_WIDTHS * widths[1]
            and -_GAP_WIDTHS * widths[1] < gap < _GAP_WIDTHS * widths[1]
            and max(map(abs, times)) <= _TOGETHER_FRAMES
        ):
            return True
    return False


def _joined(column: Sequence[TextLine]) -> TextLine:
    """Return a column as one line; most measurements are of its clearest character."""
    main = max(column, key=lambda line: line.contrast * line.fit)
    boxes = np.stack([line.box for line in column])
    box = np.concatenate([boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)])
    return replace(
        main,
        box=box,
        vertical=True,
        text_height=float(np.median([_width(line) for line in column])),
        moving=max(line.moving for line in column),
        signature=None,
    )


def _width(line: TextLine) -> float:
    return float(line.box[2] - line.box[0])


def _height(line: TextLine) -> float:
    return float(line.box[3] - line.box[1])
