"""Translucent plates: the arithmetic is found from the film and undone within one level."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.ink.plates import Change, Plate, find_plate, share_style, undo_plates
from erasecore.video.color import Box, PlaneLayout, as_plane

LAYOUTS = (
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv444p10le", 10, 0, 0, 3, full_range=False),
)


def scene(seed: int, height: int = 80, width: int = 240) -> NDArray[np.float32]:
    """A smooth random picture with texture, all planes at luma size, 8-bit levels."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(60, 200, (3, 5, 9))
    rows, columns = np.linspace(0, 4, height), np.linspace(0, 8, width)
    r, c = rows.astype(int).clip(0, 3), columns.astype(int).clip(0, 7)
    smooth = coarse[:, r][:, :, c]
    return (smooth + random.normal(0, 6, (3, height, width))).clip(20, 230).astype(np.float32)


def under_plate(
    picture: NDArray[np.float32], alpha: float, ink: tuple[float, ...], box: Box
) -> NDArray[np.float32]:
    """``picture`` with a plate over ``box``."""
    left, top, right, bottom = box
    seen = picture.copy()
    for plane, colour in enumerate(ink):
        window = seen[plane, top:bottom, left:right]
        window[:] = (1 - alpha) * window + alpha * colour
    return seen


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("ink", [(16, 128, 128), (200, 100, 140)])
def test_a_plate_is_found_with_its_opacity_colour_and_extent(
    alpha: float, ink: tuple[float, ...]
) -> None:
    """From the frames just before and after it came: opacity within 3 %, box within 2 pixels."""
    clean, box = scene(1), (30, 20, 210, 60)
    seen = under_plate(clean, alpha, ink, box)
    letters = np.full(clean.shape[1:], 50.0, np.float32)
    change = Change(clean, seen, np.abs(seen - clean).max(axis=0))
    plate = find_plate([change], letters, (40, 26, 200, 54))
    assert plate is not None
    assert plate.scale == pytest.approx(1 - alpha, abs=0.03)
    assert plate.offsets[0] == pytest.approx(alpha * ink[0], abs=4)
    assert np.abs(np.subtract(plate.box, box)).max() <= 2


def test_an_opaque_plate_hides_all_that_is_under_it() -> None:
    """Nothing shows through, so nothing is solved for: the whole box counts as hidden."""
    clean, box = scene(4), (30, 20, 210, 60)
    seen = under_plate(clean, 1.0, (20, 128, 128), box)
    letters = np.full((80, 240), 50.0, np.float32)
    change = Change(clean, seen, np.abs(seen - clean).max(axis=0))
    plate = find_plate([change], letters, (40, 26, 200, 54))
    assert plate is not None
    assert plate.opaque
    hidden = plate.hidden((80, 240))
    assert hidden[20:60, 30:210].all()
    assert not hidden[:14].any()


def test_text_without_a_plate_has_none() -> None:
    """Only the picture's own noise lies between the letters: no plate is made up."""
    clean = scene(2)
    later = clean + np.random.default_rng(3).normal(0, 2, clean.shape).astype(np.float32)
    letters = np.full(clean.shape[1:], 50.0, np.float32)
    change = Change(clean, later, np.abs(later - clean).max(axis=0))
    assert find_plate([change], letters, (40, 26, 200, 54)) is None


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.pix_fmt)
def test_undoing_a_plate_gives_the_background_back(layout: PlaneLayout) -> None:
    """Within one level of 8 bits where the plate lets half of it through; nothing else changes."""
    height, width = 40, 60
    random = np.random.default_rng(5)
    sizes = [layout.plane_size(k, width, height) for k in range(3)]
    clean = [random.uniform(30, 220, size) for size in sizes]
    plate = Plate(0.5, (8.0, 64.0, 64.0), (10, 8, 50, 32))
    stacks = []
    for index, plane in enumerate(clean):
        seen = plane.copy()
        x, y = (layout.shift_x, layout.shift_y) if index else (0, 0)
        window = np.s_[8 >> y : 32 >> y, 10 >> x : 50 >> x]
        seen[window] = plate.scale * seen[window] + plate.offsets[index]
        stacks.append(as_plane(seen[None] * layout.scale, layout))
    before = [stack.copy() for stack in stacks]
    done = undo_plates(tuple(stacks), 0, [plate, plate], layout)
    assert done.sum() == 40 * 24
    for index, (stack, plane, old) in enumerate(zip(stacks, clean, before, strict=True)):
        x, y = (layout.shift_x, layout.shift_y) if index else (0, 0)
        inside = np.zeros(plane.shape, bool)
        inside[8 >> y : 32 >> y, 10 >> x : 50 >> x] = True
        assert np.abs(stack[0] / layout.scale - plane)[inside].max() <= 1.01
        assert np.array_equal(stack[0][~inside], old[0][~inside])


def test_plates_of_one_clip_share_their_median_style() -> None:
    """One odd estimate does not spoil the others."""
    plates = [Plate(s, (s, 64.0, 64.0), (0, 0, 9, 9)) for s in (0.48, 0.5, 0.9)]
    style = share_style(plates)
    assert style is not None
    assert style.scale == 0.5
    assert share_style([]) is None
