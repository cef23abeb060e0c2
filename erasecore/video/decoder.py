"""The open film and its decoder: pictures one after the other, faults counted, the end judged."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

import av
import av.codec.context
import av.container
import av.error

from erasecore.errors import TruncatedVideo
from erasecore.video.opening import AnyPacket, ends_inside_a_box, open_film, packets
from erasecore.video.probe import VideoInfo

_MOV = "mov,mp4,m4a,3gp,3g2,mj2"
# Containers that state their length, rather than have it guessed from size or the last stamps.
_HONEST = (_MOV, "matroska,webm", "avi", "asf", "mxf", "nut")


class Decoder:
    """The open container and its decoder: pictures one after the other, faults counted."""

    def __init__(self, video: VideoInfo) -> None:
        self._video = video
        self._container = open_film(video.path, video.limits)
        films = [s for s in self._container.streams.video if s.index == video.stream_index]
        if not films:
            raise TruncatedVideo(video.path, "its streams are not the same at every look")
        stream = films[0]
        self._stream = stream
        context = stream.codec_context
        context.thread_type = av.codec.context.ThreadType.AUTO
        context.thread_count = video.threads
        pixels = video.limits.max_width_px * video.limits.max_height_px
        context.options = {"max_pixels": str(pixels)}
        self._packets: Iterator[AnyPacket | None] = packets(video.path, self._container)
        self._waiting: deque[av.VideoFrame] = deque()
        self._ended = False
        self._packet_count = 0
        self._undecodable = 0
        self.first_dts = 0  # of the stream's first packet
        self._end_seconds = 0.0
        self._depth = 0

    def close(self) -> None:
        """Let go of the file."""
        self._waiting.clear()
        self._container.close()

    def seek(self, pts: int) -> None:
        """Go to the keyframe at or before ``pts`` (or where the container thinks it is)."""
        self._depth = max(self._depth, self._stream.codec_context.reorder_depth)
        self._container.seek(pts, stream=self._stream, backward=True)
        # The decoder forgets how far it reorders; told, it drops no frame after the seek.
        self._stream.codec_context.reorder_depth = self._depth
        self._packets = packets(self._video.path, self._container, self._stream)
        self._waiting.clear()
        self._ended = False

    def push_back(self, picture: av.VideoFrame) -> None:
        """Have ``picture`` come next again."""
        self._waiting.appendleft(picture)

    def next_picture(self) -> av.VideoFrame | None:
        """The next picture in presentation order, in the delivered format; ``None`` at the end."""
        while not self._waiting and not self._ended:
            self._decode_more()
        return self._planar(self._waiting.popleft()) if self._waiting else None

    def check_complete(self, frames: int) -> None:
        """Nothing, if the film went on as long as its container promised."""
        path = self._video.path
        if not frames:
            raise TruncatedVideo(path, "no picture could be decoded")
        if self._undecodable > max(3, self._packet_count // 20):
            share = f"{self._undecodable} of {self._packet_count} pictures cannot be decoded"
            raise TruncatedVideo(path, share)
        if self._video.container == _MOV and ends_inside_a_box(path):
            raise TruncatedVideo(path, "its last part is incomplete")
        listed = len(self._stream.index_entries) if self._video.container == _MOV else 0
        if self._packet_count < listed:
            share = f"{listed - self._packet_count} of {listed} pictures are missing"
            raise TruncatedVideo(path, share)
        promised = self._promised_end()
        if promised is None:
            return
        missing = promised - self._end_seconds
        if missing > min(3.0, max(0.1, 0.02 * promised)):
            raise TruncatedVideo(path, f"{missing:.1f} of {promised:.1f} seconds are missing")

    def warnings(self) -> Iterator[str]:
        """Sentences about faults that were small enough to live with."""
        if self._undecodable:
            yield f"{self._undecodable} pictures of the source could not be decoded"

    def _promised_end(self) -> float | None:
        """Where the container says that its last packet ends; ``None`` where it only guesses."""
        if self._video.container == "avi":  # counts ticks, those without a picture too
            return float(self._stream.frames * self._video.time_base) or None
        if self._video.container not in _HONEST or not self._container.duration:
            return None
        start = self._container.start_time or 0
        if self._video.container == "matroska,webm":
            start = min(0, start)  # there a film's length may count from zero
        return (start + self._container.duration) / 1_000_000

    def _decode_more(self) -> None:
        """Read one more packet, and keep the pictures that it completes."""
        packet = next(self._packets, None)
        if packet is None:
            self._ended = True
            return
        self._note_end(packet)
        if packet.stream.index != self._video.stream_index:  # the final empty ones say 0
            return
        if not self._packet_count:
            self.first_dts = packet.dts or 0
        self._packet_count += bool(packet.size)
        try:
            self._waiting.extend(self._stream.decode(packet))
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError:
            self._undecodable += 1

    def _note_end(self, packet: AnyPacket) -> None:
        stamp = packet.pts if packet.pts is not None else packet.dts
        if stamp is not None and packet.size:
            end = float((stamp + (packet.duration or 0)) * packet.time_base)
            self._end_seconds = max(self._end_seconds, end)

    def _planar(self, picture: av.VideoFrame) -> av.VideoFrame:
        wanted = self._video.layout.pix_fmt
        if picture.format.name == wanted or picture.format.name != self._video.pix_fmt:
            return picture
        return picture.reformat(format=wanted)
