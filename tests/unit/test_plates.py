"""Translucent plates: the arithmetic is found from the film and undone within one level."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.ink.plate_search import find_plate
from erasecore.ink.plates import Plate, share_style, undo_plates
from erasecore.ink.transitions import Transition
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


def drawn_text(text: str, left: int, baseline: int) -> tuple[NDArray[np.bool_], Box]:
    """The letters of a line in a picture of 200 by 360, and the box a detector gives it."""
    ink = np.zeros((200, 360), np.uint8)
    cv2.putText(ink, text, (left, baseline), cv2.FONT_HERSHEY_SIMPLEX, 1.0, 255, 3)
    rows, columns = np.nonzero(ink)
    x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    return ink > 0, (int(x0) - 4, int(y0) - 6, int(x1) + 4, int(y1) + 6)


def distance_to(letters: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far each pixel is from the nearest letter."""
    return np.asarray(cv2.distanceTransform((~letters).astype(np.uint8), cv2.DIST_L2, 5))


def moment(clean: NDArray[np.float32], seen: NDArray[np.float32]) -> Transition:
    """The subtitle's appearance, each frame with a coder's noise of its own."""
    random = np.random.default_rng(11)
    without = clean + random.normal(0, 0.7, clean.shape).astype(np.float32)
    with_ink = seen + random.normal(0, 0.7, clean.shape).astype(np.float32)
    return Transition(without, with_ink)


@pytest.mark.parametrize("alpha", [0.3, 0.5, 0.75])
@pytest.mark.parametrize("ink", [(16, 128, 128), (200, 100, 140)])
def test_a_plate_is_found_with_its_opacity_colour_and_extent(
    alpha: float, ink: tuple[float, ...]
) -> None:
    """From the frames just before and after it came: opacity within 3 %, box within 2 pixels."""
    clean, box = scene(1), (30, 20, 210, 60)
    seen = under_plate(clean, alpha, ink, box)
    letters = np.full(clean.shape[1:], 50.0, np.float32)
    change = Transition(clean, seen)
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
    change = Transition(clean, seen)
    plate = find_plate([change], letters, (40, 26, 200, 54))
    assert plate is not None
    assert plate.opaque
    hidden = plate.hidden((80, 240))
    assert hidden[20:60, 30:210].all()
    assert not hidden[:14].any()


def test_a_plate_no_larger_than_its_line_as_detected_is_found() -> None:
    """The detected box reaches over the plate, and the plate's own border looks like a stroke."""
    clean = scene(6, 200, 360)
    letters, box = drawn_text("On a bar", 90, 110)
    plate_box = (box[0] + 1, box[1] + 3, box[2] - 1, box[3] - 3)
    seen = under_plate(clean, 1.0, (43, 128, 128), plate_box)
    seen[0][letters] = 230
    strokes = letters.copy()
    left, top, right, bottom = plate_box
    strokes[[top, bottom - 1], left:right] = True
    plate = find_plate([moment(clean, seen)], distance_to(strokes), box)
    assert plate is not None
    assert plate.opaque
    assert plate.offsets == pytest.approx((43, 128, 128), abs=0.5)
    assert np.abs(np.subtract(plate.box, plate_box)).max() <= 1


@pytest.mark.parametrize("alpha", [0.35, 0.5])
@pytest.mark.parametrize("times", [1, 2])
def test_where_plates_overlap_the_picture_tells_whether_both_darken_it(
    alpha: float, times: int
) -> None:
    """Some renderers draw the overlap once, some twice: either way the background comes back."""
    clean = scene(7, 200, 360)
    first, first_box = drawn_text("A longer line", 60, 90)
    second, second_box = drawn_text("under it", 100, 134)
    places = ((40, 52, 310, 106), (80, 96, 260, 148))
    unlettered = under_two(clean, alpha, places, twice=times == 2)
    seen = unlettered.copy()
    seen[0][first | second] = 230
    change = moment(clean, seen)
    plates = []
    for text_box, place in ((first_box, places[0]), (second_box, places[1])):
        plate = find_plate([change], distance_to(first | second), text_box)
        assert plate is not None
        assert plate.adds_up == (times == 2)
        if times == 2:  # else the lines' plates are one, and its parts may be told in any way
            assert np.abs(np.subtract(plate.box, place)).max() <= 1
        plates.append(plate)
    layout = LAYOUTS[1]
    stacks = tuple(as_plane(plane[None] * layout.scale, layout) for plane in unlettered)
    undo_plates(stacks, 0, plates, layout)
    borders = plates[0].hidden((200, 360)) | plates[1].hidden((200, 360))
    assert np.abs(stacks[0][0] / layout.scale - clean[0])[~borders].max() <= 1


def under_two(
    clean: NDArray[np.float32], alpha: float, places: tuple[Box, Box], *, twice: bool
) -> NDArray[np.float32]:
    """``clean`` under two black plates, drawn ``twice`` or once where they overlap."""
    ink = (16, 128, 128)
    first = under_plate(clean, alpha, ink, places[0])
    seen = under_plate(first, alpha, ink, places[1])
    if not twice:
        left, top, right, bottom = places[0]
        seen[:, top:bottom, left:right] = first[:, top:bottom, left:right]
    return seen


def test_one_plate_behind_two_lines_is_found_whole_by_both() -> None:
    """The shorter line finds the corners beside it, too."""
    clean = scene(8, 200, 360)
    first, first_box = drawn_text("Short", 130, 90)
    second, second_box = drawn_text("and a long one", 60, 134)
    place = (44, 52, 326, 156)
    seen = under_plate(clean, 0.6, (16, 128, 128), place)
    seen[0][first | second] = 230
    change = moment(clean, seen)
    for text_box in (first_box, second_box):
        plate = find_plate([change], distance_to(first | second), text_box)
        assert plate is not None
        assert np.abs(np.subtract(plate.box, place)).max() <= 1
        assert not plate.adds_up


def test_a_translucent_outline_on_a_plate_is_no_second_plate() -> None:
    """It darkens its part of the plate once more; alone, the line still has its whole plate."""
    clean = scene(10, 200, 360)
    letters, box = drawn_text("one in a row", 60, 110)
    place = (box[0] - 8, box[1] - 10, box[2] + 8, box[3] + 10)
    seen = under_plate(clean, 0.5, (16, 128, 128), place)
    halo = distance_to(letters) < 4.5
    seen[:, halo] = 0.5 * seen[:, halo] + 0.5 * np.array([[16], [128], [128]], np.float32)
    seen[0][letters] = 230
    plate = find_plate([moment(clean, seen)], distance_to(letters), box, stacked=False)
    assert plate is not None
    assert not plate.adds_up
    assert np.abs(np.subtract(plate.box, place)).max() <= 1


def test_translucent_outlines_of_two_lines_on_one_plate_are_no_second_plate() -> None:
    """The lines share one plate, and each finds all of it."""
    clean = scene(12, 200, 360)
    first, first_box = drawn_text("A longer line", 60, 90)
    second, second_box = drawn_text("under it", 100, 134)
    place = (40, 48, 310, 156)
    seen = under_plate(clean, 0.5, (16, 128, 128), place)
    halo = distance_to(first | second) < 4.0
    seen[:, halo] = 0.5 * seen[:, halo] + 0.5 * np.array([[16], [128], [128]], np.float32)
    seen[0][first | second] = 230
    for text_box in (first_box, second_box):
        plate = find_plate([moment(clean, seen)], distance_to(first | second), text_box)
        assert plate is not None
        assert not plate.adds_up
        assert np.abs(np.subtract(plate.box, place)).max() <= 1


def test_a_dark_glow_around_letters_is_no_plate() -> None:
    """It darkens everything near the letters, but by no one opacity and up to no straight edge."""
    clean = scene(9, 200, 360)
    letters, box = drawn_text("All aglow", 90, 110)
    glow = np.clip(cv2.GaussianBlur(letters.astype(np.float32), (0, 0), 7) * 1.6, 0, 0.8)
    seen = (1 - glow) * clean + glow * np.array([16, 128, 128], np.float32)[:, None, None]
    seen[0][letters] = 230
    assert find_plate([moment(clean, seen)], distance_to(letters), box) is None


def test_text_without_a_plate_has_none() -> None:
    """Only the picture's own noise lies between the letters: no plate is made up."""
    clean = scene(2)
    later = clean + np.random.default_rng(3).normal(0, 2, clean.shape).astype(np.float32)
    letters = np.full(clean.shape[1:], 50.0, np.float32)
    change = Transition(clean, later)
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
