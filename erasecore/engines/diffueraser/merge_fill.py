"""Merging of the model's output into the prior's fill of a frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import FilledFrame, Origin
from erasecore.engines.diffueraser.conditioning import StripContext
from erasecore.engines.diffueraser.crops import Crop
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL, from_rgb
from erasecore.engines.diffueraser.seamless_blend import blend_seamlessly, blend_weights
from erasecore.model.inpaint_input import Floats, reduce_mask
from erasecore.video.color import Plane, as_plane, plane_window


def merge_fill(
    context: StripContext, frame: int, inpainted: NDArray[np.uint16], crop: Crop
) -> FilledFrame:
    """Return the prior's fill of ``frame`` with its doubtful pixels replaced by the model's output.

    All other samples stay as they are, bit for bit, and so do the expected errors.

    Args:
        context: the strip and its prior.
        frame: a frame of the fill span.
        inpainted: RGB uint16 ``(crop.height, crop.width, 3)``, 0 to 65535.
        crop: its position.
    """
    filled = context.prior.frames[frame - context.strip.fill_start]
    layout = context.strip.layout
    left, top, right, bottom = crop.box
    window = np.s_[top:bottom, left:right]
    replaced, unknown = context.doubtful_mask(frame)[window], context.unknown_mask(frame)[window]
    part = inpainted[: bottom - top, : right - left].astype(np.float32) / np.float32(U16_PER_LEVEL)
    new = from_rgb(part, layout)
    planes = blend_seamlessly(context.cropped_planes(frame, crop), new, replaced, unknown, layout)
    weights = blend_weights(replaced, layout, len(planes))
    samples = tuple(
        _merge_plane(context, frame, crop, index, (filled.planes[index], plane, weight))
        for index, (plane, weight) in enumerate(zip(planes, weights, strict=True))
    )
    hole = context.strip.mask(frame)
    strip_part = context.doubtful_mask(frame)[context.slices_of(hole, 0)]
    origin = filled.origin.copy()
    origin[strip_part[hole]] = Origin.DIFFUSED
    return replace(filled, planes=samples, origin=origin)


def _merge_plane(
    context: StripContext,
    frame: int,
    crop: Crop,
    index: int,
    sources: tuple[Plane, Floats, Floats],
) -> Plane:
    """Return one plane's samples of the hole: the prior's where the blend weight is 0.

    Args:
        context: the strip and its prior.
        frame: a frame of the fill span.
        crop: position of the blended plane.
        index: index of the plane.
        sources: the prior's samples of the hole ``(n,)``; the blended plane of the crop, in 8-bit
            levels; its blend weights.
    """
    prior, plane, weight = sources
    strip = context.strip
    hole = strip.mask(frame)
    if index:
        hole = reduce_mask(hole, strip.layout)
    large = np.zeros((2, *context.planes[index].shape[1:]), np.float32)
    large[(slice(None), *plane_window(crop.box, index, strip.layout))] = plane, weight
    values, weights = large[(slice(None), *context.slices_of(hole, index))][:, hole]
    blended = as_plane(values * np.float32(strip.layout.scale), strip.layout)
    samples: Plane = np.where(weights > 0, blended, prior)
    return samples
