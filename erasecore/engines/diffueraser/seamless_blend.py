"""Seamless cloning of the model's output into the hole: colour drift is removed with a membrane.

As Poisson image editing (Perez et al., "Poisson Image Editing", 2003) in its membrane form: the
difference at the border, extended harmonically into the hole, is added to the inserted picture.
"""

from __future__ import annotations

import cv2
import numpy as np

from erasecore.engines.diffueraser.rgb import block_mean
from erasecore.model.inpaint_input import Bools, Floats, reduce_mask
from erasecore.motion.inpaint_spatial import membrane
from erasecore.video.color import PlaneLayout

_EDGE_WEIGHT = np.float32(0.5)  # weight of the model's output in the outermost replaced pixels
_SMOOTH_PX = 2.0  # px; standard deviation with which the border's difference is averaged (guess)


def blend_weights(replaced: Bools, layout: PlaneLayout, planes: int) -> tuple[Floats, ...]:
    """Return the weight (alpha) of the model's output for each sample: 0, 0.5 at the edge, 1.

    Args:
        replaced: bool ``(H, W)``; pixels to be replaced.
        layout: chroma subsampling.
        planes: number of planes.

    Returns:
        For each plane float32 ``(H, W)`` or ``(h, w)``, 0 to 1; chroma has the mean of its block.
    """
    eroded = cv2.erode(replaced.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    luma = np.where(eroded, np.float32(1), np.where(replaced, _EDGE_WEIGHT, np.float32(0)))
    return (luma, *[block_mean(luma, layout)] * (planes - 1))


def blend_seamlessly(
    pictures: tuple[Floats, ...],
    inpainted: tuple[Floats, ...],
    replaced: Bools,
    unknown: Bools,
    layout: PlaneLayout,
) -> tuple[Floats, ...]:
    """Return ``pictures`` with ``inpainted`` in the replaced pixels, corrected for colour drift.

    The VAE shifts colours slightly, differently from place to place. The shift is visible around
    the hole; a membrane extends it into the hole, where it is subtracted.

    Args:
        pictures: planes of a frame, float32, in 8-bit levels.
        inpainted: the same planes from the model.
        replaced: bool ``(H, W)``; pixels to be replaced.
        unknown: bool ``(H, W)``; other pixels without a valid value (ink).
        layout: chroma subsampling.
    """
    hidden = replaced | unknown
    masks = (hidden, *[reduce_mask(hidden, layout)] * (len(pictures) - 1))
    weights = blend_weights(replaced, layout, len(pictures))
    return tuple(
        picture + weight * (new + _extend_difference(picture - new, mask) - picture)
        for picture, new, mask, weight in zip(pictures, inpainted, masks, weights, strict=True)
    )


def _extend_difference(difference: Floats, hidden: Bools) -> Floats:
    """Smooth a difference over its visible part and extend it into ``hidden`` by a membrane."""
    if hidden.all():
        return np.zeros_like(difference)
    seen = (~hidden).astype(np.float32)
    share = cv2.GaussianBlur(seen, (0, 0), _SMOOTH_PX)
    sums = cv2.GaussianBlur(difference * seen, (0, 0), _SMOOTH_PX)
    smooth = np.asarray(sums / np.maximum(share, np.float32(1e-3)), np.float32)
    return membrane(smooth, hidden)
