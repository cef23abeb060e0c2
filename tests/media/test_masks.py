"""Masks and subtitle files beside a film: what they let go, what they keep, what they must be."""

from __future__ import annotations

import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from erasecore.errors import BadMask, BadSubtitleFile, Remedy
from erasecore.pipeline import erase
from erasecore.reports import EraseReport
from erasecore.resources import ModelCache
from erasecore.selection.masks import FilmMask, PictureMask, open_mask
from erasecore.settings import (
    Companions,
    DetectSettings,
    EraseSettings,
    LimitSettings,
    Region,
    TimeRange,
)
from erasecore.video.probe import VideoInfo, probe
from tests.clips import U8, Caption, Coding, draw, make_film, write
from tests.media.erasing import ink_psnr, planes_of

LOSSLESS = Coding("ffv1", "yuv444p", options={})
BLOCK = (60, 100, 120, 130)  # left, top, right, bottom


def run(
    source: Path,
    tools: ModelCache,
    *,
    mask: Path | None = None,
    cues: Path | None = None,
    detect: DetectSettings | None = None,
) -> EraseReport:
    """``erase`` into ``job`` beside the source, with companions."""
    folder = source.parent / "job"
    folder.mkdir(exist_ok=True)
    companions = Companions(cues=str(cues or ""), mask=str(mask or ""))
    settings = EraseSettings(detect=detect or DetectSettings())
    return erase(
        source, folder, settings, models=tools, observe=lambda _: None, companions=companions
    )


def block_mask(width: int = 320, height: int = 180) -> U8:
    """Black, with a white rectangle."""
    mask = np.zeros((height, width), np.uint8)
    left, top, right, bottom = BLOCK
    mask[top:bottom, left:right] = 255
    return mask


def png(folder: Path, picture: NDArray[np.integer | np.floating], name: str = "mask.png") -> Path:
    """A PNG of ``picture``."""
    path = folder / name
    assert cv2.imwrite(str(path), picture)
    return path


def painted(masks: U8, *captions: Caption) -> U8:
    """A drawn film of 320x180 with a loud colour where ``masks`` (one, or one a frame) are set."""
    pictures = draw(320, 180, 38, captions=captions).shown
    pictures[np.broadcast_to(masks, pictures.shape[:3]) > 0] = (250, 20, 240)
    return pictures


def changed(before: Path, after: Path) -> NDArray[np.bool_]:
    """Which luma samples differ: ``(T, H, W)``."""
    pairs = zip(planes_of(before), planes_of(after), strict=True)
    return np.stack([one[0] != other[0] for one, other in pairs])


def test_a_picture_erases_exactly_where_it_is_white(tmp_path: Path, tools: ModelCache) -> None:
    """Losslessly coded, no sample outside changes, though there are subtitles; most inside do."""
    source = tmp_path / "film.mkv"
    write(source, painted(block_mask(), Caption("Where were you?", 8, 30)), LOSSLESS)
    report = run(source, tools, mask=png(tmp_path, block_mask()))
    (event,) = report.events
    assert event.box_xyxy == BLOCK
    assert (event.start, event.stop) == (0, 38)
    assert (event.share_propagated + event.share_invented, event.passes) == (1.0, 1)
    where = changed(source, tmp_path / "job" / report.result)
    white = block_mask() > 0
    assert not where[:, ~white].any()
    assert where[:, white].mean() > 0.9


def test_a_picture_counts_only_in_the_times_asked_for(tmp_path: Path, tools: ModelCache) -> None:
    """Times of the settings, to the frame."""
    source = tmp_path / "film.mkv"
    write(source, painted(block_mask()), LOSSLESS)
    times = DetectSettings(times=(TimeRange(0.4, 0.8), TimeRange(1.2, 60.0)))
    report = run(source, tools, mask=png(tmp_path, block_mask()), detect=times)
    assert [(event.start, event.stop) for event in report.events] == [(10, 20), (30, 38)]
    where = changed(source, tmp_path / "job" / report.result).any(axis=(1, 2))
    assert np.flatnonzero(where).tolist() == [*range(10, 20), *range(30, 38)]


def test_a_mask_over_the_edge_of_a_bar(tmp_path: Path, tools: ModelCache) -> None:
    """The mask says where the text may be, and the bar is found in the rest: it stays a bar."""
    source, bar = tmp_path / "film.mkv", 132
    pictures = draw(320, 180, 38, captions=(Caption("Where were you?", 8, 30),)).shown
    bottom = pictures[:, bar:].max(axis=3, keepdims=True)
    pictures[:, bar:] = np.where(bottom > 250, pictures[:, bar:], 0)
    pictures[:, bar - 12 : bar, 90:230] = 255  # a line of text on the picture, down to the bar
    mask = np.zeros((180, 320), np.uint8)
    mask[bar - 14 : 176, 16:304] = 255
    write(source, pictures, LOSSLESS)
    report = run(source, tools, mask=png(tmp_path, mask))
    lumas = [planes[0] for planes in planes_of(tmp_path / "job" / report.result)]
    below = np.stack(lumas)[:, bar + 2 :]
    assert np.abs(below - np.median(below)).max() <= 3


def test_a_film_erases_frame_by_frame(tmp_path: Path, tools: ModelCache) -> None:
    """A white square that moves: each frame changes where its own mask is white, nowhere else.

    Its areas are one event as long as they overlap; the mask's own frames say when.
    """
    source, mask = tmp_path / "film.mkv", tmp_path / "mask.mkv"
    masks = np.zeros((38, 180, 320), np.uint8)
    for frame in range(12, 26):
        masks[frame, 60:84, 40 + 5 * frame : 70 + 5 * frame] = 255
    write(source, painted(masks), LOSSLESS)
    write(mask, np.repeat(masks[..., None], 3, axis=3), LOSSLESS)
    report = run(source, tools, mask=mask)
    (event,) = report.events
    assert (event.start, event.stop) == (12, 26)
    assert event.box_xyxy == (100, 60, 195, 84)
    where = changed(source, tmp_path / "job" / report.result)
    assert not where[masks == 0].any()
    assert where[masks > 0].mean() > 0.9


def test_what_a_mask_erases_comes_back_from_other_frames(tmp_path: Path, tools: ModelCache) -> None:
    """A drawn logo that was there all the time, under a mask of its shape, over a moving scene."""
    source = tmp_path / "film.mp4"
    logo = Caption("CHANNEL", 0, 60, bottom_share=0.7)
    film = make_film(source, [logo], frames=60)
    shape = (film.alpha[0] > 0.02).astype(np.uint8) * 255
    grown = np.asarray(cv2.dilate(shape, np.ones((5, 5), np.uint8)))
    report = run(source, tools, mask=png(tmp_path, grown))
    assert report.residual_events == 0
    assert ink_psnr(film, tmp_path / "job" / report.result) > 30


def test_a_masked_film_goes_on_where_it_was(tmp_path: Path, tools: ModelCache) -> None:
    """A second run finds its segments; another mask of the same name begins anew."""
    source = tmp_path / "film.mkv"
    make_film(source)
    mask = png(tmp_path, block_mask())
    run(source, tools, mask=mask)
    assert run(source, tools, mask=mask).segments_resumed == 1
    other = block_mask()
    other[20:40, 20:40] = 255
    report = run(source, tools, mask=png(tmp_path, other))
    assert report.segments_resumed == 0
    assert len(report.events) == 2


# --- what a mask may be ----------------------------------------------------------------------


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> VideoInfo:
    """A film of 320x180 and twelve frames."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    make_film(path, frames=12)
    return probe(path, LimitSettings(max_width_px=1000, max_height_px=1000))


def bits_of(path: Path, film: VideoInfo) -> NDArray[np.bool_]:
    """The whole mask of the first frame."""
    mask = open_mask(path, film, path.name)
    mask.events(12, [(0, 12)], lambda _: None)
    (run, *_) = mask.runs(0, 1, (0, 0, 320, 180))
    mask.close()
    return run.bits


def test_pngs_of_all_kinds(tmp_path: Path, film: VideoInfo) -> None:
    """Gray, colour, palette, one bit, sixteen bits, alpha: white and opaque is erased."""
    gray = block_mask()
    image = Image.fromarray(gray)
    see_through = np.dstack([np.full((180, 320, 3), 255, np.uint8), gray])
    for name, made in {
        "gray": image,
        "colour": image.convert("RGB"),
        "palette": image.convert("RGB").quantize(4),
        "bit": image.convert("1"),
        "deep": Image.fromarray(gray.astype(np.uint16) * 257),
        "alpha": Image.fromarray(see_through, "RGBA"),
        "gray_alpha": Image.fromarray(see_through, "RGBA").convert("LA"),
    }.items():
        made.save(tmp_path / f"{name}.png")
        assert np.array_equal(bits_of(tmp_path / f"{name}.png", film), gray > 0), name


def test_the_border_between_black_and_white(tmp_path: Path, film: VideoInfo) -> None:
    """127 is kept, 128 is erased."""
    mask = np.full((180, 320), 127, np.uint8)
    mask[90:, 160:] = 128
    assert np.array_equal(bits_of(png(tmp_path, mask), film), mask == 128)


def test_another_size_of_the_same_shape_is_scaled(tmp_path: Path, film: VideoInfo) -> None:
    """Half and double size, as pictures and as films, fit to within a pixel."""
    gray = block_mask()
    inner = np.asarray(cv2.erode(gray, np.ones((5, 5), np.uint8))) > 0
    outer = np.asarray(cv2.dilate(gray, np.ones((5, 5), np.uint8))) > 0
    for scale in (0.5, 2.0):
        scaled = cv2.resize(gray, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        frames = np.repeat(np.repeat(scaled[None, ..., None], 3, axis=3), 12, axis=0)
        moving = write(tmp_path / f"{scale}.mp4", np.asarray(frames, np.uint8))
        for path in (png(tmp_path, scaled, f"{scale}.png"), moving):
            bits = bits_of(path, film)
            assert bits[inner].all() and not bits[~outer].any()


def png_that_claims(width: int, height: int) -> bytes:
    """The head of a PNG of any size, and hardly any data."""
    return (
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
        + width.to_bytes(4, "big")
        + (height.to_bytes(4, "big") + b"\x08\x00\x00\x00\x00" + b"\0" * 40)
    )


@dataclass(frozen=True)
class Bad:
    """A mask that must be refused, and the word that says why."""

    content: U8 | bytes
    word: str


BAD = {
    "other shape": Bad(np.full((180, 180), 255, np.uint8), "is 180x180 pixels; .* 320x180"),
    "black": Bad(np.zeros((180, 320), np.uint8), "black all over"),
    "inverted": Bad(255 - block_mask(), "white over 9.% of the picture"),
    "bomb": Bad(png_that_claims(60_000, 60_000), "at most 1000x1000"),
    "torn": Bad(png_that_claims(320, 180), "damaged"),
    "empty": Bad(b"", "neither a PNG nor a film"),
    "words": Bad(b"these are words " * 100, "neither a PNG nor a film"),
    "playlist": Bad(b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n", "neither a PNG nor a film"),
    "jpeg": Bad(b"\xff\xd8\xff\xe0" + b"\0" * 200, "neither a PNG nor a film"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_masks_are_refused(tmp_path: Path, film: VideoInfo, name: str) -> None:
    """With a sentence about the film that names the mask and says what is wrong."""
    bad = BAD[name]
    path = tmp_path / "logo.png"
    if isinstance(bad.content, bytes):
        path.write_bytes(bad.content)
    else:
        png(tmp_path, bad.content, path.name)
    with pytest.raises(BadMask, match=bad.word) as caught:
        open_mask(path, film, "logo.png")
    assert str(caught.value).startswith("film.mp4: its mask logo.png ")
    assert caught.value.remedy is Remedy.FIX_INPUT


def test_too_many_areas(tmp_path: Path, film: VideoInfo) -> None:
    """A mask of hundreds of specks is not one that anybody wants."""
    specks = np.zeros((180, 320), np.uint8)
    specks[5::10, 5::10] = 255
    with pytest.raises(BadMask, match="separate areas"):
        open_mask(png(tmp_path, specks), film, "specks.png")


def test_a_film_of_another_length_is_no_mask(tmp_path: Path, film: VideoInfo) -> None:
    """One frame more or less, and the sentence has both numbers."""
    for frames in (11, 13):
        pictures = np.repeat(np.repeat(block_mask()[None, ..., None], 3, axis=3), frames, axis=0)
        path = write(tmp_path / f"{frames}.mp4", pictures)
        mask = open_mask(path, film, path.name)
        assert isinstance(mask, FilmMask)
        with pytest.raises(BadMask, match=f"has {frames} frames, the film has 12"):
            mask.events(12, [(0, 12)], lambda _: None)


def test_links_and_pipes_are_no_masks(tmp_path: Path, film: VideoInfo) -> None:
    """Neither is followed or waited for; the file itself is a good mask."""
    target = png(tmp_path, block_mask(), "target.png")
    (tmp_path / "link.png").symlink_to(target)
    os.mkfifo(tmp_path / "pipe.png")
    for name in ("link.png", "pipe.png"):
        with pytest.raises(BadMask):
            open_mask(tmp_path / name, film, name)
    assert isinstance(open_mask(target, film, "target.png"), PictureMask)


# --- when -------------------------------------------------------------------------------------


def srt(folder: Path, *spans: tuple[str, str]) -> Path:
    """A subtitle file with cues at these times."""
    path = folder / "film.srt"
    cues = (f"{k}\n{start} --> {stop}\nLine {k}\n" for k, (start, stop) in enumerate(spans, 1))
    path.write_text("\n".join(cues))
    return path


TWO = [Caption("Where were you?", 8, 30), Caption("Nobody told me so", 100, 122)]


def test_a_subtitle_file_narrows_when_text_may_appear(tmp_path: Path, tools: ModelCache) -> None:
    """Of two subtitles the one at its cue goes, whole; the other stays as it is."""
    source = tmp_path / "film.mkv"
    make_film(source, TWO, frames=130, coding=LOSSLESS)
    path = srt(tmp_path, ("00:00:04,600", "00:00:04,700"))
    report = run(source, tools, cues=path)
    assert [(event.start, event.stop) for event in report.events] == [(100, 122)]
    where = changed(source, tmp_path / "job" / report.result)
    assert not where[:60].any()
    assert report.warnings == ()


def test_a_subtitle_file_without_a_cue_in_the_film(tmp_path: Path, tools: ModelCache) -> None:
    """Nothing is changed, and the report says why."""
    source = tmp_path / "film.mp4"
    make_film(source, TWO[:1])
    report = run(source, tools, cues=srt(tmp_path, ("00:10:00,000", "00:10:02,000")))
    assert report.untouched
    assert (tmp_path / "job" / report.result).read_bytes() == source.read_bytes()
    assert "no subtitle was found at the times of the .srt" in report.warnings[0]


def test_an_unusable_subtitle_file_is_an_error(tmp_path: Path, tools: ModelCache) -> None:
    """The film is not done as if it had none."""
    source = tmp_path / "film.mp4"
    make_film(source, TWO[:1])
    (tmp_path / "film.srt").write_text("these are words")
    with pytest.raises(BadSubtitleFile, match="holds no times"):
        run(source, tools, cues=tmp_path / "film.srt")


def test_a_line_that_reaches_into_a_range_goes_as_a_whole(
    tmp_path: Path, tools: ModelCache
) -> None:
    """Begun three seconds before and ended after it: from its first frame to its last."""
    source = tmp_path / "film.mp4"
    film = draw(320, 180, 130, captions=[Caption("A long one it is", 10, 118)])
    write(source, film.shown)
    times = DetectSettings(times=(TimeRange(4.0, 4.2),))
    report = run(source, tools, detect=times)
    (event,) = report.events
    assert (event.start, event.stop) == (10, 118)


def test_lines_outside_the_regions_stay(tmp_path: Path, tools: ModelCache) -> None:
    """Of a line at the top and one at the bottom only the one in the region goes."""
    source = tmp_path / "film.mkv"
    captions = [Caption("Where were you?", 8, 30), Caption("Up here", 8, 30, bottom_share=0.85)]
    make_film(source, captions, coding=LOSSLESS)
    detect = DetectSettings(regions=(Region(0.0, 0.7, 1.0, 1.0),))
    report = run(source, tools, detect=detect)
    assert len(report.events) == 1
    where = changed(source, tmp_path / "job" / report.result)
    assert not where[:, :90].any()
    assert where[:, 90:].any()


def test_lines_outside_the_times_stay(tmp_path: Path, tools: ModelCache) -> None:
    """On the film's own clock, also where frames are unevenly paced."""
    source = tmp_path / "film.mkv"
    steps = [40] * 60 + [200] * 70  # the second half is five times slower
    pts = tuple(int(p) for p in np.concatenate([[0], np.cumsum(steps)[:-1]]))
    coding = Coding("ffv1", "yuv444p", options={}, pts=pts, time_base=Fraction(1, 1000))
    make_film(source, TWO, frames=130, coding=coding)
    seconds = pts[105] / 1000
    times = DetectSettings(times=(TimeRange(seconds, seconds + 0.5),))
    report = run(source, tools, detect=times)
    assert [(event.start, event.stop) for event in report.events] == [(100, 122)]
    assert not changed(source, tmp_path / "job" / report.result)[:60].any()
