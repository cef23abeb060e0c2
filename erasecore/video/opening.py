"""Safe opening of media containers: regular files only, demuxers from an allow-list.

FFmpeg detects the format from content, and some formats are lists of other files or URLs (HLS,
DASH, concat). A sender could name such a playlist ``film.mp4`` and have other files decoded. A
protocol allow-list alone does not stop that, so the demuxers are limited too. All media files are
opened here.
"""

from __future__ import annotations

import errno
import mmap
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

# Allowed demuxers, by FFmpeg's names: containers of films, no playlists, no image sequences.
DEMUXERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,live_flv,asf,asf_o,ogg,mxf,nut,dv,wtv,rm"
)
# Allowed decoders, by FFmpeg's names: the video codecs of films. FFmpeg has some 250 more, which
# nobody sends and few maintain. Sound and subtitles are copied; most need no decoder for that.
DECODERS = frozenset({
    "av1", "cfhd", "cinepak", "dnxhd", "dvvideo", "ffv1", "ffvhuff", "flv", "h261", "h263", "h263p",
    "h264", "hap", "hevc", "huffyuv", "jpeg2000", "lagarith", "libdav1d", "magicyuv", "mjpeg",
    "mjpegb", "mpeg1video", "mpeg2video", "mpeg4", "msmpeg4", "msmpeg4v1", "msmpeg4v2", "png",
    "prores", "qtrle", "r210", "rawvideo", "rv10", "rv20", "rv30", "rv40", "svq1", "svq3", "theora",
    "utvideo", "v210", "vc1", "vp3", "vp6", "vp6a", "vp6f", "vp8", "vp9", "vvc", "wmv1", "wmv2",
    "wmv3",
})  # fmt: skip
# Allowed decoders of sound whose parameters FFmpeg's demuxers cannot tell without them.
_SOUND_DECODERS = frozenset({"aac", "aac_latm", "pcm_bluray", "pcm_dvd"})
_CODEC_WHITELIST = ",".join(sorted(DECODERS | _SOUND_DECODERS))

SPARE_BYTES = 256 << 20
"""Bytes that no film needs in one piece to be opened or decoded; a plane of 8192x8192 samples of 16
bits has half as many."""
_MEDIA_BOXES = (b"mdat", b"moov", b"moof")  # ISO 14496-12 boxes with media data or its index

# Test of ``st_mode`` -> words for ``UnsafeFile``.
_SPECIAL_FILE_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


def open_film(path: Path, limits: LimitSettings | None = None) -> av.container.InputContainer:
    """Open a film's container and identify its streams; the caller closes it.

    Args:
        path: the film; must be a regular file, symbolic links are not followed.
        limits: largest picture and number of streams; ``None`` for files that we wrote ourselves.

    Raises:
        UnsafeFile: not a regular file.
        EmptyFile: it has no bytes.
        NotAVideo: no allowed demuxer recognises it.
        TruncatedVideo: it begins like a film, but cannot be opened.
        EncryptedVideo: the container refuses access (DRM).
        LimitExceeded: too many streams.
        OSError: the disk or the share failed.
        MemoryError: there is no memory left.
    """
    check_regular(path)
    try:
        container = av.open(
            f"file:{path.absolute()}",
            mode="r",
            options=_open_options(limits),
            metadata_errors="surrogateescape",
        )
    except (av.error.FFmpegError, ValueError) as error:
        raise _open_error(path, error) from error
    if limits is not None and len(container.streams) > limits.max_streams:
        stream_count = len(container.streams)
        container.close()
        raise LimitExceeded(
            path, "the number of streams", stream_count, limits.max_streams, "limits.max_streams"
        )
    return container


def packets(
    path: Path, container: av.container.InputContainer, *streams: VideoStream
) -> Iterator[AnyPacket | None]:
    """Yield all packets, or those of ``streams``, in file order.

    Where the container is damaged ``None`` is yielded once, and the sequence ends.

    Raises:
        EncryptedVideo: the container refuses access (DRM).
        OSError: the disk or the share failed.
        MemoryError: there is no memory left.
    """
    source: Iterator[AnyPacket] = container.demux(*streams)
    while True:
        try:
            packet = next(source, None)
        except av.error.PermissionError as error:
            raise EncryptedVideo(path) from error
        except (av.error.FFmpegError, IndexError) as error:
            # IndexError: a packet of a stream that the header did not list. av.error.MemoryError: a
            # packet that claims gigabytes, unless there is no memory left.
            if _is_host_error(path, error):
                raise
            yield None
            return
        if packet is None:
            return
        yield packet


def check_regular(path: Path) -> None:
    """Check that ``path`` is a regular file, not a link, and not empty.

    Raises:
        UnsafeFile: not a regular file.
        EmptyFile: it has no bytes.
    """
    status = path.lstat()
    for is_kind, name in _SPECIAL_FILE_KINDS:
        if is_kind(status.st_mode):
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


def _open_options(limits: LimitSettings | None) -> dict[str, str]:
    """Return FFmpeg's options: allow-lists, and the limits of picture size and streams."""
    options = {
        "format_whitelist": DEMUXERS,
        "codec_whitelist": _CODEC_WHITELIST,
        "protocol_whitelist": "file",
    }
    if limits is not None:
        options["max_pixels"] = str(limits.max_width_px * limits.max_height_px)
        # One more than allowed, so that open_film can tell the excess from other errors.
        options["max_streams"] = str(limits.max_streams + 1)
    return options


def decoder_options(limits: LimitSettings) -> dict[str, str]:
    """Return FFmpeg's options for a decoder: the allow-list, and the limit of the picture size."""
    return {
        "codec_whitelist": _CODEC_WHITELIST,
        "max_pixels": str(limits.max_width_px * limits.max_height_px),
    }


def _open_error(path: Path, error: Exception) -> InputError:
    """Return our error for a container that could not be opened.

    Content that begins like a film counts as truncated, all else as no film. ``error`` itself is
    raised if the disk or the share failed, or if there is no memory left.
    """
    if isinstance(error, av.error.PermissionError):
        return EncryptedVideo(path)  # check_regular has just opened the file itself
    if _is_host_error(path, error):
        raise error
    with path.open("rb") as file:
        head = file.read(16)
    if has_film_signature(head):
        return TruncatedVideo(path, "its index is missing or unreadable")
    return NotAVideo(path)


def _is_host_error(path: Path, error: Exception) -> bool:
    """Return True if the disk, share or memory failed, False if the film's structure is damaged.

    FFmpeg reports EIO for both. Nine blocks of 64 KiB, spread over the file, are read; if the host
    fails, that read raises ``OSError`` itself.
    """
    if isinstance(error, MemoryError):
        return not is_memory_left()
    if not isinstance(error, OSError):
        return False
    size = path.stat().st_size
    with path.open("rb") as file:
        for eighth in range(9):
            file.seek(max(0, size * eighth // 8 - 65536))
            file.read(65536)
    return error.errno not in (errno.EIO, errno.ENOENT)


def is_memory_left() -> bool:
    """Return True if ``SPARE_BYTES`` can be allocated: after an error, the film asked for more.

    A few bytes of a film can claim a table or packet of gigabytes. FFmpeg answers the same (ENOMEM)
    as when the machine has no memory left.
    """
    try:
        mmap.mmap(-1, SPARE_BYTES).close()
    except (OSError, MemoryError):
        return False
    return True


def ends_inside_a_box(path: Path) -> bool:
    """Return True if an MP4 or QuickTime file ends inside a box with media data (truncated).

    Trailing bytes that parse as the head of some other box do not count.
    """
    size, offset, kind = path.stat().st_size, 0, b""
    with path.open("rb") as file:
        while offset + 8 <= size:
            file.seek(offset)
            head = file.read(16)
            length, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if length == 1:  # the 64-bit length follows
                length = int.from_bytes(head[8:16], "big")
            if length < 8:  # 0: the box extends to the end of the file; 2 to 7: not a box
                return False
            offset += length
    return offset > size and kind in _MEDIA_BOXES


def has_film_signature(head: bytes) -> bool:
    """Return True if the first 16 bytes are those of MP4, Matroska, AVI, FLV, ASF or Ogg."""
    return (
        head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide")
        or head.startswith((b"\x1a\x45\xdf\xa3", b"FLV\x01", b"\x30\x26\xb2\x75", b"OggS"))
        or (head.startswith(b"RIFF") and head[8:11] == b"AVI")
    )
