"""Probe: read a film's properties and reject films that cannot be processed."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import cast

import av
import av.error
from av.container import InputContainer
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
from erasecore.video.containers import muxer_and_suffix
from erasecore.video.formats import layout_of, planar_format
from erasecore.video.hevc_fields import PictureStruct, picture_struct
from erasecore.video.mpegts import Program, programs_of
from erasecore.video.opening import (
    DECODERS,
    AnyPacket,
    decoder_options,
    is_memory_left,
    open_film,
    packets,
)
from erasecore.video.orientation import Orientation, orientation_of

# Dispositions of video streams that are no film: cover art, stills, thumbnails.
_STILL_PICTURE = Disposition.attached_pic | Disposition.still_image | Disposition.timed_thumbnails
# Frame rates in frames per second that a measured average is rounded to.
_COMMON_RATES = tuple(
    Fraction(n, d)
    for n, d in [(r * 1000, 1001) for r in (24, 30, 48, 60, 120)]
    + [(r, 1) for r in (12, 15, 24, 25, 30, 48, 50, 60, 100, 120)]
)
_UNSPECIFIED = 2  # ITU-T H.273, for primaries, transfer and matrix alike
_REC_709 = 1  # ITU-T H.273 MatrixCoefficients
_REC_601 = 6  # ITU-T H.273 MatrixCoefficients
_HD_ROWS = 720  # rows from which untagged films count as Rec. 709; guess
_SD_COLUMNS = 1024  # columns above which untagged films count as Rec. 709; guess
_PACKETS_TO_FIRST_FRAME = 2000  # of all streams; no frame in so many: the film is damaged; guess


@dataclass(frozen=True, slots=True)
class ColorTags:
    """Colour tags of the film; ITU-T H.273 code points, as FFmpeg numbers them (2: unspecified)."""

    range: int  # 0 unspecified, 1 limited, 2 full
    primaries: int
    transfer: int
    matrix: int


@dataclass(frozen=True, slots=True)
class Mastering:
    """Mastering display of an HDR film (SMPTE ST 2086), as exact fractions."""

    red: tuple[Fraction, Fraction]  # chromaticity x, y
    green: tuple[Fraction, Fraction]
    blue: tuple[Fraction, Fraction]
    white: tuple[Fraction, Fraction]
    darkest: Fraction  # cd/m2
    brightest: Fraction  # cd/m2


@dataclass(frozen=True, slots=True)
class Light:
    """Content light level of an HDR film (CTA-861.3), in cd/m2."""

    brightest_pixel: int  # MaxCLL
    brightest_average: int  # MaxFALL


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """Properties of a film that passed ``probe``: file, frames, colours and metadata to keep."""

    path: Path
    container: str  # demuxer, as FFmpeg names it
    muxer: str  # of the result; the source's own container where FFmpeg can write it
    suffix: str  # of the result's file name, with its dot
    width: int  # of the picture as it is seen (turned), in pixels
    height: int
    layout: PlaneLayout  # of the frames as we process them: planar and turned
    pix_fmt: str  # FFmpeg's name of the format that the film stores
    rate: Fraction  # average frames per second
    time_base: Fraction  # of the video stream, seconds per tick
    duration_seconds: float | None  # as the container states it; None: it does not
    frames_estimate: int  # 0: unknown
    codec: str  # FFmpeg's canonical name
    profile: str  # of the codec, empty if unknown
    stream_index: int  # of the video stream in the file
    other_videos: tuple[int, ...]  # indices of further ones, which are copied; no cover art
    programs: tuple[Program, ...]  # of a transport stream; empty in other containers
    sample_aspect: Fraction | None  # pixel aspect ratio; None: not stated
    rotation: int  # degrees counter-clockwise by which players turn the stored picture
    orientation: Orientation  # the same, and mirrors, by quarters
    color: ColorTags
    field_order: int  # FFmpeg's AVFieldOrder; 0 unknown, 1 progressive, above: interlaced
    top_field_first: bool | None  # None: progressive
    picture_struct: PictureStruct  # of HEVC: whether its pictures are fields, and which is first
    mastering: Mastering | None
    light: Light | None
    dolby_vision: bool  # has Dolby Vision metadata, which re-encoding loses
    clock_zero: Fraction  # seconds; start of the player's clock: the earliest start of any stream
    limits: LimitSettings = field(repr=False)
    threads: int = field(default=0, repr=False)  # of the decoder; 0: FFmpeg's choice

    @property
    def stored_size(self) -> tuple[int, int]:
        """Width and height of the stored picture, in pixels."""
        return self.orientation.size(self.width, self.height)

    @property
    def stored_layout(self) -> PlaneLayout:
        """Layout of the planes as they are decoded, not turned."""
        return self.orientation.layout(self.layout)

    @property
    def seen_aspect(self) -> float:
        """Pixel aspect ratio, width / height, of the picture as it is seen; 1 if not stated."""
        aspect = self.sample_aspect or Fraction(1)
        return float(1 / aspect if self.orientation.transposed else aspect)


def probe(path: Path, limits: LimitSettings) -> VideoInfo:
    """Return the film's properties, after decoding its first frame.

    Raises:
        UnsafeFile, EmptyFile, NotAVideo, TruncatedVideo, NoVideoStream, EncryptedVideo,
        UnknownCodec, LimitExceeded: see ``erasecore.errors``; the film cannot be processed.
    """
    with open_film(path, limits) as container:
        stream = choose_stream(path, container)
        _check_size(path, stream.width, stream.height, limits)
        _check_length(path, container, stream, limits)
        first = _first_frame(path, container, stream, limits)
        if first is None:
            raise _no_frame_error(path, stream, limits)
        _check_size(path, first.width, first.height, limits)
        return _describe(path, container, first, limits=limits)


def choose_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the video stream to process: the default one, else the largest; never cover art.

    Raises:
        NoVideoStream: there is none.
        UnknownCodec: there is no decoder for any of them, or none that is allowed.
    """
    films = [s for s in container.streams.video if not s.disposition & _STILL_PICTURE]
    if not films:
        if container.streams.video:
            raise NoVideoStream(path, "its only picture is cover art")
        raise NoVideoStream(path)
    codecs = {s.index: _decoder_name(s) for s in films}
    films = [s for s in films if codecs[s.index] in DECODERS]
    if not films:
        raise UnknownCodec(path, next(filter(None, codecs.values()), "unknown to FFmpeg"))
    return max(
        films,
        key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index),
    )


def _decoder_name(stream: VideoStream) -> str:
    """Return FFmpeg's name of the stream's decoder, empty if it has none."""
    context = stream.codec_context  # it may be None, although PyAV's stub denies it
    return context.codec.name if context else ""


def other_videos(container: InputContainer, chosen: VideoStream) -> tuple[int, ...]:
    """Return the indices of the film's video streams besides ``chosen``, without cover art."""
    others = [s for s in container.streams.video if not s.disposition & _STILL_PICTURE]
    return tuple(s.index for s in others if s.index != chosen.index)


def frame_rate(stream: VideoStream) -> Fraction:
    """Return the average frame rate in frames per second, rounded to a common one within 1e-4.

    25 if the container states none between 0 and 1000.
    """
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
    container: InputContainer,
    stream: VideoStream,
    limits: LimitSettings,
) -> av.VideoFrame | None:
    """Return the first frame that decodes; ``None`` after ``_PACKETS_TO_FIRST_FRAME`` packets.

    Raises:
        EncryptedVideo: the packets are encrypted.
        UnknownCodec: FFmpeg cannot decode this variant of the codec.
    """
    stream.codec_context.options = decoder_options(limits)
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
    """Return the frames that a packet completes; empty if the packet cannot be decoded."""
    try:
        return stream.decode(cast("Packet[VideoStream]", packet))
    except (av.error.PatchWelcomeError, av.error.DecoderNotFoundError) as error:
        raise UnknownCodec(path, stream.codec_context.name) from error
    except av.error.FFmpegError as error:
        if isinstance(error, MemoryError) and not is_memory_left():
            raise
        return []  # the next packet may decode


def _no_frame_error(path: Path, stream: VideoStream, limits: LimitSettings) -> TruncatedVideo:
    """Return the error for a film without a decodable frame."""
    if stream.width:
        return TruncatedVideo(path, "no picture could be decoded")
    # FFmpeg reports no size for pictures above max_pixels.
    limit = f"{limits.max_width_px}x{limits.max_height_px}"
    return TruncatedVideo(path, f"its picture size is unreadable or above the limit of {limit}")


def _check_size(path: Path, width: int, height: int, limits: LimitSettings) -> None:
    """Raise ``LimitExceeded`` if the picture is wider or higher than allowed."""
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
    container: InputContainer,
    stream: VideoStream,
    limits: LimitSettings,
) -> None:
    """Raise ``LimitExceeded`` if the container states more hours or frames than allowed."""
    hours = (stated_seconds(container, stream) or 0.0) / 3600
    if hours > limits.max_hours:
        raise LimitExceeded(
            path, "the length in hours", hours, limits.max_hours, "limits.max_hours"
        )
    if stream.frames > limits.max_frames:
        raise LimitExceeded(
            path, "the number of frames", stream.frames, limits.max_frames, "limits.max_frames"
        )


def stated_seconds(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the duration in seconds that the stream or container states; ``None`` if neither."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    if container.duration:
        return container.duration / 1_000_000
    return None


def _describe(
    path: Path, container: InputContainer, first: av.VideoFrame, *, limits: LimitSettings
) -> VideoInfo:
    """Return the film's properties, from its container and its first decoded frame."""
    stream = choose_stream(path, container)
    rate, seconds = frame_rate(stream), stated_seconds(container, stream)
    context, demuxer = stream.codec_context, container.format.name
    color = _color(context, first)
    orientation = orientation_of(side_bytes(first, Type.DISPLAYMATRIX))
    return VideoInfo(
        path,
        demuxer,
        *muxer_and_suffix(demuxer, path.suffix),
        *orientation.size(first.width, first.height),
        orientation.layout(_layout(first, color)),
        pix_fmt=first.format.name,
        rate=rate,
        time_base=stream.time_base or 1 / rate,
        duration_seconds=seconds,
        frames_estimate=stream.frames or round(float(rate) * (seconds or 0.0)),
        codec=context.codec.canonical_name,
        profile=context.profile or "",
        stream_index=stream.index,
        other_videos=other_videos(container, stream),
        programs=programs_of(path) if demuxer == "mpegts" else (),
        sample_aspect=stream.sample_aspect_ratio or None,
        rotation=first.rotation,
        orientation=orientation,
        color=color,
        field_order=context.field_order,
        top_field_first=_top_field_first(context.field_order, first),
        picture_struct=_picture_struct(path, stream, first, limits),
        mastering=_mastering(first),
        light=_content_light(first),
        dolby_vision=side_bytes(first, Type.DOVI_METADATA) is not None,
        clock_zero=Fraction(container.start_time or 0, av.time_base),
        limits=limits,
    )


def _layout(first: av.VideoFrame, color: ColorTags) -> PlaneLayout:
    """Return the layout of the frames as processed; an untagged matrix is guessed from the size."""
    matrix = color.matrix
    if matrix == _UNSPECIFIED:  # players assume Rec. 709 for HD pictures, Rec. 601 below
        matrix = _REC_709 if first.height >= _HD_ROWS or first.width > _SD_COLUMNS else _REC_601
    form = planar_format(first.format.name)
    full_range = color.range == 2
    return layout_of(form, full_range=full_range, matrix=matrix, transfer=color.transfer)


def _color(context: av.VideoCodecContext, first: av.VideoFrame) -> ColorTags:
    """Return the first frame's colour tags; those of the stream where the frame has none."""
    return ColorTags(
        range=int(first.color_range) or context.color_range,
        primaries=_frame_or_stream_tag(first.color_primaries, context.color_primaries),
        transfer=_frame_or_stream_tag(first.color_trc, context.color_trc),
        matrix=_frame_or_stream_tag(first.colorspace, context.colorspace),
    )


def _frame_or_stream_tag(frame_tag: int, stream_tag: int) -> int:
    """Return the frame's colour tag, or the stream's if that of the frame is unspecified."""
    return int(stream_tag) if int(frame_tag) == _UNSPECIFIED else int(frame_tag)


def _top_field_first(field_order: int, first: av.VideoFrame) -> bool | None:
    """Return True if the top field is coded first, False if the bottom one, ``None``: progressive.

    Args:
        field_order: FFmpeg's AVFieldOrder of the stream.
        first: the first frame; where the stream states no order, interlaced counts as top first.
    """
    if field_order in (2, 4):  # AV_FIELD_TT, AV_FIELD_TB: 3 and 5 are the same, bottom first
        return True
    if field_order in (3, 5):
        return False
    return True if first.interlaced_frame else None


def _picture_struct(
    path: Path, stream: VideoStream, first: av.VideoFrame, limits: LimitSettings
) -> PictureStruct:
    """Return how interlaced HEVC is coded; ``PROGRESSIVE`` for other codecs."""
    if stream.codec_context.codec.canonical_name != "hevc":
        return PictureStruct.PROGRESSIVE
    return picture_struct(path, stream.index, limits, fields=first.interlaced_frame)


def _mastering(first: av.VideoFrame) -> Mastering | None:
    """Return the mastering display in a frame's side data, or ``None``.

    FFmpeg's AVMasteringDisplayMetadata: ten AVRationals (R, G, B, white as x, y; min and max
    luminance), then the flags has_primaries and has_luminance. Incomplete data counts as absent.
    """
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


def _content_light(first: av.VideoFrame) -> Light | None:
    """Return the content light level in a frame's side data, or ``None``."""
    raw = side_bytes(first, Type.CONTENT_LIGHT_LEVEL)
    if raw is None or len(raw) < 8:
        return None
    return Light(*struct.unpack("=2I", raw[:8]))


def side_bytes(picture: av.VideoFrame, kind: Type) -> bytes | None:
    """Return the frame's raw side data of one kind, ``None`` if it has none."""
    entries: Iterable[SideData] = picture.side_data  # type: ignore[assignment]
    for entry in entries:  # PyAV's stub is wrong: iteration yields the entries
        if entry.type == kind:
            return bytes(entry)
    return None
