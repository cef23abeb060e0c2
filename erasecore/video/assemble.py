"""The result: all segments in a row at the film's own stamps, and everything else it had."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import av.container
import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from erasecore.errors import StreamsNotCopyable, VerifyFailed
from erasecore.system.atomic_files import whole_file
from erasecore.system.failpoints import failpoint
from erasecore.video.containers import mux_options, muxer_for
from erasecore.video.opening import AnyPacket, open_film
from erasecore.video.probe import VideoInfo
from erasecore.video.streams import Target, add_streams, copied, copy_header
from erasecore.video.timeline import Timeline

_TO_START_CODES = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}


@dataclass(frozen=True, slots=True)
class _Shape:
    """What must be known of all segments before the first packet is written."""

    reorder_frames: int  # how much later than decoded a frame is shown, at most
    extradata: bytes | None
    ranks: tuple[NDArray[np.int32], ...]  # per segment: its packets' places in presentation order


def assemble(video: VideoInfo, segments: Sequence[Path], timeline: Timeline, result: Path) -> None:
    """Write the result: the segments' pictures at ``timeline``'s stamps, all else from the source.

    Args:
        video: the source film.
        segments: files of :class:`SegmentWriter`, in order; together all frames of the timeline.
        timeline: the source's stamps.
        result: appears whole, or not at all.

    Raises:
        VerifyFailed: the segments do not fit each other or the timeline.
        StreamsNotCopyable: the container takes the other streams no more.
    """
    shape = _survey(segments, timeline)
    with (
        open_film(video.path, video.limits) as source,
        open_film(segments[0]) as first,
        whole_file(result) as part,
    ):
        model = first.streams.video[0]
        muxer = muxer_for(video.muxer, model.codec_context.codec.canonical_name)
        with av.open(
            str(part.absolute()),
            "w",
            format=muxer,
            container_options=mux_options(muxer, video.time_base, source),
            metadata_errors="surrogateescape",
        ) as output:
            targets = add_streams(output, source, video, model)
            copy_header(output, source)
            _begin(output, video)
            pictures = _pictures(segments, timeline, shape, targets[video.stream_index])
            _interleave(output, copied(source, video, targets), pictures)
        failpoint("assemble.after_part")


def _begin(output: av.container.OutputContainer, video: VideoInfo) -> None:
    """Write the result's header."""
    try:
        output.start_encoding()
    except (av.error.ArgumentError, av.error.InvalidDataError) as error:
        # The film's own stream is ours and fits; what its container says of the others does not.
        raise StreamsNotCopyable(video.path, error.strerror or "no reason given") from error


def _survey(segments: Sequence[Path], timeline: Timeline) -> _Shape:
    """Look through every segment: same headers, a keyframe first, as many frames as stamps."""
    headers, ranks = [], []
    for path in segments:
        with open_film(path) as container:
            stream = container.streams.video[0]
            headers.append(stream.codec_context.extradata)
            stamps = _stamps(path, container, stream)
        if headers[-1] != headers[0]:
            raise VerifyFailed(path, "its stream header differs from the first segment's")
        ranks.append(_ranks(stamps))
    total = sum(len(r) for r in ranks)
    if total != len(timeline):
        raise VerifyFailed(
            segments[0], f"{total} frames in the segments, {len(timeline)} in the film"
        )
    return _Shape(
        reorder_frames=max(int(np.max(np.arange(len(r)) - r)) for r in ranks),
        extradata=headers[0],
        ranks=tuple(ranks),
    )


def _stamps(path: Path, container: av.container.InputContainer, stream: VideoStream) -> list[int]:
    """The stamps of a segment's packets, in decoding order."""
    stamps: list[int] = []
    for packet in container.demux(stream):
        if not packet.size:
            continue
        if not stamps and not packet.is_keyframe:
            raise VerifyFailed(path, "a segment does not begin with a keyframe")
        stamp = packet.pts if packet.pts is not None else packet.dts
        stamps.append(len(stamps) if stamp is None else stamp)
    if not stamps:
        raise VerifyFailed(path, "a segment has no frames")
    return stamps


def _ranks(stamps: Sequence[int]) -> NDArray[np.int32]:
    """Each packet's place in presentation order."""
    ranks = np.empty(len(stamps), dtype=np.int32)
    ranks[np.argsort(np.array(stamps, dtype=np.int64), kind="stable")] = np.arange(len(stamps))
    return ranks


def _pictures(
    segments: Sequence[Path], timeline: Timeline, shape: _Shape, target: Target
) -> Iterator[AnyPacket]:
    """All encoded pictures in decoding order, with the film's stamps.

    A picture is decoded when the one ``reorder_frames`` before it (in presentation order) is shown:
    so decoding stamps rise strictly and never pass presentation, at any frame rate.
    """
    step = timeline.usual_step()
    pts, begun, decoded = timeline.pts, 0, 0
    for path, ranks in zip(segments, shape.ranks, strict=True):
        with open_film(path) as container:
            packets = _filled(container, target.stream)
            for packet, rank in zip(packets, ranks, strict=True):
                frame, early = begun + int(rank), decoded - shape.reorder_frames
                packet.time_base = target.time_base
                packet.pts = int(pts[frame])
                packet.dts = int(pts[early]) if early >= 0 else int(pts[0]) + early * step
                packet.duration = timeline.stamp_of(frame + 1) - timeline.stamp_of(frame)
                packet.stream = target.stream
                decoded += 1
                yield packet
        begun += len(ranks)


def _filled(container: av.container.InputContainer, target: Stream) -> Iterator[AnyPacket]:
    """A segment's packets, in the form that the result's container wants."""
    stream = container.streams.video[0]
    packets = (packet for packet in container.demux(stream) if packet.size)
    to_start_codes = _TO_START_CODES.get(stream.codec_context.codec.canonical_name)
    if target.container.format.name != "avi" or to_start_codes is None:
        return packets
    bitstream = BitStreamFilterContext(to_start_codes, in_stream=stream)  # other muxers do it
    return (made for packet in packets for made in bitstream.filter(packet))


def _interleave(
    output: av.container.OutputContainer,
    others: Iterator[AnyPacket],
    pictures: Iterator[AnyPacket],
) -> None:
    """Write both streams of packets, the earlier decoding time first."""
    picture = next(pictures, None)
    for other in others:
        at = _seconds(other)
        while picture is not None and _seconds(picture) <= at:
            output.mux(picture)
            picture = next(pictures, None)
        output.mux(other)
    while picture is not None:
        output.mux(picture)
        picture = next(pictures, None)


def _seconds(packet: AnyPacket) -> Fraction:
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base
