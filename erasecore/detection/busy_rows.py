"""Busy rows: where one text follows another at once, as word-by-word captions do.

Such words stand for a tenth of a second; samples a quarter of a second apart miss every other one.
Two texts of one size in the same rows, one soon after the other, with a common middle or a common
edge, make the rows busy: they are searched in every second or third frame for a while, and the
frames since the first of the two are searched, too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from erasecore.detection.line_window import WorkBox, common_edge
from erasecore.detection.plan import Rows

_FOLLOWS_SECONDS = 0.8  # seconds from one text to the next that make rows busy; guess
_STAYS_BUSY_SECONDS = 1.2  # seconds since the last new text; guess
_DENSE_SECONDS = 0.07  # seconds from one dense search to the next: a word lasts 0.1 s; guess
_SAME_SIZE = 0.65  # least ratio of two texts' heights; guess
_SAME_ROWS_LINES = 0.35  # text heights between the middles of two texts, at most; guess
_MARGIN_LINES = 0.9  # text heights above and below that are searched; guess
_MAX_BANDS = 3  # bands of busy rows at the same time; the newest are kept; guess


@dataclass(slots=True)
class Band:
    """Rows that are busy.

    Attributes:
        top: working pixels.
        bottom: working pixels.
        until: frame up to which they are.
        searched: first frame that has not been searched densely.
    """

    top: float
    bottom: float
    until: int
    searched: int

    def holds(self, box: WorkBox) -> bool:
        """Return True if the middle of ``box`` is in these rows."""
        return self.top <= float(box[1] + box[3]) / 2 <= self.bottom


class BusyRows:
    """Finds the busy rows of a film.

    Args:
        rate: frames a second.
        width: of the picture, working pixels.

    Attributes:
        stride: frames from one dense search to the next.
    """

    def __init__(self, rate: float, width: float) -> None:
        self._width = width
        self.stride = max(1, round(_DENSE_SECONDS * rate))
        self._follows = max(2, round(_FOLLOWS_SECONDS * rate))
        self._stays = max(2, round(_STAYS_BUSY_SECONDS * rate))
        self._seen: deque[tuple[int, WorkBox]] = deque(maxlen=16)
        self._bands: list[Band] = []

    def note(self, index: int, box: WorkBox) -> None:
        """Note a text that was first seen at frame ``index`` in ``box`` (working pixels)."""
        if box[0] <= 1 or box[2] >= self._width - 1:
            return  # cut off by the picture's side, as scenery is and no word of a caption
        for at, other in self._seen:
            if 0 < index - at <= self._follows and _follows_on(other, box, self._width):
                self._make_busy(min(at, index), index, box)
                break
        self._seen.append((index, box))

    def bands(self, index: int) -> list[Band]:
        """Return the bands that are busy at frame ``index``."""
        self._bands = [band for band in self._bands if band.until >= index]
        return self._bands

    def is_due(self, index: int) -> bool:
        """Return True if a band should be searched in frame ``index``."""
        return any(index - band.searched >= self.stride - 1 for band in self.bands(index))

    def holds(self, index: int, box: WorkBox) -> bool:
        """Return True if ``box`` lies in rows that are busy about frame ``index``."""
        return any(band.holds(box) and index <= band.until for band in self._bands)

    def _make_busy(self, first: int, index: int, box: WorkBox) -> None:
        """Make the rows of ``box`` busy, from frame ``first`` on."""
        margin = _MARGIN_LINES * float(box[3] - box[1])
        top, bottom = float(box[1]) - margin, float(box[3]) + margin
        until = index + self._stays
        for band in self._bands:
            if min(band.bottom, bottom) - max(band.top, top) > 0.6 * (bottom - top):
                band.until = until
                return
        begin = max(0, first - self._stays)
        self._bands = [*self._bands[-(_MAX_BANDS - 1) :], Band(top, bottom, until, begin)]


def rows_of(band: Band, height: int) -> Rows:
    """Return a band's rows as shares of a picture of ``height`` working pixels."""
    return max(0.0, band.top / height), min(1.0, band.bottom / height)


def _follows_on(one: WorkBox, other: WorkBox, width: float) -> bool:
    """Return True if two texts may be words of one caption, one after the other."""
    heights = sorted(float(box[3] - box[1]) for box in (one, other))
    middles = [float(box[1] + box[3]) / 2 for box in (one, other)]
    same_rows = abs(middles[0] - middles[1]) < _SAME_ROWS_LINES * heights[1]
    return heights[0] > _SAME_SIZE * heights[1] and same_rows and common_edge(one, other, width)
