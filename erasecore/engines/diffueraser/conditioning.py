"""What the networks are shown of a run: its pictures as RGB, and what in them is not known."""

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

_DISC = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
"""Holes are shown this much wider: what stands right beside text is often not quite picture."""


@dataclass(frozen=True, slots=True)
class StripContext:
    """A strip in the picture around it, with what the prior made of its holes.

    All masks and pictures are of the size of the picture around, of the strip's if there is none.
    """

    strip: InpaintInput
    prior: Filled
    settings: DiffusionSettings
    around: ContextCrop = field(init=False)

    def __post_init__(self) -> None:
        around = self.strip.context or ContextCrop(self.strip.planes, 0, 0)
        object.__setattr__(self, "around", around)

    @property
    def planes(self) -> tuple[Stack, ...]:
        """The film's own, with ink in the holes."""
        return self.around.planes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.planes[0].shape[1], self.planes[0].shape[2]

    def filled(self, frame: int) -> FilledFrame | None:
        """What the prior made of a frame; ``None`` of context."""
        offset = frame - self.strip.fill_start
        inside = self.strip.fill_start <= frame < self.strip.fill_stop
        return self.prior.frames[offset] if inside else None

    def place(self, part: NDArray[np.generic], plane: int) -> tuple[slice, slice]:
        """Where a plane's ``part``, of the strip's size, lies."""
        layout = self.strip.layout
        top, left = self.around.top, self.around.left
        if plane:
            top, left = top >> layout.shift_y, left >> layout.shift_x
        return np.s_[top : top + part.shape[0], left : left + part.shape[1]]

    def whole(self, mask: Bools) -> Bools:
        """A mask of the strip in the picture around it."""
        large = np.zeros(self.size, np.bool_)
        large[self.place(mask, 0)] = mask
        return large

    def doubtful(self, frame: int) -> Bools:
        """The pixels of a frame to be filled that diffusion is for."""
        mask = np.zeros(self.strip.masks.shape[1:], np.bool_)
        filled = self.filled(frame)
        if filled is not None:
            mask[self.strip.mask(frame)] = doubtful(filled, self.settings)
        return self.whole(mask)

    def unknown(self, frame: int) -> Bools:
        """Ink that nobody has filled: other text, and holes of frames that are context."""
        mask = np.zeros(self.size, np.bool_)
        if self.filled(frame) is None:
            mask |= self.whole(self.strip.mask(frame))
        for text in self.around.texts:
            if text.start <= frame < text.stop:
                left, top, right, bottom = text.box
                mask[top:bottom, left:right] = True
        return mask

    def pictures(self, frame: int) -> tuple[Floats, ...]:
        """A frame's planes with the prior's pixels in the hole, in 8-bit levels."""
        scale = np.float32(self.strip.layout.scale)
        planes = [plane[frame].astype(np.float32) / scale for plane in self.planes]
        filled = self.filled(frame)
        if filled is not None:
            hole = self.strip.mask(frame)
            holes = (hole, *[reduce_mask(hole, self.strip.layout)] * (len(planes) - 1))
            for index, (picture, mask) in enumerate(zip(planes, holes, strict=True)):
                picture[self.place(mask, index)][mask] = filled.planes[index] / scale
        unknown = self.unknown(frame)
        if unknown.any():
            small = reduce_mask(unknown, self.strip.layout)
            masks = (unknown, *[small] * (len(planes) - 1))
            return tuple(map(membrane, planes, masks))
        return tuple(planes)

    def cropped(self, frame: int, crop: Crop) -> tuple[Floats, ...]:
        """``pictures`` of a frame, cut to ``crop``."""
        layout = self.strip.layout
        return tuple(
            picture[plane_window(crop.box, number, layout)]
            for number, picture in enumerate(self.pictures(frame))
        )


@dataclass(frozen=True, slots=True)
class Conditioning:
    """A run as the networks see it, padded to ``crop.width`` x ``crop.height``.

    Attributes:
        frames: RGB uint8 ``(T, H, W, 3)`` for ordinary screens, the holes filled by the prior.
        holes: bool ``(T, H, W)``; what is to be made up or is not known.
    """

    frames: NDArray[np.uint8]
    holes: Bools


def crop_of_shot(surrounded: StripContext, runs: tuple[Run, ...]) -> Crop:
    """One rectangle for all runs of a shot: pixels must not move for attention along time."""
    strip = surrounded.strip
    numbers = np.unique(strip.mask_of[[frame for run in runs for frame in run.fill]])
    hole = np.asarray(strip.masks[numbers].any(axis=0), np.bool_)
    return crop_around(surrounded.whole(hole), strip.layout)


def make_conditioning(surrounded: StripContext, run: Run, crop: Crop) -> Conditioning:
    """The pictures and holes of ``run``."""
    layout = surrounded.strip.layout
    left, top, right, bottom = crop.box
    size = (run.stop - run.start, crop.height, crop.width)
    frames, holes = np.empty((*size, 3), np.uint8), np.empty(size, np.bool_)
    for index, frame in enumerate(range(run.start, run.stop)):
        planes = surrounded.cropped(frame, crop)
        frames[index] = crop.padded(np.rint(to_rgb(planes, layout)).astype(np.uint8))
        hole = surrounded.unknown(frame)
        if frame in run.fill:
            hole |= surrounded.doubtful(frame)
        part = hole[top:bottom, left:right].astype(np.uint8)
        wide = np.asarray(cv2.dilate(part, _DISC), np.uint8)
        holes[index] = crop.padded(wide) > 0
    return Conditioning(frames, holes)
