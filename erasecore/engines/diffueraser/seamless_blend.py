"""What the networks have painted, put into the hole: in the picture's own light, without a seam."""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.engines.diffueraser.rgb import block_mean
from erasecore.model.inpaint_input import Bools, Floats, reduce_mask
from erasecore.motion.inpaint_spatial import membrane
from erasecore.video.color import PlaneLayout

_EDGE_WEIGHT = np.float32(0.5)  # of what is painted, in the outermost pixels of what is replaced
_SMOOTH_PX = 2.0  # over which the difference at the border is averaged


def weights_of(replaced: Bools, layout: PlaneLayout, planes: int) -> tuple[Floats, ...]:
    """How much of each sample is painted: 0 outside ``replaced``, less at its edge than within.

    Args:
        replaced: bool ``(H, W)``; the pixels that are made up.
        layout: how the planes lie.
        planes: how many there are.
    """
    eroded = cv2.erode(replaced.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    luma = np.where(eroded, np.float32(1), np.where(replaced, _EDGE_WEIGHT, np.float32(0)))
    return (luma, *[block_mean(luma, layout)] * (planes - 1))


def blend_seamlessly(
    pictures: tuple[Floats, ...],
    painted: tuple[Floats, ...],
    replaced: Bools,
    unknown: Bools,
    layout: PlaneLayout,
) -> tuple[Floats, ...]:
    """``pictures`` with ``painted`` where ``replaced`` is set, all in 8-bit levels.

    The networks' colours are a little off, and differently from place to place. By how much shows
    around the hole; a membrane carries that into it, and what is painted is shifted by it.

    Args:
        pictures: planes of a frame.
        painted: the same planes as the networks made them.
        replaced: bool ``(H, W)``; the pixels that are made up.
        unknown: bool ``(H, W)``; pixels that show no picture either.
        layout: how the planes lie.
    """
    hidden = replaced | unknown
    masks = (hidden, *[reduce_mask(hidden, layout)] * (len(pictures) - 1))
    weights = weights_of(replaced, layout, len(pictures))
    return tuple(
        picture + weight * (paint + _drift(picture - paint, mask) - picture)
        for picture, paint, mask, weight in zip(pictures, painted, masks, weights, strict=True)
    )


def _drift(difference: Floats, hidden: Bools) -> Floats:
    """The difference to what is seen around ``hidden``, smooth, carried into it."""
    if hidden.all():
        return np.zeros_like(difference)
    seen = (~hidden).astype(np.float32)
    share = cv2.GaussianBlur(seen, (0, 0), _SMOOTH_PX)
    sums = cv2.GaussianBlur(difference * seen, (0, 0), _SMOOTH_PX)
    smooth = np.asarray(sums / np.maximum(share, np.float32(1e-3)), np.float32)
    return membrane(smooth, hidden)
