"""Reading pictures between their pixels, and smoothing them: thin wrappers around OpenCV.

``cv2.remap`` takes maps of fewer than 32,768 rows and columns, so lists of points are laid out
as a grid, and a stack of frames is read as one tall picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.inpaint_input import Floats
from erasecore.video.color import Stack

_LARGEST_SIDE = 32_766  # cv2.remap's limit
_WIDE_PX = 7  # a box from which a blur loses next to nothing by being made at half the size


def sample(picture: NDArray[np.float32] | Stack, x: Floats, y: Floats) -> Floats:
    """``picture`` ``(H, W)`` at the points ``x, y``, bicubic, the border continued outwards.

    Coordinates count pixel centres: (0, 0) is the middle of the first pixel. From an integer
    picture the values come rounded to whole levels, which spares copying it. Bicubic, since a
    bilinear mean takes a quarter of the fine detail away, more with each resampling.
    """
    if not x.size:
        return np.zeros(0, np.float32)
    edge = cv2.BORDER_REPLICATE
    values = cv2.remap(picture, _grid(x), _grid(y), cv2.INTER_CUBIC, borderMode=edge)
    return np.asarray(values, np.float32).ravel()[: x.size]


def sample_nearest(picture: Floats, x: Floats, y: Floats, *, outside: float) -> Floats:
    """``picture`` ``(H, W)`` at the pixels nearest to ``x, y``; ``outside`` beyond its border."""
    if not x.size:
        return np.zeros(0, np.float32)
    how, edge = cv2.INTER_NEAREST, cv2.BORDER_CONSTANT
    values = cv2.remap(picture, _grid(x), _grid(y), how, borderMode=edge, borderValue=outside)
    return np.asarray(values, np.float32).ravel()[: x.size]


def _grid(places: Floats) -> Floats:
    """A list of coordinates as a map of no more rows and columns than are taken."""
    columns = min(places.size, _LARGEST_SIDE)
    padding = -places.size % columns
    flat = np.pad(places, (0, padding)) if padding else places
    return flat.astype(np.float32, copy=False).reshape(-1, columns)


def sample_grid(
    picture: NDArray[np.uint8], where: Floats, interpolation: int, edge: int, value: int
) -> NDArray[np.uint8]:
    """``picture`` at the points ``where`` ``(H, W, 2)``, as a new picture of that size."""
    rows, columns = where[..., 1], where[..., 0]
    return np.asarray(
        cv2.remap(picture, columns, rows, interpolation, borderMode=edge, borderValue=value),
        np.uint8,
    )


def sample_stack(stack: Stack, frame: NDArray[np.intp], x: Floats, y: Floats) -> Floats:
    """``stack`` ``(T, H, W)`` at frame numbers ``frame`` and points ``x, y``, bicubic."""
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


def soft(picture: Floats, size_px: int) -> Floats:
    """``picture`` blurred twice with a box of ``size_px``: close to a Gaussian, and fast.

    Wide blurs are made on a copy of half the size, which holds all that is left of the picture.
    """
    height, width = picture.shape[:2]
    if size_px < _WIDE_PX or min(height, width) < 2:
        return _twice(picture, size_px)
    half = cv2.resize(picture, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
    blurred = _twice(np.asarray(half, np.float32), size_px // 2 | 1)
    whole = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(whole, np.float32)


def _twice(picture: Floats, size_px: int) -> Floats:
    size = (size_px, size_px)
    once = cv2.blur(picture, size, borderType=cv2.BORDER_REPLICATE)
    twice = cv2.blur(once, size, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(twice, np.float32)
