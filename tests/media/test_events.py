"""Subtitles in encoded films, found by the real detector, to the frame."""

from __future__ import annotations

from pathlib import Path

import pytest

from erasecore.detect.detector import RapidOcrDetector
from erasecore.detect.events import Detection
from erasecore.detect.finder import EventFinder, find_events
from erasecore.settings import DetectSettings, LimitSettings
from erasecore.video.probe import probe
from erasecore.video.reader import FrameReader
from tests.clips import Caption, Coding, make_film


@pytest.fixture(scope="module")
def detector() -> RapidOcrDetector:
    """The detector that ships."""
    return RapidOcrDetector(threads=2)


def _detect(path: Path, detector: RapidOcrDetector) -> Detection:
    video = probe(path, LimitSettings())
    finder = EventFinder(
        video.layout,
        (video.width, video.height),
        video.rate,
        settings=DetectSettings(),
        detector=detector,
    )
    with FrameReader(video) as reader:
        return find_events(reader, finder)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv420p10le", "yuv444p"])
def test_two_subtitles(tmp_path: Path, detector: RapidOcrDetector, pix_fmt: str) -> None:
    """Two subtitles without a gap, in 8 and 10 bits, reduced colour or not."""
    captions = [Caption("Where have you been?", 6, 30), Caption("Nobody saw him", 30, 52)]
    path = tmp_path / "film.mkv"
    make_film(path, captions, frames=60, coding=Coding(pix_fmt=pix_fmt))
    found = _detect(path, detector)
    assert [(event.start, event.stop) for event in found.events] == [(6, 30), (30, 52)]
    assert found.frames == 60


def test_coloured_fading_plate(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """Yellow text on a translucent plate that fades is covered, its faintest frames included."""
    caption = Caption(
        "It was never here", 8, 44, color=(255, 230, 0), plate_alpha=0.5, fade_frames=5
    )
    path = tmp_path / "film.mp4"
    make_film(path, [caption], frames=56)
    (event,) = _detect(path, detector).events
    assert event.start in (7, 8)
    assert event.stop in (44, 45)


def test_clean_film(tmp_path: Path, detector: RapidOcrDetector) -> None:
    """A film without text has no event."""
    path = tmp_path / "film.mp4"
    make_film(path, frames=40)
    assert _detect(path, detector).events == ()
