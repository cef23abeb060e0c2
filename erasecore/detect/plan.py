"""Which part of a sampled frame is searched for text: searching costs more than all the rest.

The whole picture is searched once a second; in between only the rows where captions stand, as
the film has shown so far, and only if anything there has changed since they were searched last.
While a caption stands and is known to stand, half of all that is enough: its end is noticed without
a search, and what comes then is searched for at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.scaling import Luma
from erasecore.settings import Region

Rows: TypeAlias = tuple[float, float]
"""Top and bottom of some rows, in fractions of the picture's height."""

_WHOLE_EVERY = 4  # samples
_LOOK_AGAIN = 16  # samples after which a still picture is searched once more
_SETTLED_LINES = 3  # lines in the same rows after which the usual rows need no search
_ROOM_LINES = 2.2  # searched above and below known rows: the next caption may have one line more
_LOOK_SIDE_PX = 8  # of a block that is compared
_CHANGED_LEVELS = 3.0
_USUAL_ROWS = (0.64, 1.0)  # of a picture's height, where captions are expected
_USUAL_ROWS_PORTRAIT = (0.42, 0.92)
_OTHER_ROWS = (0.0, 0.24)  # where they stand now and then: searched half-way to the next whole
_OTHER_ROWS_PORTRAIT = (0.0, 0.42)


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of the picture, in fractions of it, and a name to remember it by."""

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
    """Says for each sampled frame which parts of it to search.

    Args:
        regions: where text may be at all; empty for everywhere.
        portrait: whether the picture is taller than wide.
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

    def learn(self, top: float, bottom: float) -> None:
        """Note that a line of burned-in text has stood in these rows (fractions)."""
        for rows in self._known:
            if min(rows.bottom, bottom) > max(rows.top, top):
                rows.top, rows.bottom = min(rows.top, top), max(rows.bottom, bottom)
                rows.line = max(rows.line, bottom - top)
                rows.lines += 1
                return
        self._known = [*self._known[-3:], _KnownRows(top, bottom, bottom - top)]

    def widen(self) -> None:
        """Note that text was cut off by a part's edge: the whole picture comes sooner."""
        self._widened = True

    def parts(self, luma: Luma, held: Sequence[Rows] = ()) -> list[Part]:
        """The parts of the next sampled frame that are worth a search.

        Args:
            luma: the frame's own.
            held: rows (fractions) in which a caption is known to stand in this very frame.
        """
        self._sample += 1
        return [part for part in self._due(held) if self._changed(part, luma)]

    def _due(self, held: Sequence[Rows]) -> list[Part]:
        """The parts whose turn it is, whether or not something has changed in them."""
        if self._regions:
            return [Part(f"region {k}", region) for k, region in enumerate(self._regions)]
        if self._sample - self._last_whole >= self._patience(held):
            self._last_whole, self._widened = self._sample, False
            return [Part("whole", Region(0.0, 0.0, 1.0, 1.0))]
        spans = [] if self._settled() else [self._usual]
        if self._sample % 2 == 0:
            spans.append(self._other)
        for rows in self._known:
            pad = min(0.25, _ROOM_LINES * rows.line)
            spans.append((max(0.0, rows.top - pad), min(1.0, rows.bottom + pad)))
        return [
            Part(f"rows {top:.2f}", Region(0.0, top, 1.0, bottom))
            for top, bottom in _join(spans)
            if self._sample % 2 == 0 or not any(_overlap(rows, (top, bottom)) for rows in held)
        ]

    def _patience(self, held: Sequence[Rows]) -> int:
        """Samples from one search of the whole picture to the next."""
        if self._widened:
            return _WHOLE_EVERY // 2
        return 2 * _WHOLE_EVERY if held else _WHOLE_EVERY

    def _settled(self) -> bool:
        """Whether enough captions have stood in the usual rows to know where to look there."""
        low, high = self._usual
        return any(
            rows.lines >= _SETTLED_LINES and low < rows.bottom and rows.top < high
            for rows in self._known
        )

    def _changed(self, part: Part, luma: Luma) -> bool:
        """Whether the part looks other than when it was last searched, or that was long ago."""
        left, top, right, bottom = in_pixels(part.region, luma.shape[1], luma.shape[0])
        look = _blocks(luma[top:bottom, left:right])
        seen = self._seen.get(part.name)
        if seen is not None:
            at, before = seen
            still = look.shape == before.shape and float(np.abs(look - before).max()) < (
                _CHANGED_LEVELS
            )
            if still and self._sample - at < _LOOK_AGAIN:
                return False
        self._seen[part.name] = (self._sample, look)
        return True


def in_pixels(region: Region, width: int, height: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of a region of a picture, at least one pixel each way."""
    left, right = int(region.left * width), round(region.right * width)
    top, bottom = int(region.top * height), round(region.bottom * height)
    left, top = min(left, width - 1), min(top, height - 1)
    return left, top, max(left + 1, min(right, width)), max(top + 1, min(bottom, height))


def _overlap(one: Rows, other: Rows) -> bool:
    return min(one[1], other[1]) > max(one[0], other[0])


def _join(spans: Sequence[Rows]) -> list[Rows]:
    """The spans with those that touch made one, from top to bottom."""
    joined: list[Rows] = []
    for top, bottom in sorted(spans):
        if joined and top <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(bottom, joined[-1][1]))
        else:
            joined.append((top, bottom))
    return joined


def _blocks(luma: Luma) -> NDArray[np.float32]:
    """A small copy, for comparison."""
    height, width = luma.shape
    size = (max(1, width // _LOOK_SIDE_PX), max(1, height // _LOOK_SIDE_PX))
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
