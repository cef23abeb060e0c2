"""Video decoder of one film: frames in order, count of decoding errors, truncation check."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
import av.codec.context
import av.container
import av.error

from erasecore.errors import TruncatedVideo
from erasecore.video.opening import (
    AnyPacket,
    decoder_options,
    ends_inside_a_box,
    is_memory_left,
    open_film,
    packets,
)
from erasecore.video.probe import VideoInfo

_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
# Demuxers whose header states the duration; FFmpeg estimates that of others from size or stamps.
_STATES_DURATION = (_MOV, "matroska,webm", "avi", "asf", "mxf", "nut")


class Decoder:
    """Demuxer and decoder of one film; decodes frame by frame and counts undecodable packets.

    Args:
        video: the film; its limits and thread count apply to the decoder.

    Raises:
        TruncatedVideo: the video stream that ``probe`` found is missing.
    """

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self._container = open_film(video.path, video.limits)
        found = [s for s in self._container.streams.video if s.index == video.stream_index]
        if not found:
            raise TruncatedVideo(video.path, "its streams are not the same at every look")
        stream = found[0]
        self._stream = stream
        context = stream.codec_context
        context.thread_type = av.codec.context.ThreadType.AUTO
        context.thread_count = video.threads
        context.options = decoder_options(video.limits)
        self._packets: Iterator[AnyPacket | None] = packets(video.path, self._container)
        self._ready: deque[av.VideoFrame] = deque()
        self._ended = False
        self._packet_count = 0
        self._undecodable = 0
        self.first_dts = 0  # of the stream's first packet, in its time base
        self._end_seconds = 0.0  # end of the last packet of any stream
        self._reorder_depth = 0

    def close(self) -> None:
        """Close the file and drop decoded frames."""
        self._ready.clear()
        self._container.close()

    def seek(self, pts: int) -> None:
        """Seek to the keyframe at or before ``pts``, stream time base; containers may miss it."""
        self._reorder_depth = max(self._reorder_depth, self._stream.codec_context.reorder_depth)
        self._container.seek(pts, stream=self._stream, backward=True)
        # A seek resets the decoder's reorder depth; with the known one it drops no frame after it.
        self._stream.codec_context.reorder_depth = self._reorder_depth
        self._packets = packets(self._video.path, self._container, self._stream)
        self._ready.clear()
        self._ended = False

    def push_back(self, picture: av.VideoFrame) -> None:
        """Make ``picture`` the next result of ``next_picture``."""
        self._ready.appendleft(picture)

    def next_picture(self) -> av.VideoFrame | None:
        """Return the next frame in presentation order, in planar format; ``None`` at the end."""
        while not self._ready and not self._ended:
            self._decode_more()
        return self._to_planar(self._ready.popleft()) if self._ready else None

    def check_complete(self, frames: int) -> None:
        """Check, after the last frame, that the film was as long as its container states.

        The tolerances are guesses: 5 % undecodable packets (or 3), and an end that is 2 % early
        (at least 0.1 s, at most 3 s).

        Args:
            frames: number of frames decoded.

        Raises:
            TruncatedVideo: no frame, too many decoding errors, or the file ends too early.
        """
        path = self._video.path
        if not frames:
            raise TruncatedVideo(path, "no picture could be decoded")
        if self._undecodable > max(3, self._packet_count // 20):
            share = f"{self._undecodable} of {self._packet_count} pictures cannot be decoded"
            raise TruncatedVideo(path, share)
        if self._video.container == _MOV and ends_inside_a_box(path):
            raise TruncatedVideo(path, "its last part is incomplete")
        indexed = len(self._stream.index_entries) if self._video.container == _MOV else 0
        if self._packet_count < indexed:
            share = f"{indexed - self._packet_count} of {indexed} pictures are missing"
            raise TruncatedVideo(path, share)
        stated = self._stated_end_seconds()
        if stated is None:
            return
        missing = stated - self._end_seconds
        if missing > min(3.0, max(0.1, 0.02 * stated)):
            raise TruncatedVideo(path, f"{missing:.1f} of {stated:.1f} seconds are missing")

    def warnings(self) -> Iterator[str]:
        """Yield sentences for the report about decoding errors that were tolerated."""
        if self._undecodable:
            yield f"{self._undecodable} pictures of the source could not be decoded"

    def _stated_end_seconds(self) -> float | None:
        """Return the end of the last packet by the container's header, in seconds.

        ``None`` where FFmpeg only estimates it.
        """
        if self._video.container == "avi":  # its frame count includes ticks without a picture
            return float(self._stream.frames * self._video.time_base) or None
        if self._video.container not in _STATES_DURATION or not self._container.duration:
            return None
        start = self._container.start_time or 0
        if self._video.container == "matroska,webm":
            start = min(0, start)  # Matroska durations may count from time zero
        return (start + self._container.duration) / 1_000_000

    def _decode_more(self) -> None:
        """Read one packet and queue the frames that it completes; count it if undecodable."""
        packet = next(self._packets, None)
        if packet is None:
            self._ended = True
            return
        self._track_end(packet)
        if packet.stream.index != self._video.stream_index:  # empty flush packets report index 0
            return
        if not self._packet_count:
            self.first_dts = packet.dts or 0
        self._packet_count += bool(packet.size)
        try:
            self._ready.extend(self._stream.decode(packet))
        except av.error.FFmpegError as error:
            if isinstance(error, MemoryError) and not is_memory_left():
                raise
            self._undecodable += 1

    def _track_end(self, packet: AnyPacket) -> None:
        """Remember the latest end of all packets so far."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.size:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self._end_seconds = max(self._end_seconds, end)

    def _to_planar(self, picture: av.VideoFrame) -> av.VideoFrame:
        """Convert a frame of the film's format to the layout's; other formats pass unchanged."""
        wanted = self._video.layout.pix_fmt
        if picture.format.name == wanted or picture.format.name != self._video.pix_fmt:
            return picture
        return picture.reformat(format=wanted)
