"""The letters of a line: strokes that stand out of what is around them in nearly every frame."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import inside
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.video.color import Box

_HATS = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)


def find_letters(planes: Floats, text_box: Box, text_height_px: float) -> Bools:
    """Pixels that are letter in (nearly) every sampled frame: bool ``(H, W)``.

    Args:
        planes: float32 ``(N, P, H, W)``; frames that show the line, 8-bit levels.
        text_box: where in them letters may be.
        text_height_px: the letters' height.
    """
    size = int(0.42 * text_height_px) // 2 * 2 + 1
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    text = inside(text_box, planes.shape[2:])
    if not text.any():
        return text
    strength = _strength(planes, kernel, text)
    values = np.clip(strength[text], 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(values.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    letters = text & (strength > max(18.0, 0.75 * otsu))
    return _without_specks(letters, max(3.0, 0.004 * text_height_px**2))


def _strength(planes: Floats, kernel: NDArray[np.uint8], text: Bools) -> Floats:
    """How much each pixel stands out of its surroundings in the weaker fifth of the frames."""

    def hat(stack: Floats, which: int) -> Floats:
        hats = np.stack([cv2.morphologyEx(frame, which, kernel) for frame in stack])
        low: Floats = np.percentile(hats, 20, axis=0).astype(np.float32)
        return low

    bright, dark = (hat(planes[:, 0], which) for which in _HATS)
    score_bright, score_dark = (float(np.percentile(h[text], 90)) for h in (bright, dark))
    # Dark letters are rare, and bright ones have dark outlines: they must be far stronger.
    is_dark = score_dark > 2.2 * score_bright
    strength, score = (dark, score_dark) if is_dark else (bright, score_bright)
    # Coloured letters on a background of equal luma: let a much stronger colour contrast join in.
    for plane in range(1, planes.shape[1]):
        for which in _HATS:
            colour = hat(planes[::2, plane], which)
            if float(np.percentile(colour[text], 90)) > 0.8 * score:
                strength = np.maximum(strength, colour)
    return strength


def _without_specks(letters: Bools, least_px: float) -> Bools:
    """``letters`` without connected pieces of fewer pixels."""
    pieces = letters.astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < least_px
    kept: Bools = letters & ~small[labels]
    return kept
