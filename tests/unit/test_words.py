"""Word-by-word captions: brief words at one place, and words that pop in."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from erasecore.detection.detector import Bgr, TextBox
from erasecore.ink.strokes import Ink
from erasecore.model.events import Event, PathPoint
from tests.clips import U8, Caption, DrawnFilm, draw
from tests.detectors import BrightTextDetector, find_in, spans

WORDS = ("When", "you never", "stop", "driving", "on the", "snow", "you", "crash")


def _dim(film: DrawnFilm) -> U8:
    """The pictures with a scene in which nothing is as bright as text."""
    dim = np.minimum(film.clean, 170)
    alpha = film.alpha[..., None]
    return np.asarray(np.where(alpha > 0, np.maximum(film.shown * 1.0, 0), dim), np.uint8)


def _words(frames: int, *, pop: tuple[float, ...] = ()) -> list[Caption]:
    """Words that follow one another at once, each for so many frames."""
    starts = [6 + k * frames for k in range(len(WORDS))]
    return [
        Caption(word, at, at + frames, size_px=20, pop=pop)
        for at, word in zip(starts, WORDS, strict=True)
    ]


@pytest.mark.parametrize("frames", [3, 4, 7])
@pytest.mark.parametrize("pan", [(2, 1), (0, 0)])
def test_words_of_a_tenth_of_a_second(frames: int, pan: tuple[int, int]) -> None:
    """Each is an event of its own, exact to the frame, though samples are 6 frames apart."""
    words = _words(frames)
    film = draw(320, 180, words[-1].stop + 12, captions=words, pan=pan)
    found = spans(find_in(_dim(film)))
    assert found == [(word.start, word.stop) for word in words]


def test_words_that_pop_in() -> None:
    """The frames in which a word grows and overshoots belong to it, and its size is known there."""
    words = _words(7, pop=(0.7, 1.12))
    film = draw(320, 180, words[-1].stop + 12, captions=words)
    events = find_in(_dim(film)).events
    assert [(event.start, event.stop) for event in events] == [(w.start, w.stop) for w in words]
    for event, word in zip(events, words, strict=True):
        poses = [event.pose_at(frame) for frame in range(word.start, word.start + 2)]
        assert [pose.scale if pose else 1.0 for pose in poses] == pytest.approx(word.pop, abs=0.04)
        assert all(event.pose_at(frame) is None for frame in range(word.start + 2, word.stop))


def test_a_single_brief_text_is_left() -> None:
    """A glint of a tenth of a second without others of its kind is no caption."""
    film = draw(320, 180, 60, captions=[Caption("Hello there", 30, 33)])
    assert find_in(_dim(film)).events == ()


def test_signs_that_pass_are_not_words() -> None:
    """Signs of one size in the same rows that move through the picture are part of the scene."""
    still = draw(1400, 180, 1, captions=[Caption("In   Out   Hotel   Bar   Zoo   Taxi", 0, 1)])
    wide = np.where(still.alpha[0, :, :, None] > 0, still.shown[0], np.minimum(still.clean[0], 170))
    pictures = np.stack([wide[:, 12 * k : 12 * k + 320] for k in range(80)]).astype(np.uint8)
    assert find_in(pictures).events == ()


class _Counting(BrightTextDetector):
    """Counts how many pictures were searched."""

    def __init__(self) -> None:
        self.searched = 0

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """As the base does."""
        self.searched += 1
        return super().detect(bgr)


def test_ordinary_lines_are_not_searched_densely() -> None:
    """Lines of two seconds cost no more pictures than the samples do."""
    lines = [Caption(word, 6 + 50 * k, 52 + 50 * k, size_px=20) for k, word in enumerate(WORDS[:4])]
    film, detector = _dim(draw(320, 180, 220, captions=lines)), _Counting()
    assert len(find_in(film, detector=detector).events) == 4
    assert detector.searched <= 2 * 220 / 6


def test_ink_grows_along() -> None:
    """The ink of a frame in which the line is larger is larger about the middle of its box."""
    mask = np.zeros((60, 80), bool)
    mask[25:35, 30:50] = True
    event = Event(0, 9, 1, 9, (130, 225, 150, 235), 10, 1, (PathPoint(0, 0, 0, 1.5),))
    grown = Ink(event, mask, None, origin=(100, 200)).mask_at(event.pose_at(0))
    rows, columns = np.nonzero(grown)
    box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert box == pytest.approx([24, 21, 56, 39], abs=2)
    assert event.swept_xyxy == pytest.approx((125, 222.5, 155, 237.5))
    assert np.asarray(cv2.erode(grown.astype(np.uint8), np.ones((3, 3)))).sum() > 1.9 * mask.sum()
