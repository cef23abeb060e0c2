"""What lies beside the picture comes through: sound, subtitles, chapters, covers, tags."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import pytest
from av.stream import AttachmentStream

from erasecore.video.assemble import assemble
from erasecore.video.verify import verify
from tests.clips import Coding, draw, ffmpeg, write
from tests.media.journeys import QUICK, encode, look, travel

PICTURES = draw(160, 96, 30).shown
X264 = {"preset": "ultrafast", "crf": "12"}
WITH_B = {"preset": "veryfast", "crf": "16", "bf": "3", "x264-params": "b-adapt=0:keyint=12"}


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the ingredients: a silent film, subtitles, tags with chapters, a font."""
    folder = tmp_path_factory.mktemp("rich")
    write(folder / "silent.mp4", PICTURES, Coding(options=WITH_B))
    (folder / "text.srt").write_text(
        "1\n00:00:00,200 --> 00:00:00,500\nBonjour\n\n2\n00:00:00,600 --> 00:00:01,100\nSalut\n"
    )
    (folder / "tags.txt").write_text(
        ";FFMETADATA1\ntitle=The Film\nartist=Somebody\ncomment=Nice, and ünïcode\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=600\ntitle=One\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=600\nEND=1200\ntitle=Two\n"
    )
    (folder / "font.ttf").write_bytes(b"not really a font" * 20)
    return folder


def make_rich(rich: Path, film: Path, subtitles: str, *more: str | Path) -> None:
    """Two languages of sound, a subtitle stream, tags and chapters, all in ``film``."""
    sounds = [("-f", "lavfi", "-i", f"sine=f={f}:d=1.2:r=48000") for f in (440, 880)]
    ffmpeg(
        *("-i", rich / "silent.mp4", *sounds[0], *sounds[1]),
        *("-i", rich / "text.srt", "-i", rich / "tags.txt"),
        *("-map", "0", "-map", "1", "-map", "2", "-map", "3", "-map_metadata", "4"),
        *("-c:v", "copy", "-c:a", "aac", "-c:s", subtitles),
        *("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=ger"),
        *("-metadata:s:s:0", "language=fre", "-disposition:a:1", "comment"),
        *more,
        film,
    )


def streams_of(path: Path) -> list[tuple[str, str | None, str | None, int]]:
    """Type, codec, language and disposition of every stream but generated data tracks."""
    with av.open(str(path)) as container:
        return [
            (
                s.type,
                s.codec_context.name if s.codec_context else None,
                s.language,
                int(s.disposition),
            )
            for s in container.streams
            if s.type != "data"
        ]


@pytest.mark.parametrize(
    ("name", "subtitles"), [("film.mp4", "mov_text"), ("film.mov", "mov_text"), ("film.mkv", "srt")]
)
def test_sound_subtitles_chapters_and_tags_are_kept(
    tmp_path: Path, rich: Path, name: str, subtitles: str
) -> None:
    """Two sound tracks, soft subtitles, chapters and tags come through, packet by packet."""
    make_rich(rich, tmp_path / name, subtitles)
    journey = travel(tmp_path / name, tmp_path)
    assert journey.verified.left_out == ()
    assert streams_of(journey.result) == streams_of(tmp_path / name)
    assert [kind for kind, *_ in streams_of(journey.result)].count("audio") == 2
    for kind, index in (("audio", 0), ("audio", 1), ("subtitle", 0)):
        assert payload(journey.result, kind, index) == payload(tmp_path / name, kind, index)
    with av.open(str(tmp_path / name)) as before, av.open(str(journey.result)) as after:
        assert [c["metadata"] for c in after.chapters()] == [{"title": "One"}, {"title": "Two"}]
        starts = [
            [c["start"] * (c["time_base"] or 1) for c in f.chapters()] for f in (before, after)
        ]
        assert starts[0] == starts[1]
        for key in ("title", "artist", "comment"):
            lowered = {k.lower(): v for k, v in after.metadata.items()}
            assert lowered[key] == {k.lower(): v for k, v in before.metadata.items()}[key]


def payload(path: Path, kind: str, index: int) -> list[tuple[Fraction, Fraction, bytes]]:
    """Every packet of one stream: when, how long (of subtitles), and what."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][index]
        packets = [p for p in container.demux(stream) if p.size]
        shown = kind == "subtitle"
        return [
            (
                (p.pts or 0) * p.time_base,
                Fraction(p.duration or 0) * p.time_base * shown,
                bytes(p),
            )
            for p in packets
        ]


def test_attachments_are_kept(tmp_path: Path, rich: Path) -> None:
    """A font attached to a Matroska film is attached to the result, byte for byte."""
    film = tmp_path / "film.mkv"
    kind = "mimetype=application/x-truetype-font"
    make_rich(rich, film, "srt", "-attach", rich / "font.ttf", "-metadata:s:t", kind)
    journey = travel(film, tmp_path)
    with av.open(str(journey.result)) as container:
        (font,) = [s for s in container.streams if s.type == "attachment"]
        assert font.metadata["filename"] == "font.ttf"
        assert isinstance(font, AttachmentStream)
        assert font.data == (rich / "font.ttf").read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_cover_art_is_kept_and_is_not_the_film(tmp_path: Path, rich: Path, suffix: str) -> None:
    """A cover picture travels along; the film is still found beside it."""
    ffmpeg("-i", rich / "silent.mp4", "-frames:v", "1", tmp_path / "cover.png")
    film = tmp_path / f"film.{suffix}"
    cover: tuple[str | Path, ...] = ("-attach", tmp_path / "cover.png")
    if suffix == "mkv":
        cover += ("-metadata:s:t", "mimetype=image/png", "-metadata:s:t", "filename=cover.png")
        ffmpeg("-i", rich / "silent.mp4", "-c", "copy", *cover, film)
    else:
        inputs = ("-i", rich / "silent.mp4", "-i", tmp_path / "cover.png")
        ffmpeg(
            *inputs, "-map", "0", "-map", "1", "-c", "copy", "-disposition:1", "attached_pic", film
        )
    journey = travel(film, tmp_path)
    assert (journey.video.width, journey.video.height) == (160, 96)
    with av.open(str(journey.result)) as container:
        covers = [s for s in container.streams.video if s.disposition & 1024]
        assert len(covers) == 1
        (packet,) = [p for p in container.demux(covers[0]) if p.size]
        assert bytes(packet) == (tmp_path / "cover.png").read_bytes()


def test_what_cannot_be_kept_is_said(tmp_path: Path, rich: Path) -> None:
    """A stream that the container cannot hold is left out, and the check says so."""
    film = tmp_path / "film.avi"
    make_rich(rich, tmp_path / "film.mkv", "srt", "-map_chapters", "-1")
    video, timeline = look(tmp_path / "film.mkv")
    moved = replace(video, muxer="avi", suffix=".avi")
    parts = encode(moved, timeline, tmp_path, segments=2, settings=QUICK)
    assemble(moved, parts, timeline, film)
    found = verify(moved, film, timeline)
    assert len(found.left_out) == 1
    assert "subtitle" in found.left_out[0]


def test_time_code_is_kept(tmp_path: Path, rich: Path) -> None:
    """The time code track of a QuickTime film is made anew with the same start."""
    film = tmp_path / "film.mov"
    ffmpeg("-i", rich / "silent.mp4", "-c", "copy", "-timecode", "01:02:03:04", film)
    journey = travel(film, tmp_path)
    assert journey.verified.left_out == ()
    with av.open(str(journey.result)) as container:
        assert container.streams.video[0].metadata["timecode"] == "01:02:03:04"
        assert len(container.streams.data) == 1


def test_a_camera_s_own_tags_are_kept(tmp_path: Path, rich: Path) -> None:
    """Tags that only one maker writes into QuickTime files survive."""
    film = tmp_path / "film.mov"
    tags = ("-metadata", "com.apple.quicktime.make=Maker", "-metadata", "title=Holiday")
    ffmpeg("-i", rich / "silent.mp4", "-c", "copy", "-movflags", "use_metadata_tags", *tags, film)
    journey = travel(film, tmp_path)
    with av.open(str(journey.result)) as container:
        assert container.metadata["com.apple.quicktime.make"] == "Maker"
        assert container.metadata["title"] == "Holiday"
