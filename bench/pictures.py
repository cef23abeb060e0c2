"""Pictures that people look at: two frames beside each other."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bench.media import Bgr, read_pictures, to_bgr

WIDTH_PX = 640  # of each of the two
GAP_PX = 8
JPEG_QUALITY = 88


def save_side_by_side(before: Path, after: Path, frame: int, picture: Path) -> None:
    """Write one frame of two films as a JPEG, ``before`` on the left."""
    left, right = (_small(_frame(film, frame)) for film in (before, after))
    gap = np.full((left.shape[0], GAP_PX, 3), 255, np.uint8)
    cv2.imwrite(
        str(picture), np.hstack([left, gap, right]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )


def _frame(film: Path, frame: int) -> Bgr:
    return to_bgr(next(islice(read_pictures(film), frame, None)))


def _small(picture: Bgr) -> Bgr:
    height = round(picture.shape[0] * WIDTH_PX / picture.shape[1])
    small = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)
