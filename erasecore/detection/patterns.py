"""Stroke pattern (band-pass) of a line of text, and template matching of frames with it.

Burned text adds the same strokes to every frame at the same pixels, whatever is behind. A
difference of Gaussians keeps strokes and drops the picture's low frequencies; the mean along the
line is subtracted too, since all texts of one size share it (strokes in the middle rows, none above
and below), and two texts would match by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.scaling import Luma

Pattern = NDArray[np.float32]
"""Stroke pattern of a crop: float32 ``(H, W)``, signed, in levels."""

_SHIFT_PX = 4  # pixels around its place within which a template is searched; guess
_NEAR_PX = 2.5  # pixels; strokes shifted farther no longer overlap; guess
_NEAR_LINES = 0.08  # of the line's height; the same; guess
_AS_GOOD_RATIO = 0.7  # of the best fit: a fit at the place itself that is as good wins; guess
_LASTING_PATTERNS = 4  # patterns from which on lasting pixels can be told from others; guess
_LASTING_SPREAD = 0.5  # of a pixel's median: largest mean deviation of one that lasts; guess
_LASTING_SHARE = 0.2  # of the strong pixels: with fewer lasting ones all are kept; guess
_CELL_COSINE = 0.5  # least cosine of a cell of the line that shows the template's strokes; guess


@dataclass(frozen=True, slots=True)
class Presence:
    """Match of one frame with a template."""

    gain: float  # opacity: 1 as in the template, 0 none
    likeness: float  # cosine over all strokes, -1 to 1
    cells: float  # share of the line's cells that look alike

    @property
    def there(self) -> bool:
        """True if the frame shows the template's text, over whatever background."""
        if self.gain < 0.3:
            return False
        return self.likeness > 0.62 or (self.likeness > 0.4 and self.cells > 0.4)


@dataclass(frozen=True, slots=True)
class Shift:
    """Best match near a template's place: offset in pixels, and correlation (-1 to 1)."""

    dx: float
    dy: float
    fit: float

    @property
    def length(self) -> float:
        """Distance from the template's place, in pixels."""
        return float(np.hypot(self.dx, self.dy))


def strokes(luma: Luma, text_height: float) -> Pattern:
    """Return the stroke pattern (difference of Gaussians) of a crop.

    Args:
        luma: uint8 ``(H, W)``.
        text_height: working pixels across the line; sets both scales.

    Returns:
        float32 ``(H, W)``, signed, in levels.
    """
    values = luma.astype(np.float32)
    fine = cv2.GaussianBlur(values, (0, 0), max(0.6, 0.03 * text_height))
    side = 2 * round(max(2.0, 0.2 * text_height)) + 1  # two box blurs stand for a slow Gaussian
    coarse = cv2.blur(cv2.blur(values, (side, side)), (side, side))
    return np.asarray(fine - coarse, np.float32)


class Template:
    """Strokes of one line of text, from several frames that show it.

    Args:
        patterns: stroke patterns of the same window, one per frame, float32 ``(H, W)``.
        inner: place of the line in the window: left, top, right, bottom in pixels.
        vertical: True if the line runs downwards.

    Attributes:
        contrast: 98th percentile of the absolute strokes, in levels.
        whole: float32 ``(H, W)`` of the line's box; the strokes, in levels.
    """

    def __init__(
        self, patterns: Sequence[Pattern], inner: tuple[int, int, int, int], *, vertical: bool
    ) -> None:
        self._inner = inner
        self._axis = 0 if vertical else 1
        left, top, right, bottom = inner
        stack = np.stack([pattern[top:bottom, left:right] for pattern in patterns])
        strong = self._detrended(np.asarray(np.median(stack, axis=0), np.float32))
        level = float(np.percentile(np.abs(strong), 98))
        self.contrast = level
        self.whole = np.where(_lasting(stack, strong, level), strong, 0.0).astype(np.float32)
        self._strokes = np.where(np.abs(self.whole) > 0.25 * level, self.whole, 0.0)
        thickness = (right - left) if vertical else (bottom - top)
        length = (bottom - top) if vertical else (right - left)
        cells = max(2, round(length / (1.3 * max(1, thickness))))
        self._borders = np.unique(np.linspace(0, length, cells, endpoint=False).astype(int))
        self._energy = self._cells(self._strokes * self._strokes)

    def presence_in(self, pattern: Pattern) -> Presence:
        """Compare a frame's window with the template, unshifted.

        Args:
            pattern: of the window, float32 ``(H, W)``, in levels.
        """
        left, top, right, bottom = self._inner
        seen = np.where(self._strokes != 0, self._detrended(pattern[top:bottom, left:right]), 0)
        product = self._cells(seen * self._strokes)
        power = self._cells(seen * seen)
        energy = float(self._energy.sum()) + 1e-6
        gain = float(product.sum()) / energy
        likeness = float(product.sum()) / np.sqrt(energy * (float(power.sum()) + 1e-6))
        cosine = product / np.sqrt(self._energy * power + 1e-6)
        used = self._energy > 0.2 * float(np.median(self._energy))
        cells = float((cosine[used] > _CELL_COSINE).mean()) if used.any() else 0.0
        return Presence(gain, float(likeness), cells)

    def change(self, one: Luma, other: Luma) -> float:
        """Change of the strokes between two crops: 90th percentile over their pixels, in levels.

        Args:
            one: uint8 ``(H, W)``; the window in one frame.
            other: the same in another.
        """
        left, top, right, bottom = self._inner
        apart = cv2.absdiff(one[top:bottom, left:right], other[top:bottom, left:right])
        return float(np.percentile(apart[self._strokes != 0], 90))

    def cell_changes(self, one: Luma, other: Luma) -> NDArray[np.float64]:
        """Mean absolute change of the strokes' pixels between two crops, cell by cell.

        Args:
            one: uint8 ``(H, W)``; the window in one frame.
            other: the same in another.

        Returns:
            float64 ``(cells with strokes,)``, in levels.
        """
        left, top, right, bottom = self._inner
        apart = cv2.absdiff(one[top:bottom, left:right], other[top:bottom, left:right])
        inked = self._strokes != 0
        pixels = self._cells(inked)
        return self._cells(np.where(inked, apart, 0))[pixels > 0] / pixels[pixels > 0]

    def shift(self, pattern: Pattern, *, reach: int = _SHIFT_PX) -> Shift:
        """Find the best match of the template within ``reach`` pixels of its place.

        A far place counts only if it matches far better than the place itself: the picture behind
        thin letters may match elsewhere too, but letters that moved would not match here.

        Args:
            pattern: of the window, float32 ``(H, W)``, in levels.
            reach: pixels to each side.
        """
        left, top, right, bottom = self._inner
        height, width = pattern.shape
        x0, y0 = max(0, left - reach), max(0, top - reach)
        x1, y1 = min(width, right + reach), min(height, bottom + reach)
        around = np.ascontiguousarray(self._detrended(pattern[y0:y1, x0:x1]))
        fits = np.asarray(cv2.matchTemplate(around, self.whole, cv2.TM_CCOEFF_NORMED), np.float32)
        here = (top - y0, left - x0)
        best = _peak(fits, here)
        near = max(_NEAR_PX, _NEAR_LINES * (bottom - top))
        if best.length > near and fits[here] > _AS_GOOD_RATIO * best.fit:
            low = np.maximum(np.array(here) - 2, 0)
            part = fits[low[0] : here[0] + 3, low[1] : here[1] + 3]
            return _peak(part, (here[0] - int(low[0]), here[1] - int(low[1])))
        return best

    def _detrended(self, pattern: Pattern) -> Pattern:
        """Return ``pattern`` minus its mean along the line, which streaks have and strokes lack."""
        detrended: Pattern = pattern - pattern.mean(axis=self._axis, keepdims=True)
        return detrended

    def _cells(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """Sums of ``values`` over each cell of the line: float64 ``(cells,)``."""
        sums = values.sum(axis=1 - self._axis, dtype=np.float64)
        return np.asarray(np.add.reduceat(sums, self._borders), np.float64)


def _lasting(stack: Pattern, median: Pattern, level: float) -> NDArray[np.bool_]:
    """Pixels whose strokes are the same in all patterns; where others change it is the picture.

    Args:
        stack: float32 ``(N, H, W)``; patterns.
        median: float32 ``(H, W)``; their median.
        level: contrast of the text, in levels.
    """
    everywhere = np.ones(median.shape, np.bool_)
    if len(stack) < _LASTING_PATTERNS:
        return everywhere
    spread = np.abs(stack - median).mean(axis=0)
    strong = np.abs(median) > 0.25 * level
    lasting = np.asarray(spread < _LASTING_SPREAD * np.abs(median), np.bool_)
    enough = float((lasting & strong).sum()) > _LASTING_SHARE * float(strong.sum())
    return lasting if enough else everywhere


def _peak(fits: NDArray[np.float32], here: tuple[int, int]) -> Shift:
    """Offset of the best match from ``here`` (row, column), to a fraction of a pixel."""
    row, column = np.unravel_index(int(np.argmax(fits)), fits.shape)
    dx = column - here[1] + _parabola_peak(fits[row, :], int(column))
    dy = row - here[0] + _parabola_peak(fits[:, column], int(row))
    return Shift(float(dx), float(dy), float(fits[row, column]))


def _parabola_peak(fits: NDArray[np.float32], peak: int) -> float:
    """Offset of the vertex of the parabola through ``peak`` and its neighbours, -0.5 to 0.5."""
    if not 0 < peak < len(fits) - 1:
        return 0.0
    before, here, after = (float(value) for value in fits[peak - 1 : peak + 2])
    curve = before - 2 * here + after
    return 0.0 if curve >= 0 else float(np.clip(0.5 * (before - after) / curve, -0.5, 0.5))
