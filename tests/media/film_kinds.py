"""Kinds of films that are seldom sent and easily harmed, made on the spot by ffmpeg.

Each is made from one drawn film with a line of text, so that it can go through the whole program:
``python -m tests.media.kinds_table`` does that and prints what ffprobe says before and after.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias

from tests.clips import Caption, Coding, draw, ffmpeg, write

CAPTION = Caption("Where were you?", 8, 30)
SOUND = ("-f", "lavfi", "-i", "sine=d=1.5:r=48000")
SECOND = ("-f", "lavfi", "-i", "testsrc=s=128x72:r=25:d=1.5")
X264 = ("-c:v", "libx264", "-preset", "veryfast", "-threads", "2")
WITH_B = (*X264, "-bf", "2", "-x264-params", "b-adapt=0:keyint=12")
X265 = ("-c:v", "libx265", "-preset", "ultrafast")
VPX = ("-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M")
ANAMORPHIC = ("-vf", "setsar=16/11")
MPEG2 = ("-c:v", "mpeg2video", "-q:v", "3")
CINEPAK = ("-max_extra_cb_iterations", "0", "-max_strips", "1")  # its encoder is very slow

Words: TypeAlias = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of film: a sentence about it, its file name, and how it is made.

    ``make`` gets the drawn film and the path of the file to write.
    """

    about: str
    file: str
    make: Callable[[Path, Path], None]


def drawn(folder: Path, width: int = 320, height: int = 180) -> Path:
    """The drawn film that all kinds are made of, lossless: 38 frames, text on ``[8, 30)``."""
    path = folder / "drawn.mkv"
    if not path.exists():
        pictures = draw(width, height, 38, captions=[CAPTION]).shown
        write(path, pictures, Coding("ffv1", options={}))
    return path


def _plain(words: Words, source: Path, path: Path, *, rate: str = "25", inputs: Words = ()) -> None:
    """Encode the drawn film, shown at ``rate``; further ``inputs`` come along."""
    maps = ("-map", "0", *(w for n in range(inputs.count("-i")) for w in ("-map", str(n + 1))))
    ffmpeg("-r", rate, "-i", source, *inputs, *maps, *words, path)


def _kind(about: str, file: str, *words: str, rate: str = "25", inputs: Words = ()) -> Kind:
    return Kind(about, file, partial(_plain, words, rate=rate, inputs=inputs))


def _portrait(source: Path, path: Path) -> None:
    """A film that lies on its side in the file, and is turned upright by players."""
    pictures = draw(180, 320, 38, captions=[Caption("Where were you?", 8, 30, size_px=18)]).shown
    turned = pictures.transpose(0, 2, 1, 3)[:, :, ::-1]
    write(path, turned, Coding(rotation=90))


def _reel(source: Path, path: Path) -> None:
    """A film with a time code track that names its reel, as cameras write it."""
    words = ("-timecode", "01:02:03:04", "-metadata:s:v:0", "reel_name=A001C002")
    ffmpeg("-i", source, *WITH_B, "-pix_fmt", "yuv420p", *words, path)


def _fields(first: str, source: Path, path: Path) -> None:
    """HEVC whose pictures are fields, 50 a second."""
    params = f"log-level=none:interlace={first}"
    ffmpeg("-r", "50", "-i", source, *X265, "-x265-params", params, path)


HEVC_QUIET = ("-x265-params", "log-level=none")
PROGRAMS = (
    *("-program", "title=One:program_num=7:st=0:st=2"),
    *("-program", "title=Two:program_num=9:st=1:st=3"),
)

KINDS = (
    _kind("MPEG-PS at 23.976", "film.mpg", *MPEG2, rate="24000/1001"),
    _kind("MPEG-PS at 59.94", "film60.mpg", *MPEG2, rate="60000/1001"),
    _kind(
        "DVD program at 59.94, with sound",
        "film.vob",
        *(*MPEG2, "-bf", "2", "-c:a", "ac3"),
        rate="60000/1001",
        inputs=SOUND,
    ),
    _kind("VP8, anamorphic", "vp8.webm", *ANAMORPHIC, "-c:v", "libvpx", *VPX),
    _kind("VP9, anamorphic", "vp9.webm", *ANAMORPHIC, "-c:v", "libvpx-vp9", *VPX),
    _kind("VP9, anamorphic", "vp9.mkv", *ANAMORPHIC, "-c:v", "libvpx-vp9", *VPX),
    _kind("AV1, anamorphic", "av1.mkv", *ANAMORPHIC, "-c:v", "libsvtav1", "-preset", "12"),
    _kind("MPEG-4, anamorphic", "mpeg4.mkv", *ANAMORPHIC, "-c:v", "mpeg4", "-q:v", "2"),
    _kind("MPEG-4, anamorphic", "mpeg4.avi", *ANAMORPHIC, "-c:v", "mpeg4", "-q:v", "2"),
    _kind("lossless, anamorphic", "huff.avi", *ANAMORPHIC, "-c:v", "huffyuv"),
    _kind("H.264, anamorphic", "h264.mkv", *ANAMORPHIC, *WITH_B),
    _kind("HEVC with the tag that Apple refuses", "hev1.mp4", *X265, *HEVC_QUIET, "-tag:v", "hev1"),
    _kind("HEVC with Apple's tag", "hvc1.mov", *X265, *HEVC_QUIET, "-tag:v", "hvc1"),
    _kind("AV1 in MP4", "av1.mp4", "-c:v", "libsvtav1", "-preset", "12"),
    _kind(
        "two videos with B-frames", "two.mkv", *WITH_B, "-disposition:v:0", "default", inputs=SECOND
    ),
    Kind("portrait film of a phone", "phone.mp4", _portrait),
    _kind(
        "two programs",
        "programs.ts",
        *(*WITH_B, "-c:a", "mp2", *PROGRAMS),
        inputs=(*SECOND, *SOUND, *SOUND),
    ),
    _kind(
        "camera's transport stream with arrival times",
        "film.m2ts",
        *(*WITH_B, "-c:a", "ac3", "-mpegts_m2ts_mode", "1"),
        inputs=SOUND,
    ),
    Kind("time code track with a reel name", "reel.mov", _reel),
    Kind("HEVC fields, top first", "fields.ts", partial(_fields, "tff")),
    Kind("HEVC fields, bottom first", "fields.mkv", partial(_fields, "bff")),
    _kind("H.264, bottom field first", "bff.mp4", "-vf", "setfield=bff", *X264, "-x264opts", "bff"),
    _kind("H.264 in FLV", "film.flv", *X264, "-bf", "0", "-c:a", "aac", inputs=SOUND),
    _kind("H.264 in MPEG-PS", "h264.mpg", *WITH_B),
    _kind("ASF", "film.asf", "-c:v", "wmv2", "-q:v", "2"),
    _kind("DivX", "film.divx", "-c:v", "mpeg4", "-q:v", "2", "-f", "avi"),
    _kind(
        "DivX with MP3",
        "mp3.avi",
        *("-c:v", "mpeg4", "-q:v", "2", "-c:a", "libmp3lame"),
        inputs=SOUND,
    ),
    _kind("MPEG-2 without a container", "film.m2v", *MPEG2),
    _kind("RealMedia", "film.rm", "-c:v", "rv20", "-q:v", "2", "-s", "352x288"),
    _kind(
        "ADPCM, two channels, its bit rate wrong",
        "adpcm.avi",
        *("-c:v", "mpeg4", "-q:v", "2", "-c:a", "adpcm_ms", "-ac", "2"),
        inputs=SOUND,
    ),
    _kind("Cinepak, RGB", "cinepak.avi", "-c:v", "cinepak", *CINEPAK),
)
"""All kinds; the tests send each of them through ``erasecore.video``."""


def kind_of(file: str) -> Kind:
    """The kind whose film has this name."""
    return next(kind for kind in KINDS if kind.file == file)
