"""Copying (remuxing) of everything but the video: streams, attachments, chapters, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from erasecore.video.containers import MOV_FAMILY, MUXER_MADE_TAGS, muxer_takes_codec
from erasecore.video.opening import AnyPacket, open_film, packets
from erasecore.video.probe import VideoInfo

# Sample entry codes (FourCC) of MOV files that are kept: players choose the decoder by them.
_KEPT_FOURCCS = ("avc1", "apch", "apcn", "apcs", "apco", "ap4h", "ap4x")
# Codec -> FourCC where FFmpeg's default is another. Apple's players refuse hev1, which allows
# parameter sets between the pictures; ours are in the header only, as hvc1 promises.
_MOV_FOURCC = {"hevc": "hvc1"}
_MAX_HELD_PACKETS = 64  # held back until a dts is known; guess, FFmpeg needs at most 16
# Prefixes of stream tags by mkvmerge and FFmpeg that describe the old packets of the film.
_STALE_TAG_PREFIXES = ("_STATISTICS", "BPS", "NUMBER_OF_", "DURATION", "ENCODER", "encoder")


@dataclass(frozen=True, slots=True)
class Target:
    """A stream of the result, and the time base of the packets written to it."""

    stream: Stream
    time_base: Fraction


def add_streams(
    output: av.container.OutputContainer,
    source: av.container.InputContainer,
    video: VideoInfo,
    encoded: VideoStream,
) -> dict[int, Target]:
    """Add the result's streams in the source's order; return them by the source stream's index.

    Streams that the container cannot store are left out; Matroska covers become attachments.

    Args:
        output: the result's container, not yet started.
        source: the film's container.
        video: the same film, as probed.
        encoded: the video stream of the first segment.
    """
    targets, covers = {}, []
    for stream in source.streams:
        if stream.index == video.stream_index:
            made: Stream = _add_film_stream(output, stream, video, encoded)
        elif is_matroska_cover(stream, output.format.name):
            covers.append(stream)
            continue
        elif can_be_copied(stream, output.format.name):
            made = output.add_stream_from_template(stream, opaque=True)
            if output.format.name == "avi" and stream.codec_context.name.startswith("adpcm_"):
                made.codec_context.bit_rate = _packet_bit_rate(stream)
        else:
            continue
        _copy_stream_facts(made, stream, video)
        targets[stream.index] = Target(made, stream.time_base or video.time_base)
    for cover in covers:
        _attach_cover(output, cover)
    return targets


def pixel_aspects(
    source: av.container.InputContainer, video: VideoInfo, targets: Mapping[int, Target]
) -> list[Fraction | None]:
    """Return the pixel aspect ratio of each of the result's streams but attachments, in order."""
    kept = [s for s in source.streams if s.index in targets and s.type != "attachment"]
    return [
        video.sample_aspect
        if stream.index == video.stream_index
        else (isinstance(stream, VideoStream) and stream.sample_aspect_ratio) or None
        for stream in kept
    ]


def is_matroska_cover(stream: Stream, muxer: str) -> bool:
    """Return True if the stream is cover art for Matroska, which stores it as an attached file."""
    attached = bool(stream.disposition & Disposition.attached_pic)
    return attached and muxer in ("matroska", "webm")


def _attach_cover(output: av.container.OutputContainer, stream: Stream) -> None:
    """Add the cover art's first packet to the result as an attached file."""
    name = stream.metadata.get("filename", "cover")
    mimetype = stream.metadata.get("mimetype", "image/jpeg")
    with open_film(Path(stream.container.name.removeprefix("file:"))) as film:
        for packet in film.demux(film.streams[stream.index]):
            if packet.size:
                output.add_attachment(name, mimetype, bytes(packet))
                return


def _packet_bit_rate(stream: Stream) -> int | None:
    """Return the bit rate of a sound stream by its first packet, bit/s; ``None`` if unknown.

    The AVI muxer computes the duration of a block of ADPCM from it, since PyAV does not tell the
    muxer the number of samples. Encoders write wrong bit rates: the times would not fit.
    """
    with open_film(Path(stream.container.name.removeprefix("file:"))) as film:
        for packet in film.demux(film.streams[stream.index]):
            if packet.size and packet.duration:
                return round(packet.size * 8 / (packet.duration * packet.time_base))
    return stream.codec_context.bit_rate


def can_be_copied(stream: Stream, muxer: str) -> bool:
    """Return True if ``muxer`` can store the stream without re-encoding.

    False for data tracks of QuickTime files (time code, chapter text), which the muxer creates
    again from tags and chapters, and for codecs that FFmpeg does not know.
    """
    if stream.type == "attachment":
        return muxer in ("matroska", "webm")
    if stream.type == "data":
        return muxer == "mpegts"
    known = stream.codec_context is not None  # it may be None, although PyAV's stub denies it
    return known and muxer_takes_codec(muxer, stream.codec_context.codec.canonical_name)


def copied_packets(
    source: av.container.InputContainer,
    video: VideoInfo,
    targets: Mapping[int, Target],
    span: tuple[Fraction, Fraction] | None = None,
) -> Iterator[AnyPacket]:
    """Yield the packets of all streams in ``targets`` except the video, assigned to the targets.

    Missing timestamps are filled in, and dts are made strictly increasing per stream. Ends where
    the source's container is damaged, as its frames do.
    """
    last: dict[int, int] = {}
    for packet in _with_dts(_wanted_packets(source, video, targets)):
        index = packet.stream.index
        if packet.pts is None and packet.dts is None:
            packet.pts = last.get(index, -1) + 1
        if packet.dts is None:
            packet.dts = packet.pts
        if index in last and packet.dts is not None and packet.dts <= last[index]:
            packet.dts = last[index] + 1
            packet.pts = max(packet.pts or packet.dts, packet.dts)
        last[index] = packet.dts or 0
        if span is not None and not _moved_into(packet, span):
            continue
        packet.stream = targets[index].stream
        yield packet


def _moved_into(packet: AnyPacket, span: tuple[Fraction, Fraction]) -> bool:
    """Move a packet's times to a clock that is 0 at the span's start; False if it lies outside."""
    start, stop = span
    if packet.pts is None or not start <= packet.pts * packet.time_base < stop:
        return False
    ticks = round(start / packet.time_base)
    packet.pts -= ticks
    packet.dts = None if packet.dts is None else packet.dts - ticks
    return True


def _wanted_packets(
    source: av.container.InputContainer, video: VideoInfo, targets: Mapping[int, Target]
) -> Iterator[AnyPacket]:
    """Yield the packets with content of all streams in ``targets`` except the video."""
    for packet in packets(video.path, source):
        if packet is None:
            return
        index = packet.stream.index
        if index != video.stream_index and index in targets and packet.size:
            yield packet


def _with_dts(wanted: Iterator[AnyPacket]) -> Iterator[AnyPacket]:
    """Yield the packets, with dts for the first ones of video streams that lack them.

    Matroska stores pts only. FFmpeg guesses the dts of a video stream with B-frames from the
    second or third packet on; the ones before are held back, and get the ticks before that dts.
    """
    started: set[int] = set()
    held: dict[int, list[AnyPacket]] = {}
    for packet in wanted:
        index = packet.stream.index
        queue = held.setdefault(index, [])
        if index in started or packet.stream.type != "video":
            yield packet
            continue
        queue.append(packet)
        if packet.dts is not None or len(queue) == _MAX_HELD_PACKETS:
            started.add(index)
            yield from _dated(held.pop(index))
    for queue in held.values():
        yield from _dated(queue)


def _dated(queue: list[AnyPacket]) -> list[AnyPacket]:
    """Fill in the dts before the first known one, or before the first pts: a tick apart."""
    known = next((k for k, packet in enumerate(queue) if packet.dts is not None), len(queue))
    stamps = [packet.pts for packet in queue if packet.pts is not None]
    after = queue[known].dts if known < len(queue) else min(stamps, default=0)
    for number, packet in enumerate(queue[:known]):
        packet.dts = min(after or 0, *stamps) - (known - number) if stamps else None
    return queue


def copy_header(
    output: av.container.OutputContainer,
    source: av.container.InputContainer,
    *,
    chapters: bool = True,
) -> None:
    """Copy the source's global tags (without those that muxers write) and its chapters."""
    output.metadata.update(
        {k: v for k, v in source.metadata.items() if k.lower() not in MUXER_MADE_TAGS}
    )
    found = source.chapters() if chapters else []
    if found:
        output.set_chapters(found)


def _add_film_stream(
    output: av.container.OutputContainer, stream: Stream, video: VideoInfo, encoded: VideoStream
) -> VideoStream:
    """Add the result's video stream, with the codec header (extradata) of the segments.

    With an unchanged codec the source's stream is the template, which keeps what only the
    container knows: rotation, HDR, stereo. Not for Dolby Vision, which re-encoding removes.
    """
    assert isinstance(stream, VideoStream)
    same_codec = encoded.codec_context.codec.canonical_name == video.codec
    like_source = same_codec and not video.dolby_vision
    template = stream if like_source else encoded
    made = output.add_stream_from_template(template, opaque=True)
    context = made.codec_context
    context.extradata = encoded.codec_context.extradata
    context.bit_rate = 0
    context.pix_fmt = encoded.codec_context.pix_fmt
    made.time_base = video.time_base
    tag = stream.codec_context.codec_tag
    mov = output.format.name in MOV_FAMILY
    if like_source and ((mov and tag in _KEPT_FOURCCS) or video.codec == "rawvideo"):
        context.codec_tag = tag
    if mov and (fourcc := _MOV_FOURCC.get(encoded.codec_context.codec.canonical_name)):
        context.codec_tag = fourcc
    if video.sample_aspect is not None:
        context.sample_aspect_ratio = video.sample_aspect
    if not like_source and video.rotation:
        made.set_display_rotation(video.rotation)
    return made


def _copy_stream_facts(made: Stream, stream: Stream, video: VideoInfo) -> None:
    """Copy disposition, tags (the video's without stale ones) and, from MPEG-TS, the PID."""
    made.disposition = stream.disposition
    tags = dict(stream.metadata)
    if stream.index == video.stream_index:
        tags = {k: v for k, v in tags.items() if not k.startswith(_STALE_TAG_PREFIXES)}
        tags |= _reel_name(stream)
    made.metadata.update(tags)
    if stream.container.format.name == "mpegts":
        made.id = stream.id


def _reel_name(film: Stream) -> dict[str, str]:
    """Return the tag with which FFmpeg names the reel in the time code track that it creates."""
    tracks = film.container.streams.data
    names = [s.metadata["reel_name"] for s in tracks if "reel_name" in s.metadata]
    return {"reel_name": names[0]} if names else {}
