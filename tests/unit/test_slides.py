"""Captions that slide in: they are found along their path, and scene text at rest is not."""

from __future__ import annotations

import math

import cv2
import numpy as np
import pytest

from erasecore.ink.strokes import Ink
from erasecore.model.events import Event, PathPoint
from tests.clips import U8, Caption, DrawnFilm, draw
from tests.detectors import find_in

SENTENCE = "Where were you?"


def _dim(film: DrawnFilm) -> U8:
    """The pictures with a scene in which nothing is as bright as text."""
    dim = np.minimum(film.clean, 170)
    alpha = film.alpha[..., None]
    return np.asarray(np.where(alpha > 0, np.maximum(film.shown * 1.0, 0), dim), np.uint8)


@pytest.mark.parametrize("slide", [(0, 14, 6), (-200, 0, 4.4), (150, 0, 4)])
@pytest.mark.parametrize("seed", [3, 8])
def test_a_caption_that_slides_in(slide: tuple[int, int, float], seed: int) -> None:
    """It is one event from its first frame on, and its place is known to a pixel in each."""
    caption = Caption(SENTENCE, 20, 60, slide=slide)
    found = find_in(_dim(draw(320, 180, 76, captions=[caption], seed=seed)))
    (event,) = found.events
    assert event.start <= 20
    assert event.stop == 60
    rests = 20 + math.ceil(slide[2])
    for frame in range(20, rests):
        pose = event.pose_at(frame)
        assert pose is not None
        assert pose[:2] == pytest.approx(caption.offset_at(frame), abs=1)
    assert all(event.pose_at(frame) is None for frame in range(rests, 60))


@pytest.mark.parametrize("slide", [(280, 0, 28), (-280, 0, 20), (0, 22, 20)])
def test_a_caption_that_slides_out_slowly(slide: tuple[int, int, float]) -> None:
    """It is followed until it has left the picture, however long after it stood."""
    caption = Caption(SENTENCE, 10, 60, slide=slide)
    film = draw(320, 180, 76, captions=[caption], seed=3)
    (event,) = find_in(_dim(film)[::-1].copy()).events
    inked = [frame for frame in range(76) if film.alpha[75 - frame].sum() > 40]
    assert event.start == 16
    assert inked[-1] <= event.stop <= inked[-1] + 9  # until its box has left
    for frame in range(68 - math.ceil(slide[2]), inked[-1]):
        there = caption.offset_at(75 - frame)
        assert (event.pose_at(frame) or (0, 0))[:2] == pytest.approx(there, abs=2)


def test_a_sign_that_the_camera_brings_to_rest() -> None:
    """What slides in with the whole scene and then stands is part of the scene, not a caption."""
    still = draw(640, 180, 1, captions=[Caption(SENTENCE, 0, 1)], pan=(0, 0))
    wide = np.where(still.alpha[0, :, :, None] > 0, still.shown[0], np.minimum(still.clean[0], 170))
    places = [160 - 20 * max(0, 12 - frame) for frame in range(60)]
    pictures = np.stack([wide[:, max(0, x) : max(0, x) + 320] for x in places]).astype(np.uint8)
    assert find_in(pictures).events == ()


def test_a_large_sign_at_which_the_camera_slows_down() -> None:
    """What creeps to its rest is compared from where it was, not from its place: it has no path."""
    sign = Caption("der Sieger", 0, 1, size_px=44, bottom_share=0.2)
    still = draw(640, 180, 1, captions=[sign], pan=(0, 0))
    wide = np.where(still.alpha[0, :, :, None] > 0, still.shown[0], np.minimum(still.clean[0], 170))
    wide = cv2.GaussianBlur(wide.astype(np.uint8), (0, 0), 2)
    places = [160 - round(0.04 * max(0, 40 - frame) ** 2) for frame in range(70)]
    found = find_in(np.stack([wide[:, x : x + 320] for x in places]).astype(np.uint8))
    assert found.events == ()
    assert all(event.path == () for event, _ in found.rejected)


def test_a_line_that_stands_has_no_path() -> None:
    """A caption that comes and goes at once has none, over a moving scene and over a still one."""
    for pan in ((2, 1), (0, 0)):
        film = draw(320, 180, 60, captions=[Caption(SENTENCE, 20, 50)], pan=pan)
        (event,) = find_in(_dim(film)).events
        assert event.path == ()
        assert (event.start, event.stop) == (20, 50)


def test_ink_moves_along() -> None:
    """The ink of a frame on the path lies where the line is there; what leaves is cut off."""
    mask = np.zeros((40, 60), bool)
    mask[20:24, 10:20] = True
    event = Event(0, 9, 2, 9, (10, 20, 20, 24), 4, 1, (PathPoint(0, -15, 5), PathPoint(1, 4, -3)))
    ink = Ink(event, mask, None)
    assert ink.mask_at(event.pose_at(5)) is mask
    moved = ink.mask_at(event.pose_at(1))
    expected = np.asarray(
        cv2.dilate(np.roll(mask, (-3, 4), (0, 1)).astype(np.uint8), np.ones((3, 3)))
    )
    assert (moved == (expected > 0)).all()
    assert np.flatnonzero(ink.mask_at(event.pose_at(0)).any(axis=0)).tolist() == list(range(6))
