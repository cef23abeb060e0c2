"""Input of the inpainting engines: the pixels and holes of a strip, and the picture around it.

A strip is the part of the frames around one or several subtitles (the ``box`` of a clip).
"""

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
    """Background of one frame, solved for (unblended) under translucent ink.

    Attributes:
        planes: the frame's planes in the film's depth; solved samples inside the ink.
        mask: bool ``(H, W)``; True where luma was solved.
        error: expected error of a solved luma sample, 8-bit levels.
    """

    planes: tuple[Plane, ...]
    mask: Bools
    error: float


@dataclass(frozen=True, slots=True)
class NearbyText:
    """Ink around a strip that is not filled with it; an engine must not imitate it.

    ``start`` and ``stop`` count the strip's frames; ``box`` is in luma pixels of the context crop.
    """

    start: int
    stop: int
    box: Box


@dataclass(frozen=True, slots=True)
class ContextCrop:
    """The strip's frames with more of the picture, for engines whose traits ask for context.

    Attributes:
        planes: luma and chroma stacks like the strip's, which is a part of them. Not modified.
        left: first luma column of the strip in ``planes``, px; in whole chroma samples.
        top: first luma row of the strip in ``planes``, px; in whole chroma samples.
        texts: ink in ``planes`` that is in none of the strip's holes.
    """

    planes: tuple[Stack, ...]
    left: int
    top: int
    texts: tuple[NearbyText, ...] = ()


@dataclass(frozen=True, slots=True)
class InpaintInput:
    """A strip: one rectangle of ``T`` consecutive frames, with the holes to be filled.

    Frame numbers count from the strip's first frame.

    Attributes:
        planes: luma ``(T, H, W)`` and two chroma stacks ``(T, h, w)`` (none for gray films),
            uint8 or uint16 in the layout's depth; plates are undone already. Not modified.
        masks: bool ``(K, H, W)``; the distinct holes, True to be filled; ``masks[0]`` is empty.
        mask_of: int ``(T,)``; index into ``masks`` of each frame's hole.
        fill_start: first frame to be filled; frames before it are context.
        fill_stop: first frame after the last one to be filled.
        cuts: frames at which a new shot begins; no pixels are copied across them.
        thumbnails: float32 ``(T, a, b)``, 0 to 255; luma of the whole picture, for camera motion.
        thumbnail_scale: pixels of the film for one pixel of a thumbnail.
        layout: depth and chroma subsampling of ``planes``.
        seen_through: background under translucent ink (fades), by frame.
        context: more of the picture, if the engine's traits ask for it.
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
        """Number of frames, context included."""
        return len(self.planes[0])

    def mask(self, frame: int) -> Bools:
        """Return the hole of one frame: bool ``(H, W)``, True to be filled."""
        hole: Bools = self.masks[self.mask_of[frame]]
        return hole


@dataclass(frozen=True, slots=True)
class ContextNeeds:
    """Size requirements of an engine for the picture around the ink (context crop).

    Attributes:
        margin_px: picture wanted on each side of the ink.
        min_side_px: least width and height.
        multiple_of: width and height are multiples of it, px.
        coarse_from_px: longer sides are multiples of twice ``multiple_of``, so that few distinct
            sizes occur.
    """

    margin_px: int
    min_side_px: int
    multiple_of: int
    coarse_from_px: int

    def side(self, length: int) -> int:
        """Return the shortest allowed side that ``length`` px fit into."""
        step = self.multiple_of * (1 if length <= self.coarse_from_px else 2)
        return max(self.min_side_px, -(-length // step) * step)

    def span(self, start: int, stop: int, *, room: int, step: int) -> tuple[int, int]:
        """Return the columns (or rows) of ink with context, ``[first, last)`` in ``[0, room)``.

        Args:
            start: first pixel with ink.
            stop: first pixel after the ink.
            room: width (or height) of the picture, px.
            step: width (or height) of a chroma sample, luma px.

        Returns:
            A span whose ends are multiples of ``step`` or the end of the room. Its length is an
            allowed side (up to a step less at the end of the room), or all of the room.
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
    """Return the chroma samples that a luma mask touches (logical OR over each sample's pixels).

    Args:
        mask: bool ``(H, W)``.
        layout: gives the chroma subsampling ``2**shift_y`` by ``2**shift_x``.

    Returns:
        bool ``(ceil(H / 2**shift_y), ceil(W / 2**shift_x))``.
    """
    rows, columns = 1 << layout.shift_y, 1 << layout.shift_x
    height, width = mask.shape
    if height % rows or width % columns:
        mask = np.pad(mask, ((0, -height % rows), (0, -width % columns)))
    tall = np.logical_or.reduce([mask[row::rows] for row in range(rows)])
    return np.asarray(
        np.logical_or.reduce([tall[:, column::columns] for column in range(columns)]), np.bool_
    )
