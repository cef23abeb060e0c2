"""Films that players turn (phones): everything looks at the picture as it is seen."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from erasecore import detect
from erasecore.pipeline import PREVIEW, SUBTITLES
from erasecore.resources import ModelCache
from erasecore.selection.masks import open_mask
from erasecore.settings import (
    DetectSettings,
    EraseSettings,
    LimitSettings,
    PictureFrame,
    Region,
)
from erasecore.video.orientation import UPRIGHT, Orientation, orientation_of, regions_as_seen
from erasecore.video.probe import probe
from tests.clips import Caption, Coding, DrawnFilm, draw, ffmpeg, write
from tests.media.erasing import luma, planes_of, run
from tests.media.journeys import travel

QUARTERS = {90: 1, 180: 2, -90: 3}
"""Rotation flag, degrees counter-clockwise -> quarter turns of the stored picture that undo it."""
LOWER_THIRD = Region(0.0, 0.66, 1.0, 1.0)


def phone_film(path: Path, degrees: int) -> DrawnFilm:
    """The truth, upright, of a portrait film stored lying on its side with a rotation flag."""
    size = (180, 320) if degrees % 180 else (320, 180)
    caption = Caption("Where were you?", 8, 30, size_px=18, bottom_share=0.12)
    film = draw(*size, 38, captions=[caption])
    stored = np.ascontiguousarray(np.rot90(film.shown, -QUARTERS[degrees], axes=(1, 2)))
    write(path, stored, Coding(rotation=degrees))
    return film


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_turned_film_is_read_and_erased_as_it_is_seen(
    degrees: int, tmp_path: Path, tools: ModelCache
) -> None:
    """Its line is found in its place and read; the result is stored and flagged as the source."""
    source = tmp_path / "film.mp4"
    film = phone_film(source, degrees)
    report = run(source, tmp_path / "job", tools)
    (event,) = report.events
    assert (event.start, event.stop) == (8, 30)
    assert event.text == "Where were you?"
    assert "Where were you?" in (tmp_path / "job" / SUBTITLES).read_text()
    assert (report.width, report.height) == film.shown.shape[2:0:-1]
    rows, columns = np.nonzero(film.alpha.max(axis=0) > 0.5)
    left, top, right, bottom = event.box_xyxy
    assert np.abs(np.subtract((left, right), (columns.min(), columns.max()))).max() < 12
    assert top < rows.mean() < bottom
    result = tmp_path / "job" / report.result
    with av.open(str(source)) as before, av.open(str(result)) as after:
        was, now = before.streams.video[0], after.streams.video[0]
        assert (now.width, now.height) == (was.width, was.height)
        rotations = [next(f.decode(video=0)).rotation for f in (before, after)]
        assert rotations[0] == rotations[1]
        assert rotations[0] % 360 == degrees % 360
    errors = []
    for frame, planes in enumerate(planes_of(result)):
        seen = np.rot90(planes[0].astype(np.float32), QUARTERS[degrees])
        errors.append((seen - luma(film, frame))[film.alpha[frame] > 0.02] ** 2)
    assert 10 * np.log10(255**2 / np.concatenate(errors).mean()) > 26
    preview = cv2.imread(str(tmp_path / "job" / PREVIEW))
    assert preview is not None
    assert preview.shape[0] < preview.shape[1]  # the strip lies, as the line does


@pytest.mark.parametrize(
    ("degrees", "stored"),
    [(90, Region(0, 0, 0.3, 1)), (-90, Region(0.7, 0, 1, 1)), (180, Region(0, 0, 1, 0.3))],
)
def test_regions_are_meant_as_the_viewer_sees_the_picture(
    degrees: int, stored: Region, tmp_path: Path
) -> None:
    """The line is in the lower part as seen; old settings name another side, as it is stored."""
    source = tmp_path / "film.mp4"
    phone_film(source, degrees)
    for region, frame, found in (
        (Region(0, 0.7, 1, 1), PictureFrame.SEEN, 1),
        (stored, PictureFrame.STORED, 1),
        (Region(0, 0, 1, 0.6), PictureFrame.SEEN, 0),
    ):
        detect_settings = DetectSettings(regions=(region,), regions_frame=frame)
        events = detect(source, settings=EraseSettings(detect=detect_settings)).events
        assert len(events) == found
        assert all(event.box_xyxy[2] - event.box_xyxy[0] > 100 for event in events)


def test_regions_of_old_settings_keep_their_meaning() -> None:
    """What was said of the stored picture is turned with it; what was said as seen is left."""
    turned = orientation_of(_matrix(90))
    old = DetectSettings(regions=(Region(0.1, 0.2, 0.4, 0.9),), regions_frame=PictureFrame.STORED)
    (region,) = regions_as_seen(old, turned, (100, 200))
    stored = np.zeros((100, 200), np.uint8)
    stored[20:90, 20:80] = 1
    rows, columns = np.nonzero(turned.view(stored))
    box = (region.left * 100, region.top * 200, region.right * 100, region.bottom * 200)
    assert box == pytest.approx((columns.min(), rows.min(), columns.max() + 1, rows.max() + 1))
    new = DetectSettings(regions=(LOWER_THIRD,))
    assert regions_as_seen(new, turned, (100, 200)) == (LOWER_THIRD,)


def test_every_quarter_turn_and_mirror_is_known() -> None:
    """A copy equals the view; angles between the quarters count as upright."""
    stored = np.arange(12, dtype=np.uint8).reshape(3, 4)
    assert np.array_equal(orientation_of(_matrix(90)).view(stored), np.rot90(stored))
    assert np.array_equal(orientation_of(_matrix(180)).view(stored), np.rot90(stored, 2))
    assert np.array_equal(orientation_of(_matrix(270)).view(stored), np.rot90(stored, 3))
    assert np.array_equal(orientation_of(_matrix(0, mirrored=True)).view(stored), stored[:, ::-1])
    for turn in range(8):
        orientation = Orientation(*(bool(turn >> bit & 1) for bit in range(3)))
        assert np.array_equal(orientation.copy(stored), orientation.view(stored))
    assert (
        orientation_of(None) == orientation_of(b"short") == orientation_of(_matrix(45)) == UPRIGHT
    )


def _matrix(degrees: int, *, mirrored: bool = False) -> bytes:
    """FFmpeg's display matrix of a film turned counter-clockwise."""
    turn = -np.deg2rad(degrees)
    sign = -1 if mirrored else 1
    cells = [sign * np.cos(turn), np.sin(turn), 0, -sign * np.sin(turn), np.cos(turn), 0, 0, 0, 0]
    scaled = np.rint(np.array(cells) * 65536).astype(np.int32)
    scaled[8] = 1 << 30
    return bytes(scaled.tobytes())


def test_a_mirrored_film_keeps_its_mirror(tmp_path: Path) -> None:
    """A display matrix that mirrors comes through as it was."""
    write(tmp_path / "plain.mp4", draw(160, 96, 6).shown)
    film = tmp_path / "film.mp4"
    flags = ("-display_rotation", "90", "-display_hflip")
    ffmpeg(*flags, "-i", tmp_path / "plain.mp4", "-c", "copy", film)
    journey = travel(film, tmp_path, segments=2)
    assert journey.source.orientation.transposed
    assert journey.source.orientation.mirrored_x == journey.source.orientation.mirrored_y
    assert journey.video.orientation == journey.source.orientation


def test_turned_films_of_uneven_chroma_and_pixels(tmp_path: Path) -> None:
    """4:2:2 becomes 4:4:0 as it is seen, tall pixels become wide ones; the file keeps both."""
    coding = Coding(
        pix_fmt="yuv422p",
        options={"preset": "ultrafast"},
        rotation=90,
        sample_aspect=Fraction(4, 3),
    )
    journey = travel(write(tmp_path / "film.mov", draw(160, 96, 6).shown, coding), tmp_path)
    source = journey.source
    assert (source.width, source.height, source.stored_size) == (96, 160, (160, 96))
    assert (source.layout.shift_x, source.layout.shift_y) == (0, 1)
    assert source.seen_aspect == pytest.approx(3 / 4)
    assert (journey.video.pix_fmt, journey.video.sample_aspect) == ("yuv422p", Fraction(4, 3))


@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_a_mask_lies_on_the_picture_that_it_was_drawn_on(degrees: int, tmp_path: Path) -> None:
    """As seen; a mask with the shape of the stored picture, or of old settings, is turned."""
    film = tmp_path / "film.mp4"
    pictures = draw(*((96, 160) if degrees % 180 else (160, 96)), 6).shown
    stored = np.ascontiguousarray(np.rot90(pictures, -QUARTERS[degrees], axes=(1, 2)))
    write(film, stored, Coding(options={"preset": "ultrafast"}, rotation=degrees))
    seen = np.zeros(pictures.shape[1:3], np.uint8)
    seen[70:90, 8:40] = 255
    turned = np.ascontiguousarray(np.rot90(seen, -QUARTERS[degrees]))
    video = probe(film, LimitSettings())
    for picture, frame in ((seen, PictureFrame.SEEN), (turned, PictureFrame.STORED)):
        mask = tmp_path / f"{frame}.png"
        cv2.imwrite(str(mask), picture)
        opened = open_mask(mask, video, "mask.png", picture_frame=frame)
        (run,) = opened.runs(0, 6, (0, 0, video.width, video.height))
        assert np.array_equal(run.bits, seen > 0)
        opened.close()
