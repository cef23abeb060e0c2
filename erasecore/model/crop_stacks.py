"""Crop stacks: one rectangle of consecutive frames, the only pixels of a film held in memory."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import inside
from erasecore.model.picture_areas import PictureArea, area_at
from erasecore.video.color import Box, Plane, PlaneLayout, Planes, Stack, plane_window

THUMBNAIL_COLUMNS = 240  # smallest width of a thumbnail, px (wider films); a guess


@dataclass(frozen=True, slots=True)
class ContextStack:
    """Larger rectangle of the same frames: ``box`` in the picture, ``planes`` as of a crop."""

    box: Box
    planes: tuple[Stack, ...]


@dataclass(frozen=True, slots=True)
class CropStack:
    """Pixels of one rectangle in the film frames ``[start, start + T)``.

    Attributes:
        start: first film frame.
        box: the rectangle, luma pixels of the picture, in whole chroma samples.
        planes: luma ``(T, H, W)`` and chroma ``(T, h, w)``, in the film's depth.
        thumbnails: float32 ``(T, a, b)``, 0 to 255; luma of the whole picture, reduced.
        thumbnail_scale: pixels of the picture for one pixel of a thumbnail.
        layout: depth and chroma subsampling of ``planes``.
        context: larger rectangle, if one was collected; ``planes`` are views of its memory.
        picture_areas: of the film's shots that have bars, in film frames and pixels of the picture.
    """

    start: int
    box: Box
    planes: tuple[Stack, ...]
    thumbnails: NDArray[np.float32]
    thumbnail_scale: float
    layout: PlaneLayout
    context: ContextStack | None = None
    picture_areas: tuple[PictureArea, ...] = ()

    @property
    def stop(self) -> int:
        """First film frame after the stack."""
        return self.start + len(self.planes[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the rectangle."""
        return self.planes[0].shape[1], self.planes[0].shape[2]

    def nearest_frames(self, start: int, stop: int) -> range:
        """Return the film frames of ``[start, stop)`` that the stack holds, never an empty range.

        Without any it is the frame of the stack that is nearest to ``start``.
        """
        first = min(max(start, self.start), self.stop - 1)
        return range(first, max(first + 1, min(stop, self.stop)))

    def picture_mask(self, frame: int) -> NDArray[np.bool_] | None:
        """Return the pixels of a film frame that are picture only; ``None`` if all of them are.

        Returns:
            bool ``(H, W)``; False on bars and on soft edges.
        """
        area = area_at(self.picture_areas, frame)
        return None if area is None else inside(area.within(self.box).box, self.size)

    def luma(self, frame: int) -> NDArray[np.float32]:
        """Return the luma of film frame ``frame``: float32 ``(H, W)``, 0 to 255."""
        scaled: NDArray[np.float32] = self.planes[0][frame - self.start].astype(np.float32)
        return scaled / np.float32(self.layout.scale)

    def levels(self, frame: int) -> NDArray[np.float32]:
        """Return all planes of film frame ``frame`` at luma size.

        Chroma is upsampled by repetition (nearest neighbour).

        Returns:
            float32 ``(P, H, W)``, 0 to 255.
        """
        height, width = self.size
        repeat_y, repeat_x = 1 << self.layout.shift_y, 1 << self.layout.shift_x
        full = [self.luma(frame)]
        for plane in self.planes[1:]:
            small = plane[frame - self.start].astype(np.float32) / np.float32(self.layout.scale)
            large = small.repeat(repeat_y, axis=0).repeat(repeat_x, axis=1)
            full.append(large[:height, :width])
        return np.stack(full)


class CropCollector:
    """Builds a crop stack frame by frame; its memory is allocated at the start."""

    def __init__(
        self,
        start: int,
        stop: int,
        box: Box,
        layout: PlaneLayout,
        *,
        context_box: Box | None = None,
    ) -> None:
        """Allocate memory.

        Args:
            start: first film frame.
            stop: first film frame after the last one.
            box: rectangle of the stack, luma pixels, in whole chroma samples.
            layout: depth and chroma subsampling of the film.
            context_box: larger rectangle around ``box`` to collect with it.
        """
        self._start, self._stop, self._box, self._layout = start, stop, box, layout
        self._collected_box = context_box or box
        dtype = np.uint8 if layout.bits == 8 else np.uint16
        self._windows = [
            plane_window(self._collected_box, index, layout) for index in range(layout.planes)
        ]
        sizes = [
            (window[0].stop - window[0].start, window[1].stop - window[1].start)
            for window in self._windows
        ]
        self._planes = tuple(np.empty((stop - start, *size), dtype) for size in sizes)
        self._thumbnails = np.empty((0, 0, 0), np.float32)  # the first frame gives their size
        self._thumbnail_scale = 1.0
        self._count = 0

    def add(self, index: int, planes: Planes) -> None:
        """Copy the rectangle and a thumbnail of film frame ``index``.

        Frames come in order; those outside ``[start, stop)`` are ignored.
        """
        if not self._start <= index < self._stop:
            return
        for stack, window, plane in zip(self._planes, self._windows, planes, strict=False):
            stack[index - self._start] = plane[window]
        thumbnail = self._make_thumbnail(planes[0])
        if not self._thumbnails.size:
            count = self._stop - self._start
            self._thumbnails = np.empty((count, *thumbnail.shape), np.float32)
        self._thumbnails[index - self._start] = thumbnail
        self._count = index - self._start + 1

    def finish(self) -> CropStack:
        """Return the stack of the frames that were added; it may be shorter than planned."""
        planes = tuple(stack[: self._count] for stack in self._planes)
        has_context = self._collected_box != self._box
        return CropStack(
            start=self._start,
            box=self._box,
            planes=self._crop_to_box(planes),
            thumbnails=self._thumbnails[: self._count],
            thumbnail_scale=self._thumbnail_scale,
            layout=self._layout,
            context=ContextStack(self._collected_box, planes) if has_context else None,
        )

    def _crop_to_box(self, planes: tuple[Stack, ...]) -> tuple[Stack, ...]:
        """Return views of ``box`` in planes of the collected box."""
        left, top = self._collected_box[:2]
        box = self._box[0] - left, self._box[1] - top, self._box[2] - left, self._box[3] - top
        windows = [plane_window(box, index, self._layout) for index in range(len(planes))]
        return tuple(stack[:, w[0], w[1]] for stack, w in zip(planes, windows, strict=True))

    def _make_thumbnail(self, luma: Plane) -> NDArray[np.float32]:
        """Return ``luma`` reduced by area averaging, float32, 0 to 255."""
        height, width = luma.shape
        step = max(1, width // THUMBNAIL_COLUMNS)
        size = (max(8, width // step), max(8, height // step))
        self._thumbnail_scale = width / size[0]
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / np.float32(self._layout.scale)
