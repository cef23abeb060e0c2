"""The motion under a hole, from what can be seen around it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.model.inpaint_input import InpaintInput
from erasecore.motion.affine import invert_model, to_matrix, translation_model
from erasecore.motion.flow import Motion
from erasecore.video.color import PlaneLayout

LAYOUT = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
HEIGHT, WIDTH = 96, 256


def texture(seed: int) -> NDArray[np.float32]:
    """A large smooth random picture, 0 to 255."""
    noise = np.random.default_rng(seed).uniform(0, 255, (400, 700)).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 3), np.float32)
    low, high = float(blurred.min()), float(blurred.max())
    return np.asarray((blurred - low) * (255 / (high - low)), np.float32)


def view(picture: NDArray[np.float32], matrix: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What a camera sees whose pixel ``p`` shows ``picture`` at ``matrix @ p``, uint8."""
    seen = cv2.warpAffine(
        picture, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    )
    return np.clip(np.rint(seen), 0, 255).astype(np.uint8)


def strip_of(frames: list[NDArray[np.uint8]]) -> InpaintInput:
    """A strip with a hole across its middle."""
    stack = np.stack(frames)
    hole = np.zeros((2, HEIGHT, WIDTH), bool)
    hole[1, 40:56, 60:200:3] = True
    thumbnails = np.stack([cv2.resize(f, (64, 24)).astype(np.float32) for f in frames])
    return InpaintInput(
        planes=(stack,),
        masks=hole,
        mask_of=np.ones(len(frames), np.intp),
        fill_start=0,
        fill_stop=len(frames),
        cuts=(),
        thumbnails=thumbnails,
        thumbnail_scale=4.0,
        layout=LAYOUT,
    )


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (3.4, -1.3), (-11.0, 6.5), (0.25, 0.0)])
def test_a_pan_is_found_to_a_tenth_of_a_pixel(dx: float, dy: float) -> None:
    """Whole and broken numbers of pixels, far and near; stillness is exactly still."""
    picture = texture(1)
    frames = [view(picture, np.array([[1, 0, 200 - k * dx], [0, 1, 150 - k * dy]])) for k in (0, 1)]
    strip = strip_of(frames)
    flow = Motion(strip, strip.masks).flow(0, 1)
    assert flow is not None
    rows, columns = np.nonzero(strip.masks[1])
    x, y = flow.warp_points(rows, columns)
    assert np.abs(x - columns - dx).max() < 0.1
    assert np.abs(y - rows - dy).max() < 0.1
    if dx == dy == 0:
        assert np.array_equal(x, columns)


def test_a_zoom_with_rotation_is_found_and_the_way_back_too() -> None:
    """The second call starts from the inverse of the first and ends at the truth as well."""
    picture, angle = texture(2), 0.01
    turn = 1.02 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    here = np.array([[1, 0, 200.0], [0, 1, 150.0]])
    there = np.column_stack([turn, [197.0, 152.0]])
    strip = strip_of([view(picture, here), view(picture, there)])
    motion = Motion(strip, strip.masks)
    rows, columns = np.nonzero(strip.masks[1])
    points = np.stack([columns, rows, np.ones_like(rows)])
    expected = np.linalg.inv(turn) @ (here @ points - there[:, 2:])
    flow = motion.flow(0, 1)
    assert flow is not None
    assert np.abs(np.stack(flow.warp_points(rows, columns)) - expected).max() < 0.15
    back = motion.flow(1, 0)
    assert back is not None
    returned = turn @ np.stack([columns, rows]) + there[:, 2:] - here[:, 2:]
    assert np.abs(np.stack(back.warp_points(rows, columns)) - returned).max() < 0.15


def test_frames_of_two_scenes_have_no_flow() -> None:
    """Nothing may be copied between pictures that show different things."""
    here = np.array([[1.0, 0, 200], [0, 1, 150]])
    strip = strip_of([view(texture(3), here), 255 - view(texture(4), here) // 3])
    assert Motion(strip, strip.masks).flow(0, 1) is None


def test_a_model_and_its_inverse_cancel() -> None:
    """Going there and back ends where it began."""
    model = np.array([0.4, -0.2, 5.0, 0.1, 0.3, -2.0])
    size = (HEIGHT, WIDTH)
    there, back = (to_matrix(m, size, still_px=0.0) for m in (model, invert_model(model)))
    point = np.array([20.0, 70.0, 1.0])
    again = back @ np.append(there @ point, 1.0)
    assert np.allclose(again, point[:2], atol=1e-6)
    assert np.array_equal(to_matrix(translation_model(0.02, 0), size, still_px=0.03), np.eye(2, 3))
