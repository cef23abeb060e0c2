"""Subtitles in encoded films, found by the real detector, to the frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from erasecore.detection.detector import RapidOcrDetector
from erasecore.detection.finder import EventFinder, find_events
from erasecore.model.events import Detection
from erasecore.settings import DetectSettings, LimitSettings
from erasecore.video.probe import probe
from erasecore.video.reader import FrameReader
from tests.clips import U8, Caption, Coding, draw, make_film
from tests.detectors import find_in, spans


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


@pytest.mark.parametrize(("size_px", "row"), [(64, 225), (64, 236), (80, 230)])
def test_caption_in_front_of_a_banner(detector: RapidOcrDetector, size_px: int, row: int) -> None:
    """A caption joined with large letters that pass behind it is found, exactly; they are not."""
    captions = [Caption("Nobody has seen him", 6, 34, size_px=24, color=(255, 140, 200))]
    film = draw(480, 270, 44, captions=captions, seed=3, pan=(2, 0))
    scene = film.clean // 3 + np.array([0, 0, 70], np.uint8)
    passing = np.stack([_banner(picture, size_px, row, t) for t, picture in enumerate(scene)])
    visible = 1 - film.alpha[..., None]
    pictures = np.rint(film.shown + visible * (passing.astype(float) - film.clean))
    found = find_in(pictures.astype(np.uint8), detector=detector)
    assert spans(found) == [(6, 34)]
    left, top, right, bottom = found.events[0].box_xyxy
    rows, columns = np.nonzero(film.alpha[20] > 0.5)
    assert left <= columns.min() and right >= columns.max() and right - left < np.ptp(columns) + 20
    assert top <= rows.min() and bottom >= rows.max() and bottom - top < np.ptp(rows) + 20


def _banner(picture: U8, size_px: int, row: int, frame: int) -> U8:
    """``picture`` with white letters on it that move on by 7 pixels a frame."""
    banner = Image.fromarray(picture)
    place = (-370 + 7 * frame, row)
    words, font = "On the winning side of it all - jobs", ImageFont.load_default(size_px)
    ImageDraw.Draw(banner).text(place, words, fill=(225, 228, 230), font=font, anchor="lm")
    return np.asarray(banner)
