"""A result that lacks anything does not pass."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from erasecore.errors import DiskFull, Remedy, VerifyFailed
from erasecore.settings import EncodeSettings
from erasecore.video.assemble import assemble
from erasecore.video.reader import Frame
from erasecore.video.verify import verify
from erasecore.video.writer import SegmentWriter
from tests.clips import Coding, draw, ffmpeg, write
from tests.media.journeys import QUICK, encode, look, travel

PICTURES = draw(160, 96, 30).shown
FAST = {"preset": "ultrafast", "crf": "12"}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with sound in two languages, chapters, a turn and an aspect."""
    folder = tmp_path_factory.mktemp("film")
    coding = Coding(options=FAST, rotation=90, sample_aspect=Fraction(4, 3), color=(1, 1, 1))
    write(folder / "silent.mp4", PICTURES, coding)
    (folder / "tags.txt").write_text(
        ";FFMETADATA1\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1200\ntitle=Only\n"
    )
    sound = ("-f", "lavfi", "-i", "sine=d=1.2:r=48000")
    inputs = ("-i", folder / "silent.mp4", *sound, *sound, "-i", folder / "tags.txt")
    maps = ("-map", "0", "-map", "1", "-map", "2", "-map_metadata", "3", "-c:v", "copy")
    ffmpeg(*inputs, *maps, "-metadata:s:a:1", "language=ger", folder / "film.mp4")
    return folder / "film.mp4"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (("-map", "0", "-c", "copy", "-t", "1"), "frames instead of 30"),
        (("-map", "0:v", "-map", "0:a:0", "-c", "copy"), "streams"),
        (("-map", "0", "-c", "copy", "-metadata:s:a:1", "language=fre"), "streams"),
        (("-map", "0", "-c", "copy", "-disposition:a:1", "default"), "streams"),
        (("-map", "0", "-c", "copy", "-map_chapters", "-1"), "chapters"),
        (("-map", "0", "-c", "copy", "-c:a:0", "libmp3lame"), "streams"),
        (
            ("-map", "0", "-c", "copy", "-bsf:v", "setts=pts=PTS+64*gte(N\\,9):dts=DTS"),
            "from its time",
        ),
        (("-map", "0", "-c", "copy", "-bsf:v", "h264_metadata=matrix_coefficients=9"), "matrix"),
        (("-map", "0", "-c", "copy", "-aspect", "2"), "aspect"),
        (("-map", "0", "-c:v", "copy", "-af", "asetpts=PTS+0.1/TB"), "sound track 0"),
        (("-map", "0", "-c:a", "copy", "-vf", "scale=152:96"), "size"),
    ],
)
def test_what_is_missing_is_named(
    tmp_path: Path, film: Path, change: tuple[str, ...], word: str
) -> None:
    """A frame, a stamp, a stream, a language, a tag: each is missed by name."""
    video, timeline = look(film)
    ffmpeg("-i", film, *change, tmp_path / "bad.mp4")
    with pytest.raises(VerifyFailed, match=word) as caught:
        verify(video, tmp_path / "bad.mp4", timeline)
    assert caught.value.remedy is Remedy.FIX_CODE


def test_a_lost_turn_is_missed(tmp_path: Path, film: Path) -> None:
    """A result that players would show lying on its side does not pass."""
    video, timeline = look(film)
    bad = ("-display_rotation", "0", "-i", film, "-map", "0", "-c", "copy", tmp_path / "bad.mp4")
    ffmpeg(*bad)
    with pytest.raises(VerifyFailed, match="rotation"):
        verify(video, tmp_path / "bad.mp4", timeline)


def test_a_torn_result_does_not_pass(tmp_path: Path, film: Path) -> None:
    """Half a result is no result."""
    video, timeline = look(film)
    (tmp_path / "bad.mp4").write_bytes(film.read_bytes()[:9000])
    with pytest.raises(VerifyFailed):
        verify(video, tmp_path / "bad.mp4", timeline)


def test_every_frame_is_shown_to_the_caller(tmp_path: Path, film: Path) -> None:
    """The check can measure pictures in the same pass; they are those of the source."""
    journey = travel(film, tmp_path)
    seen: list[Frame] = []
    verify(journey.source, journey.result, journey.timeline, on_frame=seen.append)
    assert [frame.index for frame in seen] == list(range(30))
    reference: list[Frame] = []
    verify(journey.source, film, journey.timeline, on_frame=reference.append)
    for now, was in zip(seen, reference, strict=True):
        error = np.mean((now.planes[0].astype(float) - was.planes[0].astype(float)) ** 2)
        assert 10 * np.log10(255**2 / max(error, 1e-6)) > 42


# --- segments ---------------------------------------------------------------------------------


def test_segments_must_be_all_there(tmp_path: Path, film: Path) -> None:
    """With a segment missing, or one too many, nothing is assembled and no file appears."""
    video, timeline = look(film)
    parts = encode(video, timeline, tmp_path, segments=3, settings=QUICK)
    for wrong in (parts[:2], [*parts, parts[0]]):
        with pytest.raises(VerifyFailed, match="frames in the segments"):
            assemble(video, wrong, timeline, tmp_path / "result.mp4")
    assert sorted(p.name for p in tmp_path.iterdir()) == [p.name for p in parts]


def test_segments_of_different_settings_do_not_mix(tmp_path: Path, film: Path) -> None:
    """Segments whose headers differ would play wrongly; they are refused."""
    video, timeline = look(film)
    parts = encode(video, timeline, tmp_path, segments=2, settings=QUICK)
    other = tmp_path / "other"
    other.mkdir()
    ultra = EncodeSettings(preset="ultrafast", threads=2)
    others = encode(video, timeline, other, segments=2, settings=ultra)
    with pytest.raises(VerifyFailed, match="header"):
        assemble(video, [parts[0], others[1]], timeline, tmp_path / "result.mp4")


def test_a_segment_is_whole_or_absent(tmp_path: Path, film: Path) -> None:
    """When encoding breaks off, neither the segment nor a temporary file stays."""
    video, _ = look(film)
    boom = RuntimeError("power cut")

    def break_off() -> None:
        with SegmentWriter(tmp_path / "0000.mkv", video, QUICK) as writer:
            seen: list[Frame] = []
            verify(video, film, look(film)[1], on_frame=seen.append)
            writer.write(seen[0].picture)
            raise boom

    with pytest.raises(RuntimeError, match="power cut"):
        break_off()
    assert list(tmp_path.iterdir()) == []


def test_a_segment_without_frames_is_a_mistake(tmp_path: Path, film: Path) -> None:
    """Nobody gets an empty segment file."""
    video, _ = look(film)
    with (
        pytest.raises(ValueError, match="no frames"),
        SegmentWriter(tmp_path / "0000.mkv", video, QUICK),
    ):
        pass
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for two pages."""
    folder = tmp_path / "full"
    folder.mkdir()
    small = ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(small, check=False, capture_output=True).returncode:
        pytest.skip("a small disk can be mounted by root only")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_is_the_operator_s_to_mend(tmp_path: Path, full: Path, film: Path) -> None:
    """No room for a segment or a result: the folder is named, and nothing is left in it."""
    video, timeline = look(film)
    lossless = replace(video, codec="ffv1", muxer="matroska")
    with pytest.raises(DiskFull, match="no space left"):
        encode(lossless, timeline, full, segments=1, settings=QUICK)
    parts = encode(video, timeline, tmp_path, segments=1, settings=QUICK)
    with pytest.raises(DiskFull, match="no space left"):
        assemble(video, parts, timeline, full / "result.mp4")
    assert list(full.iterdir()) == []
