"""What every text detector keeps to, the test's own included."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.detection.detector import Detector, RapidOcrDetector
from tests.clips import Caption, draw
from tests.detectors import BrightTextDetector


@pytest.fixture(scope="module", params=["rapidocr", "bright"])
def detector(request: pytest.FixtureRequest) -> Detector:
    """Each implementation in turn."""
    if request.param == "rapidocr":
        return RapidOcrDetector(threads=1)
    return BrightTextDetector()


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """A line of white text in the lower part of a scene, blue first."""
    film = draw(320, 180, 1, captions=[Caption("Where are you?", 0, 1, size_px=20)])
    return np.ascontiguousarray(film.shown[0][..., ::-1])


class TestDetector:
    """The protocol of ``erasecore.detection.detector``."""

    def test_finds_line(self, detector: Detector, picture: NDArray[np.uint8]) -> None:
        """A drawn line is found, its hull around the ink within a few pixels."""
        film = draw(320, 180, 1, captions=[Caption("Where are you?", 0, 1, size_px=20)])
        rows, columns = np.nonzero(film.alpha[0] > 0.5)
        low = [box for box in detector.detect(picture) if box.box_xyxy[3] > 130]
        assert len(low) == 1
        left, top, right, bottom = low[0].box_xyxy
        assert abs(left - columns.min()) < 12 and abs(right - columns.max()) < 12
        assert abs(top - rows.min()) < 10 and abs(bottom - rows.max()) < 10

    def test_boxes_are_sound(self, detector: Detector, picture: NDArray[np.uint8]) -> None:
        """Boxes lie inside the picture, the right way round, with a score from 0 to 1."""
        for box in detector.detect(picture):
            left, top, right, bottom = box.box_xyxy
            assert 0 <= left < right <= 320
            assert 0 <= top < bottom <= 180
            assert 0 <= box.score <= 1
            assert 0 <= box.tilt_degrees <= 45

    def test_nothing_in_blank(self, detector: Detector) -> None:
        """A picture of one grey holds no text."""
        assert detector.detect(np.full((120, 200, 3), 90, np.uint8)) == []

    @pytest.mark.parametrize("size", [(1, 1), (2, 3), (7, 5), (33, 301), (181, 319)])
    def test_any_size(self, detector: Detector, size: tuple[int, int]) -> None:
        """Odd and tiny pictures are searched like any other."""
        random = np.random.default_rng(4)
        noise = random.integers(60, 120, (*size, 3)).astype(np.uint8)
        assert isinstance(detector.detect(noise), list)

    def test_picture_is_kept(self, detector: Detector, picture: NDArray[np.uint8]) -> None:
        """The picture is not modified, and the same picture gives the same boxes."""
        before = picture.copy()
        first = detector.detect(picture)
        assert detector.detect(picture) == first
        assert np.array_equal(picture, before)
