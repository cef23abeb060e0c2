"""Frames: the right ones, in their own planes, from the first pass and from any seek."""

from __future__ import annotations

import zlib
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from erasecore.errors import TruncatedVideo
from erasecore.settings import LimitSettings
from erasecore.video.formats import layout_of, planar_format
from erasecore.video.probe import probe
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.writer import writable
from tests.clips import Coding, draw, write
from tests.media.journeys import look

PICTURES = draw(128, 80, 120).shown
GOP12 = {"preset": "veryfast", "bf": "3", "x264-params": "b-adapt=0:keyint=12"}
OPEN = {"preset": "veryfast", "bf": "3", "x264-params": "b-adapt=0:keyint=12:open-gop=1"}
CRA = {"preset": "ultrafast", "x265-params": "log-level=none:keyint=12:bframes=4:open-gop=1"}
REFRESH = {"preset": "veryfast", "x264-params": "intra-refresh=1:keyint=20"}
QUANT = {"qmin": "2", "qmax": "2", "b": "20M"}


def mark(frame: Frame) -> tuple[int, int, int]:
    """Index, stamp and content of a frame."""
    luma = np.ascontiguousarray(frame.planes[0])
    return frame.index, frame.pts, zlib.crc32(luma.data)


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("a.mp4", "libx264", GOP12),
        ("a.mkv", "libx264", OPEN),
        ("a.ts", "libx264", OPEN),
        ("a.mp4", "libx264", REFRESH),
        ("a.mp4", "libx265", CRA),
        ("a.ts", "mpeg2video", QUANT | {"bf": "2", "g": "12"}),
        ("a.mpg", "mpeg2video", QUANT | {"bf": "2", "g": "12"}),
        ("a.avi", "mpeg4", QUANT | {"g": "12"}),
        ("a.avi", "libx264", GOP12),
        ("a.webm", "libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "g": "12"}),
        ("a.mov", "prores_ks", {}),
    ],
)
def test_any_span_is_exactly_the_linear_pass(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    """Forward, back and across keyframes of every kind: the frames of the first pass, no other."""
    pix_fmt = "yuv422p10le" if codec == "prores_ks" else "yuv420p"
    coding = Coding(codec=codec, pix_fmt=pix_fmt, options=options)
    film = write(tmp_path / name, PICTURES, coding)
    video = probe(film, LimitSettings())
    with FrameReader(video) as reader:
        truth = [mark(frame) for frame in reader]
        timeline = reader.timeline()
    assert len(truth) == len(PICTURES)
    with FrameReader(video, timeline) as reader:
        for start, stop in ((90, 99), (3, 7), (60, 64), (64, 70), (119, 120), (0, 2), (13, 80)):
            assert [mark(frame) for frame in reader.read(start, stop)] == truth[start:stop]
    for start in (1, 61, 100):
        with FrameReader(video, timeline) as reader:
            assert [mark(frame) for frame in reader.read(start, start + 3)] == truth[
                start : start + 3
            ]


def test_a_seek_to_the_wrong_picture_is_not_believed(tmp_path: Path) -> None:
    """Where a keyframe is not what it was, the frames are found from the beginning."""
    film = write(tmp_path / "a.mp4", PICTURES, Coding(options=GOP12))
    video, timeline = look(film)
    doubtful = replace(timeline, key_sums=timeline.key_sums + np.uint32(1))
    with FrameReader(video, timeline) as sure, FrameReader(video, doubtful) as unsure:
        assert list(map(mark, sure.read(100, 104))) == list(map(mark, unsure.read(100, 104)))


def test_reading_past_the_end_is_an_error(tmp_path: Path) -> None:
    """A span that the film does not have is not silently shortened."""
    film = write(tmp_path / "a.mp4", PICTURES[:10], Coding(options=GOP12))
    video, timeline = look(film)
    with FrameReader(video, timeline) as reader, pytest.raises(TruncatedVideo):
        list(reader.read(5, 11))


def test_an_interrupted_span_loses_no_frame(tmp_path: Path) -> None:
    """Whoever stops in the middle of a span can go on with the next frame."""
    film = write(tmp_path / "a.mp4", PICTURES[:30], Coding(options=GOP12))
    video, timeline = look(film)
    with FrameReader(video, timeline) as reader:
        first = next(iter(reader.read(4, 9)))
        assert first.index == 4
        assert [frame.index for frame in reader.read(5, 9)] == [5, 6, 7, 8]


@pytest.mark.parametrize(
    "pix_fmt",
    [
        "yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p12le", "yuv411p",
        "gray", "gray10le", "yuva420p", "gbrp10le",
    ],
)  # fmt: skip
@pytest.mark.parametrize("size", [(128, 80), (67, 35)])
def test_planes_are_the_decoder_s_own_samples(
    tmp_path: Path, pix_fmt: str, size: tuple[int, int]
) -> None:
    """Views are native depth, true size, read-only, and hold what an independent decode gives."""
    pictures = draw(*size, 3).shown
    film = write(tmp_path / "a.mkv", pictures, Coding(codec="ffv1", pix_fmt=pix_fmt, options={}))
    video = probe(film, LimitSettings())
    layout = video.layout
    with FrameReader(video) as reader, av.open(str(film)) as container:
        for frame, other in zip(reader, container.decode(video=0), strict=True):
            assert layout.pix_fmt == pix_fmt
            for index, plane in enumerate(frame.planes):
                assert plane.shape == layout.plane_size(index, *size)
                assert plane.dtype == (np.uint8 if layout.bits == 8 else np.uint16)
                assert not plane.flags.writeable
                assert int(plane.max()) <= layout.peak
                assert np.array_equal(plane, samples(other, index, plane.shape, layout.bits))


def samples(
    picture: av.VideoFrame, index: int, shape: tuple[int, ...], bits: int
) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8] | np.dtype[np.uint16]]:
    """One plane of a decoded picture, row by row out of its raw bytes."""
    plane = picture.planes[index]
    raw, width = bytes(plane), shape[1] * (1 if bits == 8 else 2)
    rows = [raw[y * plane.line_size : y * plane.line_size + width] for y in range(shape[0])]
    return np.frombuffer(b"".join(rows), np.uint8 if bits == 8 else "<u2").reshape(shape)


@pytest.mark.parametrize(
    ("stored", "delivered"), [("nv12", "yuv420p"), ("rgb24", "gbrp"), ("uyvy422", "yuv422p")]
)
def test_interleaved_formats_are_separated_without_loss(
    tmp_path: Path, stored: str, delivered: str
) -> None:
    """Packed samples are delivered in planes, each sample as it was stored."""
    film = write(tmp_path / "a.nut", PICTURES[:2], Coding("rawvideo", stored, options={}))
    video = probe(film, LimitSettings())
    assert (video.pix_fmt, video.layout.pix_fmt) == (stored, delivered)
    with FrameReader(video) as reader, av.open(str(film)) as container:
        frame, raw = next(iter(reader)), next(container.decode(video=0))
    packed = np.frombuffer(bytes(raw.planes[0]), np.uint8).reshape(80, -1)
    if stored == "nv12":
        expected = packed[:, :128]
    elif stored == "rgb24":
        expected = packed[:, : 128 * 3].reshape(80, 128, 3)[:, :, 1]
    else:
        expected = packed[:, 1 : 128 * 2 : 2]
    assert np.array_equal(frame.planes[0], expected)
    assert video.layout.rgb is (stored == "rgb24")


def test_every_format_has_a_planar_one() -> None:
    """Whatever a decoder may deliver becomes planar, little-endian, 8 to 16 bits; depth is kept."""
    for stored, delivered in (
        ("p010le", "yuv420p10le"),
        ("yuv420p10be", "yuv420p10le"),
        ("pal8", "gbrp"),
        ("rgb48be", "gbrp16le"),
        ("yuva444p12le", "yuva444p12le"),
        ("gray12be", "gray12le"),
        ("yuvj420p", "yuvj420p"),
    ):
        assert planar_format(stored) == delivered
    layout = layout_of("yuva444p12le", full_range=False)
    assert (layout.planes, layout.bits, layout.shift_x) == (3, 12, 0)


def test_a_writable_copy_changes_nothing_else(tmp_path: Path) -> None:
    """The copy equals the frame; writing to it leaves the frame as it was; its tags come along."""
    coding = Coding(pix_fmt="yuv420p10le", color=(9, 14, 9), options=GOP12)
    film = write(tmp_path / "a.mp4", PICTURES[:4], coding)
    video = probe(film, LimitSettings())
    with FrameReader(video) as reader:
        frame = next(iter(reader))
        before = [plane.copy() for plane in frame.planes]
        picture, planes = writable(frame)
        for plane, old in zip(planes, before, strict=True):
            assert np.array_equal(plane, old)
            plane[:] = 512
        for plane, old in zip(frame.planes, before, strict=True):
            assert np.array_equal(plane, old)
    assert int(np.frombuffer(bytes(picture.planes[0])[:2], "<u2")[0]) == 512
    assert (picture.color_primaries, picture.color_trc, picture.colorspace) == (9, 14, 9)
    assert picture.color_range == frame.picture.color_range
    assert len(list(picture.side_data)) == len(list(frame.picture.side_data))


def test_frames_outlive_the_reader(tmp_path: Path) -> None:
    """Planes stay valid after further reading and after the reader is closed."""
    film = write(tmp_path / "a.mp4", PICTURES[:20], Coding(options=GOP12))
    video = probe(film, LimitSettings())
    with FrameReader(video) as reader:
        kept = [(frame.planes, mark(frame)) for frame in reader]
    for planes, (_, _, content) in kept:
        assert zlib.crc32(np.ascontiguousarray(planes[0]).data) == content


def test_stamps_that_fall_together_are_spread(tmp_path: Path) -> None:
    """Frames closer than the container's clock all keep a stamp of their own, in order."""
    close = Coding(
        codec="mjpeg",
        pix_fmt="yuvj420p",
        pts=(0, 20, 40, 3600, 7200),
        time_base=Fraction(1, 90_000),
        options={},
    )
    film = write(tmp_path / "a.mkv", PICTURES[:5], close)
    _, timeline = look(film)
    assert list(np.diff(timeline.pts) > 0) == [True] * 4
    assert not timeline.seekable
    assert timeline.warnings


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".avi", ".ts"])
def test_bytes_after_the_film_are_no_fault_of_the_film(tmp_path: Path, suffix: str) -> None:
    """Recorders and recovery tools leave junk at the end; every frame is there, so it is read."""
    path = write(tmp_path / f"film{suffix}", draw(64, 48, frames=12).shown)
    junk = b"\xea\x73\x98\x1a\x91@Ma" + np.random.default_rng(1).bytes(4000)
    path.write_bytes(path.read_bytes() + junk)
    with FrameReader(probe(path, LimitSettings())) as reader:
        assert len(list(reader)) == 12
