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

from erasecore.engines.affine import (
    AffineFitter,
    Model,
    Recent,
    inverse,
    shifted,
    still,
    to_matrix,
)
from erasecore.engines.base import Bools, Floats, Strip
from erasecore.engines.sampling import sample_grid, soft
from erasecore.engines.spatial import membrane

_CUT_LEVELS = 22.0  # mean residual above which two frames show different things
_NEAR_PX = 31  # what counts as near the hole
_STILL_PX, _STILL_FAR_PX = 0.03, 0.06  # motion below it is noise: between neighbours, further


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


@dataclass(frozen=True, slots=True)
class _Comparison:
    """One frame against another brought to its place, ``(H, W)`` each."""

    weight: Floats  # 1 where both can be seen
    error: Floats  # absolute luma difference, 8-bit levels
    smooth: Floats  # the error's mean over what can be seen around


class Motion:
    """Gives the flow between frames of one strip, remembering what it needs of recent frames."""

    def __init__(self, strip: Strip, hidden: Bools) -> None:
        """Take a strip and its holes ``(K, H, W)``, grown by the pixels not to be trusted."""
        self._strip, self._hidden = strip, hidden
        self._size = height, width = hidden.shape[1], hidden.shape[2]
        self._luma = Recent(self._make_luma)
        self._filled = Recent(self._make_filled, 4)
        self._flows = Recent(self._make_flow, 2)  # a frame's chain and its trail want the same
        self._fitter = AffineFitter(self._luma.__getitem__, self._hidden_in)
        self._near = [_near(mask) for mask in hidden]
        self._models: dict[tuple[int, int], Model] = {}
        self._last: dict[int, Model] = {}  # by stride
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        thumb_height, thumb_width = strip.thumbs.shape[1:]
        self._thumb_window = cv2.createHanningWindow((thumb_width, thumb_height), cv2.CV_32F)
        rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
        self._grid: Floats = np.stack([columns, rows], axis=-1)

    def flow(self, frame: int, other: int) -> Flow | None:
        """The motion from ``frame`` to ``other``; ``None`` where they show different things."""
        return self._flows[frame, other]

    def _make_flow(self, frames: tuple[int, int]) -> Flow | None:
        frame, other = frames
        still_px = _STILL_PX if abs(other - frame) == 1 else _STILL_FAR_PX
        affine = to_matrix(self._model(frame, other), self._size, still_px=still_px)
        seen = self._compare(frame, other, affine, None)
        near = self._near[self._strip.mask_of[frame]] & (seen.weight > 0)
        if near.any() and float((soft(seen.error * seen.weight, 5)[near] > 7).mean()) < 0.02:
            return Flow(affine, None, seen.smooth)
        return self._dense_flow(frame, other, affine, seen)

    # -- the model ---------------------------------------------------------------------------

    def _model(self, frame: int, other: int) -> Model:
        back = self._models.get((other, frame))
        if back is not None:  # fitted the other way round already
            return self._fitter.polish(frame, other, inverse(back))
        model, inliers = self._fitter.fit(frame, other, self._guesses(frame, other))
        if inliers > 0.5:
            self._last[other - frame] = self._models[frame, other] = model
        return model

    def _guesses(self, frame: int, other: int) -> list[Model]:
        """Where to start: stillness, the camera's motion, the last model of this stride."""
        thumbs, scale = self._strip.thumbs, self._strip.thumb_scale
        (x, y), _ = cv2.phaseCorrelate(thumbs[frame], thumbs[other], self._thumb_window)
        guesses = [still(), shifted(x * scale, y * scale)]
        if other - frame in self._last:
            guesses.insert(1, self._last[other - frame])
        return guesses

    # -- dense flow --------------------------------------------------------------------------

    def _dense_flow(self, frame: int, other: int, affine: Model, seen: _Comparison) -> Flow | None:
        model = self._shifts(affine)
        found = self._dis.calc(self._filled[frame], self._filled[other], model.copy())
        raw = np.asarray(found, np.float32)
        dense = self._compare(frame, other, affine, raw)
        trust = np.asarray(dense.weight / (1 + (dense.error / 4) ** 2), np.float32)
        known = soft(trust, 15)
        flow = soft(raw * trust[..., None], 15) / (known + np.float32(1e-6))[..., None]
        flow = np.where((known < 0.02)[..., None], model, flow)
        both = seen.weight * dense.weight
        least = np.minimum(seen.error, dense.error)
        if float((least * both).sum() / (both.sum() + 1)) > _CUT_LEVELS:
            return None
        better = dense.smooth < 0.8 * seen.smooth - 0.3
        residual = np.where(better, dense.smooth, seen.smooth)
        return Flow(affine, np.where(better[..., None], flow, model), residual)

    def _shifts(self, affine: Model) -> Floats:
        """How far the model moves each pixel, ``(H, W, 2)``."""
        height, width = self._size
        columns = np.arange(width, dtype=np.float32)
        rows = np.arange(height, dtype=np.float32)[:, None]
        shifts = np.empty((height, width, 2), np.float32)
        for axis, (a, b, c) in enumerate((affine - np.eye(2, 3)).astype(np.float32)):
            shifts[..., axis] = (a * columns + c) + b * rows
        return shifts

    def _compare(self, frame: int, other: int, affine: Model, dense: Floats | None) -> _Comparison:
        """``frame`` against ``other`` brought to its place."""
        hidden = self._hidden_in(other).astype(np.uint8)
        warped = self._warp(self._luma[other], affine, dense, border=None)
        covered = self._warp(hidden, affine, dense, border=1)
        visible = ~self._hidden_in(frame) & (covered == 0)
        weight = visible.astype(np.float32)
        error = cv2.absdiff(self._luma[frame], warped).astype(np.float32)
        known = soft(weight, 15)
        smooth = soft(error * weight, 15) / (known + np.float32(1e-3))
        smooth[known < 0.02] = 6.0  # nothing to compare with: distrust it a little
        return _Comparison(weight, error, smooth)

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
        if dense is not None:
            return sample_grid(picture, self._grid + dense, how, edge, border or 0)
        height, width = self._size
        warped = cv2.warpAffine(
            picture,
            affine,
            (width, height),
            flags=how | cv2.WARP_INVERSE_MAP,
            borderMode=edge,
            borderValue=border or 0,
        )
        return np.asarray(warped, np.uint8)

    # -- what is remembered of a frame -------------------------------------------------------

    def _hidden_in(self, frame: int) -> Bools:
        hidden: Bools = self._hidden[self._strip.mask_of[frame]]
        return hidden

    def _make_luma(self, frame: int) -> NDArray[np.uint8]:
        shift = self._strip.layout.bits - 8
        return np.asarray(self._strip.planes[0][frame] >> shift, np.uint8)

    def _make_filled(self, frame: int) -> NDArray[np.uint8]:
        """A frame's luma with its hole smoothly closed, so that dense flow sees no letters."""
        hidden, luma = self._hidden_in(frame), self._luma[frame]
        if not hidden.any():
            return luma
        return np.clip(membrane(luma.astype(np.float32), hidden), 0, 255).astype(np.uint8)


def _near(hidden: Bools) -> Bools:
    grown = cv2.dilate(hidden.astype(np.uint8), np.ones((_NEAR_PX, _NEAR_PX), np.uint8))
    near: Bools = (np.asarray(grown) > 0) & ~hidden
    return near
