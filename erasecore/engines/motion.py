"""The background's motion between two frames of a strip, the hole's pixels left out.

A robust affine model is fitted straight to the luma of visible pixels: Gauss-Newton with
iteratively reweighted least squares, coarse to fine (Baker and Matthews, "Lucas-Kanade 20 Years
On", 2004; Odobez and Bouthemy, "Robust Multiresolution Estimation of Parametric Motion Models",
1995). It is exact to a few hundredths of a pixel on still shots, pans and zooms and costs a few
milliseconds. Only where the model leaves a visible residual near the hole is dense flow computed
(DIS: Kroeger et al., "Fast Optical Flow using Dense Inverse Search", 2016) and continued under
the hole from its trustworthy neighbours.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Bools, Floats, Strip
from erasecore.engines.sampling import sample, soft
from erasecore.engines.spatial import smooth_fill

_CACHED_FRAMES = 20  # two hops of eight frames, and their neighbours
_POINTS_COARSE, _POINTS_FINE = 2000, 3000
_COARSE = 4  # how far the picture is reduced for the first steps
_FROM_SCRATCH = ((_COARSE, 6), (1, 4))  # reduction, and steps at it
_POLISH = ((1, 2),)
_NORM_PX = 100.0  # unit of the model's coordinates, so that its parameters are of one size
_CUT_LEVELS = 22.0  # mean residual above which two frames show different things
_NEAR_PX = 31  # what counts as near the hole

Value = TypeVar("Value")


class _Recent(Generic[Value]):
    """The values of the frames used last, made when asked for."""

    def __init__(self, make: Callable[[int], Value], size: int = _CACHED_FRAMES) -> None:
        self._make, self._size = make, size
        self._values: OrderedDict[int, Value] = OrderedDict()

    def __getitem__(self, frame: int) -> Value:
        if frame in self._values:
            self._values.move_to_end(frame)
        else:
            self._values[frame] = self._make(frame)
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return self._values[frame]


@dataclass(frozen=True, slots=True)
class _Level:
    """One frame at one size, ready for fitting."""

    luma: Floats
    visible: Bools
    gradient_x: Floats
    gradient_y: Floats
    points: NDArray[np.intp]  # flat indices of textured visible pixels


@dataclass(frozen=True, slots=True)
class Flow:
    """Motion from one frame to another: where each pixel of the first lies in the second.

    Attributes:
        affine: 2x3; ``(x, y)`` of the first frame lies at ``affine @ (x, y, 1)`` in the second.
        dense: ``(H, W, 2)`` float32 displacements where the model does not do, else ``None``.
        residual: float32 ``(H, W)``; smoothed luma error of the motion, in 8-bit levels.
    """

    affine: NDArray[np.float64]
    dense: Floats | None
    residual: Floats

    def follow(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> tuple[Floats, Floats]:
        """Where the pixels at ``rows, columns`` lie in the other frame: ``x, y``."""
        x, y = columns.astype(np.float32), rows.astype(np.float32)
        if self.dense is not None:
            shift = self.dense[rows, columns]
            return x + shift[:, 0], y + shift[:, 1]
        (a, b, c), (d, e, f) = self.affine.astype(np.float32)
        return a * x + b * y + c, d * x + e * y + f


class Motion:
    """Gives the flow between frames of one strip, remembering what it needs of recent frames."""

    def __init__(self, strip: Strip, hidden: Bools) -> None:
        """Take a strip and its holes ``(K, H, W)``, grown by the pixels not to be trusted."""
        self._strip, self._hidden = strip, hidden
        self._height, self._width = hidden.shape[1:]
        self._shift = strip.layout.bits - 8
        self._luma = _Recent(self._make_luma)
        self._levels = {
            1: _Recent(lambda frame: self._make_level(frame, 1)),
            _COARSE: _Recent(lambda frame: self._make_level(frame, _COARSE)),
        }
        self._filled = _Recent(self._make_filled, 4)
        self._near = [_near(mask) for mask in hidden]
        self._last: dict[int, NDArray[np.float64]] = {}
        self._known: dict[tuple[int, int], NDArray[np.float64]] = {}
        self._dis = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._random = np.random.default_rng(1)
        thumb_height, thumb_width = strip.thumbs.shape[1:]
        self._thumb_window = cv2.createHanningWindow((thumb_width, thumb_height), cv2.CV_32F)
        rows, columns = np.mgrid[0 : self._height, 0 : self._width].astype(np.float32)
        self._grid = np.stack([columns, rows], axis=-1)

    def flow(self, frame: int, other: int) -> Flow | None:
        """The motion from ``frame`` to ``other``; ``None`` where they show different things."""
        parameters = self._model(frame, other)
        affine = self._to_pixels(parameters, still_px=0.03 if abs(other - frame) == 1 else 0.06)
        weight, error, smooth = self._residual(frame, other, affine, None)
        near = self._near[self._strip.mask_of[frame]] & (weight > 0)
        if near.any() and float((soft(error * weight, 5)[near] > 7).mean()) < 0.02:
            return Flow(affine, None, smooth)
        return self._dense_flow(frame, other, affine, weight, error, smooth)

    # -- the model ---------------------------------------------------------------------------

    def _model(self, frame: int, other: int) -> NDArray[np.float64]:
        """Affine parameters from ``frame`` to ``other``."""
        back = self._known.get((other, frame))
        if back is not None:  # fitted the other way round already: only polish it
            return self._fit(frame, other, _inverse(back), _POLISH)[0]
        start = min(self._guesses(frame, other), key=lambda p: self._cost(frame, other, p))
        parameters, inliers = self._fit(frame, other, start, _FROM_SCRATCH)
        if inliers > 0.5:
            self._last[other - frame] = self._known[frame, other] = parameters
        return parameters

    def _fit(
        self,
        frame: int,
        other: int,
        start: NDArray[np.float64],
        plan: tuple[tuple[int, int], ...],
    ) -> tuple[NDArray[np.float64], float]:
        """``start`` improved level by level, and the share of points that it explains."""
        parameters, inliers = start.copy(), 0.0
        for scale, steps in plan:
            if self._levels[scale][frame].points.size < 60:
                continue
            found = self._fit_level(frame, other, parameters, scale=scale, steps=steps)
            if found is None:
                return parameters, 0.0
            parameters, inliers = found
        return parameters, inliers

    def _fit_level(
        self, frame: int, other: int, parameters: NDArray[np.float64], *, scale: int, steps: int
    ) -> tuple[NDArray[np.float64], float] | None:
        here, there = self._levels[scale][frame], self._levels[scale][other]
        height, width = here.luma.shape
        rows, columns = np.divmod(here.points, width)
        basis = self._basis(columns, rows, scale)
        value = here.luma.ravel()[here.points]
        slope_x = here.gradient_x.ravel()[here.points]
        slope_y = here.gradient_y.ravel()[here.points]
        visible = there.visible.astype(np.float32)
        inliers = 0.0
        for _ in range(steps):
            x = (columns + basis @ parameters[:3] / scale).astype(np.float32)
            y = (rows + basis @ parameters[3:] / scale).astype(np.float32)
            inside = (x > 1) & (y > 1) & (x < width - 2) & (y < height - 2)
            inside &= sample(visible, np.rint(x), np.rint(y)) > 0.5
            if inside.sum() < 40:
                return None
            error = sample(there.luma, x, y) - value
            error -= np.median(error[inside])  # a change of brightness is no motion
            spread = float(np.clip(1.4826 * np.median(np.abs(error[inside])), 1.0, 10.0))
            weight = inside / (1 + (error / (2 * spread)) ** 2) ** 2
            mean_x = (slope_x + sample(there.gradient_x, x, y)) / (2 * scale)
            mean_y = (slope_y + sample(there.gradient_y, x, y)) / (2 * scale)
            step = _solve(
                np.hstack([basis * mean_x[:, None], basis * mean_y[:, None]]), weight, error
            )
            parameters = parameters + step
            inliers = float((np.abs(error[inside]) < max(4.0, 2.5 * spread)).mean())
            if np.abs(step).max() < 0.01:
                break
        return parameters, inliers

    def _basis(
        self, columns: NDArray[np.intp], rows: NDArray[np.intp], scale: int
    ) -> NDArray[np.float64]:
        x = ((columns + 0.5) * scale - self._width / 2) / _NORM_PX
        y = ((rows + 0.5) * scale - self._height / 2) / _NORM_PX
        return np.stack([x, y, np.ones_like(x)], axis=1)

    def _guesses(self, frame: int, other: int) -> list[NDArray[np.float64]]:
        """Where to start: stillness, the last model of this stride, the camera's motion."""
        guesses = [np.zeros(6)]
        if other - frame in self._last:
            guesses.append(self._last[other - frame])
        thumbs = self._strip.thumbs
        (x, y), _ = cv2.phaseCorrelate(thumbs[frame], thumbs[other], self._thumb_window)
        scale = self._strip.thumb_scale
        guesses.append(np.array([0, 0, x * scale, 0, 0, y * scale]))
        return guesses

    def _cost(self, frame: int, other: int, parameters: NDArray[np.float64]) -> float:
        here, there = self._levels[_COARSE][frame], self._levels[_COARSE][other]
        height, width = here.luma.shape
        rows, columns = np.divmod(here.points, width)
        basis = self._basis(columns, rows, _COARSE)
        x = (columns + basis @ parameters[:3] / _COARSE).astype(np.float32)
        y = (rows + basis @ parameters[3:] / _COARSE).astype(np.float32)
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        if inside.sum() < 30:
            return 99.0
        error = sample(there.luma, x, y) - here.luma.ravel()[here.points]
        return float(np.median(np.abs(error[inside])))

    def _to_pixels(
        self, parameters: NDArray[np.float64], *, still_px: float
    ) -> NDArray[np.float64]:
        """The model as a 2x3 matrix; exactly still where nothing moves by ``still_px``."""
        ax, bx, cx, ay, by, cy = parameters
        middle_x, middle_y = (self._width / 2 - 0.5), (self._height / 2 - 0.5)
        corner = abs(np.array([ax * middle_x, bx * middle_y, ay * middle_x, by * middle_y]))
        if corner.sum() / _NORM_PX + max(abs(cx), abs(cy)) < still_px:
            return np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        linear = np.array([[ax, bx], [ay, by]]) / _NORM_PX
        offset = np.array([cx, cy]) - linear @ [middle_x, middle_y]
        return np.hstack([np.eye(2) + linear, offset[:, None]])

    # -- dense flow --------------------------------------------------------------------------

    def _dense_flow(
        self,
        frame: int,
        other: int,
        affine: NDArray[np.float64],
        weight: Floats,
        error: Floats,
        smooth: Floats,
    ) -> Flow | None:
        model = self._grid @ affine[:, :2].T.astype(np.float32)
        model += affine[:, 2].astype(np.float32) - self._grid
        raw = self._dis.calc(self._filled[frame], self._filled[other], model.copy())
        dense_weight, dense_error, dense_smooth = self._residual(frame, other, affine, raw)
        trust = dense_weight / (1 + (dense_error / 4) ** 2)
        known = soft(trust, 15)
        flow = np.stack([soft(raw[..., k] * trust, 15) / (known + 1e-6) for k in (0, 1)], axis=-1)
        flow[known < 0.02] = model[known < 0.02]
        better = dense_smooth < 0.8 * smooth - 0.3
        both = weight * dense_weight
        least = np.minimum(error, dense_error)
        if float((least * both).sum() / (both.sum() + 1)) > _CUT_LEVELS:
            return None
        residual = np.where(better, dense_smooth, smooth)
        return Flow(affine, np.where(better[..., None], flow, model), residual)

    def _residual(
        self, frame: int, other: int, affine: NDArray[np.float64], dense: Floats | None
    ) -> tuple[Floats, Floats, Floats]:
        """Of the warped frame: where it can be compared, its error, and that smoothed."""
        hidden = self._hidden[self._strip.mask_of[other]].astype(np.uint8)
        warped = self._warp(self._luma[other], affine, dense, border=None)
        covered = self._warp(hidden, affine, dense, border=1)
        visible = ~self._hidden[self._strip.mask_of[frame]] & (covered == 0)
        weight = visible.astype(np.float32)
        error = cv2.absdiff(self._luma[frame], warped).astype(np.float32)
        known = soft(weight, 15)
        smooth = soft(error * weight, 15) / (known + 1e-3)
        smooth[known < 0.02] = 6.0  # nothing to compare with: distrust it a little
        return weight, error, smooth

    def _warp(
        self,
        picture: NDArray[np.uint8],
        affine: NDArray[np.float64],
        dense: Floats | None,
        *,
        border: int | None,
    ) -> NDArray[np.uint8]:
        """``picture`` brought to the first frame's place; linear, or nearest with a border."""
        how = cv2.INTER_LINEAR if border is None else cv2.INTER_NEAREST
        edge = cv2.BORDER_REPLICATE if border is None else cv2.BORDER_CONSTANT
        value = border or 0
        if dense is None:
            size, flags = (self._width, self._height), how | cv2.WARP_INVERSE_MAP
            return np.asarray(
                cv2.warpAffine(picture, affine, size, None, flags, edge, value), np.uint8
            )
        where = self._grid + dense
        return np.asarray(cv2.remap(picture, where, None, how, None, edge, value), np.uint8)

    # -- what is remembered of a frame -------------------------------------------------------

    def _make_luma(self, frame: int) -> NDArray[np.uint8]:
        plane = self._strip.planes[0][frame]
        return plane if plane.dtype == np.uint8 else (plane >> self._shift).astype(np.uint8)

    def _make_level(self, frame: int, scale: int) -> _Level:
        hidden = self._hidden[self._strip.mask_of[frame]]
        luma = self._luma[frame].astype(np.float32)
        visible = cv2.erode((~hidden).astype(np.uint8), np.ones((3, 3), np.uint8))
        if scale > 1:
            size = (max(1, round(self._width / scale)), max(1, round(self._height / scale)))
            luma = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
            share = cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            visible = cv2.erode((share > 0.99).astype(np.uint8), np.ones((3, 3), np.uint8))
        luma = cv2.GaussianBlur(luma, (0, 0), 0.8)
        gradient_x = cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8)
        gradient_y = cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8)
        points = self._choose_points(gradient_x, gradient_y, visible > 0, scale)
        return _Level(luma, visible > 0, gradient_x, gradient_y, points)

    def _choose_points(
        self, gradient_x: Floats, gradient_y: Floats, visible: Bools, scale: int
    ) -> NDArray[np.intp]:
        strength = (np.abs(gradient_x) + np.abs(gradient_y)) * visible
        strength[:2] = strength[-2:] = 0
        strength[:, :2] = strength[:, -2:] = 0
        textured = np.flatnonzero(strength > max(1.0, float(np.percentile(strength, 55))))
        most = _POINTS_FINE if scale == 1 else _POINTS_COARSE
        if textured.size <= most:
            return textured
        return self._random.choice(textured, most, replace=False)

    def _make_filled(self, frame: int) -> NDArray[np.uint8]:
        """A frame's luma with its hole smoothly closed, so that dense flow sees no letters."""
        hidden = self._hidden[self._strip.mask_of[frame]]
        luma = self._luma[frame]
        if not hidden.any():
            return luma
        return np.clip(smooth_fill(luma.astype(np.float32), hidden), 0, 255).astype(np.uint8)


def _near(hidden: Bools) -> Bools:
    grown = cv2.dilate(hidden.astype(np.uint8), np.ones((_NEAR_PX, _NEAR_PX), np.uint8)) > 0
    near: Bools = grown & ~hidden
    return near


def _solve(
    jacobian: NDArray[np.float64], weight: NDArray[np.float64], error: Floats
) -> NDArray[np.float64]:
    """One damped Gauss-Newton step; the damping keeps a flat picture's model at rest."""
    weighted = jacobian * weight[:, None]
    normal = weighted.T @ jacobian
    for first in (0, 3):
        linear = 1e-3 * normal[first + 2, first + 2] + 20
        normal[[first, first + 1], [first, first + 1]] += linear
        normal[first + 2, first + 2] += 1e-3
    return np.linalg.solve(normal, -(weighted.T @ error))


def _inverse(parameters: NDArray[np.float64]) -> NDArray[np.float64]:
    """The model of the way back."""
    ax, bx, cx, ay, by, cy = parameters
    back = np.linalg.inv(np.eye(2) + np.array([[ax, bx], [ay, by]]) / _NORM_PX)
    linear, offset = (back - np.eye(2)) * _NORM_PX, -back @ [cx, cy]
    return np.array([*linear[0], offset[0], *linear[1], offset[1]])
