"""Search plan: the parts of a sampled frame in which text is searched, the most costly step.

The whole picture is searched once a second; in between only the rows where captions have stood so
far in the film, and only if anything there has changed since they were searched last. While a known
caption is on screen half as many searches are enough: its end is noticed by tracking, and what
follows is then searched at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.scaling import Luma
from erasecore.settings import Region

Rows: TypeAlias = tuple[float, float]
"""Top and bottom of a band of rows, in fractions of the picture's height."""

_WHOLE_EVERY = 4  # samples from one search of the whole picture to the next; guess
_RENEW_EVERY = 16  # samples after which an unchanged part is searched once more; guess
_SETTLED_LINES = 3  # lines in the same rows after which the usual rows need no search; guess
_MARGIN_LINES = 2.2  # lines searched above and below known rows: one line may be added; guess
_MAX_MARGIN = 0.25  # of the picture's height; cap on that margin; guess
_BLOCK_PX = 8  # pixels; side of a block whose mean is compared; guess
_CHANGED_LEVELS = 3.0  # levels; a part with a block that differs by more has changed; guess
_CUT_OFF_SAMPLES = 8  # samples in which rows are searched where a part has cut off text; guess
_MAX_KNOWN = 4  # bands of known rows that are kept; guess
_USUAL_ROWS: Rows = (0.64, 1.0)  # fractions of the height; captions are expected here; guess
_USUAL_ROWS_PORTRAIT: Rows = (0.42, 0.92)  # the same in pictures that are taller than wide; guess
_OTHER_ROWS: Rows = (0.0, 0.24)  # rows of rarer captions, searched in every other sample; guess
_OTHER_ROWS_PORTRAIT: Rows = (0.0, 0.42)  # the same in pictures that are taller than wide; guess


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the picture, in fractions of it, and the name under which it is cached."""

    name: str
    region: Region


@dataclass(slots=True)
class _KnownRows:
    """Rows in which lines of text have stood, in fractions of the height."""

    top: float
    bottom: float
    line: float  # height of the tallest single one
    lines: int = 1


class SearchPlan:
    """Selects the parts of each sampled frame that are searched.

    Args:
        regions: parts of the picture that may hold text; empty for all of it.
        portrait: True if the picture is taller than wide.
    """

    def __init__(self, regions: Sequence[Region], *, portrait: bool) -> None:
        self._regions = regions
        self._usual = _USUAL_ROWS_PORTRAIT if portrait else _USUAL_ROWS
        self._other = _OTHER_ROWS_PORTRAIT if portrait else _OTHER_ROWS
        self._known: list[_KnownRows] = []
        self._seen: dict[str, tuple[int, NDArray[np.float32]]] = {}
        self._sample = -1
        self._last_whole = -2 * _WHOLE_EVERY
        self._widened = False
        self._cut_off: tuple[int, Rows] = (-1, (0.0, 0.0))  # last sample, rows

    def learn(self, top: float, bottom: float) -> None:
        """Note that a line of burned-in text has stood in these rows (fractions)."""
        for rows in self._known:
            if min(rows.bottom, bottom) > max(rows.top, top):
                rows.top, rows.bottom = min(rows.top, top), max(rows.bottom, bottom)
                rows.line = max(rows.line, bottom - top)
                rows.lines += 1
                return
        self._known = [*self._known[-(_MAX_KNOWN - 1) :], _KnownRows(top, bottom, bottom - top)]

    def widen(self, top: float, bottom: float) -> None:
        """Note that a part's edge has cut off text in these rows (fractions).

        The whole picture comes sooner, and these rows are searched for some samples.
        """
        self._widened = True
        self._cut_off = (self._sample + _CUT_OFF_SAMPLES, (top, bottom))

    def parts(self, luma: Luma, held: Sequence[Rows] = ()) -> list[Part]:
        """Return the parts of the next sampled frame that are searched.

        Args:
            luma: the frame's working luma, uint8 ``(H, W)``.
            held: rows (fractions) in which a tracked caption stands in this frame.
        """
        self._sample += 1
        return [part for part in self._due(held) if self._changed(part, luma)]

    def _due(self, held: Sequence[Rows]) -> list[Part]:
        """Return the parts whose turn it is, changed or not."""
        if self._regions:
            return [Part(f"region {k}", region) for k, region in enumerate(self._regions)]
        if self._sample - self._last_whole >= self._whole_interval(held):
            self._last_whole, self._widened = self._sample, False
            return [Part("whole", Region(0.0, 0.0, 1.0, 1.0))]
        spans = [] if self._settled() else [self._usual]
        if self._sample % 2 == 0:
            spans.append(self._other)
        for rows in self._known:
            spans.append(_padded((rows.top, rows.bottom), rows.line))
        if self._sample <= self._cut_off[0]:
            spans.append(_padded(self._cut_off[1], self._cut_off[1][1] - self._cut_off[1][0]))
        return [
            Part(f"rows {top:.2f}", Region(0.0, top, 1.0, bottom))
            for top, bottom in _join(spans)
            if self._sample % 2 == 0 or not any(_overlap(rows, (top, bottom)) for rows in held)
        ]

    def _whole_interval(self, held: Sequence[Rows]) -> int:
        """Samples from one search of the whole picture to the next."""
        if self._widened:
            return _WHOLE_EVERY // 2
        return 2 * _WHOLE_EVERY if held else _WHOLE_EVERY

    def _settled(self) -> bool:
        """Return True if enough captions have stood in the usual rows to know their rows."""
        low, high = self._usual
        return any(
            rows.lines >= _SETTLED_LINES and low < rows.bottom and rows.top < high
            for rows in self._known
        )

    def _changed(self, part: Part, luma: Luma) -> bool:
        """Return True if the part differs from its last search, or that was long ago."""
        left, top, right, bottom = in_pixels(part.region, luma.shape[1], luma.shape[0])
        blocks = _blocks(luma[top:bottom, left:right])
        seen = self._seen.get(part.name)
        if seen is not None:
            sample, before = seen
            same_shape = blocks.shape == before.shape
            still = same_shape and float(np.abs(blocks - before).max()) < _CHANGED_LEVELS
            if still and self._sample - sample < _RENEW_EVERY:
                return False
        self._seen[part.name] = (self._sample, blocks)
        return True


def in_pixels(region: Region, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a region in pixels, at least one pixel each way."""
    left, right = int(region.left * width), round(region.right * width)
    top, bottom = int(region.top * height), round(region.bottom * height)
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height))


def _padded(rows: Rows, line: float) -> Rows:
    """Return a band of rows with room for one more ``line`` above and below it."""
    pad = min(_MAX_MARGIN, _MARGIN_LINES * line)
    return max(0.0, rows[0] - pad), min(1.0, rows[1] + pad)


def _overlap(one: Rows, other: Rows) -> bool:
    """Return True if two bands share rows."""
    return min(one[1], other[1]) > max(one[0], other[0])


def _join(spans: Sequence[Rows]) -> list[Rows]:
    """Return the bands from top to bottom, merged where they touch."""
    joined: list[Rows] = []
    for top, bottom in sorted(spans):
        if joined and top <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(bottom, joined[-1][1]))
        else:
            joined.append((top, bottom))
    return joined


def _blocks(luma: Luma) -> NDArray[np.float32]:
    """Return the means of blocks of 8 by 8 pixels: float32 ``(rows, columns)``, in levels."""
    height, width = luma.shape
    size = (max(1, width // _BLOCK_PX), max(1, height // _BLOCK_PX))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
