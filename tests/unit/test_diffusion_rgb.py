"""Native planes to RGB and back, held against FFmpeg's own conversion."""

from __future__ import annotations

from typing import cast

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL, from_rgb, to_rgb
from erasecore.model.inpaint_input import Floats
from erasecore.video.color import PlaneLayout, as_plane
from erasecore.video.formats import layout_of, views

BT601, BT709, BT2020 = 6, 1, 9
SDR, PQ, HLG = 1, 16, 18
FFMPEG = {BT601: Colorspace.ITU601, BT709: Colorspace.ITU709}
CASES = [
    ("yuv420p", BT601, False),
    ("yuv420p", BT709, False),
    ("yuv420p", BT709, True),
    ("yuv422p", BT709, False),
    ("yuv444p", BT601, True),
    ("yuv420p10le", BT709, False),
    ("yuv444p12le", BT709, True),
    ("gbrp", BT709, True),
    ("gbrp10le", BT709, True),
    ("gray", BT709, True),
]


def smooth_picture(height: int = 48, width: int = 64) -> NDArray[np.uint8]:
    """RGB in which everything changes slowly, so that reduced colour planes lose nothing."""
    random = np.random.default_rng(3)
    coarse = random.uniform(20, 235, (3, 3, 3)).astype(np.float32)
    picture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def converted(rgb: NDArray[np.uint8], layout: PlaneLayout) -> tuple[Floats, ...]:
    """FFmpeg's planes of ``rgb``, in 8-bit levels."""
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format=layout.pix_fmt,
        dst_colorspace=FFMPEG[layout.matrix],
        dst_color_range=ColorRange.JPEG if layout.full_range else ColorRange.MPEG,
        interpolation="AREA",
    )
    return tuple(
        plane.astype(np.float32) / np.float32(layout.scale) for plane in views(picture, layout)
    )


@pytest.mark.parametrize(("pix_fmt", "matrix", "full"), CASES)
def test_planes_are_what_ffmpeg_makes_of_the_same_rgb(
    pix_fmt: str, matrix: int, full: bool
) -> None:
    """In each layout, range and matrix, sample by sample, within what two roundings differ by."""
    layout = layout_of(pix_fmt, full_range=full, matrix=matrix)
    rgb = smooth_picture()
    if layout.planes == 1:
        rgb = cast("NDArray[np.uint8]", np.repeat(rgb[..., :1], 3, axis=-1))
    for mine, theirs in zip(
        from_rgb(rgb.astype(np.float32), layout), converted(rgb, layout), strict=True
    ):
        assert mine.shape == theirs.shape
        assert np.abs(mine - theirs).max() < 1.6


@pytest.mark.parametrize(("pix_fmt", "matrix", "full"), [*CASES, ("yuv420p10le", BT2020, False)])
@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_there_and_back(pix_fmt: str, matrix: int, full: bool, size: tuple[int, int]) -> None:
    """RGB to planes to RGB is the same picture, at odd sizes too."""
    layout = layout_of(pix_fmt, full_range=full, matrix=matrix)
    rgb = smooth_picture(*size).astype(np.float32)
    if layout.planes == 1:
        rgb = np.repeat(rgb[..., :1], 3, axis=-1)
    planes = from_rgb(rgb, layout)
    sizes = [layout.plane_size(index, size[1], size[0]) for index in range(layout.planes)]
    assert [plane.shape for plane in planes] == sizes
    errors = np.abs(to_rgb(planes, layout) - rgb)
    reduced = layout.shift_x or layout.shift_y
    assert errors.mean() < (0.7 if reduced else 0.01)
    assert errors[4:-4, 4:-4].max() < (6 if reduced else 0.05)


def test_ycgco_is_known() -> None:
    """The one matrix that is not made of shares of red and blue: white, and a pure green."""
    layout = layout_of("yuv444p", full_range=True, matrix=8)
    rgb = np.array([[[255, 255, 255], [0, 255, 0]]], np.float32)
    planes = from_rgb(rgb, layout)
    expected = np.array([[255, 127.5], [128, 255.5], [128, 128]], np.float32)
    assert np.allclose(np.concatenate(planes), expected, atol=0.6)
    assert np.allclose(to_rgb(planes, layout), rgb, atol=0.01)


@pytest.mark.parametrize(("signal", "nits"), [(0.5081, 100), (0.5807, 203), (0.7518, 1000)])
def test_pq_is_shown_as_bright_as_on_an_ordinary_screen(signal: float, nits: int) -> None:
    """By the standard's own table: light is compressed around white paper, which is 203 nits."""
    layout = layout_of("gbrp10le", full_range=True, transfer=PQ)
    planes = tuple(np.full((1, 1), signal * layout.peak / layout.scale, np.float32) for _ in "GBR")
    light = nits / 203
    expected = (light * (1 + light / (10_000 / 203) ** 2) / (1 + light)) ** (1 / 2.2)
    assert to_rgb(planes, layout) == pytest.approx(255 * expected, abs=0.3)


def test_all_of_pq_is_shown_and_hlg_as_it_is() -> None:
    """Black stays black and the peak is white, all between in order; HLG is for both screens."""
    codes = np.arange(1024, dtype=np.float32)[None] / np.float32(4)
    shown = to_rgb((codes, codes, codes), layout_of("gbrp10le", full_range=True, transfer=PQ))
    assert shown[0, 0].tolist() == [0, 0, 0]
    assert shown[0, -1] == pytest.approx([255, 255, 255], abs=0.01)
    assert (np.diff(shown[0, :, 0]) > 0).all()
    hlg = layout_of("gbrp10le", full_range=True, transfer=HLG)
    sdr = layout_of("gbrp10le", full_range=True, transfer=SDR)
    assert np.array_equal(to_rgb((codes,) * 3, hlg), to_rgb((codes,) * 3, sdr))


@pytest.mark.parametrize("transfer", [SDR, PQ, HLG])
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_every_level_comes_back(bits: int, transfer: int) -> None:
    """What is painted in 16 bits has a level for each of the film's own, dark and bright alike."""
    pix_fmt = "gbrp" if bits == 8 else f"gbrp{bits}le"
    layout = layout_of(pix_fmt, full_range=True, transfer=transfer)
    codes = as_plane(np.arange(layout.peak + 1)[None], layout)
    plane = codes.astype(np.float32) / np.float32(layout.scale)
    painted = np.rint(to_rgb((plane, plane, plane), layout) * U16_PER_LEVEL).astype(np.uint16)
    for back in from_rgb(painted.astype(np.float32) / np.float32(U16_PER_LEVEL), layout):
        found = as_plane(back * layout.scale, layout).astype(int)
        assert np.abs(found - codes).max() <= (1 if bits == 12 else 0)
