"""Pictures that people look at: the same frame of two films, beside each other."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bench.boxes import PixelBox
from bench.media import Bgr, read_pictures, to_bgr

WIDTH_PX = 640  # of each of the two
GAP_PX = 8
MARGIN_PX = 40  # above and below the box in the close-up
JPEG_QUALITY = 88


def save_side_by_side(before: Path, after: Path, frame: int, box: PixelBox, picture: Path) -> None:
    """Write a JPEG of one frame, ``before`` on the left; below it the box's place, unscaled."""
    columns = []
    for film in (before, after):
        whole = to_bgr(next(islice(read_pictures(film), frame, None)))
        columns.append(_above(_small(whole), _close_up(whole, box)))
    gap = np.full((columns[0].shape[0], GAP_PX, 3), 255, np.uint8)
    joined = np.hstack([columns[0], gap, columns[1]])
    cv2.imwrite(str(picture), joined, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])


def _small(picture: Bgr) -> Bgr:
    """The picture scaled to the width; as it is when it has it."""
    height = round(picture.shape[0] * WIDTH_PX / picture.shape[1])
    small = cv2.resize(picture, (WIDTH_PX, height), interpolation=cv2.INTER_AREA)
    return small.astype(np.uint8, copy=False)


def _close_up(picture: Bgr, box: PixelBox) -> Bgr:
    """The box's place at its own size, as wide as the picture above it."""
    height, width = picture.shape[:2]
    left = max(0, min(width - WIDTH_PX, (box[0] + box[2] - WIDTH_PX) // 2))
    top, bottom = max(0, box[1] - MARGIN_PX), min(height, box[3] + MARGIN_PX)
    return _small(picture[top:bottom, left : left + WIDTH_PX])


def _above(upper: Bgr, lower: Bgr) -> Bgr:
    gap = np.full((GAP_PX, WIDTH_PX, 3), 255, np.uint8)
    return np.vstack([upper, gap, lower])
