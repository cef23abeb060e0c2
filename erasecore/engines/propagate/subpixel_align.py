"""What other frames show, moved by the fraction of a pixel that the ring shows it to be off.

A chain of hops drifts: each hop errs by a few hundredths of a pixel, and thirty of them blur what
they bring. But the ring of visible pixels around the hole is chained along with it, and in the
frame at hand it can be compared with what its sources show. One step of Lucas and Kanade ("An
Iterative Image Registration Technique with an Application to Stereo Vision", 1981) tells how far
off they are, first by a wide surrounding, then by a near one. It is always the sources themselves
that are compared, so the errors of such steps do not add up from frame to frame.
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

_CELL_PX = 8  # sums over the ring are kept by cells of this size
_WIDE, _NEAR = (11, 2.0), (5, 32.0)  # cells that are asked; squared slopes that tell no motion
_OUTLIER_LEVELS = 40.0  # of error, from which a pixel of the ring counts half
_MOST_PX = 1.0
_EVERY = 2  # of so many of the ring's pixels one is compared
_LEAST_RING_PX = 100
_UNKNOWN_LEVELS = 30.0  # the error where there is no ring nearby
_NEARBY_PX = 0.25  # of weight around a cell, below which there is no ring nearby
_LIGHT = 0.9  # of a common error of brightness that is forgiven: it is corrected later


@dataclass(frozen=True, slots=True)
class Offset:
    """How far off a proposal for the hidden pixels is, and what is left when it is moved.

    Attributes:
        x, y: float32 ``(n,)``; to be added to the places it is read at, in pixels.
        error: float32 ``(n,)``; root mean square error on the ring nearby, in levels.
    """

    x: Floats
    y: Floats
    error: Floats


@dataclass(frozen=True, slots=True)
class _Ring:
    """The ring of one hole, laid out in cells.

    Attributes:
        places: int ``(r,)``; its pixels' places in the list of hidden ones.
        in_zone: int ``(r,)``; their places in the zone, counted along its rows.
        cells: int ``(r,)``; the cell of each, counted alike.
        shape: rows and columns of cells.
        x, y: float32 ``(n,)``; where each hidden pixel lies among the cells' middles.
    """

    places: NDArray[np.intp]
    in_zone: NDArray[np.intp]
    cells: NDArray[np.intp]
    shape: tuple[int, int]
    x: Floats
    y: Floats


class Aligner:
    """Tells how far off what is proposed for a strip's hidden pixels is, by their rings."""

    def __init__(self, strip: InpaintInput, holes: list[Hole]) -> None:
        self._strip, self._holes = strip, holes
        self._rings = [_ring(hole) for hole in holes]
        self._seen = LruCache(self._make_seen, 2)

    def ring(self, frame: int) -> NDArray[np.intp]:
        """The places of the ring's pixels in the list of a frame's hidden ones, ``(r,)``."""
        return self._rings[int(self._strip.mask_of[frame])].places

    def offset(self, frame: int, proposed: Floats, known: NDArray[np.bool_]) -> Offset | None:
        """How far off a proposal is; ``None`` where too little of the ring is known to tell.

        Args:
            frame: the frame that is to be filled.
            proposed: float32 ``(r,)``; luma of the ring in 8-bit levels, as proposed.
            known: bool ``(r,)``; where there is a proposal.
        """
        if np.count_nonzero(known) < _LEAST_RING_PX:
            return None
        ring = self._rings[int(self._strip.mask_of[frame])]
        luma, slope_x, slope_y = self._seen[frame]
        sums = _Sums.of(ring, (slope_x, slope_y, luma - proposed), known)
        x, y = sums.solved(*_WIDE)
        more_x, more_y = sums.moved(x, y).solved(*_NEAR)
        x, y = x + more_x, y + more_y
        error = sums.moved(x, y).error(_NEAR[0])
        limited = (np.clip(one, -_MOST_PX, _MOST_PX) for one in (x, y))
        return Offset(*(sample(one, ring.x, ring.y) for one in (*limited, error)))

    def _make_seen(self, frame: int) -> tuple[Floats, Floats, Floats]:
        """Luma of a frame's ring and its slopes along rows and columns, in 8-bit levels."""
        index = int(self._strip.mask_of[frame])
        ring, hole = self._rings[index], self._holes[index]
        rows, columns = plane_window(hole.zone, 0, hole.layout)
        luma = self._strip.planes[0][frame][rows, columns]
        slopes = (
            cv2.Scharr(luma, cv2.CV_32F, along_x, 1 - along_x, scale=1 / 32) for along_x in (1, 0)
        )
        scale = np.float32(self._strip.layout.scale)
        here, along, down = (
            np.asarray(one.ravel().take(ring.in_zone) / scale, np.float32)
            for one in (luma, *slopes)
        )
        return here, along, down


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the normal equations are made of: weighted sums over each cell's ring, ``(h, w)``.

    ``x`` and ``y`` stand for the slopes, ``e`` for the error.
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
    def of(ring: _Ring, values: tuple[Floats, Floats, Floats], known: NDArray[np.bool_]) -> _Sums:
        """The sums over the ring of slopes and error, ``(r,)`` each."""
        x, y, e = values
        weight = known / (1 + np.square(e / _OUTLIER_LEVELS))
        count = ring.shape[0] * ring.shape[1]

        def total(product: Floats) -> Floats:
            sums = np.bincount(ring.cells, product * weight, minlength=count)
            return sums.reshape(ring.shape).astype(np.float32)

        one = np.ones_like(e)
        products = (one, x, y, e, x * x, y * y, x * y, x * e, y * e, e * e)
        return _Sums(*(total(product) for product in products))

    def moved(self, x: Floats, y: Floats) -> _Sums:
        """The sums as they are once each cell is moved by ``x, y``."""
        ee = self.ee - 2 * (x * self.xe + y * self.ye)
        ee += x * x * self.xx + y * y * self.yy + 2 * x * y * self.xy
        return replace(
            self,
            e=self.e - x * self.x - y * self.y,
            xe=self.xe - x * self.xx - y * self.xy,
            ye=self.ye - x * self.xy - y * self.yy,
            ee=ee,
        )

    def solved(self, cells: int, stiff: float) -> tuple[Floats, Floats]:
        """How far each cell is to be moved, by the ring in so many cells around it."""
        mean = self._means(cells)
        xx = mean.xx - mean.x * mean.x + np.float32(stiff)
        yy = mean.yy - mean.y * mean.y + np.float32(stiff)
        xy = mean.xy - mean.x * mean.y
        xe, ye = mean.xe - mean.x * mean.e, mean.ye - mean.y * mean.e
        area = xx * yy - xy * xy
        return (yy * xe - xy * ye) / area, (xx * ye - xy * xe) / area

    def error(self, cells: int) -> Floats:
        """Root mean square error around each cell, in levels."""
        mean = self._means(cells)
        left = np.sqrt(np.maximum(mean.ee - np.float32(_LIGHT) * mean.e * mean.e, 0))
        known = np.where(mean.n > _NEARBY_PX, left, _UNKNOWN_LEVELS)
        return np.asarray(np.minimum(known, _UNKNOWN_LEVELS), np.float32)

    def _means(self, cells: int) -> _Sums:
        """Means over the ring in so many cells around each, those nearby counting more.

        Of ``n``, how much of it there is for a cell.
        """
        sums = np.stack([getattr(self, one.name) for one in fields(self)], axis=-1)
        size, edge = (cells, cells), cv2.BORDER_CONSTANT
        around = cv2.blur(cv2.blur(sums, size, borderType=edge), size, borderType=edge)
        n, *others = np.moveaxis(np.asarray(around, np.float32), -1, 0)
        return _Sums(n, *(one / (n + np.float32(1e-6)) for one in others))


def _ring(hole: Hole) -> _Ring:
    """The ring without the pixels that touch the hole: their slopes would be the letters'."""
    rows, columns = hole.rows_columns
    left, top, right, bottom = hole.zone
    places = np.flatnonzero(~hole.touched[hole.rows_columns])[::_EVERY]
    shape = -(-(bottom - top) // _CELL_PX), -(-(right - left) // _CELL_PX)
    cells = (rows - top) // _CELL_PX * shape[1] + (columns - left) // _CELL_PX
    x = ((columns - left + 0.5) / _CELL_PX - 0.5).astype(np.float32)
    y = ((rows - top + 0.5) / _CELL_PX - 0.5).astype(np.float32)
    return _Ring(places, hole.in_zone[0].take(places), cells.take(places), shape, x, y)
