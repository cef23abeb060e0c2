"""What a film is, found out before any work is done on it, and every reason to refuse it."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import av
import av.container
import av.error
from av.packet import Packet
from av.sidedata.sidedata import SideData, Type
from av.stream import Disposition
from av.video.stream import VideoStream

from erasecore.errors import (
    EncryptedVideo,
    LimitExceeded,
    NoVideoStream,
    TruncatedVideo,
    UnknownCodec,
)
from erasecore.settings import LimitSettings
from erasecore.video.color import PlaneLayout
from erasecore.video.containers import muxer_of
from erasecore.video.formats import layout_of, planar_format
from erasecore.video.opening import AnyPacket, open_film, packets

_STILLS = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
_COMMON_RATES = tuple(
    Fraction(n, d)
    for n, d in [(r * 1000, 1001) for r in (24, 30, 48, 60, 120)]
    + [(r, 1) for r in (12, 15, 24, 25, 30, 48, 50, 60, 100, 120)]
)
_UNSAID, _REC_709, _REC_601 = 2, 1, 6  # FFmpeg's numbers of colour matrices
_HD_ROWS, _SD_COLUMNS = 720, 1024
_PACKETS_TO_FIRST_FRAME = 2000  # of all streams; where none is a picture, the film is damaged


@dataclass(frozen=True, slots=True)
class ColorTags:
    """What the film says about its colours, as FFmpeg's numbers (2: unsaid)."""

    range: int  # 0 unsaid, 1 limited, 2 full
    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True, slots=True)
class Mastering:
    """The display on which an HDR film was graded (SMPTE ST 2086), as exact fractions."""

    red: tuple[Fraction, Fraction]  # chromaticity x, y
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    darkest: Fraction  # cd/m2
    brightest: Fraction


@dataclass(frozen=True, slots=True)
class Light:
    """Content light level of an HDR film, in cd/m2."""

    brightest_pixel: int  # MaxCLL
    brightest_average: int  # MaxFALL


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A film that can be worked on: where it lies, how its frames look, what must be kept."""

    path: Path
    container: str  # demuxer, as FFmpeg names it
    muxer: str  # what the result is written with; the same container where it can be
    suffix: str  # of the result's name, with its dot
    width: int
    height: int
    layout: PlaneLayout  # how frames are delivered
    pix_fmt: str  # how the film stores them
    rate: Fraction  # frames a second, on average
    time_base: Fraction  # of the video stream
    duration_seconds: float | None
    frames_estimate: int  # 0: unknown
    codec: str
    profile: str
    stream_index: int
    sample_aspect: Fraction | None
    rotation: int  # degrees, counter-clockwise; players turn the stored picture by it
    color: ColorTags
    field_order: int  # FFmpeg's number; 0 unsaid, 1 progressive, above: interlaced
    top_field_first: bool | None  # None: progressive
    mastering: Mastering | None
    light: Light | None
    dolby_vision: bool  # its extra layer is lost when pictures are encoded again
    clock_zero: Fraction  # seconds; where players begin to count: the first start of any stream
    limits: LimitSettings = field(repr=False)
    threads: int = field(default=0, repr=False)  # that may decode it; 0: FFmpeg's choice


def probe(path: Path, limits: LimitSettings) -> VideoInfo:
    """The film's description, after its first frame has been decoded.

    Raises:
        UnsafeFile, EmptyFile, NotAVideo, TruncatedVideo, NoVideoStream, EncryptedVideo,
        UnknownCodec, LimitExceeded: as their names say; the film cannot be worked on.
    """
    with open_film(path, limits) as container:
        stream = choose_stream(path, container)
        _check_size(path, stream.width, stream.height, limits)
        _check_length(path, container, stream, limits)
        first = _first_frame(path, container, stream, limits)
        if first is None:
            raise _why_no_frame(path, stream, limits)
        _check_size(path, first.width, first.height, limits)
        return _describe(path, container, first, limits=limits)


def choose_stream(path: Path, container: av.container.InputContainer) -> VideoStream:
    """The stream that is the film: the default one, else the largest, never a cover picture."""
    films = [s for s in container.streams.video if not s.disposition & _STILLS]
    if not films:
        if container.streams.video:
            raise NoVideoStream(path, "its only picture is cover art")
        raise NoVideoStream(path)
    without = [s for s in films if s.codec_context is None]  # type: ignore[redundant-expr,unused-ignore]
    if len(without) == len(films):
        raise UnknownCodec(path, "unknown to FFmpeg")
    films = [s for s in films if s not in without]
    return max(
        films,
        key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index),
    )


def frame_rate(stream: VideoStream) -> Fraction:
    """Frames a second on average, as a fraction that encoders take; 25 when nothing is known."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate and 0 < rate <= 1000:
            break
    else:
        return Fraction(25)
    near = min(_COMMON_RATES, key=lambda common: abs(common - rate))
    if abs(near - rate) / near < Fraction(1, 10_000):
        return near
    return rate.limit_denominator(1001)


def _first_frame(
    path: Path,
    container: av.container.InputContainer,
    stream: VideoStream,
    limits: LimitSettings,
) -> av.VideoFrame | None:
    """The first picture that can be decoded, ``None`` if the first many packets hold none."""
    stream.codec_context.options = {"max_pixels": str(limits.max_width_px * limits.max_height_px)}
    for packet in islice(packets(path, container), _PACKETS_TO_FIRST_FRAME):
        if packet is None:
            return None
        if packet.stream.index != stream.index:
            continue
        if packet.has_sidedata("encryption_info"):
            raise EncryptedVideo(path)
        for frame in _decode(path, stream, packet):
            return frame
    return None


def _decode(path: Path, stream: VideoStream, packet: AnyPacket) -> list[av.VideoFrame]:
    """The pictures that a packet completes; none of one that cannot be decoded."""
    try:
        return stream.decode(cast("Packet[VideoStream]", packet))
    except (av.error.PatchWelcomeError, av.error.DecoderNotFoundError) as error:
        raise UnknownCodec(path, stream.codec_context.name) from error
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError:
        return []  # perhaps the next one


def _why_no_frame(path: Path, stream: VideoStream, limits: LimitSettings) -> TruncatedVideo:
    if stream.width:
        return TruncatedVideo(path, "no picture could be decoded")
    # FFmpeg does not tell sizes above max_pixels.
    limit = f"{limits.max_width_px}x{limits.max_height_px}"
    return TruncatedVideo(path, f"its picture size is unreadable or above the limit of {limit}")


def _check_size(path: Path, width: int, height: int, limits: LimitSettings) -> None:
    """Nothing, if the picture is no larger than allowed."""
    if width > limits.max_width_px:
        raise LimitExceeded(
            path, "the width in pixels", width, limits.max_width_px, "limits.max_width_px"
        )
    if height > limits.max_height_px:
        raise LimitExceeded(
            path, "the height in pixels", height, limits.max_height_px, "limits.max_height_px"
        )


def _check_length(
    path: Path,
    container: av.container.InputContainer,
    stream: VideoStream,
    limits: LimitSettings,
) -> None:
    """Nothing, if the film is no longer than allowed, as far as its container says."""
    hours = (promised_seconds(container, stream) or 0.0) / 3600
    if hours > limits.max_hours:
        raise LimitExceeded(
            path, "the length in hours", hours, limits.max_hours, "limits.max_hours"
        )
    if stream.frames > limits.max_frames:
        raise LimitExceeded(
            path, "the number of frames", stream.frames, limits.max_frames, "limits.max_frames"
        )


def promised_seconds(container: av.container.InputContainer, stream: VideoStream) -> float | None:
    """The film's length as its container states it, ``None`` when it does not."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / 1_000_000
    return None


def _describe(
    path: Path,
    container: av.container.InputContainer,
    first: av.VideoFrame,
    *,
    limits: LimitSettings,
) -> VideoInfo:
    """The description of a film of which the first picture is known."""
    stream = choose_stream(path, container)
    rate, seconds = frame_rate(stream), promised_seconds(container, stream)
    context = stream.codec_context
    color = _color(context, first)
    muxer, suffix = muxer_of(container.format.name, path.suffix)
    return VideoInfo(
        path=path,
        container=container.format.name,
        muxer=muxer,
        suffix=suffix,
        width=first.width,
        height=first.height,
        layout=_layout(first, color),
        pix_fmt=first.format.name,
        rate=rate,
        time_base=stream.time_base or 1 / rate,
        duration_seconds=seconds,
        frames_estimate=stream.frames or round(float(rate) * (seconds or 0.0)),
        codec=context.codec.canonical_name,
        profile=context.profile or "",
        stream_index=stream.index,
        sample_aspect=stream.sample_aspect_ratio or None,
        rotation=first.rotation,
        color=color,
        field_order=context.field_order,
        top_field_first=_field_order(context.field_order, first),
        mastering=_mastering(first),
        light=_light(first),
        dolby_vision=side_bytes(first, Type.DOVI_METADATA) is not None,
        clock_zero=Fraction(container.start_time or 0, av.time_base),
        limits=limits,
    )


def _layout(first: av.VideoFrame, color: ColorTags) -> PlaneLayout:
    matrix = color.matrix
    if matrix == _UNSAID:  # what players take: Rec. 709 for HD pictures, Rec. 601 below
        matrix = _REC_709 if first.height >= _HD_ROWS or first.width > _SD_COLUMNS else _REC_601
    form = planar_format(first.format.name)
    full_range = color.range == 2
    return layout_of(form, full_range=full_range, matrix=matrix, transfer=color.transfer)


def _color(context: av.VideoCodecContext, first: av.VideoFrame) -> ColorTags:
    return ColorTags(
        range=int(first.color_range) or context.color_range,
        primaries=_said(first.color_primaries, context.color_primaries),
        transfer=_said(first.color_trc, context.color_trc),
        matrix=_said(first.colorspace, context.colorspace),
    )


def _said(of_frame: int, of_stream: int) -> int:
    return int(of_stream) if int(of_frame) == 2 else int(of_frame)


def _field_order(of_stream: int, first: av.VideoFrame) -> bool | None:
    """Whether the upper field comes first; ``None`` for a progressive film."""
    if of_stream in (2, 4):  # tt, tb (coded top; displayed top) and its mate
        return True
    if of_stream in (3, 5):
        return False
    return True if first.interlaced_frame else None


def _mastering(first: av.VideoFrame) -> Mastering | None:
    """The mastering display that comes with a picture, if one does."""
    raw = side_bytes(first, Type.MASTERING_DISPLAY_METADATA)
    if raw is None or len(raw) < 88:
        return None
    numbers = struct.unpack("=22i", raw[:88])
    values = [
        Fraction(n, d) if d else Fraction(0)
        for n, d in zip(numbers[:20:2], numbers[1:20:2], strict=True)
    ]
    if not (numbers[20] and numbers[21]):
        return None
    red, green, blue, white = [(values[i], values[i + 1]) for i in range(0, 8, 2)]
    return Mastering(red, green, blue, white, darkest=values[8], brightest=values[9])


def _light(first: av.VideoFrame) -> Light | None:
    raw = side_bytes(first, Type.CONTENT_LIGHT_LEVEL)
    if raw is None or len(raw) < 8:
        return None
    return Light(*struct.unpack("=2I", raw[:8]))


def side_bytes(picture: av.VideoFrame, kind: Type) -> bytes | None:
    """The raw side data of one kind, ``None`` where the picture has none."""
    entries: Iterable[SideData] = picture.side_data  # type: ignore[assignment]
    for entry in entries:  # the stub says otherwise, but these are the entries themselves
        if entry.type == kind:
            return bytes(entry)
    return None
