"""What engines are given: arrays of a strip, and what is known around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box, Plane, PlaneLayout, Stack

Bools: TypeAlias = NDArray[np.bool_]


Floats: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class UnblendedPixels:
    """What one frame shows of the background through translucent ink.

    Attributes:
        planes: the frame's planes, solved for where the ink is.
        mask: bool ``(H, W)``; where that is.
        error: the expected error of a solved luma sample, in 8-bit levels.
    """

    planes: tuple[Plane, ...]
    mask: Bools
    error: float


@dataclass(frozen=True, slots=True)
class NearbyText:
    """Ink that is not to be filled here, in the picture around a strip: no example to follow.

    ``box`` is in pixels of the surroundings' own planes; ``start`` and ``stop`` count the strip's
    frames.
    """

    start: int
    stop: int
    box: Box


@dataclass(frozen=True, slots=True)
class ContextCrop:
    """The picture around a strip, for engines whose traits ask for it.

    Attributes:
        planes: the strip's frames with more of the picture; the strip is a part of them. Not
            modified.
        left: where in their luma the strip begins; a multiple of a colour sample's width.
        top: the same for rows.
        texts: ink in it that is not in the strip's holes.
    """

    planes: tuple[Stack, ...]
    left: int
    top: int
    texts: tuple[NearbyText, ...] = ()


@dataclass(frozen=True, slots=True)
class InpaintInput:
    """A rectangle of ``T`` consecutive frames with the hole to be filled.

    Attributes:
        planes: luma ``(T, H, W)`` and two colour stacks ``(T, h, w)`` (none for gray films),
            uint8 or uint16 in the layout's depth, translucent layers already undone. Not modified.
        masks: bool ``(K, H, W)``; the distinct holes; ``masks[0]`` is empty.
        mask_of: int ``(T,)``; which of ``masks`` each frame has.
        fill_start: first frame to be filled; frames before it are context.
        fill_stop: first frame after it that is not to be filled.
        cuts: the frames at which a new shot begins; nothing may be copied across them.
        thumbnails: float32 ``(T, a, b)``; the whole picture's luma, reduced by ``thumb_scale``, for
            the motion of the camera; values 0 to 255.
        thumb_scale: pixels of the film for one pixel of a thumb.
        layout: the planes' depth and reduction.
        seen_through: of frames whose ink is translucent, the background seen through it.
        around: more of the picture, where the engine's traits ask for it.
    """

    planes: tuple[Stack, ...]
    masks: Bools
    mask_of: NDArray[np.intp]
    fill_start: int
    fill_stop: int
    cuts: tuple[int, ...]
    thumbnails: Floats
    thumbnail_scale: float
    layout: PlaneLayout
    seen_through: Mapping[int, UnblendedPixels] = field(default_factory=dict)
    context: ContextCrop | None = None

    @property
    def frames(self) -> int:
        """How many frames the strip has, context included."""
        return len(self.planes[0])

    def mask(self, frame: int) -> Bools:
        """The hole of one frame, bool ``(H, W)``."""
        hole: Bools = self.masks[self.mask_of[frame]]
        return hole


@dataclass(frozen=True, slots=True)
class ContextNeeds:
    """How much of the picture around the ink an engine wants to see, as far as there is any.

    Attributes:
        margin_px: on each side of the ink.
        min_side_px: width and height at least.
        multiple_of: of which width and height are multiples.
        coarse_from_px: larger sides are multiples of twice that, so that there are few sizes.
    """

    margin_px: int
    min_side_px: int
    multiple_of: int
    coarse_from_px: int

    def side(self, length: int) -> int:
        """The least allowed side that ``length`` fits into."""
        step = self.multiple_of * (1 if length <= self.coarse_from_px else 2)
        return max(self.min_side_px, -(-length // step) * step)

    def span(self, start: int, stop: int, *, room: int, step: int) -> tuple[int, int]:
        """``[start, stop)`` of ink with its surroundings, inside ``[0, room)``.

        Its ends lie on multiples of ``step``, or at the end of the room; its length is an allowed
        side (up to a step less at the end of the room), or all of the room.
        """
        start, stop = max(0, start - self.margin_px), min(room, stop + self.margin_px)
        length = self.side(stop - start)
        if length >= room:
            return 0, room
        first = min(max(0, start - (length - (stop - start)) // 2), room - length)
        if first + length == room:
            return -(-first // step) * step, room
        return first // step * step, first // step * step + length


def reduce_mask(mask: Bools, layout: PlaneLayout) -> Bools:
    """The colour samples that ``mask`` touches: bool ``(ceil(H / 2**sy), ceil(W / 2**sx))``."""
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = mask.shape
    if height % rows or width % columns:
        mask = np.pad(mask, ((0, -height % rows), (0, -width % columns)))
    tall = np.logical_or.reduce([mask[row::rows] for row in range(rows)])
    return np.asarray(
        np.logical_or.reduce([tall[:, column::columns] for column in range(columns)]), np.bool_
    )
