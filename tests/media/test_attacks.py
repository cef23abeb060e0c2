"""Attacks that work on FFmpeg as libraries usually open it, shown to work, and then our door.

Each test first does what an unguarded program would do. If FFmpeg should one day close the hole by
itself, the first half fails and the guard may be thought over; for HLS lists, which FFmpeg 8 knows
by their name only, it has (test_video_refused.py keeps our guard in place).
"""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from pathlib import Path

import av
import pytest

from erasecore.errors import InputError, NotAVideo, TruncatedVideo, UnsafeFile
from erasecore.memory.oom_errors import is_out_of_memory
from erasecore.settings import LimitSettings
from erasecore.video import opening
from erasecore.video.opening import open_film
from erasecore.video.probe import probe
from tests.clips import Coding, draw, write

PICTURES = draw(160, 96, 10).shown
QUICK = Coding(options={"preset": "ultrafast"})
SECRET_FRAMES = len(PICTURES)


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film that the sender may not see, in a folder of somebody else's."""
    return write(tmp_path_factory.mktemp("private") / "secret.ts", PICTURES, QUICK)


def decoded(address: str | Path, options: dict[str, str] | None = None) -> int:
    """How many pictures an unguarded program gets to see."""
    with av.open(str(address), options=options or {}) as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_list_of_parts_named_like_a_film(tmp_path: Path, secret: Path) -> None:
    """Ffconcat in disguise decodes the file beside it; ours does not."""
    (tmp_path / "victim.ts").write_bytes(secret.read_bytes())
    film = tmp_path / "film.mp4"
    film.write_text("ffconcat version 1.0\nfile victim.ts\n")
    assert decoded(film) == SECRET_FRAMES
    assert decoded(film, {"protocol_whitelist": "file"}) == SECRET_FRAMES
    with pytest.raises(NotAVideo):
        open_film(film)


def test_a_name_that_is_an_address(
    tmp_path: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``concat:a|b`` opens two other files where names are handed on; ours is the file it names."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.ts", "b.ts"):
        Path(name).write_bytes(secret.read_bytes())
    name = "concat:a.ts|b.ts"
    assert decoded(name) > SECRET_FRAMES
    write(tmp_path / "own.mp4", PICTURES[:3], QUICK)
    (tmp_path / "own.mp4").rename(tmp_path / name)
    with open_film(Path(name)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 3


def test_a_link_to_a_film_elsewhere(tmp_path: Path, secret: Path) -> None:
    """A symbolic link is followed by whoever opens it; ours is refused."""
    film = tmp_path / "film.mp4"
    film.symlink_to(secret)
    assert decoded(film) == SECRET_FRAMES
    with pytest.raises(UnsafeFile):
        open_film(film)


@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_is_read_without_end(tmp_path: Path, kind: str) -> None:
    """A pipe makes the reader wait, a device never ends; both are refused unopened."""
    film = tmp_path / "film.mp4"
    if kind == "pipe":
        os.mkfifo(film)
        with pytest.raises(subprocess.TimeoutExpired):
            subprocess.run(["cat", film], timeout=0.5, check=False)
    else:
        film.symlink_to("/dev/zero")
        with film.open("rb") as endless:
            assert endless.read(1 << 20) == bytes(1 << 20)
    with pytest.raises(UnsafeFile):
        open_film(film)


def test_streams_by_the_thousand(tmp_path: Path) -> None:
    """An index that lists tracks by the thousand has each of them allotted; ours stops early."""
    film = write(tmp_path / "film.mp4", PICTURES, QUICK)
    whole = film.read_bytes()
    film.write_bytes(with_tracks(whole, 600))  # 20,000 take FFmpeg minutes
    with av.open(str(film)) as container:
        assert len(container.streams) == 600
    for many in (600, 100_000):
        film.write_bytes(with_tracks(whole, many))
        with pytest.raises(InputError):
            open_film(film, LimitSettings())


def with_tracks(data: bytes, count: int) -> bytes:
    """An MP4 whose only track is listed ``count`` times."""
    moov = data.index(b"moov") - 4
    (size,) = struct.unpack_from(">I", data, moov)
    index = data[moov : moov + size]
    trak = index.index(b"trak") - 4
    (length,) = struct.unpack_from(">I", index, trak)
    track = index[trak : trak + length]
    body = index[8:trak] + track * count + index[trak + length :]
    # Behind the media, so that the places of pictures that the index names stay right.
    before = data[:moov] + struct.pack(">I4s", size, b"free") + bytes(size - 8)
    return before + data[moov + size :] + struct.pack(">I4s", len(body) + 8, b"moov") + body


def greedy(film: bytes) -> bytes:
    """An MP4 whose table of times claims to have 268 million entries."""
    count = film.index(b"stts") + 8
    return film[:count] + struct.pack(">I", 0x0FFFFFFF) + film[count + 4 :]


def test_a_table_that_fills_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of gigabytes is a damaged film, unless the machine itself has no memory left."""
    film = write(tmp_path / "film.mp4", PICTURES, QUICK)
    film.write_bytes(greedy(film.read_bytes()))
    with pytest.raises(av.error.MemoryError):
        av.open(str(film))
    with pytest.raises(TruncatedVideo) as caught:
        open_film(film, LimitSettings())
    assert isinstance(caught.value.__cause__, MemoryError)
    assert not is_out_of_memory(caught.value)
    monkeypatch.setattr(opening, "is_memory_left", lambda: False)
    with pytest.raises(MemoryError):
        open_film(film, LimitSettings())


def test_whether_memory_is_left() -> None:
    """Asked by a process whose address space is limited, it says no."""
    code = (
        "import resource; from erasecore.video.opening import is_memory_left\n"
        "before = is_memory_left()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (1 << 20, 1 << 20))\n"
        "print(before, is_memory_left())"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    assert done.stdout == "True False\n"


def test_a_picture_that_fills_the_memory(tmp_path: Path) -> None:
    """Kilobytes unpack to 70 megabytes of picture; ours is refused before it is decoded."""
    film = tmp_path / "film.mov"
    side = 8_400
    with av.open(str(film), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = side, side, "gray"
        frame = av.VideoFrame(side, side, "gray")
        frame.planes[0].update(bytes(frame.planes[0].buffer_size))
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert film.stat().st_size < 2_000_000
    with av.open(str(film)) as container:
        picture = next(container.decode(video=0))
        assert isinstance(picture, av.VideoFrame)
        assert picture.planes[0].buffer_size > 100 * film.stat().st_size
    with pytest.raises(InputError, match="above the limit of 8192x8192"):
        probe(film, LimitSettings())
