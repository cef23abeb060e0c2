"""The background's motion between two frames of a strip, the hole's pixels left out.

An affine model explains most shots. Only where it leaves a visible residual near the hole is
dense flow computed (DIS: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016) and
continued under the hole from its trustworthy neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats, InpaintInput
from erasecore.motion.affine import AffineFitter, Matrix, Model, inverse, shifted, still, to_matrix
from erasecore.motion.inpaint_spatial import membrane
from erasecore.motion.lru_cache import LruCache
from erasecore.motion.resample import sample_grid, soft

_CUT_LEVELS = 22.0  # mean residual above which two frames show different things
_GOOD_LEVELS = 1.5  # median error of a guess from which a better one need not be looked for
_NEAR_PX = 15  # what counts as near the hole
_AROUND_PX = 32  # of the picture around a hole that its motion is judged and refined by
_MISSED_LEVELS, _MISSED_SHARE = 7.0, 0.02  # where the model misses more often, it does not do
_FINE_PX, _WIDE_PX = 5, 15  # boxes that errors are smoothed with
_TRUST = (1 / (1 + (np.arange(256) / 4) ** 2)).astype(np.float32)  # by a pixel's error in levels
_STILL_PX, _STILL_FAR_PX = 0.03, 0.06  # motion below it is noise: between neighbours, further


@dataclass(frozen=True, slots=True)
class Flow:
    """Motion from one frame to another: where each pixel near the hole lies in the second.

    Attributes:
        affine: from the first frame to the second.
        corner: row and column of the strip at which ``dense`` and ``residual`` begin.
        dense: ``(h, w, 2)`` float32 displacements where the model does not do, else ``None``.
        residual: float32 ``(h, w)``; smoothed luma error of the motion, in 8-bit levels.
    """

    affine: Matrix
    corner: tuple[int, int]
    dense: Floats | None
    residual: Floats

    def follow(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Where the hidden pixels at ``rows, columns`` lie in the other frame: ``x, y``."""
        x, y = columns.astype(np.float32), rows.astype(np.float32)
        if self.dense is not None:
            shift = self.dense.reshape(-1, 2).take(self._places(rows, columns), axis=0)
            return x + shift[:, 0], y + shift[:, 1]
        (a, b, c), (d, e, f) = self.affine.astype(np.float32)
        return a * x + b * y + c, d * x + e * y + f

    def residual_at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """The residual of the hidden pixels at ``rows, columns``."""
        return self.residual.take(self._places(rows, columns))

    def _places(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """The pixels' places among the window's, counted along its rows."""
        top, left = self.corner
        width = self.residual.shape[1]
        places: NDArray[np.intp] = rows * width + columns - (top * width + left)
        return places


@dataclass(frozen=True, slots=True)
class _Window:
    """The part of the picture that matters to one hole's motion.

    Attributes:
        place: its rows and columns.
        near: bool ``(h, w)``; the pixels near the hole.
        grid: float32 ``(h, w, 2)``; column and row of each pixel, counted in the strip.
    """

    place: tuple[slice, slice]
    near: Bools
    grid: Floats

    @property
    def corner(self) -> tuple[int, int]:
        """Its first row and column."""
        return self.place[0].start, self.place[1].start


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One frame against another brought to its place, ``(h, w)`` each, near the hole."""

    visible: NDArray[np.uint8]  # 1 where both can be seen
    error: NDArray[np.uint8]  # absolute luma difference there, 8-bit levels
    smooth: Floats  # the error's mean over what can be seen around


class Motion:
    """Gives the flow between frames of one strip, remembering what it needs of recent frames."""

    def __init__(self, strip: InpaintInput, hidden: Bools) -> None:
        """Take a strip and its holes ``(K, H, W)``, grown by the pixels not to be trusted."""
        self._strip, self._hidden = strip, hidden.astype(np.uint8)
        self._size = hidden.shape[1], hidden.shape[2]
        self._luma = LruCache(self._make_luma)
        self._filled = LruCache(self._make_filled, 4)
        self._flows = LruCache(self._make_flow, 2)  # a frame's chain and its trail want the same
        self._fitter = AffineFitter(self._luma.__getitem__, hidden, strip.mask_of)
        self._windows = [_window(mask) for mask in self._hidden]
        self._models: dict[tuple[int, int], Model] = {}
        self._last: dict[int, Model] = {}  # by stride
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        thumb_height, thumb_width = strip.thumbnails.shape[1:]
        self._thumb_window = cv2.createHanningWindow((thumb_width, thumb_height), cv2.CV_32F)

    def flow(self, frame: int, other: int) -> Flow | None:
        """The motion of a frame's hole; ``None`` where the two show different things."""
        return self._flows[frame, other]

    def _make_flow(self, frames: tuple[int, int]) -> Flow | None:
        """The model's motion if that explains what is near the hole, else dense flow."""
        frame, other = frames
        still_px = _STILL_PX if abs(other - frame) == 1 else _STILL_FAR_PX
        affine = to_matrix(self._model(frame, other), self._size, still_px=still_px)
        seen = self._compare(frame, other, affine, None)
        window = self._window(frame)
        near = window.near & (seen.visible > 0)
        count = np.count_nonzero(near)
        missed = soft(seen.error.astype(np.float32), _FINE_PX)[near] > _MISSED_LEVELS
        if count and np.count_nonzero(missed) < _MISSED_SHARE * count:
            return Flow(affine, window.corner, None, seen.smooth)
        return self._dense_flow(frame, other, affine, seen)

    # -- the model ---------------------------------------------------------------------------

    def _model(self, frame: int, other: int) -> Model:
        back = self._models.get((other, frame))
        if back is not None:  # fitted the other way round already
            return self._fitter.polish(frame, other, inverse(back))
        model, inliers = self._fitter.fit(frame, other, self._start(frame, other))
        if inliers > 0.5:
            self._last[other - frame] = self._models[frame, other] = model
        return model

    def _start(self, frame: int, other: int) -> Model:
        """Where to start: stillness, the last model of this stride, or the camera's motion."""
        guesses = [still()]
        if other - frame in self._last:
            guesses.append(self._last[other - frame])
        costs = [self._fitter.cost(frame, other, guess) for guess in guesses]
        if min(costs) > _GOOD_LEVELS:
            thumbnails, scale = self._strip.thumbnails, self._strip.thumbnail_scale
            (x, y), _ = cv2.phaseCorrelate(thumbnails[frame], thumbnails[other], self._thumb_window)
            guesses.append(shifted(x * scale, y * scale))
            costs.append(self._fitter.cost(frame, other, guesses[-1]))
        return guesses[int(np.argmin(costs))]

    # -- dense flow --------------------------------------------------------------------------

    def _dense_flow(self, frame: int, other: int, affine: Matrix, seen: _Comparison) -> Flow | None:
        """DIS's flow where it explains more than the model (``seen``), the model's elsewhere."""
        window = self._window(frame)
        model = _shifts(affine, window)
        raw = self._raw_flow(frame, other, affine, window)
        dense = self._compare(frame, other, affine, raw)
        both = (seen.visible & dense.visible) > 0
        least = np.minimum(seen.error, dense.error)
        if float(least[both].sum()) / (np.count_nonzero(both) + 1) > _CUT_LEVELS:
            return None
        levels = np.asarray(cv2.LUT(dense.error, _TRUST), np.float32)
        trust = levels * dense.visible.astype(np.float32)
        better = dense.smooth < 0.8 * seen.smooth - 0.3
        residual = np.where(better, dense.smooth, seen.smooth)
        better &= soft(trust, _WIDE_PX) >= 0.02
        flow = cv2.copyTo(_mean_flow(raw, trust), better.astype(np.uint8), model)
        return Flow(affine, window.corner, np.asarray(flow, np.float32), residual)

    def _raw_flow(self, frame: int, other: int, affine: Matrix, window: _Window) -> Floats:
        """What DIS finds in a window, starting from the model."""
        around = _around(affine, window, self._size)
        here, there = (np.ascontiguousarray(self._filled[k][around.place]) for k in (frame, other))
        found = np.asarray(self._dis.calc(here, there, _shifts(affine, around)), np.float32)
        (top, left), (height, width) = window.corner, window.near.shape
        top, left = top - around.corner[0], left - around.corner[1]
        return found[top : top + height, left : left + width]

    def _compare(self, frame: int, other: int, affine: Matrix, dense: Floats | None) -> _Comparison:
        """``frame`` against ``other`` brought to its place, near the hole of ``frame``."""
        window = self._window(frame)
        if dense is None:
            warped = self._warp(self._luma[other], affine, window, border=None)
            covered = self._warp(self._hidden_in(other), affine, window, border=1)
        else:
            where = window.grid + dense
            edge = cv2.BORDER_REPLICATE
            warped = sample_grid(self._luma[other], where, cv2.INTER_LINEAR, edge, 0)
            edge = cv2.BORDER_CONSTANT
            covered = sample_grid(self._hidden_in(other), where, cv2.INTER_NEAREST, edge, 1)
        visible = 1 - (self._hidden_in(frame)[window.place] | covered)
        error = cv2.absdiff(self._luma[frame][window.place], warped) * visible
        return _Comparison(visible, error, _smooth(error, visible))

    def _warp(
        self,
        picture: NDArray[np.uint8],
        affine: Matrix,
        window: _Window,
        *,
        border: int | None,
    ) -> NDArray[np.uint8]:
        """``picture`` brought to the first frame's place; linear, or nearest with a border."""
        how = cv2.INTER_LINEAR if border is None else cv2.INTER_NEAREST
        edge = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
        if np.array_equal(affine, np.eye(2, 3)):
            return np.ascontiguousarray(picture[window.place])
        (top, left), (height, width) = window.corner, window.near.shape
        moved = affine.copy()
        moved[:, 2] += affine[:, :2] @ (left, top)
        warped = cv2.warpAffine(
            picture,
            moved,
            (width, height),
            flags=how | cv2.WARP_INVERSE_MAP,
            borderMode=edge,
            borderValue=border or 0,
        )
        return np.asarray(warped, np.uint8)

    # -- what is remembered of a frame -------------------------------------------------------

    def _window(self, frame: int) -> _Window:
        return self._windows[int(self._strip.mask_of[frame])]

    def _hidden_in(self, frame: int) -> NDArray[np.uint8]:
        hidden: NDArray[np.uint8] = self._hidden[self._strip.mask_of[frame]]
        return hidden

    def _make_luma(self, frame: int) -> NDArray[np.uint8]:
        shift = self._strip.layout.bits - 8
        return np.asarray(self._strip.planes[0][frame] >> shift, np.uint8)

    def _make_filled(self, frame: int) -> NDArray[np.uint8]:
        """A frame's luma with its hole smoothly closed, so that dense flow sees no letters."""
        hidden, luma = self._hidden_in(frame) > 0, self._luma[frame]
        if not hidden.any():
            return luma
        return np.clip(membrane(luma.astype(np.float32), hidden), 0, 255).astype(np.uint8)


def _window(hidden: NDArray[np.uint8]) -> _Window:
    """The window of a hole; all of the picture where there is none."""
    size = 2 * _NEAR_PX + 1
    near = (np.asarray(cv2.dilate(hidden, np.ones((size, size), np.uint8))) > 0) & (hidden == 0)
    rows, columns = (np.flatnonzero(hidden.any(axis=axis)) for axis in (1, 0))
    place = tuple(
        _span(found, length) for found, length in zip((rows, columns), hidden.shape, strict=True)
    )
    return _Window((place[0], place[1]), near[place], _grid(place[0], place[1]))


def _around(affine: Matrix, window: _Window, size: tuple[int, int]) -> _Window:
    """The window and where it lies in the other frame, as one."""
    corners = window.grid[:: window.near.shape[0] - 1, :: window.near.shape[1] - 1].reshape(-1, 2)
    there = corners @ affine[:, :2].T + affine[:, 2]
    (top, left), (bottom, right) = window.corner, (window.place[0].stop, window.place[1].stop)
    low, high = np.floor(there.min(axis=0)), np.ceil(there.max(axis=0)) + 1
    rows = slice(int(max(0, min(top, low[1]))), int(min(size[0], max(bottom, high[1]))))
    columns = slice(int(max(0, min(left, low[0]))), int(min(size[1], max(right, high[0]))))
    shape = rows.stop - rows.start, columns.stop - columns.start
    return _Window((rows, columns), np.zeros(shape, bool), _grid(rows, columns))


def _grid(rows: slice, columns: slice) -> Floats:
    grid = np.empty((rows.stop - rows.start, columns.stop - columns.start, 2), np.float32)
    grid[..., 0] = np.arange(columns.start, columns.stop)
    grid[..., 1] = np.arange(rows.start, rows.stop)[:, None]
    return grid


def _span(found: NDArray[np.intp], length: int) -> slice:
    """What is around the places found, an even number where there is room."""
    if not found.size:
        return slice(0, length)
    first = max(0, int(found[0]) - _AROUND_PX)
    last = min(length, int(found[-1]) + 1 + _AROUND_PX)
    return slice(first - (first % 2), min(length, last + last % 2))


def _shifts(affine: Matrix, window: _Window) -> Floats:
    """How far the model moves each pixel of a window, ``(h, w, 2)``."""
    return np.asarray(cv2.transform(window.grid, affine - np.eye(2, 3)), np.float32)


def _mean_flow(raw: Floats, trust: Floats) -> Floats:
    """``raw``, each pixel's the mean of those around, weighted; made at half the size."""
    height, width = trust.shape
    size = (max(1, width // 2), max(1, height // 2))
    small_raw, small_trust = (
        np.asarray(cv2.resize(one, size, interpolation=cv2.INTER_AREA), np.float32)
        for one in (raw, trust)
    )
    sums = soft(small_raw * small_trust[..., None], _WIDE_PX // 2)
    known = soft(small_trust, _WIDE_PX // 2) + np.float32(1e-6)
    mean = cv2.resize(sums / known[..., None], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(mean, np.float32)


def _smooth(error: NDArray[np.uint8], visible: NDArray[np.uint8]) -> Floats:
    """The mean error over what can be seen around, in levels."""
    known = soft(visible.astype(np.float32), _WIDE_PX)
    smooth = soft(error.astype(np.float32), _WIDE_PX) / (known + np.float32(1e-3))
    smooth[known < 0.02] = 6.0  # nothing to compare with: distrust it a little
    return np.asarray(smooth, np.float32)
