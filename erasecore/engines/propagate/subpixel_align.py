"""Subpixel alignment of candidates by image registration on the ring around the hole.

Chained trajectories drift: each step errs by a few hundredths of a pixel, and thirty steps blur the
result. But the ring of visible pixels around the hole is chained along with it, and can be compared
with what its sources show. Two Lucas-Kanade steps (Lucas and Kanade, "An Iterative Image
Registration Technique with an Application to Stereo Vision", 1981) give the local offset, first
over a wide neighbourhood, then over a near one. The sources themselves are compared each time, so
errors of these steps do not accumulate from frame to frame.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import Hole
from erasecore.model.inpaint_input import Floats, InpaintInput
from erasecore.motion.lru_cache import LruCache
from erasecore.motion.resample import sample
from erasecore.video.color import plane_window

# Levels are 8-bit. Values are guesses or were tuned on the bench as a whole.
_CELL_PX = 8  # px; side of the cells over which sums on the ring are kept
_WIDE = (11, 2.0)  # first step: box in cells; damping, a squared gradient in (levels/px)^2
_NEAR = (5, 32.0)  # second step, likewise
_OUTLIER_LEVELS = 40.0  # levels; error at which a pixel of the ring has half its weight
_MOST_PX = 1.0  # px; largest offset per axis
_EVERY = 2  # every so many-th pixel of the ring is used
_LEAST_RING_PX = 100  # pixels of the ring that must be known, else there is no offset
_UNKNOWN_LEVELS = 30.0  # levels; error where there is no ring nearby, and largest error
_NEARBY_WEIGHT = 0.25  # pixels per cell; less ring than that around a cell is none
_BRIGHTNESS_SHARE = 0.9  # of the squared mean error is ignored: brightness is corrected later


@dataclass(frozen=True, slots=True)
class Offset:
    """Estimated misalignment of a candidate, and the error that is left after correcting it.

    Attributes:
        x: float32 ``(n,)``; to be added to the columns it is sampled at, in pixels.
        y: float32 ``(n,)``; to be added to the rows, in pixels.
        error: float32 ``(n,)``; root mean square error on the ring nearby, in 8-bit levels.
    """

    x: Floats
    y: Floats
    error: Floats


@dataclass(frozen=True, slots=True)
class _RingGrid:
    """Ring of one hole, divided into a grid of cells.

    Attributes:
        index: int ``(r,)``; index of each ring pixel in the list of hidden pixels.
        zone_index: int ``(r,)``; its flat index in the zone.
        cells: int ``(r,)``; flat index of its cell.
        shape: rows and columns of cells.
        x: float32 ``(n,)``; column of each hidden pixel in units of cells, 0 at the first centre.
        y: float32 ``(n,)``; its row, likewise.
    """

    index: NDArray[np.intp]
    zone_index: NDArray[np.intp]
    cells: NDArray[np.intp]
    shape: tuple[int, int]
    x: Floats
    y: Floats


class Aligner:
    """Estimates the subpixel misalignment of candidates for a strip's holes from their rings."""

    def __init__(self, strip: InpaintInput, holes: list[Hole]) -> None:
        self._strip, self._holes = strip, holes
        self._rings = [_ring_grid(hole) for hole in holes]
        self._visible = LruCache(self._make_visible, 2)

    def ring(self, frame: int) -> NDArray[np.intp]:
        """Return indices of a frame's ring pixels in its list of hidden pixels, int ``(r,)``."""
        return self._rings[int(self._strip.mask_of[frame])].index

    def offset(self, frame: int, proposed: Floats, known: NDArray[np.bool_]) -> Offset | None:
        """Estimate the misalignment of a candidate for ``frame`` by two Lucas-Kanade steps.

        Args:
            frame: the frame to be filled.
            proposed: float32 ``(r,)``; luma of the candidate on the ring, in 8-bit levels.
            known: bool ``(r,)``; True where the candidate has a value.

        Returns:
            Offset for each hidden pixel; ``None`` if fewer than `_LEAST_RING_PX` pixels are known.
        """
        if np.count_nonzero(known) < _LEAST_RING_PX:
            return None
        ring = self._rings[int(self._strip.mask_of[frame])]
        luma, slope_x, slope_y = self._visible[frame]
        sums = _NormalEquations.accumulate(ring, (slope_x, slope_y, luma - proposed), known)
        x, y = sums.solve(*_WIDE)
        more_x, more_y = sums.shifted(x, y).solve(*_NEAR)
        x, y = x + more_x, y + more_y
        error = sums.shifted(x, y).rms_error(_NEAR[0])
        limited = (np.clip(axis, -_MOST_PX, _MOST_PX) for axis in (x, y))
        return Offset(*(sample(grid, ring.x, ring.y) for grid in (*limited, error)))

    def _make_visible(self, frame: int) -> tuple[Floats, Floats, Floats]:
        """Luma of a frame's ring and its x and y derivatives, float32 ``(r,)``, 8-bit levels."""
        index = int(self._strip.mask_of[frame])
        ring, hole = self._rings[index], self._holes[index]
        rows, columns = plane_window(hole.zone, 0, hole.layout)
        luma = self._strip.planes[0][frame][rows, columns]
        slopes = (
            cv2.Scharr(luma, cv2.CV_32F, along_x, 1 - along_x, scale=1 / 32) for along_x in (1, 0)
        )
        scale = np.float32(self._strip.layout.scale)
        here, slope_x, slope_y = (
            np.asarray(picture.ravel().take(ring.zone_index) / scale, np.float32)
            for picture in (luma, *slopes)
        )
        return here, slope_x, slope_y


@dataclass(frozen=True, slots=True)
class _NormalEquations:
    """Terms of the Lucas-Kanade normal equations: weighted sums over each cell, ``(h, w)`` each.

    ``n`` is the sum of weights; ``x`` and ``y`` are the derivatives, ``e`` the error; two letters
    are products.
    """

    n: Floats
    x: Floats
    y: Floats
    e: Floats
    xx: Floats
    yy: Floats
    xy: Floats
    xe: Floats
    ye: Floats
    ee: Floats

    @staticmethod
    def accumulate(
        ring: _RingGrid, values: tuple[Floats, Floats, Floats], known: NDArray[np.bool_]
    ) -> _NormalEquations:
        """Sum over the ring, with outliers weighted down (Cauchy weights).

        Args:
            ring: the ring and its cells.
            values: x derivative, y derivative and error of each ring pixel, ``(r,)`` each.
            known: bool ``(r,)``; other pixels are ignored.
        """
        x, y, e = values
        weight = known / (1 + np.square(e / _OUTLIER_LEVELS))
        count = ring.shape[0] * ring.shape[1]

        def total(product: Floats) -> Floats:
            sums = np.bincount(ring.cells, product * weight, minlength=count)
            return sums.reshape(ring.shape).astype(np.float32)

        ones = np.ones_like(e)
        products = (ones, x, y, e, x * x, y * y, x * y, x * e, y * e, e * e)
        return _NormalEquations(*(total(product) for product in products))

    def shifted(self, x: Floats, y: Floats) -> _NormalEquations:
        """Return the sums after shifting each cell by ``x, y`` pixels, linearised."""
        ee = self.ee - 2 * (x * self.xe + y * self.ye)
        ee += x * x * self.xx + y * y * self.yy + 2 * x * y * self.xy
        return replace(
            self,
            e=self.e - x * self.x - y * self.y,
            xe=self.xe - x * self.xx - y * self.xy,
            ye=self.ye - x * self.xy - y * self.yy,
            ee=ee,
        )

    def solve(self, cells: int, damping: float) -> tuple[Floats, Floats]:
        """Solve for the shift of each cell and a common brightness offset, ``(h, w)``, pixels.

        Args:
            cells: side of the box of cells whose sums are used, applied twice.
            damping: added to the diagonal; keeps flat regions in place.
        """
        mean = self._means(cells)
        xx = mean.xx - mean.x * mean.x + np.float32(damping)
        yy = mean.yy - mean.y * mean.y + np.float32(damping)
        xy = mean.xy - mean.x * mean.y
        xe, ye = mean.xe - mean.x * mean.e, mean.ye - mean.y * mean.e
        determinant = xx * yy - xy * xy
        return (yy * xe - xy * ye) / determinant, (xx * ye - xy * xe) / determinant

    def rms_error(self, cells: int) -> Floats:
        """Return the root mean square error around each cell, ``(h, w)``, in 8-bit levels.

        Without most of the mean (brightness) error, at most `_UNKNOWN_LEVELS`.
        """
        mean = self._means(cells)
        left = np.sqrt(np.maximum(mean.ee - np.float32(_BRIGHTNESS_SHARE) * mean.e * mean.e, 0))
        known = np.where(mean.n > _NEARBY_WEIGHT, left, _UNKNOWN_LEVELS)
        return np.asarray(np.minimum(known, _UNKNOWN_LEVELS), np.float32)

    def _means(self, cells: int) -> _NormalEquations:
        """Return averages over the ring around each cell; ``n`` becomes the weight per cell."""
        sums = np.stack([getattr(self, term.name) for term in fields(self)], axis=-1)
        size, edge = (cells, cells), cv2.BORDER_CONSTANT
        around = cv2.blur(cv2.blur(sums, size, borderType=edge), size, borderType=edge)
        n, *others = np.moveaxis(np.asarray(around, np.float32), -1, 0)
        return _NormalEquations(n, *(term / (n + np.float32(1e-6)) for term in others))


def _ring_grid(hole: Hole) -> _RingGrid:
    """Return the ring without pixels that touch the hole: their gradient is the letters' edge."""
    rows, columns = hole.rows_columns
    left, top, right, bottom = hole.zone
    index = np.flatnonzero(~hole.dilated[hole.rows_columns])[::_EVERY]
    shape = -(-(bottom - top) // _CELL_PX), -(-(right - left) // _CELL_PX)
    cells = (rows - top) // _CELL_PX * shape[1] + (columns - left) // _CELL_PX
    x = ((columns - left + 0.5) / _CELL_PX - 0.5).astype(np.float32)
    y = ((rows - top + 0.5) / _CELL_PX - 0.5).astype(np.float32)
    return _RingGrid(index, hole.zone_index[0].take(index), cells.take(index), shape, x, y)
