"""Putting samples back: what no mask covers keeps every bit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasecore.model.inpaint_input import reduce_mask
from erasecore.model.patches import Patch, composite
from erasecore.video.color import PlaneLayout, Planes, as_plane, plane_window

LAYOUTS = {
    "8 bit 4:2:0": PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    "10 bit 4:2:0": PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False),
    "8 bit 4:2:2": PlaneLayout("yuv422p", 8, 1, 0, 3, full_range=False),
    "10 bit 4:2:2": PlaneLayout("yuv422p10le", 10, 1, 0, 3, full_range=False),
    "8 bit 4:4:4": PlaneLayout("yuv444p", 8, 0, 0, 3, full_range=True),
    "10 bit 4:4:4": PlaneLayout("yuv444p10le", 10, 0, 0, 3, full_range=True),
    "gray": PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
}


def noise(layout: PlaneLayout, width: int, height: int, random: np.random.Generator) -> Planes:
    """Planes of random samples."""
    sizes = [layout.plane_size(k, width, height) for k in range(layout.planes)]
    return tuple(as_plane(random.integers(0, layout.peak + 1, size), layout) for size in sizes)


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
@given(seed=st.integers(0, 2**32), width=st.integers(9, 41), height=st.integers(9, 41))
def test_outside_the_mask_every_bit_stays(
    layout: PlaneLayout, seed: int, width: int, height: int
) -> None:
    """In every plane of every layout and size, odd ones too; inside are the new samples."""
    random = np.random.default_rng(seed)
    planes = noise(layout, width, height, random)
    before = [plane.copy() for plane in planes]
    left, top = random.integers(0, (width - 4) // 2) * 2, random.integers(0, (height - 4) // 2) * 2
    box = (int(left), int(top), width, height)
    mask = random.random((height - box[1], width - box[0])) < 0.3
    masks = (mask, *[reduce_mask(mask, layout)] * (layout.planes - 1))
    samples = tuple(
        as_plane(random.integers(0, layout.peak + 1, int(m.sum())), layout) for m in masks
    )
    composite(planes, [Patch(box, masks, samples)], layout)
    for index, (plane, old) in enumerate(zip(planes, before, strict=True)):
        changed = np.zeros(plane.shape, bool)
        changed[plane_window(box, index, layout)] = masks[index]
        assert np.array_equal(plane[~changed], old[~changed])
        assert np.array_equal(plane[changed], samples[index])


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_colour_sample_belongs_to_the_hole_if_it_touches_it(layout: PlaneLayout) -> None:
    """One luma pixel marks exactly the colour sample that covers it, also at an odd edge."""
    mask = np.zeros((7, 9), bool)
    mask[6, 8] = True
    reduced = reduce_mask(mask, layout)
    assert reduced.shape == (-(-7 >> layout.shift_y), -(-9 >> layout.shift_x))
    assert reduced.sum() == 1
    assert reduced[6 >> layout.shift_y, 8 >> layout.shift_x]
