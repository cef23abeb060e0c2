"""Plates over a scene that moves, plates that fade, and plates that are never seen to come."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.ink.plate_search import LineContext, search_plate
from erasecore.ink.plates import Plate, opacities, undo_plates
from erasecore.ink.transitions import Transition, aligned
from erasecore.model.boxes import inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.video.color import PlaneLayout, as_plane

LAYOUT = PlaneLayout("yuv444p10le", 10, 0, 0, 3, full_range=False)
BOX = (60, 40, 240, 80)
SHARES = (0.1, 0.35, 0.5, 0.8, 1, 1, 1, 1, 0.9, 0.6, 0.4, 0.2)
EVENT = Event(3, 15, 7, 11, (66.0, 46.0, 234.0, 74.0), 24.0, 1.0)


def panned(frames: int, pan: tuple[int, int], soft_px: float = 3.0) -> list[NDArray[np.float32]]:
    """A soft random scene moving by ``pan`` a frame, float32 ``(3, 120, 300)``."""
    random = np.random.default_rng(3)
    size = (3, 120 + frames * pan[1] + 8, 300 + frames * pan[0] + 8)
    scene = random.normal(0, 60 * soft_px, size)
    smooth = np.stack([cv2.GaussianBlur(plane, (0, 0), soft_px) + 120 for plane in scene])
    clipped = smooth.clip(20, 235).astype(np.float32)
    starts = [(t * pan[0], t * pan[1]) for t in range(frames)]
    return [clipped[:, y : y + 120, x : x + 300] for x, y in starts]


def under(picture: NDArray[np.float32], plate: Plate) -> NDArray[np.float32]:
    """``picture`` under a plate."""
    left, top, right, bottom = plate.box
    seen = picture.copy()
    add = np.array(plate.offsets, np.float32)[:, None, None]
    seen[:, top:bottom, left:right] = plate.scale * picture[:, top:bottom, left:right] + add
    return seen


@pytest.mark.parametrize("pan", [(0, 0), (3, 1), (9, 2)])
def test_a_change_in_a_moving_scene_is_compared_along_the_motion(pan: tuple[int, int]) -> None:
    """The picture without ink is brought to where the other one has it."""
    before, after = panned(2, pan)
    plate = Plate(0.5, (8.0, 64.0, 64.0), BOX)
    seen = under(after, plate)
    around = ~inside((50, 30, 250, 90), (120, 300))
    change = aligned(Transition(before, seen), around)
    inner = np.s_[:, 20:100, 20:280]
    assert np.abs(change.without - after)[inner].max() < 1


def test_a_bar_does_not_move_with_the_camera() -> None:
    """Under a bar that stays where it is nothing has changed, and its edge is where it was."""
    before, after = panned(2, (3, 5))
    for picture in (before, after):
        picture[:, 90:] = 16
    around = ~inside((50, 30, 250, 60), (120, 300))
    picture_box = inside((0, 0, 300, 90), (120, 300))
    change = aligned(Transition(before, after), around, picture_box)
    assert change.magnitude[90:].max() == 0
    assert change.magnitude[20:80, 20:280].max() < 1
    assert aligned(Transition(before, after), around).magnitude[80:92].max() > 20


def test_frames_that_share_nothing_are_not_shifted() -> None:
    """Two scenes: no shift explains one by the other, and none is made up."""
    one, other = panned(1, (0, 0))[0], panned(1, (0, 0))[0][:, ::-1, ::-1].copy()
    change = Transition(one, other)
    around = ~inside((50, 30, 250, 90), (120, 300))
    assert aligned(change, around).without is one


@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
def test_each_frame_of_a_fade_is_undone_with_its_own_opacity(pan: tuple[int, int]) -> None:
    """The shares come out as they were drawn; the background within one level, no bright ghost."""
    clean = panned(18, pan)
    plate = Plate(0.5, (8.0, 64.0, 64.0), BOX)
    shares = dict(enumerate(SHARES, start=3))
    seen = [
        under(picture, plate.fainter(shares[t])) if t in shares else picture
        for t, picture in enumerate(clean)
    ]
    stacked = np.stack(seen, axis=1) * LAYOUT.scale
    planes = tuple(as_plane(stack, LAYOUT) for stack in stacked)
    crop = CropStack(0, (0, 0, 300, 120), planes, np.zeros((18, 8, 8), np.float32), 1.0, LAYOUT)
    around = ~inside((50, 30, 250, 90), (120, 300))
    fading = opacities(crop, EVENT, plate, np.ones((120, 300), bool), around)
    assert sorted(fading) == [3, 4, 5, 6, 11, 12, 13, 14]
    assert fading == pytest.approx({t: shares[t] for t in fading}, abs=0.02)
    for t in range(3, 15):
        undo_plates(planes, t, [plate.fainter(fading.get(t, 1.0))], LAYOUT)
        assert np.abs(planes[0][t] / LAYOUT.scale - clean[t][0]).max() <= 1.5


def test_where_no_frame_is_without_the_plate_a_fade_is_taken_to_be_even() -> None:
    """Better than its full strength: the shares rise and fall in equal steps."""
    plate = Plate(0.5, (8.0, 64.0, 64.0), BOX)
    planes = tuple(np.full((18, 120, 300), 400, np.uint16) for _ in range(3))
    thumbnails = np.zeros((18, 8, 8), np.float32)
    crop = CropStack(3, (0, 0, 300, 120), tuple(p[:12] for p in planes), thumbnails, 1.0, LAYOUT)
    fading = opacities(crop, EVENT, plate, np.ones((120, 300), bool), np.ones((120, 300), bool))
    assert fading == pytest.approx(
        {3: 0.2, 4: 0.4, 5: 0.6, 6: 0.8, 14: 0.2, 13: 0.4, 12: 0.6, 11: 0.8}
    )


def with_text(pictures: list[NDArray[np.float32]]) -> tuple[CropStack, LineContext]:
    """The pictures with a line of white text in ``BOX``, and what the line stands on."""
    ink = np.zeros((120, 300), np.uint8)
    cv2.putText(ink, "Words of mine", (70, 68), cv2.FONT_HERSHEY_SIMPLEX, 0.7, 255, 2)
    letters = ink > 0
    shown = np.stack([picture.copy() for picture in pictures], axis=1)
    shown[0][:, letters] = 230
    planes = tuple(as_plane(stack * LAYOUT.scale, LAYOUT) for stack in shown)
    thumbnails = np.zeros((len(pictures), 8, 8), np.float32)
    crop = CropStack(0, (0, 0, 300, 120), planes, thumbnails, 1.0, LAYOUT)
    apart = np.asarray(
        cv2.distanceTransform((~letters).astype(np.uint8), cv2.DIST_L2, 5), np.float32
    )
    return crop, LineContext((64, 46, 236, 76), apart)


ALWAYS = Event(0, 18, 0, 18, (64.0, 46.0, 236.0, 76.0), 26.0, 1.0)


@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
@pytest.mark.parametrize("alpha", [0.4, 0.7])
@pytest.mark.parametrize("known", [True, False])
def test_a_plate_that_is_always_there_shows_by_its_borders(
    pan: tuple[int, int], alpha: float, *, known: bool
) -> None:
    """Just inside the picture is what is just outside, toned; with or without a style to try."""
    plate = Plate(1 - alpha, (16 * alpha, 128 * alpha, 128 * alpha), BOX)
    crop, ground = with_text([under(picture, plate) for picture in panned(18, pan, 5)])
    found = search_plate(crop, ALWAYS, [], ground, plate if known else None)
    assert found is not None
    assert found.scale == pytest.approx(plate.scale, abs=0.04)
    assert found.offsets == pytest.approx(plate.offsets, abs=6)
    assert np.abs(np.subtract(found.box, BOX)).max() <= 1


def test_an_opaque_plate_that_is_always_there_stands_still_and_flat() -> None:
    """In a picture that moves; its sides are found to the pixel."""
    plate = Plate(0.0, (43.0, 120.0, 130.0), BOX)
    crop, ground = with_text([under(picture, plate) for picture in panned(18, (2, 1))])
    found = search_plate(crop, ALWAYS, [], ground, None)
    assert found is not None
    assert found.opaque
    assert found.offsets == pytest.approx(plate.offsets, abs=0.5)
    assert np.abs(np.subtract(found.box, BOX)).max() <= 1


@pytest.mark.parametrize("soft_px", [3.0, 5.0, 12.0])
@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
def test_always_there_without_a_plate_nothing_is_made_up(
    pan: tuple[int, int], soft_px: float
) -> None:
    """Not even if the clip's other lines have a plate."""
    crop, ground = with_text(panned(18, pan, soft_px))
    assert search_plate(crop, ALWAYS, [], ground, None) is None
    style = Plate(0.5, (8.0, 64.0, 64.0), BOX)
    assert search_plate(crop, ALWAYS, [], ground, style) is None


@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
def test_a_board_in_the_scene_is_no_plate(pan: tuple[int, int]) -> None:
    """A dark band with a picture of its own, and a flat one in a scene that stands still."""
    pictures = panned(18, pan)
    for picture in pictures:
        picture[:, 40:80] = picture[:, 0:40, ::-1] * 0.4 + 10
    crop, ground = with_text(pictures)
    assert search_plate(crop, ALWAYS, [], ground, None) is None
    still = [under(picture, Plate(0.0, (43.0, 128.0, 128.0), BOX)) for picture in panned(1, (0, 0))]
    crop, ground = with_text(still * 18)
    assert search_plate(crop, ALWAYS, [], ground, None) is None
