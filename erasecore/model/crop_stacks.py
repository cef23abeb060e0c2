"""A rectangle cut out of a run of frames: all of the film that is ever held at once."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box, Plane, PlaneLayout, Planes, Stack, plane_window

THUMBNAIL_COLUMNS = 240


@dataclass(frozen=True, slots=True)
class ContextStack:
    """A larger rectangle of the same frames: ``box`` in the picture, ``planes`` as a cutout's."""

    box: Box
    planes: tuple[Stack, ...]


@dataclass(frozen=True, slots=True)
class CropStack:
    """The pixels of a rectangle in the frames ``[start, start + T)``.

    Its planes may be a part of ``around``, larger ones that are views of the same memory.

    Attributes:
        start: the film's frame number of the first one.
        box: where the rectangle lies in the picture, in whole colour samples.
        planes: luma ``(T, H, W)`` and colour ``(T, h, w)`` in the film's depth.
        thumbnails: float32 ``(T, a, b)``; the whole picture's luma, reduced, 0 to 255.
        thumb_scale: pixels of the picture for one of a thumb.
        layout: the planes' depth and reduction.
    """

    start: int
    box: Box
    planes: tuple[Stack, ...]
    thumbnails: NDArray[np.float32]
    thumbnail_scale: float
    layout: PlaneLayout
    context: ContextStack | None = None

    @property
    def stop(self) -> int:
        """The film's frame number after the last one."""
        return self.start + len(self.planes[0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the rectangle."""
        return self.planes[0].shape[1], self.planes[0].shape[2]

    def luma(self, frame: int) -> NDArray[np.float32]:
        """The luma of film frame ``frame`` in 8-bit levels, float32 ``(H, W)``."""
        scaled: NDArray[np.float32] = self.planes[0][frame - self.start].astype(np.float32)
        return scaled / np.float32(self.layout.scale)

    def levels(self, frame: int) -> NDArray[np.float32]:
        """All planes of film frame ``frame`` at luma size in 8-bit levels, ``(P, H, W)``."""
        height, width = self.size
        repeat_y, repeat_x = 1 << self.layout.shift_y, 1 << self.layout.shift_x
        full = [self.luma(frame)]
        for plane in self.planes[1:]:
            small = plane[frame - self.start].astype(np.float32) / np.float32(self.layout.scale)
            large = small.repeat(repeat_y, axis=0).repeat(repeat_x, axis=1)
            full.append(large[:height, :width])
        return np.stack(full)


class CropCollector:
    """Collects a cutout frame by frame."""

    def __init__(
        self, start: int, stop: int, box: Box, layout: PlaneLayout, *, wider: Box | None = None
    ) -> None:
        """Make room for the frames ``[start, stop)`` of ``box``, or of ``wider`` around it."""
        self._start, self._stop, self._box, self._layout = start, stop, box, layout
        self._whole = wider or box
        kind = np.uint8 if layout.bits == 8 else np.uint16
        self._windows = [plane_window(self._whole, index, layout) for index in range(layout.planes)]
        sizes = [
            (window[0].stop - window[0].start, window[1].stop - window[1].start)
            for window in self._windows
        ]
        self._planes = tuple(np.empty((stop - start, *size), kind) for size in sizes)
        self._thumbs = np.empty((0, 0, 0), np.float32)  # until a frame has told their size
        self._thumb_scale = 1.0
        self._count = 0

    def add(self, index: int, planes: Planes) -> None:
        """Take what is needed of frame ``index``; frames outside ``[start, stop)`` are ignored."""
        if not self._start <= index < self._stop:
            return
        for stack, window, plane in zip(self._planes, self._windows, planes, strict=False):
            stack[index - self._start] = plane[window]
        thumb = self._thumbnail(planes[0])
        if not self._thumbs.size:
            self._thumbs = np.empty((self._stop - self._start, *thumb.shape), np.float32)
        self._thumbs[index - self._start] = thumb
        self._count = index - self._start + 1

    def finish(self) -> CropStack:
        """The cutout of the frames that came."""
        planes = tuple(stack[: self._count] for stack in self._planes)
        wider = ContextStack(self._whole, planes) if self._whole != self._box else None
        return CropStack(
            start=self._start,
            box=self._box,
            planes=self._part(planes),
            thumbnails=self._thumbs[: self._count],
            thumbnail_scale=self._thumb_scale,
            layout=self._layout,
            context=wider,
        )

    def _part(self, planes: tuple[Stack, ...]) -> tuple[Stack, ...]:
        """Views of the cutout's own rectangle in the larger one."""
        left, top = self._whole[:2]
        box = self._box[0] - left, self._box[1] - top, self._box[2] - left, self._box[3] - top
        windows = [plane_window(box, index, self._layout) for index in range(len(planes))]
        return tuple(stack[:, w[0], w[1]] for stack, w in zip(planes, windows, strict=True))

    def _thumbnail(self, luma: Plane) -> NDArray[np.float32]:
        height, width = luma.shape
        step = max(1, width // THUMBNAIL_COLUMNS)
        size = (max(8, width // step), max(8, height // step))
        self._thumb_scale = width / size[0]
        small = cv2.resize(luma, size, interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) / np.float32(self._layout.scale)
