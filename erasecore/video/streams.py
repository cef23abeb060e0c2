"""Everything of the source that is copied: streams, attachments, chapters, tags."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
from av.stream import Disposition, Stream
from av.video.stream import VideoStream

from erasecore.video.containers import MADE_TAGS, MOV_FAMILY, takes
from erasecore.video.opening import AnyPacket, open_film, packets
from erasecore.video.probe import VideoInfo

_KEPT_TAGS = ("hvc1", "hev1", "avc1", "avc3", "apch", "apcn", "apcs", "apco", "ap4h", "ap4x")
# What mkvmerge and FFmpeg noted about the old packets of the film.
_STALE = ("_STATISTICS", "BPS", "NUMBER_OF_", "DURATION", "ENCODER", "ENCODER_OPTIONS", "encoder")


@dataclass(frozen=True, slots=True)
class Target:
    """A stream of the result, and the time base in which its packets are stamped."""

    stream: Stream
    time_base: Fraction


def add_streams(
    output: av.container.OutputContainer,
    source: av.container.InputContainer,
    video: VideoInfo,
    model: VideoStream,
) -> dict[int, Target]:
    """The result's streams in the source's order, by the source stream's index.

    Args:
        output: gets the streams.
        source: the film.
        video: the same film, probed.
        model: the first segment's stream.
    """
    targets, covers = {}, []
    for stream in source.streams:
        if stream.index == video.stream_index:
            made: Stream = _add_film(output, stream, video, model)
        elif is_matroska_cover(stream, output.format.name):
            covers.append(stream)
            continue
        elif can_be_copied(stream, output.format.name):
            made = output.add_stream_from_template(stream, opaque=True)
        else:
            continue
        _copy_stream_facts(made, stream, video)
        targets[stream.index] = Target(made, stream.time_base or video.time_base)
    for cover in covers:
        _attach_cover(output, cover)
    return targets


def is_matroska_cover(stream: Stream, muxer: str) -> bool:
    """Whether the stream is a picture attached to a Matroska file: a file in it, no packets."""
    attached = bool(stream.disposition & Disposition.attached_pic)
    return attached and muxer in ("matroska", "webm")


def _attach_cover(output: av.container.OutputContainer, stream: Stream) -> None:
    name = stream.metadata.get("filename", "cover")
    mimetype = stream.metadata.get("mimetype", "image/jpeg")
    with open_film(Path(stream.container.name.removeprefix("file:"))) as film:
        for packet in film.demux(film.streams[stream.index]):
            if packet.size:
                output.add_attachment(name, mimetype, bytes(packet))
                return


def can_be_copied(stream: Stream, muxer: str) -> bool:
    """Whether ``muxer`` takes the stream as it is.

    Left out are data tracks of QuickTime files (time code, chapter text), which the muxer makes
    anew from tags and chapters, and streams of codecs that FFmpeg does not know.
    """
    if stream.type == "attachment":
        return muxer in ("matroska", "webm")
    if stream.type == "data":
        return muxer == "mpegts"
    known = stream.codec_context is not None  # the stub denies that it may be None
    return known and takes(muxer, stream.codec_context.codec.canonical_name)


def copied(
    source: av.container.InputContainer, video: VideoInfo, targets: Mapping[int, Target]
) -> Iterator[AnyPacket]:
    """The packets of all other streams, ready to be written, decoding stamps rising strictly.

    They end where the source's structure breaks, as its pictures do.
    """
    last: dict[int, int] = {}
    for packet in packets(video.path, source):
        if packet is None:
            return
        index = packet.stream.index
        if index == video.stream_index or index not in targets or not packet.size:
            continue
        if packet.pts is None and packet.dts is None:
            packet.pts = last.get(index, -1) + 1
        if packet.dts is None:
            packet.dts = packet.pts
        if index in last and packet.dts is not None and packet.dts <= last[index]:
            packet.dts = last[index] + 1
            packet.pts = max(packet.pts or packet.dts, packet.dts)
        last[index] = packet.dts or 0
        packet.stream = targets[index].stream
        yield packet


def copy_header(output: av.container.OutputContainer, source: av.container.InputContainer) -> None:
    """Give the result the source's tags and chapters."""
    output.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in MADE_TAGS})
    chapters = source.chapters()
    if chapters:
        output.set_chapters(chapters)


def _add_film(
    output: av.container.OutputContainer, stream: Stream, video: VideoInfo, model: VideoStream
) -> VideoStream:
    """The film's stream: the source's own description, with the new encoder's header.

    The source's description brings along what only the container knows: rotation, HDR, stereo.
    """
    assert isinstance(stream, VideoStream)
    same = model.codec_context.codec.canonical_name == video.codec and not video.dolby_vision
    template = stream if same else model
    made = output.add_stream_from_template(template, opaque=True)
    context = made.codec_context
    context.extradata = model.codec_context.extradata
    context.bit_rate = 0
    context.pix_fmt = model.codec_context.pix_fmt
    made.time_base = video.time_base
    tag = stream.codec_context.codec_tag
    mov = output.format.name in MOV_FAMILY
    if same and ((mov and tag in _KEPT_TAGS) or video.codec == "rawvideo"):
        context.codec_tag = tag
    if video.sample_aspect is not None:
        context.sample_aspect_ratio = video.sample_aspect
    if not same and video.rotation:
        made.set_display_rotation(video.rotation)
    return made


def _copy_stream_facts(made: Stream, stream: Stream, video: VideoInfo) -> None:
    made.disposition = stream.disposition
    tags = dict(stream.metadata)
    if stream.index == video.stream_index:
        tags = {k: v for k, v in tags.items() if not k.startswith(_STALE)}
    made.metadata.update(tags)
    if stream.container.format.name == "mpegts":
        made.id = stream.id
