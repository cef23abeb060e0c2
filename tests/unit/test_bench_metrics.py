"""The bench's numbers, on pictures small enough to work them out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from bench.boxes import area, grow, intersection
from bench.metrics import MaskedError, detail_energy, motion_error, pool, psnr_db, ssim

HEIGHT, WIDTH = 16, 24


def picture(level: int = 100) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One I420 picture of a single level in all planes."""
    return np.full((HEIGHT * 3 // 2, WIDTH), level, np.uint8)


def everywhere() -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """A mask of every pixel."""
    return np.ones((HEIGHT, WIDTH), bool)


def noise(seed: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """One I420 picture without structure."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT * 3 // 2, WIDTH), np.uint8)


@pytest.mark.parametrize(
    ("squared_error", "samples", "decibels"),
    [
        (0.0, 10, 99.0),  # equal
        (5.0, 0, 99.0),  # nothing compared
        (255.0**2 * 4, 4, 0.0),  # black for white
        (1e-12, 1, 99.0),  # capped
    ],
)
def test_psnr_at_its_ends(squared_error: float, samples: float, decibels: float) -> None:
    """PSNR is 0 dB for the largest error and 99 dB where there is none."""
    assert psnr_db(squared_error, samples) == pytest.approx(decibels)


def test_planes_are_weighted() -> None:
    """Luma counts six times as much as each colour plane."""
    result, clean = picture(), picture()
    result[:HEIGHT] += 8  # squared 64 in luma only: (6 * 64 + 0 + 0) / 8 = 48
    error = MaskedError()
    error.add(result, clean, everywhere())
    assert error.psnr_db() == pytest.approx(10 * np.log10(255**2 / 48))


def test_only_masked_pixels_count() -> None:
    """A difference outside the mask leaves the PSNR at its cap."""
    result, clean = picture(), picture()
    result[:HEIGHT, : WIDTH // 2] = 0
    mask = everywhere()
    mask[:, : WIDTH // 2] = False
    error = MaskedError()
    error.add(result, clean, mask)
    assert error.psnr_db() == 99.0


def test_no_masked_pixel_is_no_error() -> None:
    """A film whose mask is empty everywhere scores 99 dB."""
    error = MaskedError()
    error.add(noise(1), noise(2), np.zeros((HEIGHT, WIDTH), bool))
    assert error.psnr_db() == 99.0


def test_pool_keeps_single_pixels() -> None:
    """One masked pixel masks the colour sample that it shares with its neighbours."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[5, 7] = True
    pooled = pool(mask)
    assert pooled.shape == (HEIGHT // 2, WIDTH // 2)
    assert list(zip(*np.nonzero(pooled), strict=True)) == [(2, 3)]


def test_ssim_of_itself_is_one() -> None:
    """A picture is exactly like itself and unlike another one."""
    one, other = noise(1)[:HEIGHT], noise(2)[:HEIGHT]
    assert ssim(one, one) == pytest.approx(1.0)
    assert ssim(one, other) < 0.5


def test_flat_picture_has_no_detail() -> None:
    """A blurred-away picture has no Laplacian energy, noise has much."""
    assert detail_energy(picture()[:HEIGHT], everywhere()) == 0
    assert detail_energy(noise(1)[:HEIGHT], everywhere()) > 1e6


def test_motion_error_compares_changes() -> None:
    """A constant offset does not flicker; a step that the clean film lacks does."""
    low, high = picture(100)[:HEIGHT], picture(120)[:HEIGHT]
    assert motion_error((high, high), (low, low), everywhere()) == 0
    assert motion_error((low, high), (low, low), everywhere()) == 20
    assert motion_error((low, high), (low, low), ~everywhere()) == 0


def test_boxes() -> None:
    """Boxes that touch share nothing; growing stops at the picture's border."""
    assert intersection((0, 0, 4, 4), (4, 0, 8, 4)) == 0
    assert intersection((0, 0, 4, 4), (2, 1, 8, 3)) == 4
    assert area((3, 3, 1, 9)) == 0
    assert grow((2, 30, 60, 70), 8, 64, 72) == (0, 22, 64, 72)
