"""Films as I420 pictures, read by PyAV and written by the FFmpeg that imageio-ffmpeg brings."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import av
import cv2
import ffmpeg
import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

I420: TypeAlias = NDArray[np.uint8]
"""One 4:2:0 picture, uint8 ``(H * 3 / 2, W)``: the luma rows, then both colour planes."""

Bgr: TypeAlias = NDArray[np.uint8]
"""One picture as OpenCV has it, uint8 ``(H, W, 3)``."""

_UNSPECIFIED = {"colorspace": 2, "color_range": 0, "color_primaries": 2, "color_trc": 2}


class BenchError(Exception):
    """Something the person at the keyboard must put right; the text says what."""


@dataclass(frozen=True, slots=True)
class FilmFile:
    """What the bench needs to know of a video file."""

    path: Path
    width: int
    height: int
    rate: Fraction  # frames a second
    frames_estimate: int  # 0 when the container does not say
    has_audio: bool
    color_options: tuple[str, ...]  # FFmpeg options that repeat the colour tags

    @property
    def picture_shape(self) -> tuple[int, int]:
        """The shape of one I420 picture."""
        return self.height * 3 // 2, self.width


def ffmpeg_path() -> str:
    """The FFmpeg program: the bundled one, or what IMAGEIO_FFMPEG_EXE names."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def run_ffmpeg(*options: str | Path) -> None:
    """Run FFmpeg to its end, overwriting what it writes; its last words are in the error."""
    argv = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", *map(str, options)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchError(f"ffmpeg failed: {done.stderr[-2000:]}")


def open_film(path: Path) -> FilmFile:
    """The facts of the film at ``path``, from its container."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        tags = {name: int(getattr(context, name)) for name in _UNSPECIFIED}
        rate = stream.base_rate or stream.average_rate
        if rate is None:
            raise BenchError(f"{path}: no frame rate")
        return FilmFile(
            path=path,
            width=stream.width,
            height=stream.height,
            rate=Fraction(rate),
            frames_estimate=stream.frames,
            has_audio=bool(container.streams.audio),
            color_options=tuple(
                word
                for name, value in tags.items()
                if value != _UNSPECIFIED[name]
                for word in (f"-{name}", str(value))
            ),
        )


def read_pictures(path: Path) -> Iterator[I420]:
    """Every picture of a film in presentation order, one at a time."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        for picture in container.decode(stream):
            yield picture.to_ndarray(format="yuv420p").astype(np.uint8, copy=False)


def read_burned(
    film: FilmFile, subtitles: Path, fonts_folder: Path | None = None
) -> Iterator[I420]:
    """Every picture of ``film`` with an ASS file drawn over it by libass."""
    styled = {"filename": str(subtitles)}
    if fonts_folder is not None:
        styled["fontsdir"] = str(fonts_folder)
    graph = (
        ffmpeg.input(str(film.path))
        .video.filter("setpts", f"N/({film.rate})/TB")
        .filter("ass", **styled)
        .output("pipe:", format="rawvideo", pix_fmt="yuv420p", fps_mode="passthrough", v="error")
    )
    rows, columns = film.picture_shape
    with subprocess.Popen(
        ffmpeg.compile(graph, cmd=[ffmpeg_path(), "-nostdin"]), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        while raw := process.stdout.read(rows * columns):
            yield np.frombuffer(raw, np.uint8).reshape(rows, columns)
    if process.returncode:
        raise BenchError(f"{film.path}: ffmpeg could not draw {subtitles}")


class FilmWriter(AbstractContextManager["FilmWriter"]):
    """An H.264 film that grows by one I420 picture at a time; x264 medium."""

    def __init__(self, path: Path, like: FilmFile, *, crf: int = 18, audio: bool = True) -> None:
        argv = [ffmpeg_path(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
        argv += ["-s", f"{like.width}x{like.height}", "-r", str(like.rate), "-i", "-"]
        if audio and like.has_audio:
            argv += ["-i", str(like.path), "-map", "0:v", "-map", "1:a", "-c:a", "copy"]
        argv += [*like.color_options, "-c:v", "libx264", "-preset", "medium"]
        argv += ["-crf", str(crf), "-pix_fmt", "yuv420p", str(path)]
        self._path = path
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE)

    def write(self, picture: I420) -> None:
        """Append one picture."""
        assert self._process.stdin is not None
        self._process.stdin.write(np.ascontiguousarray(picture).data)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        if self._process.wait() and error is None:
            raise BenchError(f"{self._path}: encoding failed")


def write_film(path: Path, pictures: Iterable[I420], like: FilmFile, *, crf: int = 18) -> None:
    """Encode ``pictures`` to ``path`` at the size, rate and sound of another film."""
    with FilmWriter(path, like, crf=crf) as writer:
        for picture in pictures:
            writer.write(picture)


def transcode_argv(source: Path, result: Path, crf: float) -> list[str]:
    """The plain x264 medium transcode that everything is timed against."""
    argv = [ffmpeg_path(), "-nostdin", "-v", "error", "-y", "-i", str(source)]
    return [*argv, "-c:v", "libx264", "-preset", "medium", "-crf", f"{crf:g}", str(result)]


def to_bgr(picture: I420) -> Bgr:
    """The picture as OpenCV converts it (BT.601, limited range)."""
    return cv2.cvtColor(picture, cv2.COLOR_YUV2BGR_I420).astype(np.uint8, copy=False)


def to_i420(picture: Bgr) -> I420:
    """The reverse of ``to_bgr``, with OpenCV's own rounding."""
    return cv2.cvtColor(picture, cv2.COLOR_BGR2YUV_I420).astype(np.uint8, copy=False)


def split(picture: I420) -> tuple[I420, I420, I420]:
    """Views of the three planes: luma ``(H, W)`` and two of ``(H / 2, W / 2)``."""
    height = picture.shape[0] * 2 // 3
    blue, red = picture[height:].reshape(2, height // 2, picture.shape[1] // 2)
    return picture[:height], blue, red
