"""Conditioning of the diffusion model: SDR RGB pictures with prefilled holes, and hole masks."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Filled, FilledFrame
from erasecore.engines.diffueraser.crops import Crop, crop_around
from erasecore.engines.diffueraser.rgb import to_rgb
from erasecore.engines.diffueraser.selection import Run, doubtful
from erasecore.model.inpaint_input import Bools, ContextCrop, Floats, InpaintInput, reduce_mask
from erasecore.motion.inpaint_spatial import membrane
from erasecore.settings import DiffusionSettings
from erasecore.video.color import Stack, plane_window

_DILATION = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
"""Dilation of the holes by 4 px, since pixels right beside text are often not clean (guess)."""


@dataclass(frozen=True, slots=True)
class StripContext:
    """Strip within the picture around it, with the prior's fill of its holes.

    All masks and pictures have the size of the surroundings, or of the strip if there are none.

    Attributes:
        strip: the frames and holes.
        prior: result of the prior engine for them.
        settings: thresholds of doubtful pixels.
        surroundings: the picture around the strip, or the strip itself.
    """

    strip: InpaintInput
    prior: Filled
    settings: DiffusionSettings
    surroundings: ContextCrop = field(init=False)

    def __post_init__(self) -> None:
        surroundings = self.strip.context or ContextCrop(self.strip.planes, 0, 0)
        object.__setattr__(self, "surroundings", surroundings)

    @property
    def planes(self) -> tuple[Stack, ...]:
        """Source planes of the surroundings, ``(T, H, W)``, with ink in the holes."""
        return self.surroundings.planes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.planes[0].shape[1], self.planes[0].shape[2]

    def prior_frame(self, frame: int) -> FilledFrame | None:
        """Return the prior's fill of a frame; ``None`` for context frames."""
        offset = frame - self.strip.fill_start
        inside = self.strip.fill_start <= frame < self.strip.fill_stop
        return self.prior.frames[offset] if inside else None

    def slices_of(self, part: NDArray[np.generic], plane: int) -> tuple[slice, slice]:
        """Return the rows and columns of the strip within plane ``plane`` of the surroundings.

        Args:
            part: array of the strip's size in that plane.
            plane: index of the plane, 0 for luma.
        """
        layout = self.strip.layout
        top, left = self.surroundings.top, self.surroundings.left
        if plane:
            top, left = top >> layout.shift_y, left >> layout.shift_x
        return np.s_[top : top + part.shape[0], left : left + part.shape[1]]

    def expand(self, mask: Bools) -> Bools:
        """Return a mask of the strip's size, placed in one of the surroundings' size."""
        large = np.zeros(self.size, np.bool_)
        large[self.slices_of(mask, 0)] = mask
        return large

    def doubtful_mask(self, frame: int) -> Bools:
        """Return the pixels of a frame to be replaced by diffusion, bool ``(H, W)``."""
        mask = np.zeros(self.strip.masks.shape[1:], np.bool_)
        filled = self.prior_frame(frame)
        if filled is not None:
            mask[self.strip.mask(frame)] = doubtful(filled, self.settings)
        return self.expand(mask)

    def unknown_mask(self, frame: int) -> Bools:
        """Return the ink without a fill: other text, and holes of context frames, ``(H, W)``."""
        mask = np.zeros(self.size, np.bool_)
        if self.prior_frame(frame) is None:
            mask |= self.expand(self.strip.mask(frame))
        for text in self.surroundings.texts:
            if text.start <= frame < text.stop:
                left, top, right, bottom = text.box
                mask[top:bottom, left:right] = True
        return mask

    def filled_planes(self, frame: int) -> tuple[Floats, ...]:
        """Return a frame's planes with all ink filled, by the prior or by a membrane.

        Float32 ``(H, W)`` and ``(h, w)``, in 8-bit levels.
        """
        scale = np.float32(self.strip.layout.scale)
        planes = [plane[frame].astype(np.float32) / scale for plane in self.planes]
        filled = self.prior_frame(frame)
        if filled is not None:
            hole = self.strip.mask(frame)
            holes = (hole, *[reduce_mask(hole, self.strip.layout)] * (len(planes) - 1))
            for index, (picture, mask) in enumerate(zip(planes, holes, strict=True)):
                picture[self.slices_of(mask, index)][mask] = filled.planes[index] / scale
        unknown = self.unknown_mask(frame)
        if unknown.any():
            small = reduce_mask(unknown, self.strip.layout)
            masks = (unknown, *[small] * (len(planes) - 1))
            return tuple(map(membrane, planes, masks))
        return tuple(planes)

    def cropped_planes(self, frame: int, crop: Crop) -> tuple[Floats, ...]:
        """Return `filled_planes` of a frame, cut to ``crop.box``."""
        layout = self.strip.layout
        return tuple(
            picture[plane_window(crop.box, index, layout)]
            for index, picture in enumerate(self.filled_planes(frame))
        )


@dataclass(frozen=True, slots=True)
class Conditioning:
    """Input of the model for one run, padded to ``crop.width`` x ``crop.height``.

    Attributes:
        frames: SDR RGB uint8 ``(T, H, W, 3)``, holes prefilled by the prior.
        holes: bool ``(T, H, W)``; pixels to be inpainted or unknown.
    """

    frames: NDArray[np.uint8]
    holes: Bools


def shot_crop(context: StripContext, runs: tuple[Run, ...]) -> Crop:
    """Return one crop for all runs of a shot.

    It must be the same for all frames, since temporal attention compares pixels at fixed positions.
    """
    strip = context.strip
    numbers = np.unique(strip.mask_of[[frame for run in runs for frame in run.fill]])
    hole = np.asarray(strip.masks[numbers].any(axis=0), np.bool_)
    return crop_around(context.expand(hole), strip.layout)


def make_conditioning(context: StripContext, run: Run, crop: Crop) -> Conditioning:
    """Build the model's input for ``run``: convert to RGB, crop, pad, dilate the holes."""
    layout = context.strip.layout
    left, top, right, bottom = crop.box
    size = (run.stop - run.start, crop.height, crop.width)
    frames, holes = np.empty((*size, 3), np.uint8), np.empty(size, np.bool_)
    for index, frame in enumerate(range(run.start, run.stop)):
        planes = context.cropped_planes(frame, crop)
        frames[index] = crop.padded(np.rint(to_rgb(planes, layout)).astype(np.uint8))
        hole = context.unknown_mask(frame)
        if frame in run.fill:
            hole |= context.doubtful_mask(frame)
        part = hole[top:bottom, left:right].astype(np.uint8)
        wide = np.asarray(cv2.dilate(part, _DILATION), np.uint8)
        holes[index] = crop.padded(wide) > 0
    return Conditioning(frames, holes)
