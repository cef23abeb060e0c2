"""Robust affine registration of two frames, directly on their luma.

Gauss-Newton with iteratively reweighted least squares on visible textured pixels, coarse to fine
(Baker and Matthews, "Lucas-Kanade 20 Years On", 2004; Odobez and Bouthemy, "Robust
Multiresolution Estimation of Parametric Motion Models", 1995). Accurate to a few hundredths of a
pixel on still shots, pans and zooms, at a few milliseconds per fit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Bools, Floats
from erasecore.motion.lru_cache import LruCache

Model: TypeAlias = NDArray[np.float64]
"""Affine motion model, six numbers ``m0``..``m5``, float64.

A point ``(X, Y)`` moves by ``(m0 X + m1 Y + m2, m3 X + m4 Y + m5)`` pixels, where X and Y count
hundreds of pixels from the picture's centre, so that all six have similar magnitude.
"""

Matrix: TypeAlias = NDArray[np.float64]
"""Affine matrix ``(2, 3)``: pixel ``(x, y)`` of one frame lies at ``matrix @ (x, y, 1)`` of the
other."""

_COARSE = 4  # factor by which the picture is reduced for the first steps (guess)
_COARSE_TO_FINE = ((_COARSE, 6), (1, 4))  # (reduction, most Gauss-Newton steps) per level (guess)
_REFINE = ((1, 2),)  # likewise, from a model that is nearly right (guess)
_POINTS = {_COARSE: 2000, 1: 3000}  # most pixels used for a fit, by reduction (guess)
_FEWEST_POINTS = 60  # pixels; a fit needs at least so many (guess)
_COST_POINTS = 500  # pixels; enough to compare initial models (guess)
_UNKNOWN_COST_LEVELS = 99.0  # 8-bit levels; cost of a model that cannot be evaluated
_UNIT_PX = 100.0  # px; unit of X and Y in a model
_KERNEL = np.ones((3, 3), np.uint8)  # erosion by 1 px
_PICTURES = 12  # frames whose pictures are kept: both ends of an 8-frame step and those between


@dataclass(frozen=True, slots=True)
class _Level:
    """One frame at one pyramid level, with ``N`` textured visible pixels chosen for fitting.

    Attributes:
        visible: uint8 ``(H, W)``; 1 where the picture is visible, away from its border.
        points: float32 ``(2, N)``; columns and rows of the chosen pixels.
        basis: float32 ``(3, N)``; X, Y and 1 there, the factors of the model's numbers.
        values: float32 ``(3, N)``; luma and its two derivatives there.
    """

    visible: NDArray[np.uint8]
    points: Floats
    basis: Floats
    values: Floats

    @property
    def count(self) -> int:
        """Number of chosen pixels."""
        return len(self.points[0])


class AffineFitter:
    """Fits affine models between frames of one strip; caches pyramid levels of recent frames."""

    def __init__(
        self, luma: Callable[[int], NDArray[np.uint8]], hidden: Bools, mask_of: NDArray[np.intp]
    ) -> None:
        """Create a fitter.

        Args:
            luma: returns the luma of a frame, uint8 ``(H, W)``.
            hidden: bool ``(K, H, W)``; the distinct masks of pixels to be ignored.
            mask_of: int ``(T,)``; index into ``hidden`` for each frame.
        """
        self._luma, self._hidden, self._mask_of = luma, hidden, mask_of
        self._levels: dict[int, LruCache[int, _Level]] = {
            1: LruCache(lambda frame: self._make_level(frame, 1)),
            _COARSE: LruCache(lambda frame: self._make_level(frame, _COARSE)),
        }
        self._pictures: dict[int, LruCache[int, Floats]] = {
            1: LruCache(lambda frame: self._make_picture(frame, 1), _PICTURES),
            _COARSE: LruCache(lambda frame: self._make_picture(frame, _COARSE), _PICTURES),
        }
        self._visible = LruCache(self._make_visible, 2 * len(hidden))
        self._random = np.random.default_rng(1)

    def cost(self, frame: int, other: int, model: Model) -> float:
        """Median absolute luma error of ``model`` at the coarse level, in 8-bit levels."""
        here, there = self._levels[_COARSE][frame], self._levels[_COARSE][other]
        if here.count < _FEWEST_POINTS // 2:  # there may be none, in a flat picture
            return _UNKNOWN_COST_LEVELS
        few = np.s_[:, :: max(1, here.count // _COST_POINTS)]
        x, y = here.points[few] + _displacement_matrix(model, _COARSE) @ here.basis[few]
        seen = _sample_nearest(there.visible, x, y) > 0
        if seen.sum() < _FEWEST_POINTS // 2:
            return _UNKNOWN_COST_LEVELS
        error = _sample_channels(self._pictures[_COARSE][other], x, y)[0] - here.values[0][few[1]]
        return _median(np.abs(error[seen]))

    def fit(self, frame: int, other: int, start: Model) -> tuple[Model, float]:
        """Fit the model from ``frame`` to ``other``, coarse to fine, beginning at ``start``.

        Returns:
            The model, and its share of inliers, 0 to 1 (0: too little of the picture is common).
        """
        return self._run_levels(frame, other, start, _COARSE_TO_FINE)

    def refine(self, frame: int, other: int, model: Model) -> Model:
        """Improve a model that is nearly right, at full size only."""
        return self._run_levels(frame, other, model, _REFINE)[0]

    def _run_levels(
        self, frame: int, other: int, start: Model, schedule: tuple[tuple[int, int], ...]
    ) -> tuple[Model, float]:
        """Run Gauss-Newton at each level of ``schedule``: pairs of reduction and most steps.

        Returns:
            The model and its share of inliers at the last level, 0 to 1.
        """
        model, inliers = start.copy(), 0.0
        for scale, steps in schedule:
            if self._levels[scale][frame].count < _FEWEST_POINTS:
                continue
            found = self._gauss_newton(frame, other, model, scale=scale, steps=steps)
            if found is None:
                return model, 0.0
            model, inliers = found
        return model, inliers

    def _gauss_newton(
        self, frame: int, other: int, model: Model, *, scale: int, steps: int
    ) -> tuple[Model, float] | None:
        """Take up to ``steps`` robust Gauss-Newton steps at one pyramid level.

        Returns:
            Model and share of inliers; ``None`` if too few points are visible in both frames.
        """
        here, there = self._levels[scale][frame], self._levels[scale][other]
        picture = self._pictures[scale][other]
        jacobian = np.empty((6, here.count), np.float32)
        inliers = 0.0
        for _ in range(steps):
            x, y = here.points + _displacement_matrix(model, scale) @ here.basis
            seen = _sample_nearest(there.visible, x, y) > 0
            if np.count_nonzero(seen) < _FEWEST_POINTS * 2 // 3:
                return None
            values = _sample_channels(picture, x, y)
            error = values[0] - here.values[0]
            subset = error[seen][::3]  # enough for a median
            offset = _median(subset)  # a change of brightness is not motion
            error -= np.float32(offset)
            # 1.4826: from median absolute deviation to standard deviation (normal distribution)
            spread = float(np.clip(1.4826 * _median(np.abs(subset - offset)), 1.0, 10.0))
            # Geman-McClure weights, scale 2 standard deviations
            weight = seen / (1 + np.square(error * np.float32(0.5 / spread))) ** 2
            slopes = (here.values[1:] + values[1:]) * np.float32(0.5 / scale)
            np.multiply(here.basis, slopes[0], out=jacobian[:3])
            np.multiply(here.basis, slopes[1], out=jacobian[3:])
            step = _solve(jacobian, np.asarray(weight, np.float32), error)
            model = model + step
            near = np.abs(error) < np.float32(max(4.0, 2.5 * spread))
            inliers = np.count_nonzero(near & seen) / np.count_nonzero(seen)
            if np.abs(step).max() < 0.01:
                break
        return model, inliers

    def _make_level(self, frame: int, scale: int) -> _Level:
        """Build one pyramid level of a frame and choose its points."""
        picture, visible = self._pictures[scale][frame], self._visible_at(frame, scale)
        height, width = visible.shape
        rows, columns = self._choose_points(picture, visible, _POINTS[scale])
        values = np.ascontiguousarray(picture[rows, columns].T)
        points = np.stack([columns, rows]).astype(np.float32)
        centre = np.array([[width], [height]], np.float32) / 2 - np.float32(0.5)
        basis = np.ones((3, rows.size), np.float32)
        basis[:2] = (points - centre) * np.float32(scale / _UNIT_PX)
        return _Level(visible, points, basis, values)

    def _make_picture(self, frame: int, scale: int) -> Floats:
        """Smoothed luma at one level, with its derivatives along x and y, float32 ``(H, W, 3)``."""
        luma = self._luma(frame)
        if scale > 1:
            height, width = self._visible_at(frame, scale).shape
            luma = np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA))
        smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 0.8)
        slopes = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0))
        return np.asarray(cv2.merge((smooth, *slopes)), np.float32)

    def _visible_at(self, frame: int, scale: int) -> NDArray[np.uint8]:
        """Visibility mask of a frame at one level, uint8 ``(H, W)``, 1 where visible."""
        return self._visible[int(self._mask_of[frame]), scale]

    def _make_visible(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        """Build the visibility mask for ``key``: index of the hidden mask, and reduction."""
        index, scale = key
        visible = cv2.erode((~self._hidden[index]).astype(np.uint8), _KERNEL)
        if scale > 1:
            height, width = visible.shape
            size = (max(1, round(width / scale)), max(1, round(height / scale)))
            share = cv2.resize(visible.astype(np.float32), size, interpolation=cv2.INTER_AREA)
            visible = cv2.erode((np.asarray(share) > 0.99).astype(np.uint8), _KERNEL)
        visible[:2] = visible[-2:] = 0
        visible[:, :2] = visible[:, -2:] = 0
        return np.asarray(visible, np.uint8)

    def _choose_points(
        self, picture: Floats, visible: NDArray[np.uint8], most: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Draw up to ``most`` visible pixels with a large gradient, spread over the picture.

        Returns:
            Rows and columns, ``(N,)`` each; stratified random, from a fixed seed.
        """
        slope_x, slope_y = (cv2.extractChannel(picture, channel) for channel in (1, 2))
        strength = (np.abs(slope_x) + np.abs(slope_y)) * visible
        subset = np.sort(strength[::5, ::5], axis=None)  # enough for a percentile
        typical = float(subset[int(0.55 * subset.size)])
        textured = np.flatnonzero(strength > max(1.0, typical))
        if textured.size > most:
            draws = np.arange(most) + self._random.random(most)
            textured = textured[(draws * (textured.size / most)).astype(np.intp)]
        rows, columns = np.divmod(textured, strength.shape[1])
        return rows, columns


def identity_model() -> Model:
    """Return the model of no motion."""
    return np.zeros(6)


def translation_model(x_px: float, y_px: float) -> Model:
    """Return the model of a translation by ``x_px, y_px`` pixels."""
    return np.array([0, 0, x_px, 0, 0, y_px], np.float64)


def invert_model(model: Model) -> Model:
    """Return the model of the inverse motion."""
    linear = np.eye(2) + model.reshape(2, 3)[:, :2] / _UNIT_PX
    back = np.linalg.inv(linear)
    offset = -back @ model.reshape(2, 3)[:, 2]
    return np.column_stack([(back - np.eye(2)) * _UNIT_PX, offset]).ravel()


def to_matrix(model: Model, size: tuple[int, int], *, still_px: float) -> Matrix:
    """Return the model as an affine matrix in pixels, float64 ``(2, 3)``.

    Exactly the identity if no pixel moves by ``still_px`` or more, so that still pictures are
    copied, not resampled.

    Args:
        model: the motion.
        size: height and width of the picture, in pixels.
        still_px: displacement below which motion counts as noise, in pixels.
    """
    height, width = size
    centre = np.array([width / 2 - 0.5, height / 2 - 0.5])
    linear, offset = model.reshape(2, 3)[:, :2] / _UNIT_PX, model.reshape(2, 3)[:, 2]
    if (np.abs(linear) @ centre + np.abs(offset)).max() < still_px:
        return np.eye(2, 3)
    return np.column_stack([np.eye(2) + linear, offset - linear @ centre])


def _displacement_matrix(model: Model, scale: int) -> Floats:
    """Return the model as float32 ``(2, 3)``: times `_Level.basis` it gives pixels of a level."""
    return np.asarray(model.reshape(2, 3) / scale, np.float32)


def _sample_channels(picture: Floats, x: Floats, y: Floats) -> Floats:
    """Sample all channels of ``picture`` ``(H, W, C)`` at ``x, y``, bicubic: ``(C, N)``."""
    values = cv2.remap(picture, x[None], y[None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(np.asarray(values, np.float32)[0].T)


def _sample_nearest(picture: NDArray[np.uint8], x: Floats, y: Floats) -> NDArray[np.uint8]:
    """Sample ``picture`` at the pixels nearest to ``x, y``; 0 outside of it."""
    edge = cv2.BORDER_CONSTANT
    values = cv2.remap(picture, x[None], y[None], cv2.INTER_NEAREST, borderMode=edge, borderValue=0)
    return np.asarray(values, np.uint8).ravel()


def _median(values: Floats) -> float:
    """Upper median; faster than ``np.median``, which also handles NaN and even counts."""
    return float(np.partition(values, values.size // 2)[values.size // 2])


def _solve(jacobian: Floats, weight: Floats, error: Floats) -> Model:
    """Solve the damped normal equations for one step; damping keeps flat pictures at rest."""
    weighted = jacobian * weight
    normal = (weighted @ jacobian.T).astype(np.float64)
    for offset in (2, 5):
        damping = 1e-3 * normal[offset, offset] + 20
        normal[[offset - 2, offset - 1], [offset - 2, offset - 1]] += damping
        normal[offset, offset] += 1e-3
    right = -(weighted @ error).astype(np.float64)
    return np.asarray(np.linalg.solve(normal, right), np.float64)
