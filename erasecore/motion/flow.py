"""Optical flow of the background between two frames of a strip, ignoring the hole's pixels.

An affine model explains most shots. Dense flow (DIS: Kroeger et al., "Fast Optical Flow using
Dense Inverse Search", 2016) is computed only where the model leaves a visible residual near the
hole; it is completed under the hole by a confidence-weighted average of its neighbours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats, InpaintInput
from erasecore.motion.affine import (
    AffineFitter,
    Matrix,
    Model,
    identity_model,
    invert_model,
    to_matrix,
    translation_model,
)
from erasecore.motion.inpaint_spatial import membrane
from erasecore.motion.lru_cache import LruCache
from erasecore.motion.resample import double_box_blur, sample_grid

# Levels are 8-bit luma levels. All values are guesses, checked only by the bench as a whole.
_CUT_LEVELS = 22.0  # levels; mean residual above which two frames show different content
_GOOD_LEVELS = 1.5  # levels; median error below which an initial model needs no alternative
_MIN_DIS_PX = 32  # px; patch size 8 at scale 1/4 (preset FAST); smaller ones segfault in OpenCV 5.0
_NEAR_PX = 15  # px; distance from the hole in which the model is tested
_AROUND_PX = 32  # px of picture around a hole in which its motion is computed
_MISSED_LEVELS = 7.0  # levels; smoothed error above which the affine model misses a pixel
_MISSED_SHARE = 0.02  # of the pixels near the hole; if the model misses more, dense flow is used
_FINE_PX = 5  # px; box that errors are smoothed with to find missed pixels
_WIDE_PX = 15  # px; box that residuals and dense flow are smoothed with
_TRUST = (1 / (1 + (np.arange(256) / 4) ** 2)).astype(np.float32)  # confidence, 0 to 1, by levels
_STILL_PX = 0.03  # px; motion between neighbouring frames below which it counts as noise
_STILL_FAR_PX = 0.06  # px; the same between frames further apart


@dataclass(frozen=True, slots=True)
class Flow:
    """Flow field from one frame to another, for the pixels near the hole of the first.

    Attributes:
        affine: float64 ``(2, 3)``; pixel coordinates of the first frame to those of the second.
        corner: row and column of the strip at which ``dense`` and ``residual`` begin.
        dense: float32 ``(h, w, 2)``; displacements (dx, dy) in pixels, which replace ``affine``;
            ``None`` if the affine model is sufficient.
        residual: float32 ``(h, w)``; smoothed absolute luma error of the flow, in 8-bit levels.
    """

    affine: Matrix
    corner: tuple[int, int]
    dense: Floats | None
    residual: Floats

    def warp_points(
        self, rows: NDArray[np.intp], columns: NDArray[np.intp]
    ) -> tuple[Floats, Floats]:
        """Map pixels to the other frame: float32 columns ``x`` and rows ``y`` there, ``(n,)`` each.

        Args:
            rows: int ``(n,)``; rows of hidden pixels, counted in the strip.
            columns: int ``(n,)``; their columns.
        """
        x, y = columns.astype(np.float32), rows.astype(np.float32)
        if self.dense is not None:
            shift = self.dense.reshape(-1, 2).take(self._flat_index(rows, columns), axis=0)
            return x + shift[:, 0], y + shift[:, 1]
        (a, b, c), (d, e, f) = self.affine.astype(np.float32)
        return a * x + b * y + c, d * x + e * y + f

    def residual_at(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Floats:
        """Residual at pixels of the strip, float32 ``(n,)``, in 8-bit levels."""
        return self.residual.take(self._flat_index(rows, columns))

    def _flat_index(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> NDArray[np.intp]:
        """Flat (row-major) indices of pixels in the window of ``dense`` and ``residual``."""
        top, left = self.corner
        width = self.residual.shape[1]
        index: NDArray[np.intp] = rows * width + columns - (top * width + left)
        return index


@dataclass(frozen=True, slots=True)
class _Window:
    """Rectangle of the strip in which the motion of one hole is computed.

    Attributes:
        slices: its rows and columns.
        near: bool ``(h, w)``; visible pixels within `_NEAR_PX` of the hole.
        grid: float32 ``(h, w, 2)``; column and row of each pixel, counted in the strip.
    """

    slices: tuple[slice, slice]
    near: Bools
    grid: Floats

    @property
    def corner(self) -> tuple[int, int]:
        """First row and column."""
        return self.slices[0].start, self.slices[1].start


@dataclass(frozen=True, slots=True)
class _Comparison:
    """Difference of one frame and another warped onto it, ``(h, w)`` each, in the window."""

    visible: NDArray[np.uint8]  # 1 where both frames are visible
    error: NDArray[np.uint8]  # absolute luma difference there, 8-bit levels; 0 elsewhere
    smooth: Floats  # mean of the error over the visible neighbourhood, 8-bit levels


class Motion:
    """Estimates the flow between frames of one strip; caches luma, flows and models."""

    def __init__(self, strip: InpaintInput, hidden: Bools) -> None:
        """Create an estimator.

        Args:
            strip: the frames.
            hidden: bool ``(K, H, W)``; for each of ``strip.masks`` the hole, dilated by the pixels
                whose values are unreliable.
        """
        self._strip, self._hidden = strip, hidden.astype(np.uint8)
        self._size = hidden.shape[1], hidden.shape[2]
        self._luma = LruCache(self._make_luma)
        self._filled = LruCache(self._make_filled, 4)
        self._flows = LruCache(self._make_flow, 2)  # chaining and the temporal prior use the same
        self._fitter = AffineFitter(self._luma.__getitem__, hidden, strip.mask_of)
        self._windows = [_window(mask) for mask in self._hidden]
        self._models: dict[tuple[int, int], Model] = {}
        self._last: dict[int, Model] = {}  # by distance in frames, signed
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        thumb_height, thumb_width = strip.thumbnails.shape[1:]
        self._thumb_window = cv2.createHanningWindow((thumb_width, thumb_height), cv2.CV_32F)

    def flow(self, frame: int, other: int) -> Flow | None:
        """Flow from ``frame`` to ``other`` near the hole of ``frame``.

        ``None`` if the two show different content (mean residual above `_CUT_LEVELS`).
        """
        return self._flows[frame, other]

    def _make_flow(self, frames: tuple[int, int]) -> Flow | None:
        """Compute the flow for a pair: the affine model's if it fits near the hole, else dense."""
        frame, other = frames
        still_px = _STILL_PX if abs(other - frame) == 1 else _STILL_FAR_PX
        affine = to_matrix(self._model(frame, other), self._size, still_px=still_px)
        by_model = self._compare(frame, other, affine, None)
        window = self._window(frame)
        near = window.near & (by_model.visible > 0)
        count = np.count_nonzero(near)
        missed = double_box_blur(by_model.error.astype(np.float32), _FINE_PX)[near] > _MISSED_LEVELS
        if count and np.count_nonzero(missed) < _MISSED_SHARE * count:
            return Flow(affine, window.corner, None, by_model.smooth)
        return self._dense_flow(frame, other, affine, by_model)

    # -- affine model ------------------------------------------------------------------------

    def _model(self, frame: int, other: int) -> Model:
        """Fit the affine model of a pair, or refine the inverse of the opposite pair's."""
        back = self._models.get((other, frame))
        if back is not None:
            return self._fitter.refine(frame, other, invert_model(back))
        model, inliers = self._fitter.fit(frame, other, self._initial_model(frame, other))
        if inliers > 0.5:
            self._last[other - frame] = self._models[frame, other] = model
        return model

    def _initial_model(self, frame: int, other: int) -> Model:
        """Choose the best start for a fit: no motion, the last model, or a phase correlation.

        The phase correlation of the thumbnails gives the camera's translation; it is computed only
        if the other two are poor.
        """
        guesses = [identity_model()]
        if other - frame in self._last:
            guesses.append(self._last[other - frame])
        costs = [self._fitter.cost(frame, other, guess) for guess in guesses]
        if min(costs) > _GOOD_LEVELS:
            thumbnails, scale = self._strip.thumbnails, self._strip.thumbnail_scale
            (x, y), _ = cv2.phaseCorrelate(thumbnails[frame], thumbnails[other], self._thumb_window)
            guesses.append(translation_model(x * scale, y * scale))
            costs.append(self._fitter.cost(frame, other, guesses[-1]))
        return guesses[int(np.argmin(costs))]

    # -- dense flow --------------------------------------------------------------------------

    def _dense_flow(
        self, frame: int, other: int, affine: Matrix, by_model: _Comparison
    ) -> Flow | None:
        """Combine DIS flow, where its error is clearly smaller, with the affine model elsewhere.

        Args:
            frame: first frame.
            other: second frame.
            affine: the affine model of the pair.
            by_model: comparison of the frames under that model.

        Returns:
            The flow; ``None`` if neither explains the second frame.
        """
        window = self._window(frame)
        model = _affine_displacement(affine, window)
        raw = self._dis_flow(frame, other, affine, window)
        dense = self._compare(frame, other, affine, raw)
        both = (by_model.visible & dense.visible) > 0
        least = np.minimum(by_model.error, dense.error)
        if float(least[both].sum()) / (np.count_nonzero(both) + 1) > _CUT_LEVELS:
            return None
        confidence = np.asarray(cv2.LUT(dense.error, _TRUST), np.float32)
        trust = confidence * dense.visible.astype(np.float32)
        better = dense.smooth < 0.8 * by_model.smooth - 0.3
        residual = np.where(better, dense.smooth, by_model.smooth)
        better &= double_box_blur(trust, _WIDE_PX) >= 0.02
        flow = cv2.copyTo(_mean_flow(raw, trust), better.astype(np.uint8), model)
        return Flow(affine, window.corner, np.asarray(flow, np.float32), residual)

    def _dis_flow(self, frame: int, other: int, affine: Matrix, window: _Window) -> Floats:
        """DIS optical flow in a window, initialised with the model: ``(h, w, 2)``, pixels.

        The displacement of the model itself in windows too small for DIS.
        """
        joint = _joint_window(affine, window, self._size)
        if min(joint.near.shape) < _MIN_DIS_PX:
            return _affine_displacement(affine, window)
        here, there = (np.ascontiguousarray(self._filled[k][joint.slices]) for k in (frame, other))
        flow = self._dis.calc(here, there, _affine_displacement(affine, joint))
        found = np.asarray(flow, np.float32)
        (top, left), (height, width) = window.corner, window.near.shape
        top, left = top - joint.corner[0], left - joint.corner[1]
        return found[top : top + height, left : left + width]

    def _compare(self, frame: int, other: int, affine: Matrix, dense: Floats | None) -> _Comparison:
        """Compare ``frame`` with ``other`` warped onto it by ``dense``, or else by ``affine``."""
        window = self._window(frame)
        if dense is None:
            warped = self._warp(self._luma[other], affine, window, border=None)
            covered = self._warp(self._hidden_in(other), affine, window, border=1)
        else:
            points = window.grid + dense
            edge = cv2.BORDER_REPLICATE
            warped = sample_grid(self._luma[other], points, cv2.INTER_LINEAR, edge, 0)
            edge = cv2.BORDER_CONSTANT
            covered = sample_grid(self._hidden_in(other), points, cv2.INTER_NEAREST, edge, 1)
        visible = 1 - (self._hidden_in(frame)[window.slices] | covered)
        error = cv2.absdiff(self._luma[frame][window.slices], warped) * visible
        return _Comparison(visible, error, _mean_visible_error(error, visible))

    def _warp(
        self,
        picture: NDArray[np.uint8],
        affine: Matrix,
        window: _Window,
        *,
        border: int | None,
    ) -> NDArray[np.uint8]:
        """Warp ``picture`` onto the window by backward mapping, uint8 ``(h, w)``.

        Bilinear with a replicated border; or nearest neighbour, with ``border`` as the value
        outside.
        """
        interpolation = cv2.INTER_LINEAR if border is None else cv2.INTER_NEAREST
        edge = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
        if np.array_equal(affine, np.eye(2, 3)):
            return np.ascontiguousarray(picture[window.slices])
        (top, left), (height, width) = window.corner, window.near.shape
        moved = affine.copy()
        moved[:, 2] += affine[:, :2] @ (left, top)
        warped = cv2.warpAffine(
            picture,
            moved,
            (width, height),
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=edge,
            borderValue=border or 0,
        )
        return np.asarray(warped, np.uint8)

    # -- data per frame ----------------------------------------------------------------------

    def _window(self, frame: int) -> _Window:
        """Window of the frame's hole."""
        return self._windows[int(self._strip.mask_of[frame])]

    def _hidden_in(self, frame: int) -> NDArray[np.uint8]:
        """Hidden mask of a frame, uint8 ``(H, W)``, 1 where hidden."""
        hidden: NDArray[np.uint8] = self._hidden[self._strip.mask_of[frame]]
        return hidden

    def _make_luma(self, frame: int) -> NDArray[np.uint8]:
        """Luma of a frame, truncated to 8 bits, uint8 ``(H, W)``."""
        shift = self._strip.layout.bits - 8
        return np.asarray(self._strip.planes[0][frame] >> shift, np.uint8)

    def _make_filled(self, frame: int) -> NDArray[np.uint8]:
        """Luma of a frame, its hole filled by a membrane so that dense flow sees no letters."""
        hidden, luma = self._hidden_in(frame) > 0, self._luma[frame]
        if not hidden.any():
            return luma
        return np.clip(membrane(luma.astype(np.float32), hidden), 0, 255).astype(np.uint8)


def _window(hidden: NDArray[np.uint8]) -> _Window:
    """Return the window of a hole, uint8 ``(H, W)``; the whole picture for an empty one."""
    size = 2 * _NEAR_PX + 1
    near = (np.asarray(cv2.dilate(hidden, np.ones((size, size), np.uint8))) > 0) & (hidden == 0)
    rows, columns = (np.flatnonzero(hidden.any(axis=axis)) for axis in (1, 0))
    slices = tuple(
        _padded_slice(found, length)
        for found, length in zip((rows, columns), hidden.shape, strict=True)
    )
    return _Window((slices[0], slices[1]), near[slices], _grid(slices[0], slices[1]))


def _joint_window(affine: Matrix, window: _Window, size: tuple[int, int]) -> _Window:
    """Return the bounding box of the window and its image under ``affine``, within ``size``."""
    corners = window.grid[[0, 0, -1, -1], [0, -1, 0, -1]]
    there = corners @ affine[:, :2].T + affine[:, 2]
    (top, left), (bottom, right) = window.corner, (window.slices[0].stop, window.slices[1].stop)
    low, high = np.floor(there.min(axis=0)), np.ceil(there.max(axis=0)) + 1
    rows = slice(int(max(0, min(top, low[1]))), int(min(size[0], max(bottom, high[1]))))
    columns = slice(int(max(0, min(left, low[0]))), int(min(size[1], max(right, high[0]))))
    shape = rows.stop - rows.start, columns.stop - columns.start
    return _Window((rows, columns), np.zeros(shape, bool), _grid(rows, columns))


def _grid(rows: slice, columns: slice) -> Floats:
    """Return column and row of each pixel of a window, float32 ``(h, w, 2)``."""
    grid = np.empty((rows.stop - rows.start, columns.stop - columns.start, 2), np.float32)
    grid[..., 0] = np.arange(columns.start, columns.stop)
    grid[..., 1] = np.arange(rows.start, rows.stop)[:, None]
    return grid


def _padded_slice(found: NDArray[np.intp], length: int) -> slice:
    """Slice covering ``found`` ± 32 px, clipped to ``[0, length)``.

    Start and length are even (unless clipped), since dense flow is averaged at half size.
    """
    if not found.size:
        return slice(0, length)
    first = max(0, int(found[0]) - _AROUND_PX)
    last = min(length, int(found[-1]) + 1 + _AROUND_PX)
    return slice(first - (first % 2), min(length, last + last % 2))


def _affine_displacement(affine: Matrix, window: _Window) -> Floats:
    """Return the displacement of each pixel of a window under ``affine``, ``(h, w, 2)``, pixels."""
    return np.asarray(cv2.transform(window.grid, affine - np.eye(2, 3)), np.float32)


def _mean_flow(raw: Floats, trust: Floats) -> Floats:
    """Average a flow field over its neighbourhood, weighted by confidence (normalised convolution).

    Computed at half size; also extends the flow into the hole, where ``trust`` is 0.
    """
    height, width = trust.shape
    size = (max(1, width // 2), max(1, height // 2))
    small_raw, small_trust = (
        np.asarray(cv2.resize(field, size, interpolation=cv2.INTER_AREA), np.float32)
        for field in (raw, trust)
    )
    sums = double_box_blur(small_raw * small_trust[..., None], _WIDE_PX // 2)
    known = double_box_blur(small_trust, _WIDE_PX // 2) + np.float32(1e-6)
    mean = cv2.resize(sums / known[..., None], (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(mean, np.float32)


def _mean_visible_error(error: NDArray[np.uint8], visible: NDArray[np.uint8]) -> Floats:
    """Return the mean error over the visible neighbourhood of each pixel, in 8-bit levels."""
    known = double_box_blur(visible.astype(np.float32), _WIDE_PX)
    smooth = double_box_blur(error.astype(np.float32), _WIDE_PX) / (known + np.float32(1e-3))
    smooth[known < 0.02] = 6.0  # nothing visible to compare: assume a moderate error
    return np.asarray(smooth, np.float32)
