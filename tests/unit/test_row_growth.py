"""A line's box is grown along its row to letters that come and go with it, and to nothing else."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from erasecore.detection.detector import Bgr, TextBox
from erasecore.detection.row_growth import extend_along_row
from tests.clips import U8, Caption, draw
from tests.detectors import BrightTextDetector, find_in


class HalfDetector:
    """Finds the left half of every line."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The lines' left halves."""
        whole = BrightTextDetector().detect(bgr)
        return [TextBox(_half(box.box_xyxy), box.score) for box in whole]


def _half(box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
    left, top, right, bottom = box
    return left, top, (left + right) / 2, bottom


def _luma(picture: U8) -> U8:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)


@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
def test_the_rest_of_a_line_is_found(pan: tuple[int, int]) -> None:
    """Half of a line is detected, and the event's box holds all of its ink."""
    film = draw(320, 180, 60, captions=[Caption("Where were you?", 10, 45)], pan=pan)
    dim = np.minimum(film.clean, 170)
    pictures = np.where(film.alpha[..., None] > 0, film.shown, dim).astype(np.uint8)
    (event,) = find_in(pictures, detector=HalfDetector()).events
    columns = np.flatnonzero((film.alpha[20] > 0.5).any(axis=0))
    assert event.box_xyxy[0] <= columns.min() + 2
    assert columns.max() - 4 <= event.box_xyxy[2] <= columns.max() + 16


def _last_frames(captions: list[Caption], seed: int = 3) -> tuple[tuple[U8, U8, U8], np.ndarray]:
    """Two frames with captions and the next one without, and the box of the first caption."""
    film = draw(480, 180, 12, captions=captions, seed=seed)
    first = draw(480, 180, 12, captions=captions[:1], seed=seed)
    rows, columns = np.nonzero(first.alpha[4] > 0.5)
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], float)
    earlier, shown, bare = (_luma(film.shown[t]) for t in (8, 9, 10))
    return (earlier, shown, bare), box


def test_a_whole_line_stays_as_it_is() -> None:
    """Where all of a line is in its box nothing is added, over a scene that moves."""
    for seed in range(6):
        frames, box = _last_frames([Caption("Where were you?", 0, 10)], seed)
        same = extend_along_row(box, frames, 16.0, vertical=False)
        assert np.abs(same - box).max() <= 8


def test_a_line_that_stays_is_not_taken_in() -> None:
    """Text beside the line that does not go with it is no part of it."""
    film = draw(480, 180, 12, captions=[Caption("Where were you?     EXIT", 0, 12)], pan=(0, 0))
    whole = _luma(film.shown[4])
    columns = np.flatnonzero((film.alpha[4] > 0.5).any(axis=0))
    rows = np.flatnonzero((film.alpha[4] > 0.5).any(axis=1))
    gap = int(columns[np.argmax(np.diff(columns))])
    bare = whole.copy()
    bare[:, : gap + 2] = _luma(film.clean[4])[:, : gap + 2]
    box = np.array([columns.min(), rows.min(), gap + 1, rows.max() + 1], float)
    earlier = _luma(film.shown[3])
    assert extend_along_row(box, (earlier, whole, bare), 16.0, vertical=False)[2] <= gap + 9


def test_upright_lines_grow_downwards() -> None:
    """The same holds for a line that is written from top to bottom."""
    frames, box = _last_frames([Caption("Where were you?", 0, 10)])
    half = np.array(_half(tuple(box)))
    upright = frames[0].T, frames[1].T, frames[2].T
    flat = extend_along_row(half, frames, 16.0, vertical=False)
    turned = extend_along_row(half[[1, 0, 3, 2]], upright, 16.0, vertical=True)
    assert flat[2] >= box[2] - 4
    assert (turned[[1, 0, 3, 2]] == flat).all()
