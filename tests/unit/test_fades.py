"""Fading letters are solved for: opacity and background come back, whatever moves behind."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.ink.fades import see_through
from erasecore.ink.strokes import Ink
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.video.color import PlaneLayout

GRAY = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
DEEP = PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False)
SIZE = (64, 240)
START, STOP = 4, 34  # of the event; six frames of fade on each side
FADE = 6


def opacity_at(frame: int) -> float:
    """A linear fade in and out."""
    return float(np.clip(min(frame - START + 1, STOP - frame) / (FADE + 1), 0, 1))


def letters() -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Where a line's ink is, and its levels: white letters with a black outline."""
    picture = np.zeros(SIZE, np.uint8)
    cv2.putText(picture, "Where were you?", (12, 40), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    fill = picture > 0
    ink = cv2.dilate(fill.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
    return ink, np.where(fill, np.float32(235), np.float32(20))


def film(layout: PlaneLayout) -> tuple[CropStack, list[NDArray[np.float64]], Ink]:
    """A moving scene with a line that fades in and out; the scene without it; the ink."""
    random = np.random.default_rng(11)
    wide = cv2.GaussianBlur(random.uniform(0, 255, (64, 500)).astype(np.float32), (0, 0), 4)
    wide = 120 + 4 * (wide - wide.mean())
    scene = np.clip(np.stack([wide[:, 2 * k : 2 * k + SIZE[1]] for k in range(40)]), 20, 230)
    ink, levels = letters()
    planes, truth = [], []
    for index in range(layout.planes):
        step = 2 if index and layout.shift_x else 1
        clean = np.rint(scene[:, ::step, ::step] * layout.scale)
        full = levels[::step, ::step] * layout.scale
        where = (
            ink[::step, ::step]
            if step == 1
            else cv2.resize(
                ink.astype(np.uint8), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA
            )
            > 0
        )
        shares = np.array([opacity_at(k) for k in range(40)])[:, None, None] * where
        drawn = np.rint(shares * full + (1 - shares) * clean)
        truth.append(clean)
        planes.append(drawn.astype(np.uint8 if layout.bits == 8 else np.uint16))
    box = (0, 0, SIZE[1], SIZE[0])
    crop = CropStack(0, box, tuple(planes), np.zeros((40, 8, 8), np.float32), 8.0, layout)
    event = Event(START, STOP, START + FADE, STOP - FADE, (10, 18, 230, 50), 22.0, 1.0)
    return crop, truth, Ink(event, ink, None)


@pytest.mark.parametrize("layout", [GRAY, DEEP], ids=lambda layout: layout.pix_fmt)
def test_the_background_comes_back_within_the_rounding(layout: PlaneLayout) -> None:
    """Half a level of rounding and an opacity off by a hundredth, divided by what shows through."""
    crop, truth, ink = film(layout)
    seen = see_through(crop, [ink])
    assert seen.keys() >= {START, START + 2, STOP - 1}
    for frame, solved in seen.items():
        error = np.abs(solved.planes[0].astype(float) - truth[0][frame])[ink.mask] / layout.scale
        assert float(error.mean()) < 0.6 / (1 - opacity_at(frame)) + 1.0
        assert np.array_equal(solved.planes[0][~ink.mask], crop.planes[0][frame][~ink.mask])


def test_letters_that_are_nearly_opaque_are_not_solved_for() -> None:
    """A quarter of the background, or less, is too little to go by; nor are whole letters faded."""
    crop, _, ink = film(GRAY)
    seen = see_through(crop, [ink])
    assert all(opacity_at(frame) < 0.8 for frame in seen)
    assert not seen.keys() & set(range(START + FADE, STOP - FADE))


def test_a_film_that_fades_with_its_text_is_not_seen_through() -> None:
    """Letters that become faint with the whole picture are opaque."""
    crop, _, ink = film(GRAY)
    share = np.interp(np.arange(40), [STOP - FADE - 1, STOP - 1], [1.0, 0.1])
    shown = np.where(ink.mask, letters()[1], crop.planes[0].astype(np.float32))
    luma = (16 + (shown - 16) * share[:, None, None]).astype(np.uint8)
    thumbnails = luma[:, ::8, ::8].astype(np.float32)
    faded = replace(crop, planes=(luma,), thumbnails=thumbnails)
    late = range(STOP - FADE + 2, STOP)
    assert not set(late) & set(see_through(faded, [ink]))
    still = replace(faded, thumbnails=crop.thumbnails)
    assert set(late) & set(see_through(still, [ink]))


def test_two_lines_that_fade_at_once_are_both_solved_for() -> None:
    """The second line's solution leaves the first one's as it is."""
    crop, _, ink = film(GRAY)
    halves = [ink.mask.copy(), ink.mask.copy()]
    halves[0][:, 120:] = False
    halves[1][:, :120] = False
    both = see_through(crop, [Ink(ink.event, half, None) for half in halves])
    for frame, solved in both.items():
        assert np.array_equal(solved.mask, ink.mask)
        for half in halves:
            alone = see_through(crop, [Ink(ink.event, half, None)])[frame]
            assert np.array_equal(solved.planes[0][half], alone.planes[0][half])
