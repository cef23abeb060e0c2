"""What a hole is filled with: a soap film in space, the motion's pixels, and a trail in time."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.engines.base import Origin
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.model.inpaint_input import InpaintInput, UnblendedPixels
from erasecore.motion.inpaint_spatial import coherence_weights, membrane
from erasecore.video.color import PlaneLayout

LAYOUT = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
HEIGHT, WIDTH, FRAMES = 80, 240, 16
HOLE = np.zeros((HEIGHT, WIDTH), bool)
for left in range(60, 180, 14):  # strokes of a line of text
    HOLE[34:50, left : left + 6] = True


def scene(seed: int) -> NDArray[np.float32]:
    """A large smooth random picture, 40 to 210."""
    noise = np.random.default_rng(seed).uniform(0, 1, (200, 500)).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), np.float32)
    low, high = float(blurred.min()), float(blurred.max())
    return np.asarray(40 + (blurred - low) * (170 / (high - low)), np.float32)


def pan(dx: float, dy: float, *, noise: float = 0.0) -> NDArray[np.uint8]:
    """Frames of a camera that moves by so many pixels a frame over a scene."""
    picture, random = scene(5), np.random.default_rng(9)
    frames = []
    for k in range(FRAMES):
        matrix = np.array([[1, 0, 120 + k * dx], [0, 1, 60 + k * dy]])
        seen = cv2.warpAffine(
            picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        )
        frames.append(seen + random.normal(0, noise, seen.shape))
    return np.clip(np.rint(np.stack(frames)), 0, 255).astype(np.uint8)


def strip_of(truth: NDArray[np.uint8], shown: slice) -> InpaintInput:
    """``truth`` with white letters in the frames ``shown``."""
    frames = truth.copy()
    mask_of = np.zeros(len(truth), np.intp)
    mask_of[shown] = 1
    for frame in frames[shown]:
        frame[HOLE] = 255
    thumbnails = np.stack([cv2.resize(f, (60, 20)).astype(np.float32) for f in truth])
    return InpaintInput(
        planes=(frames,),
        masks=np.stack([np.zeros_like(HOLE), HOLE]),
        mask_of=mask_of,
        fill_start=0,
        fill_stop=len(truth),
        cuts=(),
        thumbnails=thumbnails,
        thumbnail_scale=4.0,
        layout=LAYOUT,
    )


def filled(strip: InpaintInput) -> list[tuple[NDArray[np.float32], NDArray[np.uint8]]]:
    """Values and origins of the hole's pixels, for each frame that has a hole."""
    result = PropagateEngine().fill(strip, None, lambda _: None)
    return [
        (frame.planes[0].astype(np.float32), frame.origin)
        for frame in result.frames
        if frame.origin.size
    ]


@pytest.mark.parametrize(("dx", "dy"), [(2.0, 0.0), (0.35, 0.2), (-3.0, 1.0), (0.0, 0.0)])
def test_a_pan_is_recovered_up_to_interpolation(dx: float, dy: float) -> None:
    """What a letter hides in one frame is copied from where the camera shows it in another."""
    truth = pan(dx, dy)
    shown = slice(2, FRAMES - 2)
    fills = filled(strip_of(truth, shown))
    assert len(fills) == FRAMES - 4
    for (values, origin), frame in zip(fills, truth[shown], strict=True):
        error = np.abs(values - frame[HOLE])
        assert float(error.mean()) < 1.5
        assert float(np.percentile(error, 99)) < 6
        assert (origin == Origin.PROPAGATED).mean() > 0.95


@pytest.mark.parametrize("level", [0, 16, 128, 255])
def test_a_flat_picture_is_filled_flat(level: int) -> None:
    """Where there is nothing that a motion could be told by, nothing moves."""
    truth = np.full((FRAMES, HEIGHT, WIDTH), level, np.uint8)
    for values, _ in filled(strip_of(truth, slice(2, FRAMES - 2))):
        assert (values == level).all()


def test_a_flat_picture_before_a_textured_one() -> None:
    """A fade from black: the hole of a frame in the light is filled from frames in the light."""
    truth = pan(0.0, 0.0)
    truth[:6] = 16
    for (values, _), frame in zip(filled(strip_of(truth, slice(2, 12))), truth[2:12], strict=True):
        assert np.abs(values - frame[HOLE]).mean() < 1.5


def test_a_filled_pixel_changes_as_its_neighbours_do() -> None:
    """In a noisy pan the fill changes no more from frame to frame than the picture does."""
    truth = pan(0.7, 0.0, noise=3.0)
    shown = slice(2, FRAMES - 2)
    values = np.stack([one for one, _ in filled(strip_of(truth, shown))])
    changes = np.abs(np.diff(values, axis=0)).mean()
    own = np.abs(np.diff(truth[shown].astype(np.float32), axis=0))[:, ~HOLE].mean()
    assert changes < own


def test_a_still_fill_does_not_twinkle() -> None:
    """In a still scene with a little noise hardly a filled pixel changes from frame to frame.

    Candidates before and behind a subtitle differ by noise, and their mean crosses from one value
    to the next again and again; each pixel that followed would twinkle.
    """
    truth = pan(0.0, 0.0, noise=0.7)
    shown = slice(2, FRAMES - 2)
    values = np.stack([one for one, _ in filled(strip_of(truth, shown))])
    assert (np.diff(values, axis=0) != 0).mean() < 0.04
    assert np.abs(values - pan(0.0, 0.0)[shown][:, HOLE]).mean() < 0.8


def test_a_still_fill_follows_the_light() -> None:
    """What is held still is let go when the scene grows brighter, and never lags by much."""
    fading = np.linspace(0, 12, FRAMES).astype(np.float32)[:, None, None]
    truth = np.clip(pan(0.0, 0.0) + np.rint(fading), 0, 255).astype(np.uint8)
    shown = slice(2, FRAMES - 2)
    values = np.stack([one for one, _ in filled(strip_of(truth, shown))])
    off = (values - truth[shown][:, HOLE]).mean(axis=1)
    assert np.abs(off).max() < 1.5


def test_what_is_never_seen_is_invented_once_and_not_anew_in_each_frame() -> None:
    """Letters from the first frame to the last over a still noisy scene: the fill holds still."""
    truth = pan(0.0, 0.0, noise=4.0)
    fills = filled(strip_of(truth, slice(0, FRAMES)))
    values = np.stack([one for one, _ in fills])
    assert np.abs(np.diff(values, axis=0)).mean() < 1.0
    assert all((origin == Origin.INVENTED).all() for _, origin in fills)


@settings(max_examples=25, deadline=None)
@given(
    slope_x=st.floats(-0.8, 0.8),
    slope_y=st.floats(-0.8, 0.8),
    seed=st.integers(0, 2**31 - 1),
    size=st.tuples(st.integers(5, 70), st.integers(5, 90)),
    along=st.booleans(),
)
def test_a_film_over_a_slope_is_the_slope(
    slope_x: float, slope_y: float, seed: int, size: tuple[int, int], along: bool
) -> None:
    """A plane solves Laplace's equation: it comes back, whatever the hole's shape."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    picture = np.asarray(120 + slope_x * columns + slope_y * rows, np.float32)
    random = np.random.default_rng(seed)
    hole = random.uniform(size=size) < 0.3
    hole[[0, -1]] = hole[:, [0, -1]] = False
    spoiled = np.where(hole, np.float32(255), picture)
    film = membrane(spoiled, hole, weights=coherence_weights(spoiled, hole) if along else None)
    assert np.array_equal(film[~hole], picture[~hole])
    assert float(np.abs(film - picture).max()) < 1.0


def test_a_film_without_anything_around_it_is_finite() -> None:
    """A hole as large as the picture leaves nothing to go by, and is no reason to fail."""
    picture, hole = np.full((9, 30), 90, np.float32), np.ones((9, 30), bool)
    assert np.isfinite(membrane(picture, hole)).all()
    assert np.isfinite(membrane(picture, hole, weights=coherence_weights(picture, hole))).all()


@pytest.mark.parametrize("degrees", [0, 20, 45, 70, 90, 135])
def test_streaks_go_on_behind_a_hole(degrees: int) -> None:
    """A picture of streaks is pulled along them into the hole; a soap film would blur it."""
    random = np.random.default_rng(3)
    rows, columns = np.mgrid[0:120, 0:120].astype(np.float32)
    angle = np.deg2rad(degrees)
    across = np.asarray(columns * np.sin(angle) - rows * np.cos(angle) + 160, np.float32)
    profile = cv2.GaussianBlur(random.normal(0, 120, (1, 400)).astype(np.float32), (0, 0), 2)
    picture = cv2.remap(120 + profile, across, np.zeros_like(across), cv2.INTER_LINEAR)
    hole = np.zeros((120, 120), bool)
    hole[54:66, 54:66] = True
    spoiled = np.where(hole, np.float32(255), picture)

    def error(film: NDArray[np.float32]) -> float:
        return float(np.abs(film - picture)[hole].mean())

    along = membrane(spoiled, hole, 6, coherence_weights(spoiled, hole))
    assert error(along) < 0.85 * error(membrane(spoiled, hole, 6))


def test_what_is_seen_through_fading_ink_is_used_and_told() -> None:
    """Letters that stay for the whole film hide the scene; in a fade it shows through them."""
    truth = pan(0.0, 0.0)
    strip = strip_of(truth, slice(0, FRAMES))
    seen = UnblendedPixels((truth[3],), HOLE, error=0.5)
    fills = filled(replace(strip, seen_through={3: seen}))
    values, origin = fills[3]
    assert (origin == Origin.UNBLENDED).mean() > 0.9
    assert float(np.abs(values - truth[3][HOLE]).mean()) < 2
    assert all((one == Origin.INVENTED).all() for _, one in fills[:3])


def test_surroundings_are_believed_where_no_other_frame_shows_the_same() -> None:
    """Smooth ground whose light changes wildly: the fill is as good as a soap film over it."""
    random = np.random.default_rng(4)
    ground = [
        cv2.resize(random.uniform(60, 200, (6, 14)), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
        for _ in range(FRAMES)
    ]
    truth = np.clip(np.rint(np.stack(ground)), 0, 255).astype(np.uint8)
    strip = strip_of(truth, slice(4, 12))
    films = [membrane(frame.astype(np.float32), HOLE)[HOLE] for frame in strip.planes[0][4:12]]
    right = [frame[HOLE].astype(np.float32) for frame in truth[4:12]]
    fills = [values for values, _ in filled(strip)]
    film_error, fill_error = (np.abs(np.array(made) - right).mean() for made in (films, fills))
    assert fill_error <= film_error
