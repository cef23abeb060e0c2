"""A robust affine model of the motion between two frames, fitted straight to their luma.

Gauss-Newton with iteratively reweighted least squares on visible textured pixels, coarse to fine
(Baker and Matthews, "Lucas-Kanade 20 Years On", 2004; Odobez and Bouthemy, "Robust
Multiresolution Estimation of Parametric Motion Models", 1995). It is exact to a few hundredths of
a pixel on still shots, pans and zooms and costs a few milliseconds.
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
"""Six numbers: a point ``(X, Y)`` moves by ``(m0 X + m1 Y + m2, m3 X + m4 Y + m5)`` pixels, where
X and Y count hundreds of pixels from the picture's middle, so that all six are of one size."""

Matrix: TypeAlias = NDArray[np.float64]
"""``(2, 3)``: the pixel ``(x, y)`` of one picture lies at ``matrix @ (x, y, 1)`` of the other."""

_COARSE = 4  # how far the picture is reduced for the first steps
_FROM_SCRATCH = ((_COARSE, 6), (1, 4))  # reduction, and steps at it
_POLISH = ((1, 2),)
_POINTS = {_COARSE: 2000, 1: 3000}
_FEWEST_POINTS = 60
_COST_POINTS = 500  # that a guess is judged by
_NO_IDEA_LEVELS = 99.0  # the error of a guess that cannot be judged
_UNIT_PX = 100.0
_KERNEL = np.ones((3, 3), np.uint8)
_PICTURES = 12  # frames whose pictures are kept: a long hop, and what is read between its ends


@dataclass(frozen=True, slots=True)
class _Level:
    """One frame at one size, ready for fitting; ``N`` textured visible pixels were chosen.

    Attributes:
        visible: 1 where the picture can be trusted, and away from its border.
        places: columns and rows of the chosen pixels, ``(2, N)``.
        basis: what the model's numbers are multiplied by there, ``(3, N)``.
        values: the picture there, ``(3, N)``.
    """

    visible: NDArray[np.uint8]
    places: Floats
    basis: Floats
    values: Floats

    @property
    def points(self) -> int:
        """How many pixels were chosen."""
        return len(self.places[0])


class AffineFitter:
    """Fits models between frames of one strip, remembering what it needs of recent frames."""

    def __init__(
        self, luma: Callable[[int], NDArray[np.uint8]], hidden: Bools, mask_of: NDArray[np.intp]
    ) -> None:
        """Take where to get a frame's luma, and the pixels that are not to be trusted.

        Args:
            luma: gives a frame's.
            hidden: bool ``(K, H, W)``.
            mask_of: which of ``hidden`` each frame has.
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
        """Median error of a guess at the coarse size, in levels."""
        here, there = self._levels[_COARSE][frame], self._levels[_COARSE][other]
        if here.points < _FEWEST_POINTS // 2:  # there may be none, in a flat picture
            return _NO_IDEA_LEVELS
        few = np.s_[:, :: max(1, here.points // _COST_POINTS)]
        x, y = here.places[few] + _moves(model, _COARSE) @ here.basis[few]
        seen = _nearest(there.visible, x, y) > 0
        if seen.sum() < _FEWEST_POINTS // 2:
            return _NO_IDEA_LEVELS
        error = _read(self._pictures[_COARSE][other], x, y)[0] - here.values[0][few[1]]
        return _median(np.abs(error[seen]))

    def fit(self, frame: int, other: int, start: Model) -> tuple[Model, float]:
        """The model from ``frame`` to ``other``, and the share of points that it explains."""
        return self._improve(frame, other, start, _FROM_SCRATCH)

    def polish(self, frame: int, other: int, model: Model) -> Model:
        """A model that is nearly right, made right."""
        return self._improve(frame, other, model, _POLISH)[0]

    def _improve(
        self, frame: int, other: int, start: Model, plan: tuple[tuple[int, int], ...]
    ) -> tuple[Model, float]:
        """The model after the steps of ``plan`` (reduction, steps), and its share of points."""
        model, inliers = start.copy(), 0.0
        for scale, steps in plan:
            if self._levels[scale][frame].points < _FEWEST_POINTS:
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
        picture = self._pictures[scale][other]
        jacobian = np.empty((6, here.points), np.float32)
        inliers = 0.0
        for _ in range(steps):
            x, y = here.places + _moves(model, scale) @ here.basis
            seen = _nearest(there.visible, x, y) > 0
            if np.count_nonzero(seen) < _FEWEST_POINTS * 2 // 3:
                return None
            values = _read(picture, x, y)
            error = values[0] - here.values[0]
            some = error[seen][::3]  # enough for a median
            offset = _median(some)  # a change of brightness is no motion
            error -= np.float32(offset)
            spread = float(np.clip(1.4826 * _median(np.abs(some - offset)), 1.0, 10.0))
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
        """One frame at one size, its points chosen."""
        picture, visible = self._pictures[scale][frame], self._visible_at(frame, scale)
        height, width = visible.shape
        rows, columns = self._choose(picture, visible, _POINTS[scale])
        values = np.ascontiguousarray(picture[rows, columns].T)
        places = np.stack([columns, rows]).astype(np.float32)
        middle = np.array([[width], [height]], np.float32) / 2 - np.float32(0.5)
        basis = np.ones((3, rows.size), np.float32)
        basis[:2] = (places - middle) * np.float32(scale / _UNIT_PX)
        return _Level(visible, places, basis, values)

    def _make_picture(self, frame: int, scale: int) -> Floats:
        """Luma at one size and its slopes along the row and along the column, ``(H, W, 3)``."""
        luma = self._luma(frame)
        if scale > 1:
            height, width = self._visible_at(frame, scale).shape
            luma = np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA))
        smooth = cv2.GaussianBlur(luma.astype(np.float32), (0, 0), 0.8)
        slopes = (cv2.Sobel(smooth, cv2.CV_32F, x, 1 - x, scale=1 / 8) for x in (1, 0))
        return np.asarray(cv2.merge((smooth, *slopes)), np.float32)

    def _visible_at(self, frame: int, scale: int) -> NDArray[np.uint8]:
        """Where a frame can be trusted, at one size."""
        return self._visible[int(self._mask_of[frame]), scale]

    def _make_visible(self, key: tuple[int, int]) -> NDArray[np.uint8]:
        """Where frames with one of the holes can be trusted, at one size."""
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

    def _choose(
        self, picture: Floats, visible: NDArray[np.uint8], most: int
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Textured visible pixels, ``most`` at most, drawn at random all over the picture."""
        slope_x, slope_y = (cv2.extractChannel(picture, channel) for channel in (1, 2))
        strength = (np.abs(slope_x) + np.abs(slope_y)) * visible
        few = np.sort(strength[::5, ::5], axis=None)  # enough to tell what is usual
        usual = float(few[int(0.55 * few.size)])
        textured = np.flatnonzero(strength > max(1.0, usual))
        if textured.size > most:
            draws = np.arange(most) + self._random.random(most)
            textured = textured[(draws * (textured.size / most)).astype(np.intp)]
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


def to_matrix(model: Model, size: tuple[int, int], *, still_px: float) -> Matrix:
    """The model as a matrix on pixels of a picture of ``size`` (height, width).

    Exactly the identity where nothing in the picture moves by ``still_px``.
    """
    height, width = size
    middle = np.array([width / 2 - 0.5, height / 2 - 0.5])
    linear, offset = model.reshape(2, 3)[:, :2] / _UNIT_PX, model.reshape(2, 3)[:, 2]
    if (np.abs(linear) @ middle + np.abs(offset)).max() < still_px:
        return np.eye(2, 3)
    return np.column_stack([np.eye(2) + linear, offset - linear @ middle])


def _moves(model: Model, scale: int) -> Floats:
    """The model as ``(2, 3)``, for pixels of a picture reduced by ``scale``."""
    return np.asarray(model.reshape(2, 3) / scale, np.float32)


def _read(picture: Floats, x: Floats, y: Floats) -> Floats:
    """All channels of ``picture`` ``(H, W, C)`` at the points ``x, y``, bicubic, ``(C, N)``."""
    values = cv2.remap(picture, x[None], y[None], cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(np.asarray(values, np.float32)[0].T)


def _nearest(picture: NDArray[np.uint8], x: Floats, y: Floats) -> NDArray[np.uint8]:
    """``picture`` at the pixels nearest to the points ``x, y``, 0 outside of it."""
    edge = cv2.BORDER_CONSTANT
    values = cv2.remap(picture, x[None], y[None], cv2.INTER_NEAREST, borderMode=edge, borderValue=0)
    return np.asarray(values, np.uint8).ravel()


def _median(values: Floats) -> float:
    """The (upper) median, without NumPy's care for what does not occur here."""
    return float(np.partition(values, values.size // 2)[values.size // 2])


def _solve(jacobian: Floats, weight: Floats, error: Floats) -> Model:
    """One damped Gauss-Newton step; the damping keeps a flat picture's model at rest."""
    weighted = jacobian * weight
    normal = (weighted @ jacobian.T).astype(np.float64)
    for offset in (2, 5):
        damping = 1e-3 * normal[offset, offset] + 20
        normal[[offset - 2, offset - 1], [offset - 2, offset - 1]] += damping
        normal[offset, offset] += 1e-3
    right = -(weighted @ error).astype(np.float64)
    return np.asarray(np.linalg.solve(normal, right), np.float64)
