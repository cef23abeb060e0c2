"""Subpixel sampling (``cv2.remap``) of pictures and stacks at lists of points, and box blurs.

``cv2.remap`` takes maps of fewer than 32,768 rows and columns. So a list of points is laid out as
a two-dimensional map, and a stack of frames is read as one tall picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Floats
from erasecore.video.color import Stack

_LARGEST_SIDE = 32_766  # rows or columns; limit of cv2.remap (coordinates are int16 inside)
_WIDE_PX = 7  # px; box size from which a blur is computed at half size (almost no difference)


def sample(picture: NDArray[np.float32] | Stack, x: Floats, y: Floats) -> Floats:
    """Sample a picture at points by bicubic interpolation; the border is replicated outwards.

    Bicubic, since bilinear interpolation removes a quarter of the fine detail, more with each
    resampling.

    Args:
        picture: ``(H, W)``; float32, uint8 or uint16. An integer picture gives values rounded to
            its levels, which avoids a float copy.
        x: float32 ``(n,)``; columns in pixels, 0 is the centre of the first pixel.
        y: float32 ``(n,)``; rows, likewise.

    Returns:
        float32 ``(n,)``, in the units of ``picture``.
    """
    if not x.size:
        return np.zeros(0, np.float32)
    edge = cv2.BORDER_REPLICATE
    values = cv2.remap(picture, _as_map(x), _as_map(y), cv2.INTER_CUBIC, borderMode=edge)
    return np.asarray(values, np.float32).ravel()[: x.size]


def sample_nearest(picture: Floats, x: Floats, y: Floats, *, outside: float) -> Floats:
    """Sample a picture ``(H, W)`` at the pixels nearest to ``x, y``: float32 ``(n,)``.

    Points beyond the border get the value ``outside``.
    """
    if not x.size:
        return np.zeros(0, np.float32)
    how, edge = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
    values = cv2.remap(picture, _as_map(x), _as_map(y), how, borderMode=edge, borderValue=outside)
    return np.asarray(values, np.float32).ravel()[: x.size]


def _as_map(coordinates: Floats) -> Floats:
    """Reshape a list of coordinates into a zero-padded 2-D map for ``cv2.remap``."""
    columns = min(coordinates.size, _LARGEST_SIDE)
    padding = -coordinates.size % columns
    flat = np.pad(coordinates, (0, padding)) if padding else coordinates
    return flat.astype(np.float32, copy=False).reshape(-1, columns)


def sample_grid(
    picture: NDArray[np.uint8], points: Floats, interpolation: int, edge: int, value: int
) -> NDArray[np.uint8]:
    """Warp a picture by backward mapping: uint8 ``(H, W)``, ``picture`` read at ``points``.

    Args:
        picture: uint8 ``(h, w)``.
        points: float32 ``(H, W, 2)``; column and row to read for each pixel of the result.
        interpolation: ``cv2.INTER_...`` flag.
        edge: ``cv2.BORDER_...`` flag.
        value: value outside the picture for ``cv2.BORDER_CONSTANT``.
    """
    rows, columns = points[..., 1], points[..., 0]
    return np.asarray(
        cv2.remap(picture, columns, rows, interpolation, borderMode=edge, borderValue=value),
        np.uint8,
    )


def sample_stack(stack: Stack, frame: NDArray[np.intp], x: Floats, y: Floats) -> Floats:
    """Sample a stack of frames by bicubic interpolation, each point in a frame of its own.

    Args:
        stack: ``(T, H, W)``, uint8 or uint16.
        frame: int ``(n,)``; index of the frame of each point.
        x: float32 ``(n,)``; columns in pixels, clipped to the picture.
        y: float32 ``(n,)``; rows, likewise.

    Returns:
        float32 ``(n,)``, in the levels of ``stack``.
    """
    _frames, height, width = stack.shape
    x = np.clip(x, 0, width - 1)
    y = np.clip(y, 0, height - 1)
    values = np.empty(x.size, np.float32)
    per_slab = max(1, _LARGEST_SIDE // height)
    first, last = int(frame.min(initial=0)), int(frame.max(initial=0))
    for start in range(first, last + 1, per_slab):
        here = (frame >= start) & (frame < start + per_slab)
        tall = stack[start : start + per_slab].reshape(-1, width)
        row = y[here] + ((frame[here] - start) * height).astype(np.float32)
        values[here] = sample(tall, x[here], row)
    return values


def double_box_blur(picture: Floats, size_px: int) -> Floats:
    """Blur a picture ``(H, W[, C])`` twice with a box of ``size_px``, a fast near-Gaussian.

    Boxes from `_WIDE_PX` on are applied to a copy of half the size, which keeps all frequencies
    that such a blur leaves, and the result is enlarged again.
    """
    height, width = picture.shape[:2]
    if size_px < _WIDE_PX or min(height, width) < 2:
        return _blur_twice(picture, size_px)
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    blurred = _blur_twice(np.asarray(half, np.float32), size_px // 2 | 1)
    enlarged = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)


def _blur_twice(picture: Floats, size_px: int) -> Floats:
    """Apply a box filter of ``size_px`` x ``size_px`` twice, at full size."""
    size = (size_px, size_px)
    once = cv2.blur(picture, size, borderType=cv2.BORDER_REPLICATE)
    twice = cv2.blur(once, size, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(twice, np.float32)
