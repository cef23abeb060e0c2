"""Text that passes with the scene, as a sign does in a pan, told from text over the picture."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.scaling import Luma

_MIN_PASSING_PX = 0.7  # working pixels from frame to frame; less is no motion; guess
_MIN_CONTEXT_PX = 150  # working pixels of surroundings that are needed; guess
_PASSING_LEVELS = 2.0  # levels; least change of surroundings that move; guess
_PASSING_RATIO = 0.7  # of that change: less is left along the motion; guess


def moves_with_scene(
    one: Luma, other: Luma, text: NDArray[np.bool_], overlays: NDArray[np.bool_]
) -> bool:
    """Return True if a text and what is around it move together, as a sign does in a pan.

    The motion is measured by phase correlation, and must explain how the surroundings change.

    Args:
        one: uint8 ``(H, W)``; crop that shows the text.
        other: the same of the next frame, or of the one before.
        text: bool ``(H, W)``; pixels of the text.
        overlays: bool ``(H, W)``; pixels of other lines, which may stand still over both.
    """
    before, after = one.astype(np.float32), other.astype(np.float32)
    if overlays.all():
        return False
    for picture in (before, after):
        picture[overlays] = float(picture[~overlays].mean())
    window = cv2.createHanningWindow((one.shape[1], one.shape[0]), cv2.CV_32F)
    # It multiplies its arguments by the window in place where their size needs no padding.
    motion, _ = cv2.phaseCorrelate(before.copy(), after.copy(), window)
    return _explains(motion, before, after, ~(text | overlays))


def _explains(
    motion: Sequence[float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    context: NDArray[np.bool_],
) -> bool:
    """Return True if the surroundings change far less along a motion than at their place."""
    if np.hypot(motion[0], motion[1]) < _MIN_PASSING_PX:
        return False
    back = np.asarray([(1, 0, -motion[0]), (0, 1, -motion[1])], np.float32)
    size = before.shape[1], before.shape[0]
    aligned = cv2.warpAffine(after, back, size, borderMode=cv2.BORDER_CONSTANT, borderValue=-1)
    compared = context & (aligned >= 0)
    if int(compared.sum()) < _MIN_CONTEXT_PX:
        return False
    still = float(np.abs(after - before)[compared].mean())
    along = float(np.abs(aligned - before)[compared].mean())
    return still >= _PASSING_LEVELS and along < _PASSING_RATIO * still
