"""A robust affine model of the motion between two frames, fitted straight to their luma.

Gauss-Newton with iteratively reweighted least squares on visible textured pixels, coarse to fine
(Baker and Matthews, "Lucas-Kanade 20 Years On", 2004; Odobez and Bouthemy, "Robust
Multiresolution Estimation of Parametric Motion Models", 1995). It is exact to a few hundredths of
a pixel on still shots, pans and zooms and costs a few milliseconds.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Bools, Floats
from erasecore.engines.sampling import sample

Model: TypeAlias = NDArray[np.float64]
"""Six numbers: a point ``(X, Y)`` moves by ``(m0 X + m1 Y + m2, m3 X + m4 Y + m5)`` pixels, where
X and Y count hundreds of pixels from the picture's middle, so that all six are of one size."""

_COARSE = 4  # how far the picture is reduced for the first steps
_FROM_SCRATCH = ((_COARSE, 6), (1, 4))  # reduction, and steps at it
_POLISH = ((1, 2),)
_POINTS = {_COARSE: 2000, 1: 3000}
_FEWEST_POINTS = 60
_UNIT_PX = 100.0
_KERNEL = np.ones((3, 3), np.uint8)

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values of the frames (or pairs of frames) used last, made when asked for."""

    def __init__(self, make: Callable[[Key], Value], size: int = 20) -> None:
        self._make, self._size = make, size
        self._values: OrderedDict[Key, Value] = OrderedDict()

    def __getitem__(self, key: Key) -> Value:
        if key in self._values:
            self._values.move_to_end(key)
        else:
            self._values[key] = self._make(key)
            if len(self._values) > self._size:
                self._values.popitem(last=False)
        return self._values[key]


@dataclass(frozen=True, slots=True)
class _Level:
    """One frame at one size, ready for fitting."""

    luma: Floats
    visible: Floats  # 1 where the picture can be trusted
    slope_x: Floats
    slope_y: Floats
    rows: NDArray[np.intp]  # of textured visible pixels
    columns: NDArray[np.intp]


class AffineFitter:
    """Fits models between frames of one strip, remembering what it needs of recent frames."""

    def __init__(
        self, luma: Callable[[int], NDArray[np.uint8]], hidden: Callable[[int], Bools]
    ) -> None:
        """Take where to get a frame's luma and its pixels that are not to be trusted."""
        self._luma, self._hidden = luma, hidden
        self._levels: dict[int, Recent[int, _Level]] = {
            1: Recent(lambda frame: self._make_level(frame, 1)),
            _COARSE: Recent(lambda frame: self._make_level(frame, _COARSE)),
        }
        self._random = np.random.default_rng(1)

    def fit(self, frame: int, other: int, guesses: list[Model]) -> tuple[Model, float]:
        """The model from ``frame`` to ``other``, and the share of points that it explains."""
        start = min(guesses, key=lambda guess: self._cost(frame, other, guess))
        return self._improve(frame, other, start, _FROM_SCRATCH)

    def polish(self, frame: int, other: int, model: Model) -> Model:
        """A model that is nearly right, made right."""
        return self._improve(frame, other, model, _POLISH)[0]

    def _improve(
        self, frame: int, other: int, start: Model, plan: tuple[tuple[int, int], ...]
    ) -> tuple[Model, float]:
        model, inliers = start.copy(), 0.0
        for scale, steps in plan:
            if self._levels[scale][frame].rows.size < _FEWEST_POINTS:
                continue
            found = self._descend(frame, other, model, scale=scale, steps=steps)
            if found is None:
                return model, 0.0
            model, inliers = found
        return model, inliers

    def _descend(
        self, frame: int, other: int, model: Model, *, scale: int, steps: int
    ) -> tuple[Model, float] | None:
        """Gauss-Newton steps at one size; ``None`` where too little of the picture is common."""
        here, there = self._levels[scale][frame], self._levels[scale][other]
        places = here.rows, here.columns
        basis = _basis(here, scale)
        inliers = 0.0
        for _ in range(steps):
            x, y = _move(here, basis, model, scale)
            inside = _inside(there, x, y)
            if inside.sum() < _FEWEST_POINTS * 2 // 3:
                return None
            error = sample(there.luma, x, y) - here.luma[places]
            some = error[inside][::3]  # enough for a median
            offset = np.median(some)  # a change of brightness is no motion
            error -= offset
            spread = float(np.clip(1.4826 * np.median(np.abs(some - offset)), 1.0, 10.0))
            weight = inside / (1 + (error / (2 * spread)) ** 2) ** 2
            slope_x = (here.slope_x[places] + sample(there.slope_x, x, y)) / (2 * scale)
            slope_y = (here.slope_y[places] + sample(there.slope_y, x, y)) / (2 * scale)
            slopes = [basis * slope_x[:, None], basis * slope_y[:, None]]
            jacobian = np.asarray(np.hstack(slopes), np.float32)
            step = _solve(jacobian, np.asarray(weight, np.float32), error)
            model = model + step
            inliers = float((np.abs(error[inside]) < max(4.0, 2.5 * spread)).mean())
            if np.abs(step).max() < 0.01:
                break
        return model, inliers

    def _cost(self, frame: int, other: int, model: Model) -> float:
        """Median error of a guess at the coarse size, in levels."""
        here, there = self._levels[_COARSE][frame], self._levels[_COARSE][other]
        x, y = _move(here, _basis(here, _COARSE), model, _COARSE)
        height, width = there.luma.shape
        inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
        if inside.sum() < _FEWEST_POINTS // 2:
            return 99.0
        error = sample(there.luma, x, y) - here.luma[here.rows, here.columns]
        return float(np.median(np.abs(error[inside])))

    def _make_level(self, frame: int, scale: int) -> _Level:
        luma = self._luma(frame).astype(np.float32)
        visible = cv2.erode((~self._hidden(frame)).astype(np.float32), _KERNEL)
        if scale > 1:
            height, width = luma.shape
            size = (max(1, round(width / scale)), max(1, round(height / scale)))
            luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)
            visible = cv2.resize(visible, size, interpolation=cv2.INTER_AREA)
            visible = cv2.erode((np.asarray(visible) > 0.99).astype(np.float32), _KERNEL)
        luma = np.asarray(cv2.GaussianBlur(luma, (0, 0), 0.8), np.float32)
        slope_x = np.asarray(cv2.Sobel(luma, cv2.CV_32F, 1, 0, scale=1 / 8), np.float32)
        slope_y = np.asarray(cv2.Sobel(luma, cv2.CV_32F, 0, 1, scale=1 / 8), np.float32)
        seen = np.asarray(visible, np.float32)
        strength = (np.abs(slope_x) + np.abs(slope_y)) * seen
        rows, columns = self._choose(strength, _POINTS[scale])
        return _Level(luma, seen, slope_x, slope_y, rows, columns)

    def _choose(self, strength: Floats, most: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Textured pixels, ``most`` at most, drawn at random."""
        strength[:2] = strength[-2:] = 0
        strength[:, :2] = strength[:, -2:] = 0
        usual = float(np.percentile(strength[::3, ::3], 55))
        textured = np.flatnonzero(strength > max(1.0, usual))
        if textured.size > most:
            textured = self._random.choice(textured, most, replace=False)
        rows, columns = np.divmod(textured, strength.shape[1])
        return rows, columns


def still() -> Model:
    """Nothing moves."""
    return np.zeros(6)


def shifted(x_px: float, y_px: float) -> Model:
    """Everything moves by the same."""
    return np.array([0, 0, x_px, 0, 0, y_px], np.float64)


def inverse(model: Model) -> Model:
    """The model of the way back."""
    linear = np.eye(2) + model.reshape(2, 3)[:, :2] / _UNIT_PX
    back = np.linalg.inv(linear)
    offset = -back @ model.reshape(2, 3)[:, 2]
    return np.column_stack([(back - np.eye(2)) * _UNIT_PX, offset]).ravel()


def to_matrix(model: Model, size: tuple[int, int], *, still_px: float) -> Model:
    """The model as a 2x3 matrix on pixels of a picture of ``size`` (height, width).

    Exactly the identity where nothing in the picture moves by ``still_px``.
    """
    height, width = size
    middle = np.array([width / 2 - 0.5, height / 2 - 0.5])
    linear, offset = model.reshape(2, 3)[:, :2] / _UNIT_PX, model.reshape(2, 3)[:, 2]
    if (np.abs(linear) @ middle + np.abs(offset)).max() < still_px:
        return np.eye(2, 3)
    return np.column_stack([np.eye(2) + linear, offset - linear @ middle])


def _basis(level: _Level, scale: int) -> Floats:
    height, width = level.luma.shape
    x = ((level.columns + 0.5) - width / 2) * (scale / _UNIT_PX)
    y = ((level.rows + 0.5) - height / 2) * (scale / _UNIT_PX)
    return np.stack([x, y, np.ones_like(x)], axis=1).astype(np.float32)


def _move(level: _Level, basis: Floats, model: Model, scale: int) -> tuple[Floats, Floats]:
    """Where the level's points lie in the other frame, in pixels of the reduced picture."""
    moved = basis @ (model.reshape(2, 3).T / scale).astype(np.float32)
    return level.columns + moved[:, 0], level.rows + moved[:, 1]


def _inside(level: _Level, x: Floats, y: Floats) -> Bools:
    height, width = level.luma.shape
    inside = (x > 1) & (y > 1) & (x < width - 2) & (y < height - 2)
    seen: Bools = inside & (sample(level.visible, np.rint(x), np.rint(y)) > 0.5)
    return seen


def _solve(jacobian: Floats, weight: Floats, error: Floats) -> Model:
    """One damped Gauss-Newton step; the damping keeps a flat picture's model at rest."""
    weighted = jacobian * weight[:, None]
    normal = (weighted.T @ jacobian).astype(np.float64)
    for offset in (2, 5):
        damping = 1e-3 * normal[offset, offset] + 20
        normal[[offset - 2, offset - 1], [offset - 2, offset - 1]] += damping
        normal[offset, offset] += 1e-3
    right = -(weighted.T @ error).astype(np.float64)
    return np.asarray(np.linalg.solve(normal, right), np.float64)
