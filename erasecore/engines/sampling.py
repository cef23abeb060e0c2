"""Reading pictures between their pixels, and smoothing them: thin wrappers around OpenCV.

``cv2.remap`` takes maps of fewer than 32,768 rows and columns, so lists of points are laid out
as a grid, and a stack of frames is read as one tall picture.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Floats, Stack

_GRID_COLUMNS = 1024
_LARGEST_SIDE = 32_766  # cv2.remap's limit


def sample(picture: NDArray[np.float32] | Stack, x: Floats, y: Floats) -> Floats:
    """``picture`` ``(H, W)`` at the points ``x, y``, bilinear, the border continued outwards.

    Coordinates count pixel centres: (0, 0) is the middle of the first pixel. From an integer
    picture the values come rounded to whole levels, which spares copying it.
    """
    count = x.size
    columns = min(_GRID_COLUMNS, max(count, 1))
    padding = -count % columns
    grid_x = np.pad(x.astype(np.float32, copy=False), (0, padding)).reshape(-1, columns)
    grid_y = np.pad(y.astype(np.float32, copy=False), (0, padding)).reshape(-1, columns)
    values = cv2.remap(picture, grid_x, grid_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    flat: Floats = values.ravel()[:count].astype(np.float32, copy=False)
    return flat


def sample_stack(stack: Stack, frame: NDArray[np.intp], x: Floats, y: Floats) -> Floats:
    """``stack`` ``(T, H, W)`` at frame numbers ``frame`` and points ``x, y``, bilinear."""
    _frames, height, width = stack.shape
    x = np.clip(x, 0, width - 1)
    y = np.clip(y, 0, height - 1)
    values = np.empty(x.size, np.float32)
    per_slab = max(1, _LARGEST_SIDE // height)
    slab_of = frame // per_slab
    for slab in np.unique(slab_of):
        here = np.flatnonzero(slab_of == slab)
        first, last = int(frame[here].min()), int(frame[here].max())
        tall = stack[first : last + 1].reshape(-1, width)
        values[here] = sample(tall, x[here], y[here] + (frame[here] - first) * height)
    return values


def soft(picture: Floats, size_px: int) -> Floats:
    """``picture`` blurred twice with a box of ``size_px``: close to a Gaussian, and fast."""
    size = (size_px, size_px)
    once = cv2.blur(picture, size, borderType=cv2.BORDER_REPLICATE)
    twice: Floats = cv2.blur(once, size, borderType=cv2.BORDER_REPLICATE)
    return twice
