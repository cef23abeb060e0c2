"""Measures of single objects, on arrays only.

found     at least 90 % of the object's changed pixels have under 20 % of their contrast left, in at
          least 95 % of its frames
left      most of its pixels have most of their contrast, in at least 95 % of its frames
half      anything between: erased in part, or for part of its life
letters   the residual looks like the glyphs of another object, and not like those on screen
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.media import I420, split
from bench.metrics import Mask

Levels = NDArray[np.float32]

CLEAR_CONTRAST = 0.2  # largest share of the contrast around a pixel that may be left
WINDOW_PX = 5  # side of the square in which contrast is compared; about a stroke; guess
CLEAR_PIXELS = 0.9  # least share of the object's changed pixels that must be clear in a frame
CLEAR_FRAMES = 0.95  # least share of its frames that must be clear; the same for left whole
LEFT_CONTRAST = 0.7  # least median share of contrast in a frame that was not touched; guess
FLOOR_LEVELS = 8.0  # of the distance that coding noise makes at crf 16; guess
NOISE_FACTOR = 2.0  # the floor is at least this many times the RMS coding noise of the case; guess

ALIKE = 0.5  # least correlation of a residual with another object's glyphs; guess
ALIKE_MARGIN = 0.15  # by which it must exceed that with the glyphs on screen; guess
GLYPH_LEVELS = 30.0  # least luma contrast of a pixel that counts as part of a glyph
SEEN_LEVELS = 10.0  # least RMS residual on the other glyphs; below it nobody sees them; guess
SHARED_PX = 40  # least glyph pixels of the other object in the place examined; guess


class Verdict(StrEnum):
    """Outcome for one object, in a frame or over its life."""

    FOUND = "found"
    LEFT = "left"
    HALF = "half"


def floor_levels(noise_levels: float) -> float:
    """Return the distance up to which a pixel counts as equal, given the case's coding noise."""
    return max(FLOOR_LEVELS, NOISE_FACTOR * noise_levels)


def difference(one: I420, other: I420) -> Levels:
    """Return ``one`` minus ``other`` in Y, U and V, float32 ``(H, W, 3)``."""
    luma, blue, red = (
        a.astype(np.float32) - b for a, b in zip(split(one), split(other), strict=True)
    )
    colours = (colour.repeat(2, 0).repeat(2, 1) for colour in (blue, red))
    return np.dstack([luma, *colours])


def distance(change: Levels) -> Levels:
    """Return the Euclidean length of a difference, float32 ``(H, W)``."""
    length: Levels = np.sqrt(np.square(change).sum(2))
    return length


def contrast_left(residual: Levels, contrast: Levels) -> Levels:
    """Return the share of the text's contrast that is left around each pixel, float32 ``(H, W)``.

    Coefficient of the least-squares regression of the residual on the contrast over 5 x 5 px and
    three planes: errors of the fill that have not the shape of the text cancel out.

    Args:
        residual: result minus clean picture, ``(H, W, 3)``.
        contrast: source minus clean picture, same shape; 0 off the text.
    """
    window = (WINDOW_PX, WINDOW_PX)
    shared = cv2.boxFilter((residual * contrast).sum(2), -1, window, normalize=False)
    whole = cv2.boxFilter(np.square(contrast).sum(2), -1, window, normalize=False)
    left: Levels = np.abs(shared) / np.maximum(whole, 1.0)
    return left


def frame_state(residual: Levels, contrast: Levels, mask: Mask, floor: float) -> Verdict | None:
    """Return the state of an object in one frame; ``None`` if its contrast is below the floor.

    Args:
        residual: result minus clean picture, float32 ``(H, W, 3)``.
        contrast: source minus clean picture, same shape.
        mask: pixels that the object changes, bool, ``(H, W)``.
        floor: distance that counts as equal; fainter pixels of the object are left out.
    """
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return None
    where = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    rest, own = residual[where], contrast[where] * mask[where][..., None]
    visible = distance(own) > floor
    if not visible.any():
        return None
    left = contrast_left(rest, own)[visible]
    clear = (left <= CLEAR_CONTRAST) | (distance(rest)[visible] <= floor)
    if float(clear.mean()) >= CLEAR_PIXELS:
        return Verdict.FOUND
    return Verdict.LEFT if float(np.median(left)) >= LEFT_CONTRAST else Verdict.HALF


def verdict(states: Sequence[Verdict]) -> Verdict:
    """Return the verdict on an object from its state in each of its frames."""
    for state in (Verdict.FOUND, Verdict.LEFT):
        if states and states.count(state) >= CLEAR_FRAMES * len(states):
            return state
    return Verdict.HALF if states else Verdict.FOUND


@dataclass(frozen=True, slots=True)
class Glyphs:
    """Signed luma contrast of an object at one place, ``(h, w)``; its corner in the picture."""

    left: int
    top: int
    contrast: Levels

    @property
    def where(self) -> tuple[slice, slice]:
        """Slices of the picture that it covers."""
        height, width = self.contrast.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def glyphs(source_luma: I420, clean_luma: I420, mask: Mask) -> Glyphs | None:
    """Return the glyphs of the object that changes ``mask``; ``None`` if it is tiny."""
    rows, columns = np.nonzero(mask)
    if len(rows) < SHARED_PX:
        return None
    where = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    signed = source_luma[where].astype(np.float32) - clean_luma[where]
    signed[~mask[where]] = 0
    return Glyphs(int(columns.min()), int(rows.min()), signed)


def borrowed(residual: Levels, on_screen: Levels, place: Mask, other: Glyphs) -> bool:
    """Return True if the result shows the other object's letters at its place.

    Pearson correlation of the residual with the glyphs, over the pixels of ``place``.

    Args:
        residual: luma of the result minus the clean picture's, float32 ``(H, W)``.
        on_screen: luma of the source minus the clean picture's: what truly stands there.
        place: pixels that captions or the product have changed, bool ``(H, W)``.
        other: an object that is not on screen in this frame.
    """
    inside = place[other.where]
    inked = inside & (np.abs(other.contrast) >= GLYPH_LEVELS)
    if int(inked.sum()) < SHARED_PX:
        return False
    rest = residual[other.where]
    if float(np.sqrt(np.square(rest[inked]).mean())) < SEEN_LEVELS:
        return False
    alike = correlation(rest[inside], other.contrast[inside])
    own = abs(correlation(rest[inside], on_screen[other.where][inside]))
    return alike >= ALIKE and alike > own + ALIKE_MARGIN


def correlation(one: Levels, other: Levels) -> float:
    """Return the Pearson correlation of two vectors; 0 if one of them is constant."""
    a, b = one - one.mean(), other - other.mean()
    scale = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / scale if scale > 1e-3 else 0.0


def grown(mask: Mask, by_px: int) -> Mask:
    """Return the mask dilated by a square of ``2 * by_px + 1``."""
    square = np.ones((2 * by_px + 1, 2 * by_px + 1), np.uint8)
    wider: Mask = cv2.dilate(mask.astype(np.uint8), square) > 0
    return wider
