"""Measures of the judge, on arrays whose right answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bench.wild.halves import CLIPS, TUNED_CLIPS, Half, half_of
from bench.wild.objects import (
    Glyphs,
    Verdict,
    borrowed,
    contrast_left,
    correlation,
    difference,
    distance,
    floor_levels,
    frame_state,
    glyphs,
    verdict,
)

HEIGHT, WIDTH, FLOOR = 24, 48, 8.0
Levels = NDArray[np.float32]
FOUND, LEFT, HALF = Verdict.FOUND, Verdict.LEFT, Verdict.HALF


def strokes(first: int = 4, step: int = 6) -> NDArray[np.bool_]:
    """Vertical strokes 2 px wide over the middle rows."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    for left in range(first, WIDTH - 4, step):
        mask[6:18, left : left + 2] = True
    return mask


def text(mask: NDArray[np.bool_], level: float = 120.0) -> Levels:
    """Contrast of a text of one luma level, without colour, ``(H, W, 3)``."""
    contrast = np.zeros((HEIGHT, WIDTH, 3), np.float32)
    contrast[mask, 0] = level
    return contrast


@pytest.mark.parametrize(
    ("share", "state"),
    [
        (0.0, FOUND),  # gone
        (0.15, FOUND),  # a faint ghost
        (0.3, HALF),
        (-0.3, HALF),  # a dark ghost of bright letters
        (0.8, LEFT),
        (1.0, LEFT),  # not touched
    ],
)
def test_state_follows_the_contrast_left(share: float, state: Verdict) -> None:
    """A text is gone under a fifth of its contrast, and left with most of it."""
    mask = strokes()
    assert frame_state(share * text(mask), text(mask), mask, FLOOR) is state


def test_a_tenth_of_the_pixels_may_be_left() -> None:
    """Of seven separate strokes none may be left whole; a corner of one may."""
    mask = strokes()
    residual = text(mask)
    residual[:, 10:] = 0
    assert frame_state(residual, text(mask), mask, FLOOR) is HALF
    residual[9:] = 0
    assert frame_state(residual, text(mask), mask, FLOOR) is FOUND


def test_a_fill_of_other_grain_is_no_text() -> None:
    """Noise of 15 levels below a text of 120 is a poor fill, not a text left."""
    mask = strokes()
    noise = np.random.default_rng(1).normal(0, 15, (HEIGHT, WIDTH, 3)).astype(np.float32)
    assert frame_state(noise, text(mask), mask, FLOOR) is FOUND


def test_a_text_below_the_floor_has_no_state() -> None:
    """The first frame of a fade is not judged, nor is an empty mask."""
    mask = strokes()
    assert frame_state(text(mask, 5), text(mask, 5), mask, FLOOR) is None
    assert frame_state(text(mask), text(mask), np.zeros_like(mask), FLOOR) is None


def test_contrast_left_is_a_regression() -> None:
    """A residual of 30 % of the text gives 0.3 on every pixel of it, colour or not."""
    mask = strokes()
    contrast = text(mask)
    contrast[mask, 1] = -60
    assert contrast_left(0.3 * contrast, contrast)[mask] == pytest.approx(0.3, abs=1e-4)


@pytest.mark.parametrize(
    ("states", "expected"),
    [
        ([FOUND] * 20, FOUND),
        ([FOUND] * 19 + [LEFT], FOUND),  # 95 %
        ([FOUND] * 18 + [LEFT] * 2, HALF),
        ([LEFT] * 20, LEFT),
        ([LEFT] * 10 + [FOUND] * 10, HALF),
        ([HALF] * 20, HALF),
        ([], FOUND),  # never visible
    ],
)
def test_verdict_on_a_life(states: list[Verdict], expected: Verdict) -> None:
    """One frame in twenty may differ."""
    assert verdict(states) is expected


def test_difference_doubles_the_colours() -> None:
    """Colour planes have half the size; the distance is over all three planes."""
    one = np.full((HEIGHT * 3 // 2, WIDTH), 100, np.uint8)
    other = one.copy()
    one[:HEIGHT] += 3
    other[HEIGHT:] += 4  # both colour planes
    change = difference(one, other)
    assert change.shape == (HEIGHT, WIDTH, 3)
    assert distance(change) == pytest.approx(np.sqrt(9 + 16 + 16))


def test_floor_grows_with_the_coding_noise() -> None:
    """A clean encode has the fixed floor, a bad one twice its noise."""
    assert floor_levels(1.0) == 8.0
    assert floor_levels(7.0) == 14.0


def other_glyphs() -> Glyphs:
    """Glyphs of a caption with strokes 3 px further right, at the same place."""
    mask = strokes(7)
    return Glyphs(0, 0, text(mask)[..., 0])


def test_letters_of_another_caption_are_seen() -> None:
    """The hole of one caption filled with the letters of another one is found."""
    own, place = text(strokes())[..., 0], np.ones((HEIGHT, WIDTH), bool)
    assert borrowed(text(strokes(7))[..., 0], own, place, other_glyphs())


def test_a_caption_that_is_left_has_no_other_letters() -> None:
    """The caption on screen is no foreign text, whole or in part, nor is an empty place."""
    own, place = text(strokes())[..., 0], np.ones((HEIGHT, WIDTH), bool)
    for share in (1.0, 0.4, 0.0):
        assert not borrowed(share * own, own, place, other_glyphs())


def test_the_same_words_again_are_not_foreign() -> None:
    """A caption left whole looks like its own repetition later; it is only left."""
    own, place = text(strokes(7))[..., 0], np.ones((HEIGHT, WIDTH), bool)
    assert not borrowed(own, own, place, other_glyphs())


def test_letters_count_only_where_something_was_changed() -> None:
    """A picture that was not changed there cannot have borrowed anything."""
    own, nowhere = np.zeros((HEIGHT, WIDTH), np.float32), np.zeros((HEIGHT, WIDTH), bool)
    assert not borrowed(text(strokes(7))[..., 0], own, nowhere, other_glyphs())


def test_faint_letters_are_not_counted() -> None:
    """A residue of 5 levels is seen by nobody."""
    own, place = np.zeros((HEIGHT, WIDTH), np.float32), np.ones((HEIGHT, WIDTH), bool)
    assert not borrowed(text(strokes(7), 5)[..., 0], own, place, other_glyphs())


def test_glyphs_are_cut_to_their_box() -> None:
    """Glyphs carry signed contrast and their corner; a few pixels are none."""
    clean = np.full((HEIGHT, WIDTH), 200, np.uint8)
    source, mask = clean.copy(), strokes()
    source[mask] = 50
    found = glyphs(source, clean, mask)
    assert found is not None
    assert (found.left, found.top) == (4, 6)
    assert found.contrast.min() == -150
    assert found.contrast.shape == mask[found.where].shape
    assert glyphs(source, clean, np.eye(HEIGHT, WIDTH, dtype=bool)) is None


def test_correlation_at_its_ends() -> None:
    """1 for a copy, -1 for the negative, 0 beside a constant."""
    ramp = np.arange(10, dtype=np.float32)
    assert correlation(ramp, 3 * ramp + 5) == pytest.approx(1)
    assert correlation(ramp, -ramp) == pytest.approx(-1)
    assert correlation(ramp, np.ones(10, np.float32)) == 0


def test_a_film_is_held_only_as_a_whole() -> None:
    """A montage with one clip of the tuned half belongs to it."""
    held = [clip for clip in CLIPS if clip not in TUNED_CLIPS]
    assert half_of(held) is Half.HELD
    assert half_of([*held, "de_ex1"]) is Half.TUNED
