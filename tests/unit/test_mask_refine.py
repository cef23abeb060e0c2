"""Stroke masks lose what is plainly picture at their borders, and nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.ink.stroke_mask import MaskGrowthTuning, grow_mask, trim_mask
from erasecore.ink.transitions import InkStatistics, Transition

SIZE = (60, 200)
LETTERS = np.zeros(SIZE, bool)
LETTERS[24:36, 40:160:12] = LETTERS[24:36, 41:161:12] = LETTERS[24:36, 42:162:12] = True
FREE = np.ones(SIZE, bool)
FREE[16:44, 30:170] = False


def wide(px: int) -> NDArray[np.bool_]:
    """The letters grown by so many pixels on each side."""
    return cv2.dilate(LETTERS.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=px) > 0


def scene(frames: int, *, pan_px: float, noise: float) -> NDArray[np.float32]:
    """A random picture that moves to the left."""
    random = np.random.default_rng(3)
    picture = cv2.GaussianBlur(random.uniform(0, 255, (60, 700)).astype(np.float32), (0, 0), 3)
    picture = np.asarray(128 + 3 * (picture - 128), np.float32)
    starts = [round(k * pan_px) for k in range(frames)]
    seen = np.stack([picture[:, start : start + SIZE[1]] for start in starts])
    return np.asarray(seen + random.normal(0, noise, seen.shape), np.float32)


def drawn(frames: NDArray[np.float32], ink: NDArray[np.bool_]) -> NDArray[np.float32]:
    """White letters with everything else of ``ink`` as their black outline."""
    seen = frames.copy()
    seen[:, ink] = 10
    seen[:, LETTERS] = 240
    return seen


@pytest.mark.parametrize("outline_px", [1, 2])
def test_in_a_still_scene_the_mask_shrinks_to_what_has_changed(outline_px: int) -> None:
    """Nothing of the ink is lost; of what is too much next to nothing stays."""
    frames = scene(12, pan_px=0, noise=0.7)
    ink = wide(outline_px)
    seen = drawn(frames, ink)
    moment = Transition(frames[:1], seen[:1])
    mask = trim_mask(wide(outline_px + 2), LETTERS, InkStatistics(seen[1:], [moment], FREE))
    assert not (ink & ~mask).sum() > 0.02 * ink.sum()  # picture as dark as the outline stays
    assert (mask & ~ink).sum() < 0.1 * ink.sum()


def test_an_outline_that_goes_in_the_dark_is_kept() -> None:
    """A scene that has faded to the outline's black when the text goes hides that it goes."""
    frames = scene(12, pan_px=0, noise=0.7)
    ink = wide(2)
    dark = np.random.default_rng(7).normal(10, 0.7, (1, *SIZE)).astype(np.float32)
    seen = drawn(frames, ink)
    transitions = [Transition(frames[:1], seen[:1]), Transition(dark, drawn(dark, ink))]
    mask = trim_mask(wide(4), LETTERS, InkStatistics(seen[1:], transitions, FREE))
    assert not (ink & ~mask).sum() > 0.02 * ink.sum()
    assert (mask & ~ink).sum() < 0.2 * ink.sum()


def test_in_a_moving_scene_the_mask_shrinks_to_what_keeps_still() -> None:
    """Without any moment at which the text alone came or went, life tells picture from ink."""
    frames = scene(40, pan_px=2, noise=0.7)
    ink = wide(1)
    mask = trim_mask(wide(3), LETTERS, InkStatistics(drawn(frames, ink), [], FREE))
    assert not (ink & ~mask).any()
    assert (mask & ~ink).sum() < 0.6 * (wide(3) & ~ink).sum()


def test_in_a_moving_scene_a_shadow_to_one_side_is_found() -> None:
    """A shadow that lets a quarter of the picture through, below and to the right, is ink."""
    frames = scene(40, pan_px=2, noise=0.7)
    shadow = np.roll(wide(1), (4, 4), (0, 1)) & ~LETTERS
    seen = drawn(frames, LETTERS)
    seen[:, shadow] = 0.75 * 16 + 0.25 * seen[:, shadow]
    apart = cv2.distanceTransform((~LETTERS).astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.asarray(apart, np.float32)
    stats = InkStatistics(seen, [], FREE)
    mask = trim_mask(grow_mask(distance, [], stats, 28), LETTERS, stats)
    assert (shadow & ~mask).sum() < 0.03 * shadow.sum()


def test_a_soft_glow_is_found_as_far_as_it_shows() -> None:
    """A glow around the letters, fainter with each pixel, is ink down to a few levels."""
    frames = scene(12, pan_px=0, noise=0.7)
    apart = cv2.distanceTransform((~LETTERS).astype(np.uint8), cv2.DIST_L2, 5)
    distance = np.asarray(apart, np.float32)
    glow = np.asarray(0.47 * np.exp(-((distance / 8) ** 2)), np.float32)
    seen = np.asarray(frames + glow * (255 - frames), np.float32)
    seen[:, LETTERS] = 240
    stats = InkStatistics(seen[1:], [Transition(frames[:1], seen[:1])], FREE & (distance > 24))
    mask = trim_mask(grow_mask(distance, stats.transitions, stats, 28), LETTERS, stats)
    left = np.abs(seen - frames).mean(axis=0)[~mask]
    assert float(left.max()) < 12
    assert not mask[distance > 21].any()


def test_growth_is_steered_by_the_tuning_passed_in() -> None:
    """A shadow of four pixels is found whole with as many layers, and in part with one."""
    frames = scene(40, pan_px=2, noise=0.7)
    shadow = np.roll(wide(1), (4, 4), (0, 1)) & ~LETTERS
    seen = drawn(frames, LETTERS)
    seen[:, shadow] = 0.75 * 16 + 0.25 * seen[:, shadow]
    apart = cv2.distanceTransform((~LETTERS).astype(np.uint8), cv2.DIST_L2, 5)
    stats = InkStatistics(seen, [], FREE)
    missed = []
    for layers in (1, 4):
        tuning = MaskGrowthTuning(shadow_layers=layers)
        mask = grow_mask(np.asarray(apart, np.float32), [], stats, 28, tuning=tuning)
        missed.append(int((shadow & ~mask).sum()))
    assert missed[0] > missed[1]


def test_a_text_that_follows_at_once_does_not_widen_the_mask() -> None:
    """All around the letters the picture changes, since other text comes: that is not their ink."""
    frames = scene(12, pan_px=0, noise=0.7)
    random = np.random.default_rng(5)
    others = cv2.blur(random.uniform(0, 255, SIZE).astype(np.float32), (3, 3)) > 125
    seen, next_ones = drawn(frames, wide(1)), frames.copy()
    next_ones[:, others & ~FREE] = 240
    apart = cv2.distanceTransform((~LETTERS).astype(np.uint8), cv2.DIST_L2, 5)
    moment = Transition(next_ones[:1], seen[:1])
    mask = grow_mask(np.asarray(apart, np.float32), [moment], InkStatistics(seen, [], FREE), 28)
    assert not (wide(1) & ~mask).any()
    assert not (mask & ~wide(5)).any()


def test_where_nothing_tells_the_mask_stays() -> None:
    """A still scene in which the text never comes or goes gives no reason to trust the picture."""
    frames = scene(12, pan_px=0, noise=0.7)
    mask = trim_mask(wide(3), LETTERS, InkStatistics(drawn(frames, wide(1)), [], FREE))
    assert np.array_equal(mask, wide(3))


def test_letters_that_came_on_snow_stay_where_the_scene_moves_on() -> None:
    """White letters over white snow: no change is seen as they come; later they stand still."""
    frames = scene(40, pan_px=2, noise=0.7)
    frames[0] = 240
    seen = drawn(frames, LETTERS)
    moment = Transition(frames[:1], seen[:1])
    mask = trim_mask(wide(2), LETTERS, InkStatistics(seen, [moment], FREE))
    assert not (LETTERS & ~mask).any()


@pytest.mark.parametrize("transitions", [0, 1])
def test_a_bright_gap_between_outlines_is_no_letter(transitions: int) -> None:
    """What lies between two letters' dark outlines looks like a stroke, and lives or never came."""
    frames = scene(40, pan_px=2 if transitions == 0 else 0, noise=0.7)
    ink = wide(1)
    gaps = wide(3) & ~ink
    gaps[:, 100:] = False
    seen = drawn(frames, ink)
    ends = [Transition(frames[:1], seen[:1])][:transitions]
    mask = trim_mask(wide(3), LETTERS | gaps, InkStatistics(seen, ends, FREE))
    assert (ink & ~mask).sum() < 0.02 * ink.sum()
    assert (mask & gaps).sum() < 0.5 * gaps.sum()


def test_a_stroke_that_never_changed_is_no_letter() -> None:
    """An edge of the scene between two letters was taken for a third: it was there before."""
    frames = scene(12, pan_px=0, noise=0.7)
    edge = np.zeros(SIZE, bool)
    edge[28:32, 43:51] = True
    seen, ink = drawn(frames, wide(1)), wide(1)
    seen[:, edge & ~ink] = frames[:, edge & ~ink]
    ends = [Transition(frames[k][None], seen[k][None]) for k in (0, -1)]
    mask = trim_mask(wide(2) | edge, LETTERS | edge, InkStatistics(seen, ends, FREE))
    assert not (mask & edge & ~wide(2)).any()
    assert (mask & ink).sum() > 0.98 * ink.sum()


def test_letters_that_came_and_went_on_snow_stay_where_the_scene_moves() -> None:
    """No change at either end, but in between they stood still, and the picture did not."""
    frames = scene(40, pan_px=2, noise=0.7)
    frames[0], frames[-1] = 240, 240
    seen = drawn(frames, LETTERS)
    ends = [Transition(frames[k][None], seen[k][None]) for k in (0, -1)]
    mask = trim_mask(wide(2), LETTERS, InkStatistics(seen, ends, FREE))
    assert not (LETTERS & ~mask).any()
