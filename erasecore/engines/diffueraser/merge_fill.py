"""A frame's fill with what the networks have painted of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import FilledFrame, Origin
from erasecore.engines.diffueraser.conditioning import StripContext
from erasecore.engines.diffueraser.crops import Crop
from erasecore.engines.diffueraser.rgb import FINE, from_rgb
from erasecore.engines.diffueraser.seamless_blend import blend_seamlessly, weights_of
from erasecore.model.inpaint_input import Floats, reduce_mask
from erasecore.video.color import Plane, as_plane, plane_window


def merge_fill(
    surrounded: StripContext, frame: int, painted: NDArray[np.uint16], crop: Crop
) -> FilledFrame:
    """The prior's fill of ``frame``, its doubtful pixels taken from ``painted``.

    Args:
        surrounded: the strip and its prior.
        frame: one that is to be filled.
        painted: RGB, ``(crop.height, crop.width, 3)``; white is 65535.
        crop: where it lies.
    """
    filled = surrounded.prior.frames[frame - surrounded.strip.fill_start]
    layout = surrounded.strip.layout
    left, top, right, bottom = crop.box
    window = np.s_[top:bottom, left:right]
    replaced, unknown = surrounded.doubtful(frame)[window], surrounded.unknown(frame)[window]
    part = painted[: bottom - top, : right - left].astype(np.float32) / np.float32(FINE)
    paint = from_rgb(part, layout)
    planes = blend_seamlessly(surrounded.cropped(frame, crop), paint, replaced, unknown, layout)
    weights = weights_of(replaced, layout, len(planes))
    samples = tuple(
        _samples(surrounded, frame, crop, index, (filled.planes[index], plane, weight))
        for index, (plane, weight) in enumerate(zip(planes, weights, strict=True))
    )
    hole = surrounded.strip.mask(frame)
    strip_part = surrounded.doubtful(frame)[surrounded.place(hole, 0)]
    origin = filled.origin.copy()
    origin[strip_part[hole]] = Origin.DIFFUSED
    return replace(filled, planes=samples, origin=origin)


def _samples(
    surrounded: StripContext,
    frame: int,
    crop: Crop,
    index: int,
    sources: tuple[Plane, Floats, Floats],
) -> Plane:
    """One plane's samples of the hole: the prior's, but where something of the painting shows."""
    prior, plane, weight = sources
    strip = surrounded.strip
    hole = strip.mask(frame)
    if index:
        hole = reduce_mask(hole, strip.layout)
    large = np.zeros((2, *surrounded.planes[index].shape[1:]), np.float32)
    large[(slice(None), *plane_window(crop.box, index, strip.layout))] = plane, weight
    values, shows = large[(slice(None), *surrounded.place(hole, index))][:, hole]
    made = as_plane(values * np.float32(strip.layout.scale), strip.layout)
    samples: Plane = np.where(shows > 0, made, prior)
    return samples
