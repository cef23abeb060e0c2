"""What every recogniser of lines keeps to."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from erasecore.detection.detector import Bgr
from erasecore.detection.recognizer import RapidOcrRecognizer, Recognizer
from erasecore.model.events import NO_READING


@pytest.fixture(scope="module", params=["rapidocr"])
def recognizer(request: pytest.FixtureRequest) -> Recognizer:
    """Each implementation in turn."""
    assert request.param == "rapidocr"
    return RapidOcrRecognizer(threads=1)


def line(text: str, height_px: int = 40) -> Bgr:
    """``text`` in white on grey with a dark outline, as a crop of a film."""
    font = ImageFont.load_default(height_px)
    left, top, right, bottom = font.getbbox(text, stroke_width=2)
    size = round(right - left) + height_px // 2, round(bottom - top) + height_px // 4
    canvas = Image.new("RGB", size, (110, 100, 90))
    place = height_px // 4 - left, height_px // 8 - top
    ImageDraw.Draw(canvas).text(
        place, text, fill="white", font=font, stroke_width=2, stroke_fill="black"
    )
    return np.ascontiguousarray(np.asarray(canvas)[..., ::-1])


class TestRecognizer:
    """The protocol of ``erasecore.detection.recognizer``."""

    @pytest.mark.parametrize("height_px", [14, 24, 48, 120])
    def test_reads(self, recognizer: Recognizer, height_px: int) -> None:
        """A line is read with its case, spaces and marks, however large it is."""
        reading = recognizer.read(line("Where were you, Tom?", height_px))
        assert reading.text == "Where were you, Tom?"
        assert reading.score > 0.9
        assert 0 < reading.weakest <= reading.score <= 1
        assert reading.covered > 0.9

    def test_long_line(self, recognizer: Recognizer) -> None:
        """A line as long as a wide film is not squeezed."""
        words = "He said that he would come back before the end of the year, but nobody saw him"
        assert recognizer.read(line(words, 30)).text == words

    def test_picture_is_kept(self, recognizer: Recognizer) -> None:
        """The picture is not modified; reading it again says the same."""
        picture = line("Twice the same")
        before = picture.copy()
        assert recognizer.read(picture) == recognizer.read(picture)
        assert np.array_equal(picture, before)

    @pytest.mark.parametrize("shape", [(1, 1), (1, 40), (40, 1), (3, 900), (200, 2), (48, 32)])
    def test_no_text(self, recognizer: Recognizer, shape: tuple[int, int]) -> None:
        """A picture of any shape without a letter: nothing is read."""
        assert recognizer.read(np.full((*shape, 3), 90, np.uint8)) == NO_READING

    def test_spaces(self, recognizer: Recognizer) -> None:
        """Words stay apart, however many there are."""
        assert recognizer.read(line("I am at it as we go on", 30)).text == "I am at it as we go on"

    def test_unknown_letters_are_not_covered(self, recognizer: Recognizer) -> None:
        """Where part of a line holds no letter that is known, that part is not covered."""
        half = line("Half of this line")
        empty = np.full_like(half, 90)
        reading = recognizer.read(np.concatenate([half, empty], axis=1))
        assert reading.text == "Half of this line"
        assert 0.4 < reading.covered < 0.62
