"""Films that cannot be worked on are refused, by class, with a sentence for their sender."""

from __future__ import annotations

import os
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from erasecore.errors import (
    ChangingVideo,
    EmptyFile,
    EncryptedVideo,
    InputError,
    JumpingTimes,
    LimitExceeded,
    NotAVideo,
    NoVideoStream,
    Remedy,
    TruncatedVideo,
    UnknownCodec,
    UnsafeFile,
)
from erasecore.settings import LimitSettings
from erasecore.video.probe import probe
from erasecore.video.reader import FrameReader
from tests.clips import Coding, draw, ffmpeg, write
from tests.media.journeys import look

PICTURES = draw(160, 96, 50).shown
QUICK = Coding(options={"preset": "ultrafast", "crf": "12", "x264-params": "keyint=10"})


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same two seconds in several containers, with sound."""
    folder = tmp_path_factory.mktemp("good")
    write(folder / "silent.mp4", PICTURES, QUICK)
    sound = ("-f", "lavfi", "-i", "sine=d=2:r=48000", "-c:v", "copy")
    for name, *more in (
        ("film.mp4",),
        ("fast.mp4", "-movflags", "faststart"),
        ("pieces.mp4", "-movflags", "frag_keyframe+empty_moov"),
        ("film.mkv", "-cluster_time_limit", "200"),
        ("film.ts",),
        ("film.avi", "-c:a", "libmp3lame"),
        ("film.flv", "-c:a", "aac"),
        ("film.wmv", "-c:v", "wmv2", "-c:a", "wmav2"),
    ):
        ffmpeg("-i", folder / "silent.mp4", *sound, *more, folder / name)
    return folder


def refusal(path: Path, limits: LimitSettings | None = None) -> InputError:
    """The error that the film meets, at the latest when it is read to its end."""
    with pytest.raises(InputError) as caught:
        video = probe(path, limits or LimitSettings())
        with FrameReader(video) as reader:
            for _ in reader:
                pass
    assert caught.value.remedy is Remedy.FIX_INPUT
    assert str(caught.value).startswith(path.name)
    return caught.value


# --- not films --------------------------------------------------------------------------------


def test_zero_bytes(tmp_path: Path) -> None:
    """An empty file is named as that."""
    path = tmp_path / "film.mp4"
    path.touch()
    assert isinstance(refusal(path), EmptyFile)


@pytest.mark.parametrize(
    "content",
    [
        b"hello, I am a letter\n" * 50,
        bytes(np.random.default_rng(1).integers(0, 256, 100_000, dtype=np.uint8)),
        b"\0" * 4096,
        b"%PDF-1.7 ...",
        b"PK\x03\x04" + b"\0" * 500,
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    ],
    ids=["text", "noise", "zeros", "pdf", "zip", "svg"],
)
def test_other_content_is_not_a_video(tmp_path: Path, content: bytes) -> None:
    """Whatever is not a film's container is refused, whatever its name."""
    path = tmp_path / "film.mp4"
    path.write_bytes(content)
    assert isinstance(refusal(path), NotAVideo)


@pytest.mark.parametrize("name", ["still.png", "still.jpg", "moving.gif", "sound.mp3", "text.srt"])
def test_pictures_and_sounds_named_mp4_are_refused(tmp_path: Path, good: Path, name: str) -> None:
    """FFmpeg could open these; they are not films."""
    if name.endswith("srt"):
        (tmp_path / name).write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
    elif name.endswith("mp3"):
        ffmpeg("-i", good / "film.mp4", "-vn", "-c:a", "libmp3lame", tmp_path / name)
    else:
        still = () if name.endswith("gif") else ("-frames:v", "1", "-update", "1")
        ffmpeg("-i", good / "silent.mp4", *still, tmp_path / name)
    path = tmp_path / "film.mp4"
    (tmp_path / name).rename(path)
    assert isinstance(refusal(path), NotAVideo)


@pytest.mark.parametrize("victim", ["sibling", "absolute"])
@pytest.mark.parametrize("kind", ["ffconcat", "m3u8", "mpd"])
def test_lists_of_other_files_are_not_opened(
    tmp_path: Path, good: Path, kind: str, victim: str
) -> None:
    """A playlist named ``film.mp4`` does not get foreign files decoded."""
    (tmp_path / "victim.ts").write_bytes((good / "film.ts").read_bytes())
    target = "victim.ts" if victim == "sibling" else str(tmp_path / "victim.ts")
    texts = {
        "ffconcat": f"ffconcat version 1.0\nfile '{target}'\n",
        "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
        + (target if victim == "sibling" else f"file://{target}")
        + "\n#EXT-X-ENDLIST\n",
        "mpd": f'<?xml version="1.0"?><MPD type="static"><Period><BaseURL>{target}</BaseURL>'
        "</Period></MPD>",
    }
    path = tmp_path / "film.mp4"
    path.write_text(texts[kind])
    assert isinstance(refusal(path), NotAVideo)


def test_names_are_not_read_as_protocols(tmp_path: Path, good: Path) -> None:
    """A file may be called like an option or an address; it is opened as the file it is."""
    for name in (
        "-y.mp4",
        "concat:a.mp4|b.mp4",
        "pipe:0.mp4",
        "a%03d.mp4",
        "na\nme.mp4",
        "fi\udcfflm.mp4",
    ):
        path = tmp_path / name
        path.write_bytes((good / "film.mp4").read_bytes())
        assert len(look(path)[1]) == 50


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_regular_files_are_opened(tmp_path: Path, good: Path, kind: str) -> None:
    """Links, pipes and folders are refused without being opened (a pipe would hang)."""
    path = tmp_path / "film.mp4"
    makers: dict[str, Callable[[], None]] = {
        "link": lambda: path.symlink_to(good / "film.mp4"),
        "pipe": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }
    makers[kind]()
    assert isinstance(refusal(path), UnsafeFile)


# --- no picture -------------------------------------------------------------------------------


def test_sound_alone_has_no_video(tmp_path: Path, good: Path) -> None:
    """An MP4 that holds sound only."""
    ffmpeg("-i", good / "film.mp4", "-vn", "-c", "copy", tmp_path / "film.mp4")
    assert isinstance(refusal(tmp_path / "film.mp4"), NoVideoStream)


def test_cover_art_is_not_a_film(tmp_path: Path, good: Path) -> None:
    """Sound with a cover picture; the sentence says what was found."""
    cover = tmp_path / "cover.png"
    ffmpeg("-i", good / "film.mp4", "-frames:v", "1", "-update", "1", cover)
    path = tmp_path / "film.mp4"
    inputs = ("-i", good / "film.mp4", "-i", cover, "-map", "0:a", "-map", "1")
    ffmpeg(*inputs, "-c", "copy", "-disposition:v", "attached_pic", path)
    error = refusal(path)
    assert isinstance(error, NoVideoStream)
    assert "cover art" in str(error)


def test_encrypted_film(tmp_path: Path, good: Path) -> None:
    """Common Encryption is recognised from the packets; nothing is decoded."""
    path = tmp_path / "film.mp4"
    scheme = ("-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "0123456789abcdef" * 2)
    kid = ("-encryption_kid", "fedcba9876543210" * 2)
    ffmpeg("-i", good / "film.mp4", "-c", "copy", *scheme, *kid, path)
    assert isinstance(refusal(path), EncryptedVideo)


def test_unknown_codec(tmp_path: Path, good: Path) -> None:
    """A codec that nobody can decode is named as the reason."""
    path = tmp_path / "film.mp4"
    path.write_bytes((good / "film.mp4").read_bytes().replace(b"avc1", b"zzzz"))
    assert isinstance(refusal(path), UnknownCodec)


# --- damaged ----------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [0.4, 0.9])
@pytest.mark.parametrize("name", ["film.mp4", "fast.mp4", "pieces.mp4", "film.mkv", "film.avi"])
def test_cut_films_are_truncated(tmp_path: Path, good: Path, name: str, share: float) -> None:
    """A copy that stopped half way, or nearly done, is told wherever a length is stated."""
    whole = (good / name).read_bytes()
    if name == "film.avi":
        # The index behind the pictures is a good part of so short a film.
        whole = whole[: whole.rindex(b"idx1")]
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    assert isinstance(refusal(path), TruncatedVideo)


@pytest.mark.parametrize(
    "name", ["film.mp4", "fast.mp4", "pieces.mp4", "film.mkv", "film.ts", "film.avi"]
)
def test_whole_films_are_not_truncated(good: Path, name: str) -> None:
    """The same films uncut: fifty frames, no complaint."""
    _, timeline = look(good / name)
    assert len(timeline) == 50
    assert timeline.warnings == ()


def test_a_recording_that_was_cut_is_a_film(tmp_path: Path, good: Path) -> None:
    """A transport stream has no length to fall short of: what is there is the film."""
    whole = (good / "film.ts").read_bytes()
    (tmp_path / "film.ts").write_bytes(whole[: len(whole) // 2])
    _, timeline = look(tmp_path / "film.ts")
    assert 10 < len(timeline) < 50


def test_one_corrupt_picture_is_lived_with(tmp_path: Path, good: Path) -> None:
    """A few bad bytes cost one frame at most; the damage is mentioned."""
    content = bytearray((good / "fast.mp4").read_bytes())
    middle = len(content) // 2
    content[middle : middle + 200] = bytes(200)
    (tmp_path / "film.mp4").write_bytes(content)
    _, timeline = look(tmp_path / "film.mp4")
    assert len(timeline) >= 49
    assert len(timeline.warnings) == 1


def test_random_damage_ends_in_an_input_error_or_a_film(tmp_path: Path, good: Path) -> None:
    """Whatever bytes are broken, nothing else than an InputError is raised; both are seen."""
    random = np.random.default_rng(7)
    refused, lived_with = 0, 0
    for name in (
        "fast.mp4",
        "pieces.mp4",
        "film.mkv",
        "film.ts",
        "film.avi",
        "film.flv",
        "film.wmv",
    ):
        whole = np.frombuffer((good / name).read_bytes(), np.uint8)
        for trial in range(10):
            broken = whole.copy()
            head = 4096 if trial % 2 else len(broken)
            places = random.integers(0, head, 40)
            broken[places] = random.integers(0, 256, 40)
            path = tmp_path / f"{trial}{name}"
            path.write_bytes(broken.tobytes())
            try:
                look(path)
            except InputError:
                refused += 1
            else:
                lived_with += 1
    assert refused > 5
    assert lived_with > 5


def test_a_film_that_changes_size_is_refused(tmp_path: Path) -> None:
    """Two films of different size in one transport stream: the frame and both sizes are named."""
    write(tmp_path / "a.ts", PICTURES[:10], QUICK)
    write(tmp_path / "b.ts", draw(192, 112, 10).shown, QUICK)
    path = tmp_path / "film.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    error = refusal(path)
    assert isinstance(error, ChangingVideo)
    assert "160x96" in str(error)
    assert "192x112" in str(error)
    assert "frame 10" in str(error)


def test_times_that_jump_back_are_refused(tmp_path: Path) -> None:
    """Two recordings pasted together restart the clock; that is said, not papered over."""
    write(tmp_path / "a.ts", PICTURES[:50], QUICK)
    path = tmp_path / "film.ts"
    path.write_bytes((tmp_path / "a.ts").read_bytes() * 2)
    error = refusal(path)
    assert isinstance(error, JumpingTimes)
    assert "frame 50" in str(error)


# --- too much ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "key"),
    [
        (LimitSettings(max_width_px=100), "limits.max_width_px"),
        (LimitSettings(max_height_px=90), "limits.max_height_px"),
        (LimitSettings(max_streams=1), "limits.max_streams"),
        (LimitSettings(max_frames=49), "limits.max_frames"),
        (LimitSettings(max_hours=1 / 3600), "limits.max_hours"),
    ],
)
@pytest.mark.parametrize("name", ["film.mp4", "film.mkv"])
def test_limits_are_kept(good: Path, name: str, limits: LimitSettings, key: str) -> None:
    """Each limit refuses by itself and names the setting that would allow the film."""
    error = refusal(good / name, limits)
    assert isinstance(error, LimitExceeded)
    assert key in str(error)


def test_absurd_length_is_refused_before_reading(tmp_path: Path) -> None:
    """Three frames that claim to last thirty hours."""
    stamps = (0, 15 * 3600, 30 * 3600)
    path = tmp_path / "film.mp4"
    write(path, PICTURES[:3], Coding(pts=stamps, time_base=Fraction(1), options=QUICK.options))
    with pytest.raises(LimitExceeded, match=r"limits\.max_hours"):
        probe(path, LimitSettings())


def test_absurd_size_is_refused_before_decoding(tmp_path: Path) -> None:
    """A few kilobytes that would unpack to a picture of 400 million pixels."""
    path = tmp_path / "film.mov"
    claim = ("-f", "lavfi", "-i", "color=s=64x64:d=1:r=1", "-c:v", "qtrle", path)
    ffmpeg(*claim)
    small, huge = (64).to_bytes(2, "big"), (20_000).to_bytes(2, "big")
    claimed = path.read_bytes().replace(small + small + b"\0\x48", huge + huge + b"\0\x48")
    path.write_bytes(claimed)
    with pytest.raises(TruncatedVideo, match="above the limit of 8192x8192"):
        probe(path, LimitSettings())
