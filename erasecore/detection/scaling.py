"""Working pictures of detection: small 8-bit pictures made from a frame's native planes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.detector import Bgr
from erasecore.video.color import Plane, PlaneLayout, Planes

Luma = NDArray[np.uint8]
"""Working luma: uint8 ``(H, W)``."""

_WORK_SIDE_PX = 1280  # working pixels; longer side at which strokes keep their shape; guess


class Scaler:
    """Makes the working luma and the searched colour pictures of a film's frames.

    Args:
        width: of the picture as it is seen, in pixels.
        height: of the picture as it is seen.
        layout: of its planes.

    Attributes:
        factor: pixels of the film in a working pixel, each way.
        work_width: of the working luma.
        work_height: of the working luma.
    """

    def __init__(self, width: int, height: int, layout: PlaneLayout) -> None:
        self.width, self.height = width, height
        self._layout = layout
        self.factor = max(1, -(-max(width, height) // _WORK_SIDE_PX))
        self.work_width = max(1, width // self.factor)
        self.work_height = max(1, height // self.factor)

    def luma(self, planes: Planes) -> Luma:
        """Return the working luma, reduced by a whole factor (area average); never a view.

        Args:
            planes: of the frame, native depth, luma first.

        Returns:
            uint8 ``(work_height, work_width)``.
        """
        plane = planes[0]
        if self.factor > 1:
            size = (self.work_width, self.work_height)
            crop = plane[: self.work_height * self.factor, : self.work_width * self.factor]
            return self._eight_bits(_resize(crop, size))
        return (
            self._eight_bits(plane).copy() if plane.dtype == np.uint8 else self._eight_bits(plane)
        )

    def bgr(self, planes: Planes, part: tuple[int, int, int, int], scale: float) -> Bgr:
        """Return a rectangle of the frame in colour, scaled.

        Colours are converted as BT.601, which is near enough for a text detector; no result is made
        from them.

        Args:
            planes: of the frame, native depth, luma first.
            part: left, top, right, bottom in luma pixels.
            scale: size of the result in that of ``part``.

        Returns:
            uint8 ``(H, W, 3)``, blue first.
        """
        left, top, right, bottom = part
        size = (max(1, round((right - left) * scale)), max(1, round((bottom - top) * scale)))
        parts = [self._part(planes, index, part) for index in range(len(planes))]
        small = [self._eight_bits(_resize(plane, size)) for plane in parts]
        if len(small) < 3:
            return np.asarray(cv2.cvtColor(small[0], cv2.COLOR_GRAY2BGR), np.uint8)
        if self._layout.rgb:  # green, blue, red
            return np.asarray(cv2.merge((small[1], small[0], small[2])), np.uint8)
        merged = cv2.merge((small[0], small[2], small[1]))
        return np.asarray(cv2.cvtColor(merged, cv2.COLOR_YCrCb2BGR), np.uint8)

    def _part(self, planes: Planes, index: int, part: tuple[int, int, int, int]) -> Plane:
        """Return the rectangle in one plane, its borders rounded outwards to whole samples."""
        left, top, right, bottom = part
        shift_x, shift_y = (self._layout.shift_x, self._layout.shift_y) if index else (0, 0)
        rows = slice(top >> shift_y, -(-bottom >> shift_y))
        columns = slice(left >> shift_x, -(-right >> shift_x))
        return planes[index][rows, columns]

    def _eight_bits(self, plane: Plane) -> Luma:
        """Return the plane's upper 8 bits; the same array if it has no more."""
        if plane.dtype == np.uint8:
            return plane  # type: ignore[return-value]
        return (plane >> (self._layout.bits - 8)).astype(np.uint8)


def _resize(plane: Plane, size: tuple[int, int]) -> Plane:
    """Return ``plane`` at ``size`` (width, height): area average, or bilinear if it grows."""
    shrinks = size[0] < plane.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cast(Plane, cv2.resize(plane, size, interpolation=interpolation))


def cut_out(luma: Luma, box: tuple[int, int, int, int]) -> Luma:
    """Return a rectangle of a picture; beyond the picture its edge is repeated.

    Args:
        luma: uint8 ``(H, W)``.
        box: left, top, right, bottom in pixels; some of it lies in the picture.
    """
    x0, y0, x1, y1 = box
    height, width = luma.shape
    part = luma[max(0, y0) : min(height, y1), max(0, x0) : min(width, x1)]
    pads = max(0, -y0), max(0, y1 - height), max(0, -x0), max(0, x1 - width)
    return np.asarray(cv2.copyMakeBorder(part, *pads, cv2.BORDER_REPLICATE), np.uint8)


def average(pieces: Sequence[Luma]) -> Luma:
    """Return the mean of pictures of one size, in which motion is blurred and text is not.

    Args:
        pieces: uint8 ``(H, W)`` each, at least one.
    """
    total = np.zeros(pieces[0].shape, np.float32)
    for piece in pieces:
        cv2.accumulate(piece, total)
    return np.asarray(cv2.convertScaleAbs(total, alpha=1 / len(pieces)), np.uint8)


class LumaRing:
    """Ring buffer of the last frames' working luma, with their indices; oldest first.

    Args:
        frames: most frames that are kept.
        max_bytes: most bytes that are kept; two frames always are.
    """

    def __init__(self, *, frames: int, max_bytes: int) -> None:
        self._frames = max(2, frames)
        self._max_bytes = max_bytes
        self._held: deque[tuple[int, Luma]] = deque()

    def add(self, index: int, luma: Luma) -> None:
        """Keep one more frame; the oldest go."""
        self._held.append((index, luma))
        limit = max(2, min(self._frames, self._max_bytes // max(1, luma.nbytes)))
        while len(self._held) > limit:
            self._held.popleft()

    def __iter__(self) -> Iterator[tuple[int, Luma]]:
        return iter(self._held)

    def __len__(self) -> int:
        return len(self._held)
