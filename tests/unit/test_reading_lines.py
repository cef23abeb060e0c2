"""How a line is looked at: which pixels, which way round, how often, and which reading counts."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.detection.detector import Bgr
from erasecore.detection.recognizer import RapidOcrRecognizer
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import NO_READING, Event, Reading
from erasecore.text.ocr import most_agreed, read_event
from tests.clips import Caption, draw
from tests.detectors import GRAY

WORDS = "Where were you, Tom?"
NARROW = "All the little hills"
FULL_START, FULL_STOP = 12, 28


class Counting:
    """The real recogniser, its calls and what it was shown kept."""

    def __init__(self) -> None:
        self._recognizer = RapidOcrRecognizer(threads=1)
        self.shown: list[Bgr] = []

    def read(self, line: Bgr) -> Reading:
        """What the real one reads."""
        self.shown.append(line)
        return self._recognizer.read(line)


@pytest.fixture
def recognizer() -> Counting:
    """Fresh, so that calls can be counted."""
    return Counting()


def film(words: str = WORDS, *, turned: bool = False) -> tuple[CropStack, Event]:
    """A drawn film as a cutout, and its one line; ``turned`` by a quarter to the right."""
    captions = [Caption(words, 10, 30, size_px=24)]
    drawn = draw(480, 270, 40, captions=captions, pan=(3, 2))
    luma = np.stack([cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in drawn.shown])
    rows, columns = np.nonzero(drawn.alpha.max(axis=0) > 0.5)
    box = columns.min() - 4.0, rows.min() - 4.0, columns.max() + 5.0, rows.max() + 5.0
    if turned:
        luma = np.ascontiguousarray(np.rot90(luma, -1, axes=(1, 2)))
        box = 270 - box[3], box[0], 270 - box[1], box[2]
    return crop(luma.astype(np.uint8)), event(box)


def crop(luma: NDArray[np.uint8]) -> CropStack:
    """Whole grey pictures, film frames 100 and on."""
    height, width = luma.shape[1:]
    thumbnails = np.zeros((len(luma), 8, 8), np.float32)
    return CropStack(100, (0, 0, width, height), (luma,), thumbnails, 1.0, GRAY)


def event(box: tuple[float, float, float, float]) -> Event:
    """The caption as detection reports it."""
    return Event(110, 130, 100 + FULL_START, 100 + FULL_STOP, box, 23.0, 0.9)


ALL = range(100, 140)


@pytest.mark.parametrize("turned", [False, True])
def test_a_plain_line_is_read_once(recognizer: Counting, turned: bool) -> None:
    """Clear letters need one look; a line that runs downwards is turned first."""
    pixels, line = film(turned=turned)
    before = pixels.planes[0].copy()
    assert read_event(pixels, line, ALL, recognizer).text == WORDS
    assert len(recognizer.shown) == 1
    assert np.array_equal(pixels.planes[0], before)


def test_the_scene_is_blurred_away(recognizer: Counting) -> None:
    """What is read first is the median: where the scene changes it is calmer than any frame."""
    pixels, line = film()
    above = pixels.planes[0][:, int(line.box_xyxy[1]) :][:, :3]
    above[:] = np.random.default_rng(1).integers(0, 255, above.shape)
    read_event(pixels, line, ALL, recognizer)
    read_event(pixels, line, range(120, 121), recognizer)
    several, one = (float(picture[:2].std()) for picture in recognizer.shown)
    assert several < 0.6 * one


def test_a_box_that_is_too_high(recognizer: Counting) -> None:
    """The rows with letters are found in a box of twice their height."""
    pixels, line = film()
    left, top, right, bottom = line.box_xyxy
    high = event((left, top - 24.0, right, bottom + 8.0))
    assert read_event(pixels, high, ALL, recognizer).text == WORDS
    assert recognizer.shown[0].shape[0] < 40


def test_only_frames_with_full_ink_are_looked_at(recognizer: Counting) -> None:
    """Where a clip shows only the fade of a line, nothing is read."""
    pixels, line = film()
    assert read_event(pixels, line, range(100, 112), recognizer) == NO_READING
    assert read_event(pixels, line, range(128, 140), recognizer) == NO_READING
    assert recognizer.shown == []
    assert read_event(pixels, line, range(100, 113), recognizer).text == WORDS


def test_an_unsure_line_is_looked_at_again(recognizer: Counting) -> None:
    """Narrow letters that are not all certain are read in other ways, too."""
    pixels, line = film(NARROW)
    assert read_event(pixels, line, ALL, recognizer).text == NARROW
    assert len(recognizer.shown) > 1
    assert len({picture.shape for picture in recognizer.shown}) == len(recognizer.shown)


@pytest.mark.parametrize(("turned", "times"), [(False, 1.5), (True, 1 / 1.5)])
def test_pixels_that_are_not_square(recognizer: Counting, turned: bool, times: float) -> None:
    """The line is read in the shape in which it is shown, not in the one in which it is stored."""
    pixels, line = film(turned=turned)
    read_event(pixels, line, ALL, recognizer)
    read_event(pixels, line, ALL, recognizer, pixel_aspect=1.5)
    square, wide = recognizer.shown[0].shape, recognizer.shown[1].shape
    assert wide[0] == square[0]
    assert wide[1] == pytest.approx(times * square[1], abs=1)


def reading(text: str, score: float) -> Reading:
    """A reading with nothing special but its words."""
    return Reading(text, score, 0.5, 1.0)


@pytest.mark.parametrize(
    ("readings", "text"),
    [
        ([], ""),
        ([("One", 0.9)], "One"),
        ([("One", 0.6), ("Only", 0.9), ("One", 0.7)], "One"),  # two agree
        ([("One", 0.3), ("Only", 0.9), ("One", 0.4)], "Only"),  # but hardly
        ([("One", 0.8), ("Only", 0.9), ("On", 0.7)], "Only"),  # nobody agrees: the surest
    ],
)
def test_most_agreed(readings: list[tuple[str, float]], text: str) -> None:
    """Votes weigh as much as their scores."""
    assert most_agreed([reading(*one) for one in readings]).text == text
