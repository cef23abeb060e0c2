"""Concatenate the segments, restore the film's timestamps and copy (remux) its other streams."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
from erasecore.video.containers import mux_options, muxer_or_matroska
from erasecore.video.file_headers import StreamFacts, complete_header
from erasecore.video.mpegts import write_programs
from erasecore.video.opening import AnyPacket, open_film
from erasecore.video.probe import VideoInfo
from erasecore.video.streams import (
    Target,
    add_streams,
    copied_packets,
    copy_header,
    pixel_aspects,
)
from erasecore.video.timeline import Timeline

_ANNEXB_FILTERS = {"h264": "h264_mp4toannexb", "hevc": "hevc_mp4toannexb"}
"""FFmpeg bitstream filter, by codec, from length-prefixed NAL units to Annex B (start codes)."""
_ANNEXB_MUXERS = ("avi", "vob")
"""FFmpeg muxers that need Annex B and do not convert by themselves."""


@dataclass(frozen=True, slots=True)
class _SegmentSurvey:
    """Facts about all segments that are needed before the first packet is written."""

    reorder_frames: int  # largest delay between decoding and presentation (B-frames), in frames
    display_ranks: tuple[NDArray[np.int32], ...]  # per segment, see _display_ranks


def assemble(
    video: VideoInfo,
    segments: Sequence[Path],
    timeline: Timeline,
    result: Path,
    *,
    span: tuple[Fraction, Fraction] | None = None,
) -> None:
    """Mux the result: video from the segments at ``timeline``'s timestamps, the rest copied.

    Args:
        video: the source film; its audio, subtitles, chapters and tags are copied.
        segments: files of :class:`SegmentWriter`, in order; together all frames of the timeline.
        timeline: the source's timestamps.
        result: written atomically (complete or absent).
        span: stretch of the source, in seconds of its stamps, that is muxed; times begin at 0.

    Raises:
        VerifyFailed: the segments do not fit each other or the timeline.
        StreamsNotCopyable: the container refuses one of the other streams.
    """
    survey = _survey_segments(segments, timeline)
    film_file = open_film(video.path, video.limits)
    with film_file as source, open_film(segments[0]) as first, whole_file(result) as part:
        encoded = first.streams.video[0]
        muxer = muxer_or_matroska(video.muxer, encoded.codec_context.codec.canonical_name)
        with _open_output(part, muxer, mux_options(muxer, video.time_base, source)) as output:
            targets = add_streams(output, source, video, encoded)
            copy_header(output, source, chapters=span is None)
            _write_header(output, video)
            film = targets[video.stream_index]
            film_packets = _restamped_packets(segments, timeline, survey, film)
            counts: Counter[int] = Counter()
            others = _counted(copied_packets(source, video, targets, span), counts)
            _interleave(_PacketWriter(output, video.path), others, film_packets)
        aspects = pixel_aspects(source, video, targets)
        complete_header(part, muxer, [StreamFacts(a, counts[k]) for k, a in enumerate(aspects)])
        write_programs(part, muxer, video.programs)
        failpoint("assemble.after_part")


def _open_output(part: Path, muxer: str, options: dict[str, str]) -> av.container.OutputContainer:
    """Open ``part`` for ``muxer``; bytes of tags that are no UTF-8 go through unchanged."""
    return av.open(
        str(part.absolute()),
        "w",
        format=muxer,
        container_options=options,
        metadata_errors="surrogateescape",
    )


class _PacketWriter:
    """Writes packets to the result; an error of the muxer is one of a copied stream.

    We encoded the video, so it fits. Muxers interleave: an error of one packet may come with a
    later one, or at the end.
    """

    def __init__(self, output: av.container.OutputContainer, source: Path) -> None:
        self._output, self._source = output, source

    def mux(self, packet: AnyPacket) -> None:
        """Write a packet; raise ``StreamsNotCopyable`` if the muxer refuses one."""
        self._call(lambda: self._output.mux(packet))

    def close(self) -> None:
        """Write what is left, and the end of the file; raise the same."""
        self._call(self._output.close)

    def _call(self, write: Callable[[], None]) -> None:
        try:
            write()
        except (av.error.ArgumentError, av.error.InvalidDataError) as error:
            reason = error.strerror or "no reason given"
            raise StreamsNotCopyable(self._source, reason) from error


def _write_header(output: av.container.OutputContainer, video: VideoInfo) -> None:
    """Write the result's header; raise ``StreamsNotCopyable`` if the muxer refuses a stream."""
    try:
        output.start_encoding()
    except (av.error.ArgumentError, av.error.InvalidDataError) as error:
        # We encoded the video stream, so it fits; the parameters of a copied stream do not.
        raise StreamsNotCopyable(video.path, error.strerror or "no reason given") from error


def _survey_segments(segments: Sequence[Path], timeline: Timeline) -> _SegmentSurvey:
    """Read all packets of all segments once, and check that they can be concatenated.

    Raises:
        VerifyFailed: the codec headers (extradata) differ, a segment is empty or does not begin
            with a keyframe, or the number of frames is not that of ``timeline``.
    """
    headers, ranks = [], []
    for path in segments:
        with open_film(path) as container:
            stream = container.streams.video[0]
            headers.append(stream.codec_context.extradata)
            stamps = _packet_stamps(path, container, stream)
        if headers[-1] != headers[0]:
            raise VerifyFailed(path, "its stream header differs from the first segment's")
        ranks.append(_display_ranks(stamps))
    total = sum(len(r) for r in ranks)
    if total != len(timeline):
        raise VerifyFailed(
            segments[0], f"{total} frames in the segments, {len(timeline)} in the film"
        )
    return _SegmentSurvey(
        reorder_frames=max(int(np.max(np.arange(len(r)) - r)) for r in ranks),
        display_ranks=tuple(ranks),
    )


def _packet_stamps(
    path: Path, container: av.container.InputContainer, stream: VideoStream
) -> list[int]:
    """Return the pts of a segment's packets in decoding order (dts, or a count, if one is missing).

    Raises:
        VerifyFailed: the segment has no frames or does not begin with a keyframe.
    """
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


def _display_ranks(stamps: Sequence[int]) -> NDArray[np.int32]:
    """Return each packet's index in presentation order: int32 ``(N,)``, a permutation of 0..N-1."""
    ranks = np.empty(len(stamps), dtype=np.int32)
    ranks[np.argsort(np.array(stamps, dtype=np.int64), kind="stable")] = np.arange(len(stamps))
    return ranks


def _restamped_packets(
    segments: Sequence[Path], timeline: Timeline, survey: _SegmentSurvey, target: Target
) -> Iterator[AnyPacket]:
    """Yield the packets of all segments in decoding order, with the film's timestamps.

    The n-th decoded packet gets as dts the pts of frame ``n - reorder_frames``; so dts rises
    strictly and is never after pts, at constant and variable frame rate.
    """
    step = timeline.median_step()
    pts, first_frame, decoded = timeline.pts, 0, 0
    for path, ranks in zip(segments, survey.display_ranks, strict=True):
        with open_film(path) as container:
            packets = _segment_packets(container, target.stream)
            for packet, rank in zip(packets, ranks, strict=True):
                frame, shown = first_frame + int(rank), decoded - survey.reorder_frames
                packet.time_base = target.time_base
                packet.pts = int(pts[frame])
                packet.dts = int(pts[shown]) if shown >= 0 else int(pts[0]) + shown * step
                packet.duration = timeline.stamp_of(frame + 1) - timeline.stamp_of(frame)
                packet.stream = target.stream
                decoded += 1
                yield packet
        first_frame += len(ranks)


def _segment_packets(container: av.container.InputContainer, target: Stream) -> Iterator[AnyPacket]:
    """Return a segment's packets; H.264 and HEVC as Annex B for ``_ANNEXB_MUXERS``."""
    stream = container.streams.video[0]
    packets = (packet for packet in container.demux(stream) if packet.size)
    filter_name = _ANNEXB_FILTERS.get(stream.codec_context.codec.canonical_name)
    if target.container.format.name not in _ANNEXB_MUXERS or filter_name is None:
        return packets
    # FFmpeg's other muxers convert by themselves where their container needs it.
    bitstream = BitStreamFilterContext(filter_name, in_stream=stream)
    return (converted for packet in packets for converted in bitstream.filter(packet))


def _counted(written: Iterator[AnyPacket], counts: Counter[int]) -> Iterator[AnyPacket]:
    """Yield the packets, and count them by the index of their stream in the result."""
    for packet in written:
        counts[packet.stream.index] += 1
        yield packet


def _interleave(
    output: _PacketWriter,
    other_packets: Iterator[AnyPacket],
    film_packets: Iterator[AnyPacket],
) -> None:
    """Write both sequences of packets merged by decoding time, and the end of the file."""
    film_packet = next(film_packets, None)
    for other in other_packets:
        other_seconds = _decode_seconds(other)
        while film_packet is not None and _decode_seconds(film_packet) <= other_seconds:
            output.mux(film_packet)
            film_packet = next(film_packets, None)
        output.mux(other)
    while film_packet is not None:
        output.mux(film_packet)
        film_packet = next(film_packets, None)
    output.close()


def _decode_seconds(packet: AnyPacket) -> Fraction:
    """Return the packet's dts in seconds (pts without a dts, 0 without both)."""
    stamp = packet.dts if packet.dts is not None else packet.pts
    return (stamp or 0) * packet.time_base
