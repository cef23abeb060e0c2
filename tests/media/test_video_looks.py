"""Shape, colours, codec and depth of the result are those of the source."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from erasecore.settings import Codec, EncodeSettings, LimitSettings
from erasecore.video.probe import Mastering, probe
from erasecore.video.reader import FrameReader
from erasecore.video.writer import SegmentWriter
from tests.clips import Coding, draw, ffmpeg, write
from tests.media.journeys import Journey, travel

PICTURES = draw(160, 96, 30).shown
X264 = {"preset": "ultrafast", "crf": "12"}
WITH_B = {"preset": "veryfast", "crf": "16", "bf": "3", "x264-params": "b-adapt=0:keyint=12"}


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("degrees", [90, -90, 180])
def test_rotation_is_kept(tmp_path: Path, suffix: str, degrees: int) -> None:
    """A film that players turn is turned by the same angle afterwards."""
    coding = Coding(options=X264, rotation=degrees)
    film = write(tmp_path / f"film.{suffix}", PICTURES[:6], coding)
    journey = travel(film, tmp_path, segments=2)
    assert journey.source.rotation % 360 == degrees % 360
    assert journey.video.rotation == journey.source.rotation


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_sample_aspect_is_kept(tmp_path: Path, suffix: str) -> None:
    """Anamorphic films stay anamorphic."""
    coding = Coding(options=X264, sample_aspect=Fraction(64, 45))
    film = write(tmp_path / f"film.{suffix}", PICTURES[:6], coding)
    journey = travel(film, tmp_path, segments=2)
    assert journey.video.sample_aspect == journey.source.sample_aspect == Fraction(64, 45)


@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("color", [(1, 1, 1), (6, 6, 6), (9, 14, 9)], ids=["709", "601", "2020"])
def test_colour_tags_and_range_are_kept(
    tmp_path: Path, full_range: bool, color: tuple[int, int, int]
) -> None:
    """Primaries, transfer, matrix and range are the source's."""
    coding = Coding(options=X264, full_range=full_range, color=color)
    film = write(tmp_path / "film.mp4", PICTURES[:6], coding)
    journey = travel(film, tmp_path, segments=2)
    assert journey.video.color == journey.source.color
    assert (journey.source.color.range == 2) is full_range
    assert journey.source.color.matrix == color[2]


HDR = (
    "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)",
    "1000,400",
)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_hdr10_is_kept(tmp_path: Path, suffix: str) -> None:
    """Ten bits, PQ, the mastering display and the light levels reach the result's bitstream."""
    params = f"log-level=none:master-display={HDR[0]}:max-cll={HDR[1]}:hdr10=1"
    coding = Coding(
        codec="libx265",
        pix_fmt="yuv420p10le",
        color=(9, 16, 9),
        options={"preset": "ultrafast", "crf": "16", "x265-params": params},
    )
    film = write(tmp_path / f"film.{suffix}", PICTURES[:8], coding)
    journey = travel(film, tmp_path, segments=2)
    expected = Mastering(
        red=(Fraction(34000, 50000), Fraction(16000, 50000)),
        green=(Fraction(13250, 50000), Fraction(34500, 50000)),
        blue=(Fraction(7500, 50000), Fraction(3000, 50000)),
        white=(Fraction(15635, 50000), Fraction(16450, 50000)),
        darkest=Fraction(50, 10000),
        brightest=Fraction(1000),
    )
    assert journey.source.mastering == journey.video.mastering == expected
    assert journey.video.light == journey.source.light
    assert journey.source.light is not None
    assert journey.source.light.brightest_pixel == 1000
    assert journey.video.layout.bits == 10
    assert journey.video.layout.transfer == 16
    assert journey.video.color == journey.source.color


def test_hdr10_of_the_container_is_kept(tmp_path: Path) -> None:
    """What only the container says of an HDR film (as with VP9) the result's container says too."""
    params = f"log-level=none:master-display={HDR[0]}:max-cll={HDR[1]}:hdr10=1"
    options = {"preset": "ultrafast", "x265-params": params}
    coding = Coding(codec="libx265", pix_fmt="yuv420p10le", color=(9, 16, 9), options=options)
    write(tmp_path / "hevc.mp4", PICTURES[:6], coding)
    vp9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p")
    for name in ("a.mp4", "a.mkv"):
        ffmpeg("-i", tmp_path / "hevc.mp4", *vp9, tmp_path / name)
        journey = travel(tmp_path / name, tmp_path, segments=2)
        assert journey.source.mastering == journey.video.mastering is not None
        assert journey.source.light == journey.video.light is not None


X265 = {"preset": "ultrafast", "crf": "16", "x265-params": "log-level=none"}
VPX = {"deadline": "realtime", "cpu-used": "8", "crf": "10", "b": "2M"}
LOSSLESS = ("ffv1", "huffyuv", "rawvideo")
QUANT = {"qmin": "2", "qmax": "2", "b": "20M"}


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p10le", X264),
        ("a.mp4", "libx264", "yuv422p", X264),
        ("a.mkv", "libx264", "yuv422p10le", X264),
        ("a.mkv", "libx264", "yuv444p", X264),
        ("a.mkv", "libx264", "gray", X264),
        ("a.mp4", "libx264", "yuvj420p", X264),
        ("a.mkv", "libx264rgb", "rgb24", X264),
        ("a.mp4", "libx265", "yuv420p", X265),
        ("a.mkv", "libx265", "yuv422p12le", X265),
        ("a.mp4", "libsvtav1", "yuv420p10le", {"preset": "12"}),
        ("a.webm", "libvpx-vp9", "yuv420p", VPX),
        ("a.webm", "libvpx", "yuv420p", VPX),
        ("a.ts", "mpeg2video", "yuv420p", QUANT),
        ("a.mpg", "mpeg2video", "yuv420p", QUANT),
        ("a.avi", "mpeg4", "yuv420p", QUANT),
        ("a.avi", "mjpeg", "yuvj422p", QUANT),
        ("a.avi", "huffyuv", "yuv422p", {}),
        ("a.avi", "rawvideo", "yuv420p", {}),
        ("a.wmv", "wmv2", "yuv420p", QUANT),
        ("a.mov", "prores_ks", "yuv422p10le", {}),
        ("a.mov", "prores_ks", "yuva444p10le", {"profile": "4"}),
        ("a.mov", "dnxhd", "yuv422p10le", {"profile": "dnxhr_hqx"}),
        ("a.mkv", "ffv1", "yuv420p12le", {}),
        ("a.mkv", "ffv1", "bgr0", {}),
        ("a.flv", "flv", "yuv420p", QUANT),
    ],
)
def test_codec_and_depth_are_the_source_s(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    """The result has the source's codec family, pixel format and container."""
    pictures = draw(256, 128, 8).shown if codec == "dnxhd" else PICTURES[:8]
    film = write(tmp_path / name, pictures, Coding(codec=codec, pix_fmt=pix_fmt, options=options))
    journey = travel(film, tmp_path, segments=2)
    before, after = journey.source, journey.video
    assert (after.codec, after.pix_fmt) == (before.codec, before.pix_fmt)
    assert (after.container, after.suffix) == (before.container, before.suffix)
    assert worst_psnr(journey) > (99 if codec in LOSSLESS else 36)


def worst_psnr(journey: Journey) -> float:
    """The lowest PSNR of any plane of any frame against the source, in dB; 100 if all are equal."""
    worst = 100.0
    with FrameReader(journey.source) as before, FrameReader(journey.video) as after:
        for was, now in zip(before, after, strict=True):
            for a, b in zip(was.planes, now.planes, strict=True):
                error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
                peak = journey.source.layout.peak
                worst = min(worst, 10 * np.log10(peak**2 / error) if error else 100.0)
    return worst


@pytest.mark.parametrize("size", [(161, 97), (159, 95)])
def test_odd_sizes_are_kept(tmp_path: Path, size: tuple[int, int]) -> None:
    """Odd widths and heights come through, in a format that allows them."""
    pictures = draw(*size, 6).shown
    for name, codec in (("a.mkv", "ffv1"), ("a.avi", "mpeg4")):
        options = QUANT if codec == "mpeg4" else {}
        film = write(tmp_path / name, pictures, Coding(codec=codec, options=options))
        journey = travel(film, tmp_path, segments=2)
        assert (journey.video.width, journey.video.height) == size


def test_another_codec_can_be_asked_for(tmp_path: Path) -> None:
    """Settings choose the codec; where the container cannot hold it, the result is Matroska."""
    vp9 = Coding(codec="libvpx-vp9", options=VPX)
    for name, container in (("a.webm", ".mkv"), ("a.mp4", ".mp4")):
        coding = vp9 if name == "a.webm" else Coding(options=X264, rotation=90)
        film = write(tmp_path / name, PICTURES[:8], coding)
        settings = EncodeSettings(codec=Codec.HEVC, preset="ultrafast", threads=2)
        journey = travel(film, tmp_path, segments=2, settings=settings)
        assert journey.video.codec == "hevc"
        assert journey.result.suffix == container
        assert journey.video.rotation == journey.source.rotation


def test_hevc_keeps_the_tag_that_apple_players_need(tmp_path: Path) -> None:
    """``hvc1`` stays ``hvc1``."""
    write(tmp_path / "plain.mp4", PICTURES[:6], Coding(codec="libx265", options=X265))
    film = tmp_path / "film.mp4"
    ffmpeg("-i", tmp_path / "plain.mp4", "-c", "copy", "-tag:v", "hvc1", film)
    journey = travel(film, tmp_path, segments=2)
    with av.open(str(journey.result)) as container:
        assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_keyframes_stand_at_the_cuts_that_are_told(tmp_path: Path) -> None:
    """A shot begins with a keyframe; a flash, which an encoder takes for a cut, with none."""
    pictures = draw(frames=52, cuts=[12]).shown
    pictures[40:] = 255 - pictures[40:] // 4  # white, from one frame to the next
    video = probe(write(tmp_path / "film.mkv", pictures), LimitSettings())
    part = tmp_path / "0000.mkv"
    with FrameReader(video) as reader, SegmentWriter(part, video, EncodeSettings()) as writer:
        for frame in reader:
            writer.write(frame.picture, cut=frame.index == 12)
    with av.open(str(part)) as container:
        keyframes = [k for k, frame in enumerate(container.decode(video=0)) if frame.key_frame]
    assert keyframes == [0, 12]
