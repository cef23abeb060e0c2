"""The numbers themselves, on arrays only; every one compares a result with the clean film."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.media import I420, split

Mask = NDArray[np.bool_]
Gray = NDArray[np.uint8] | NDArray[np.float32]

PERFECT_DB = 99.0  # reported for equal pictures, whose PSNR is infinite


def psnr_db(squared_error: float, samples: float) -> float:
    """PSNR of 8-bit samples from their summed squared error; at most 99."""
    if samples == 0 or squared_error == 0:
        return PERFECT_DB
    return float(min(PERFECT_DB, 10 * np.log10(255.0**2 * samples / squared_error)))


def pool(mask: Mask) -> Mask:
    """The mask at the size of the colour planes: set where any of four pixels is."""
    return mask[::2, ::2] | mask[1::2, ::2] | mask[::2, 1::2] | mask[1::2, 1::2]


class MaskedError:
    """Squared error of I420 pictures under masks, summed up over a film."""

    def __init__(self) -> None:
        self._squared = np.zeros(3)
        self._samples = np.zeros(3)

    def add(self, result: I420, clean: I420, mask: Mask) -> None:
        """Count one pair of pictures; ``mask`` has the luma's size."""
        masks = (mask, pool(mask), pool(mask))
        for plane, (one, other) in enumerate(zip(split(result), split(clean), strict=True)):
            chosen = masks[plane]
            difference = one[chosen].astype(np.float32) - other[chosen]
            self._squared[plane] += float(difference @ difference)
            self._samples[plane] += difference.size

    def psnr_db(self) -> float:
        """PSNR over everything counted, the planes weighted (6 Y + U + V) / 8."""
        if not self._samples[0]:
            return PERFECT_DB
        mean = self._squared / np.maximum(self._samples, 1)
        return psnr_db(float((6 * mean[0] + mean[1] + mean[2]) / 8), 1)


def _blur(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    return cv2.GaussianBlur(plane, (11, 11), 1.5).astype(np.float32, copy=False)


def ssim(result: I420, clean: I420) -> float:
    """Mean SSIM of two luma rectangles (Gaussian window, 11 px)."""
    one, other = result.astype(np.float32), clean.astype(np.float32)
    mean_one, mean_other = _blur(one), _blur(other)
    variance_one = _blur(one * one) - mean_one * mean_one
    variance_other = _blur(other * other) - mean_other * mean_other
    covariance = _blur(one * other) - mean_one * mean_other
    similarity = (2 * mean_one * mean_other + 6.5025) * (2 * covariance + 58.5225)
    scale = (mean_one * mean_one + mean_other * mean_other + 6.5025) * (
        variance_one + variance_other + 58.5225
    )
    return float((similarity / scale).mean())


def detail_energy(luma: I420, mask: Mask) -> float:
    """Energy of the Laplacian under the mask: how much fine detail there is."""
    edges = cv2.Laplacian(luma.astype(np.float32), cv2.CV_32F)
    return float((edges[mask] ** 2).sum())


def motion_error(result: tuple[I420, I420], clean: tuple[I420, I420], mask: Mask) -> float:
    """Mean difference, in luma levels, between the changes of two (previous, current) pairs."""
    if not mask.any():
        return 0.0
    change_result = result[1].astype(np.int16) - result[0]
    change_clean = clean[1].astype(np.int16) - clean[0]
    return float(np.abs(change_result - change_clean)[mask].mean())
