"""What is painted, put into the hole: no seam, and not a sample outside."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from erasecore.engines.diffueraser.rgb import block_mean
from erasecore.engines.diffueraser.seamless_blend import blend_seamlessly, blend_weights
from erasecore.model.inpaint_input import Bools, Floats, reduce_mask
from erasecore.video.color import PlaneLayout

LAYOUTS = [
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv422p", 8, 1, 0, 3, full_range=False),
    PlaneLayout("yuv444p", 8, 0, 0, 3, full_range=False),
    PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
]
HEIGHT, WIDTH = 65, 97


def scene(layout: PlaneLayout) -> tuple[Floats, ...]:
    """A textured picture over a slope of light."""
    random = np.random.default_rng(5)
    slope = np.linspace(40, 200, WIDTH, dtype=np.float32)[None] * np.ones((HEIGHT, 1), np.float32)
    luma = slope + random.normal(0, 4, slope.shape).astype(np.float32)
    colours = [block_mean(slope * share, layout) for share in (0.4, 0.6)][: layout.planes - 1]
    return (luma, *colours)


def letter() -> Bools:
    """A ring-shaped hole, twelve pixels wide."""
    mask = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.circle(mask, (48, 32), 18, 1, 12)
    return mask > 0


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
def test_nothing_outside_what_is_replaced_changes(layout: PlaneLayout) -> None:
    """In every plane, bit for bit, and all samples that lie wholly inside are painted ones."""
    pictures = scene(layout)
    painted = tuple(np.full_like(plane, 77) for plane in pictures)
    hole, nothing = letter(), np.zeros((HEIGHT, WIDTH), bool)
    for index, (before, after) in enumerate(
        zip(pictures, blend_seamlessly(pictures, painted, hole, nothing, layout), strict=True)
    ):
        touched = reduce_mask(hole, layout) if index else hole
        assert np.array_equal(before[~touched], after[~touched])
        assert not np.array_equal(before[touched], after[touched])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
def test_colours_that_are_off_are_put_right(layout: PlaneLayout) -> None:
    """The true picture, painted brighter and tilted, comes out true: no seam, no tint."""
    pictures = scene(layout)
    tilt = [np.linspace(8, 16, p.shape[0], dtype=np.float32)[:, None] for p in pictures]
    painted = tuple(plane + shift for plane, shift in zip(pictures, tilt, strict=True))
    hole, nothing = letter(), np.zeros((HEIGHT, WIDTH), bool)
    made = blend_seamlessly(pictures, painted, hole, nothing, layout)
    for before, after in zip(pictures, made, strict=True):
        assert np.abs(after - before).max() < 0.5


def test_other_text_does_not_colour_the_fill() -> None:
    """What is unknown beside the hole has no say in how bright the fill is."""
    layout = LAYOUTS[-1]
    hole, other = np.zeros((2, HEIGHT, WIDTH), bool)
    hole[20:40, 30:50], other[20:40, 50:70] = True, True
    ground = np.full((HEIGHT, WIDTH), 100, np.float32)
    inked = np.where(other, np.float32(255), ground)
    (made,) = blend_seamlessly((inked,), (np.full_like(ground, 90),), hole, other, layout)
    assert np.abs(made[hole] - 100).max() < 0.5
    (spoilt,) = blend_seamlessly((inked,), (np.full_like(ground, 90),), hole, hole, layout)
    assert np.abs(spoilt[hole] - 100).max() > 20


def test_the_edge_is_soft_inside_only() -> None:
    """Weights rise from the border inwards, and are zero one pixel outside."""
    hole = letter()
    (weights,) = blend_weights(hole, LAYOUTS[-1], 1)
    inner = cv2.erode(hole.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    assert (weights[inner] == 1).all()
    assert ((weights[hole & ~inner] > 0) & (weights[hole & ~inner] < 1)).all()
    assert (weights[~hole] == 0).all()


def test_a_picture_that_is_all_hole_is_painted_as_it_is() -> None:
    """With nothing around to go by, nothing is shifted."""
    ground, hole = np.zeros((8, 8), np.float32), np.ones((8, 8), bool)
    (made,) = blend_seamlessly((ground,), (ground + 50,), hole, ~hole, LAYOUTS[-1])
    assert (made == 50).all()
