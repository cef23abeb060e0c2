"""Frame-accurate reader: all frames in presentation order, later any span of them by seeking.

The first pass decodes the whole film and builds the timeline. Later passes seek, and check each
seek: the keyframe must have the timestamp and checksum in the timeline, each following frame the
next timestamp. Where that fails, decoding starts again from the first frame.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import av
import numpy as np

from erasecore.errors import ChangingVideo, JumpingTimes, LimitExceeded, TruncatedVideo
from erasecore.video.color import Planes
from erasecore.video.decoder import Decoder
from erasecore.video.formats import views
from erasecore.video.orientation import UPRIGHT, Orientation
from erasecore.video.probe import VideoInfo
from erasecore.video.timeline import Timeline

__all__ = ["Frame", "FrameReader", "Timeline"]

_MAX_BACK_STEP_SECONDS = 1.0  # larger backward jumps of the timestamps are refused; guess
_PREROLL_SECONDS = 2  # by which a second seek aims earlier, for MPEG-TS and MPEG-PS; guess
_NEAR_FRAMES = 48  # up to this distance, decoding on is cheaper than a seek; guess


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded frame of the film; the reader keeps no reference to it."""

    index: int  # from 0, in presentation order
    pts: int  # stream time base, strictly increasing
    planes: Planes  # read-only, turned as it is seen, without padding, native bit depth
    picture: av.VideoFrame  # as stored
    orientation: Orientation = UPRIGHT  # how ``planes`` are turned against ``picture``


class FrameReader:
    """Decoder of one film with frame-accurate seeking; a context manager.

    Args:
        video: the film.
        timeline: from an earlier full pass; without it, :meth:`read` cannot seek and decodes from
            the start.
    """

    def __init__(self, video: VideoInfo, timeline: Timeline | None = None) -> None:
        self._video = video
        self._timeline = timeline
        self._decoder: Decoder | None = None
        self._position = 0  # index of the next frame
        self._linear = True  # no seek since frame 0
        self._builder = _TimelineBuilder()

    def __enter__(self) -> Self:
        self._start_over()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close()

    def __iter__(self) -> Iterator[Frame]:
        """Yield every frame from the current position to the end."""
        while (frame := self._next()) is not None:
            yield frame

    def read(self, start: int, stop: int) -> Iterator[Frame]:
        """Yield exactly the frames ``[start, stop)``; seeks where that is faster.

        Raises:
            TruncatedVideo: the film ends before ``stop``.
        """
        if start < self._position or self._should_seek(start):
            self._move_to(start)
        while self._position < stop:
            frame = self._next()
            if frame is None:
                raise TruncatedVideo(self._video.path, f"it ends before frame {stop}")
            if frame.index >= start:
                yield frame

    def timeline(self) -> Timeline:
        """Return the timestamps of all frames.

        Raises:
            RuntimeError: no full pass from frame 0 to the end has been made yet.
        """
        if self._timeline is None:
            raise RuntimeError("the timeline is known after a full pass")
        return self._timeline

    # --- positioning --------------------------------------------------------------------------

    def _start_over(self) -> None:
        """Open the film again, at frame 0."""
        self._close()
        self._decoder = Decoder(self._video)
        self._position = 0
        self._linear = True
        self._builder = _TimelineBuilder()

    def _close(self) -> None:
        if self._decoder is not None:
            self._decoder.close()
            self._decoder = None

    def _should_seek(self, start: int) -> bool:
        """Return True if a seek to a keyframe saves decoding on the way to frame ``start``."""
        if self._timeline is None or not self._timeline.seekable:
            return False
        if start - self._position <= _NEAR_FRAMES:
            return False
        key = self._timeline.key_before(start)
        return key is not None and key > self._position + _NEAR_FRAMES // 2

    def _move_to(self, start: int) -> None:
        """Move to the last keyframe at or before ``start``, or to frame 0 if no seek succeeds."""
        timeline = self._timeline
        key = timeline.key_before(start) if timeline and timeline.seekable else None
        if key is None or key == 0 or not self._seek(key):
            self._start_over()

    def _seek(self, key: int) -> bool:
        """Return True if a seek reached keyframe ``key``, which is then the next frame."""
        # MPEG-TS and MPEG-PS seek by dts and can land too late: the second try aims earlier.
        prerolls = (0, round(_PREROLL_SECONDS / self._video.time_base))
        return any(self._seek_and_check(key, preroll) for preroll in prerolls)

    def _seek_and_check(self, key: int, preroll: int) -> bool:
        """Seek to ``preroll`` ticks before ``key``; return True if decoding reaches that frame.

        It must have the timestamp and the luma checksum in the timeline; it is the next frame then.
        """
        timeline, decoder = self.timeline(), self._require_decoder()
        decoder.seek(int(timeline.pts[key]) - preroll)
        while (picture := decoder.next_picture()) is not None:
            if picture.pts is not None and picture.pts < timeline.pts[key]:
                continue  # pre-roll, or leading frames that refer to frames before the keyframe
            if picture.pts != timeline.pts[key] or picture.is_corrupt:
                return False
            if _luma_checksum(picture, self._video) != timeline.checksum_of(key):
                return False
            decoder.push_back(picture)
            self._position, self._linear = key, False
            return True
        return False

    def _require_decoder(self) -> Decoder:
        if self._decoder is None:
            raise RuntimeError("the reader is closed")
        return self._decoder

    # --- frames -------------------------------------------------------------------------------

    def _next(self) -> Frame | None:
        """Return the frame at the current position and advance; ``None`` at the film's end."""
        decoder = self._require_decoder()
        picture = decoder.next_picture()
        if not self._linear and not self._matches_timeline(picture):
            return self._redecode_from_start()
        if picture is None:
            if self._timeline is None:
                self._timeline = self._builder.finish(self._video, decoder)
            return None
        self._check_same(picture)
        pts = self._stamp_of(picture)
        frame = Frame(
            index=self._position,
            pts=pts,
            planes=self._seen_planes(picture),
            picture=picture,
            orientation=self._video.orientation,
        )
        self._position += 1
        return frame

    def _seen_planes(self, picture: av.VideoFrame) -> Planes:
        """Return the planes as they are seen: views of the picture, or turned copies."""
        video = self._video
        planes = views(picture, video.stored_layout)
        return tuple(video.orientation.copy(plane) for plane in planes)

    def _matches_timeline(self, picture: av.VideoFrame | None) -> bool:
        """Return True if ``picture`` (``None``: the end) is what the timeline has here."""
        timeline = self.timeline()
        if picture is None:
            return self._position == len(timeline)
        if picture.is_corrupt or self._position >= len(timeline):
            return False
        return bool(picture.pts == timeline.pts[self._position])

    def _redecode_from_start(self) -> Frame | None:
        """Return the frame at the current position, by decoding again from frame 0."""
        wanted = self._position
        self._start_over()
        while (frame := self._next()) is not None and frame.index < wanted:
            pass
        return frame

    def _stamp_of(self, picture: av.VideoFrame) -> int:
        """Return the frame's timestamp: from the timeline if known, else from the builder.

        Raises:
            TruncatedVideo: the film has more frames than its timeline.
            LimitExceeded: more frames than the limit.
        """
        if self._timeline is not None:
            if self._position >= len(self._timeline):
                raise TruncatedVideo(self._video.path, "it changed while it was read")
            return int(self._timeline.pts[self._position])
        if self._position >= self._video.limits.max_frames:
            raise LimitExceeded(
                self._video.path,
                "the number of frames",
                self._position + 1,
                self._video.limits.max_frames,
                "limits.max_frames",
            )
        return self._builder.add(picture, self._video, self._require_decoder().first_dts)

    def _check_same(self, picture: av.VideoFrame) -> None:
        """Raise ``ChangingVideo`` if size or pixel format differ from those of the first frame."""
        video = self._video
        size = (picture.width, picture.height, picture.format.name)
        width, height = video.stored_size
        if size != (width, height, video.layout.pix_fmt):
            before = f"{width}x{height} {video.layout.pix_fmt}"
            after = f"{size[0]}x{size[1]} {size[2]}"
            raise ChangingVideo(video.path, self._position, before, after)


class _TimelineBuilder:
    """Collects the timeline while the film is decoded for the first time."""

    def __init__(self) -> None:
        self._pts = array("q")
        self._keyframes = array("q")
        self._key_checksums = array("L")
        self._replaced_stamps = 0  # frames whose own timestamp was missing or not increasing
        self._last_duration = 0
        self._dts_delay = 0  # AVI: dts of the first decoded frame minus that of the first packet
        self._damaged = 0
        self._reordered = False  # AVI: FFmpeg's pts are wrong because of B-frames

    def add(self, picture: av.VideoFrame, video: VideoInfo, first_dts: int) -> int:
        """Append a frame and return its timestamp, stream time base, strictly increasing.

        A missing or non-increasing timestamp is replaced: by one average frame or one tick later.

        Raises:
            JumpingTimes: the timestamp is more than ``_MAX_BACK_STEP_SECONDS`` before the last one.
        """
        last = self._pts[-1] if self._pts else None
        pts = picture.pts
        if video.container == "avi":
            pts = self._avi_stamp(picture, first_dts)
        if pts is None:
            self._replaced_stamps += not self._reordered
            pts = 0 if last is None else last + max(1, round(1 / (video.rate * video.time_base)))
        if last is not None and pts <= last:
            back_seconds = float((last - pts) * video.time_base)
            if back_seconds > _MAX_BACK_STEP_SECONDS:
                raise JumpingTimes(video.path, len(self._pts), back_seconds)
            self._replaced_stamps += 1
            pts = last + 1
        self._damaged += picture.is_corrupt
        if picture.key_frame:
            self._keyframes.append(len(self._pts))
            self._key_checksums.append(_luma_checksum(picture, video))
        self._pts.append(pts)
        self._last_duration = picture.duration or 0
        return pts

    def _avi_stamp(self, picture: av.VideoFrame, first_dts: int) -> int | None:
        """Return an AVI frame's pts, computed from its dts; ``None`` if unknown.

        AVI stores dts only, and the pts that FFmpeg guesses are wrong with B-frames.
        """
        if picture.dts is None:  # the last frames of a film with B-frames
            return None if self._reordered else picture.pts
        if not self._pts:
            self._dts_delay = picture.dts - first_dts
        pts = picture.dts - self._dts_delay
        self._reordered = self._reordered or pts != picture.pts
        return pts

    def finish(self, video: VideoInfo, decoder: Decoder) -> Timeline:
        """Return the complete timeline, after the truncation check.

        Raises:
            TruncatedVideo: see :meth:`Decoder.check_complete`.
        """
        decoder.check_complete(len(self._pts))
        warnings = list(decoder.warnings())
        if self._damaged:
            warnings.append(f"{self._damaged} pictures of the source are damaged")
        if self._replaced_stamps:
            warnings.append(f"{self._replaced_stamps} frames had no usable time stamp")
        return Timeline(
            pts=np.array(self._pts, dtype=np.int64),
            keyframes=np.array(self._keyframes, dtype=np.int64),
            key_sums=np.array(self._key_checksums, dtype=np.uint32),
            last_duration=self._last_duration,
            seekable=not self._replaced_stamps and not self._reordered,
            warnings=tuple(warnings),
        )


def _luma_checksum(picture: av.VideoFrame, video: VideoInfo) -> int:
    """Return the CRC-32 of the frame's first plane."""
    luma = views(picture, video.stored_layout)[0]
    return zlib.crc32(np.ascontiguousarray(luma).data)
