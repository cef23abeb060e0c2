"""Cuts are found where they are, and nowhere else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.detection.shots import ShotFinder
from tests.clips import Caption, draw

Pictures = NDArray[np.uint8]


def _cuts(pictures: Pictures) -> tuple[int, ...]:
    finder = ShotFinder()
    for picture in pictures:
        finder.add(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8))
    return finder.finish()


@settings(max_examples=12, deadline=None)
@given(st.integers(3, 20), st.integers(8, 20), st.integers(0, 50))
def test_cuts_are_exact(first: int, length: int, seed: int) -> None:
    """Each cut is the index of the first frame after it."""
    second = first + length
    film = draw(96, 64, second + 6, cuts=[first, second], seed=seed)
    assert _cuts(film.clean) == (first, second)


@pytest.mark.parametrize("pan", [(0, 0), (1, 0), (5, 3), (16, 4)])
def test_camera_motion_is_no_cut(pan: tuple[int, int]) -> None:
    """A still camera, a slow pan and a fast one have no cuts."""
    assert _cuts(draw(128, 72, 24, pan=pan).clean) == ()


@pytest.mark.parametrize("length", [1, 2, 3])
def test_flash_is_no_cut(length: int) -> None:
    """A flash of a few white frames has no cut at its begin or its end."""
    pictures = draw(96, 64, 20).clean.copy()
    pictures[9 : 9 + length] = 250
    assert _cuts(pictures) == ()


def test_subtitle_is_no_cut() -> None:
    """A large subtitle that comes and goes has no cuts."""
    caption = Caption("A LARGE SUBTITLE", 8, 20, size_px=40, plate_alpha=0.8)
    assert _cuts(draw(320, 180, 28, captions=[caption]).shown) == ()


def test_short_films() -> None:
    """No frame and one frame have no cuts; of two different ones the second is one."""
    assert ShotFinder().finish() == ()
    assert _cuts(np.full((1, 8, 8, 3), 30, np.uint8)) == ()
    assert _cuts(draw(96, 64, 2, cuts=[1]).clean) == (1,)
