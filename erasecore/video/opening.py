"""The one door through which a film's container is opened: regular files, known demuxers only.

FFmpeg guesses a format from content, and some formats are lists of other files or addresses (HLS,
DASH, concat). A sender could name such a list ``film.mp4`` and have foreign files decoded. A
protocol list alone does not stop that, so demuxers are taken from an allow-list.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import av
import av.container
import av.error
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from erasecore.errors import (
    EmptyFile,
    EncryptedVideo,
    InputError,
    LimitExceeded,
    NotAVideo,
    TruncatedVideo,
    UnsafeFile,
)
from erasecore.settings import LimitSettings
from erasecore.system.safe_open import open_plain

AnyPacket: TypeAlias = "Packet[Stream] | Packet[VideoStream]"

DEMUXERS = "mov,mp4,matroska,webm,avi,mpegts,mpeg,flv,live_flv,asf,asf_o,ogg,mxf,nut,dv,wtv"

_BOXES_WITH_FILM = (b"mdat", b"moov", b"moof")

_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_film(path: Path, limits: LimitSettings | None = None) -> av.container.InputContainer:
    """An open container, its streams known, nothing decoded beyond what naming them takes.

    Args:
        path: the film; must be a regular file, links are not followed.
        limits: what the film may be; ``None`` for files that we wrote ourselves.

    Raises:
        UnsafeFile, EmptyFile, NotAVideo, TruncatedVideo, LimitExceeded: as named.
    """
    check_regular(path)
    try:
        container = av.open(
            f"file:{path.absolute()}",
            mode="r",
            options=_options(limits),
            metadata_errors="surrogateescape",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise _why_not(path, error) from error
    if limits is not None and len(container.streams) > limits.max_streams:
        found = len(container.streams)
        container.close()
        raise LimitExceeded(
            path, "the number of streams", found, limits.max_streams, "limits.max_streams"
        )
    return container


def packets(
    path: Path, container: av.container.InputContainer, *streams: VideoStream
) -> Iterator[AnyPacket | None]:
    """All packets, or those of ``streams``; ``None`` where the structure breaks, then no more.

    Raises:
        EncryptedVideo: the container says that it may not be read.
        OSError: the file itself cannot be read on.
    """
    source: Iterator[AnyPacket] = container.demux(*streams)
    while True:
        try:
            packet = next(source, None)
        except av.error.PermissionError as error:
            raise EncryptedVideo(path) from error
        except (av.error.FFmpegError, IndexError) as error:
            # IndexError: a stream that was not announced. MemoryError: a packet that claims
            # gigabytes; memory that is truly short shows in decoding.
            if _is_host_error(path, error):
                raise
            yield None
            return
        if packet is None:
            return
        yield packet


def check_regular(path: Path) -> None:
    """Nothing, if ``path`` is a regular file with bytes in it; else the fitting error."""
    found = path.lstat()
    for is_kind, name in _KINDS:
        if is_kind(found.st_mode):
            raise UnsafeFile(path, name)
    descriptor = open_plain(path)
    try:
        opened = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if not stat.S_ISREG(opened.st_mode):
        raise UnsafeFile(path, "not a plain file")
    if opened.st_size == 0:
        raise EmptyFile(path)


def _options(limits: LimitSettings | None) -> dict[str, str]:
    options = {"format_whitelist": DEMUXERS, "protocol_whitelist": "file"}
    if limits is not None:
        options["max_pixels"] = str(limits.max_width_px * limits.max_height_px)
        # One more than allowed, so that the excess can be told from other faults.
        options["max_streams"] = str(limits.max_streams + 1)
    return options


def _why_not(path: Path, error: Exception) -> InputError:
    """The error class for a container that could not be opened."""
    if isinstance(error, av.error.PermissionError):
        return EncryptedVideo(path)  # the file itself was readable a moment ago
    if _is_host_error(path, error):
        raise error
    with path.open("rb") as file:
        head = file.read(16)
    if looks_like_film(head):
        return TruncatedVideo(path, "its index is missing or unreadable")
    return NotAVideo(path)


def _is_host_error(path: Path, error: Exception) -> bool:
    """Whether the disk or the share failed, rather than the film's structure.

    FFmpeg says "input/output error" for both; if the file can be read plainly it is the structure.
    """
    if not isinstance(error, OSError):
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        for share in range(9):
            file.seek(max(0, size * share // 8 - 65536))
            file.read(65536)  # raises if the fault is the host's
    return error.errno not in (errno.EIO, errno.ENOENT)


def ends_inside_a_box(path: Path) -> bool:
    """Whether an MP4 or QuickTime file stops in the middle of a box that holds film.

    Bytes after the film's end that look like the head of some box are no fault of the film's.
    """
    size, place, kind = path.stat().st_size, 0, b""
    with path.open("rb") as file:
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0: to the end of the file; else not a box
                return False
            place += length
    return place > size and kind in _BOXES_WITH_FILM


def looks_like_film(head: bytes) -> bool:
    """Whether the first 16 bytes are those of MP4, Matroska, AVI, FLV, ASF or Ogg."""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide")
        or head.startswith((b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75", b"OggS"))
        or (head.startswith(b"RIFF") and head[8:11] == b"AVI")
    )
