"""A film's frames, in presentation order, in their own planes; any span of them again later.

The first pass runs from the first frame to the last and yields the timeline. Later passes seek,
but never trust a seek: the keyframe it leads to must have the right stamp and the right picture,
each following frame the next stamp. Where that fails, decoding starts over from the beginning.
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
from erasecore.video.probe import VideoInfo
from erasecore.video.timeline import Timeline

__all__ = ["Frame", "FrameReader", "Timeline"]

_JUMP_SECONDS = 1.0  # stamps that fall back further are not a slip
_RUN_UP_SECONDS = 2
_NEAR_FRAMES = 48  # decoding on is cheaper than a seek over so few


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of the film.

    ``planes`` are read-only views of ``picture``'s memory: luma first, true width and height,
    native depth. They and ``picture`` belong to the reader's caller; the reader keeps nothing.
    """

    index: int  # 0 is the first, in presentation order
    pts: int  # stream time base, strictly increasing
    planes: Planes
    picture: av.VideoFrame


class FrameReader:
    """Frames of one film, forward from any place; a context manager.

    Args:
        video: the film.
        timeline: from an earlier full pass; with it, :meth:`read` may seek.
    """

    def __init__(self, video: VideoInfo, timeline: Timeline | None = None) -> None:
        self._video = video
        self._known = timeline
        self._film: Decoder | None = None
        self._position = 0  # index of the next frame to come
        self._linear = True  # everything since frame 0 was decoded, nothing skipped
        self._draft = _Draft()

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
        """Every frame from the current place to the end."""
        while (frame := self._next()) is not None:
            yield frame

    def read(self, start: int, stop: int) -> Iterator[Frame]:
        """Frames ``[start, stop)``, exactly these.

        Raises:
            TruncatedVideo: when the film ends before ``stop``.
        """
        if start < self._position or self._should_seek(start):
            self._go_to(start)
        while self._position < stop:
            frame = self._next()
            if frame is None:
                raise TruncatedVideo(self._video.path, f"it ends before frame {stop}")
            if frame.index >= start:
                yield frame

    def timeline(self) -> Timeline:
        """The stamps of all frames; known once a pass from frame 0 has come to the end."""
        if self._known is None:
            raise RuntimeError("the timeline is known after a full pass")
        return self._known

    # --- moving -------------------------------------------------------------------------------

    def _start_over(self) -> None:
        self._close()
        self._film = Decoder(self._video)
        self._position = 0
        self._linear = True
        self._draft = _Draft()

    def _close(self) -> None:
        if self._film is not None:
            self._film.close()
            self._film = None

    def _should_seek(self, start: int) -> bool:
        if self._known is None or not self._known.seekable:
            return False
        if start - self._position <= _NEAR_FRAMES:
            return False
        key = self._known.key_before(start)
        return key is not None and key > self._position + _NEAR_FRAMES // 2

    def _go_to(self, start: int) -> None:
        """Stand before some frame at or before ``start``, proven to be what it should be."""
        key = self._known.key_before(start) if self._known and self._known.seekable else None
        if key is None or key == 0 or not self._seek(key):
            self._start_over()

    def _seek(self, key: int) -> bool:
        """Whether a seek led to frame ``key``, which is then the next to come."""
        # Transport and program streams are searched by decoding stamps: they need a run-up.
        run_ups = (0, round(_RUN_UP_SECONDS / self._video.time_base))
        return any(self._lands_on(key, run_up) for run_up in run_ups)

    def _lands_on(self, key: int, run_up: int) -> bool:
        """Whether a seek to so much before ``key`` meets that very frame; it comes next, then."""
        known, film = self.timeline(), self._need_film()
        film.seek(int(known.pts[key]) - run_up)
        while (picture := film.next_picture()) is not None:
            if picture.pts is not None and picture.pts < known.pts[key]:
                continue  # shown before the keyframe, decoded after it: not whole here
            if picture.pts != known.pts[key] or picture.is_corrupt:
                return False
            if _checksum(picture, self._video) != known.sum_of(key):
                return False
            film.push_back(picture)
            self._position, self._linear = key, False
            return True
        return False

    def _need_film(self) -> Decoder:
        if self._film is None:
            raise RuntimeError("the reader is closed")
        return self._film

    # --- frames -------------------------------------------------------------------------------

    def _next(self) -> Frame | None:
        """The frame at the current place; ``None`` at the film's end."""
        film = self._need_film()
        picture = film.next_picture()
        if not self._linear and not self._expected(picture):
            return self._again()
        if picture is None:
            if self._known is None:
                self._known = self._draft.finish(self._video, film)
            return None
        self._check_same(picture)
        pts = self._stamp(picture)
        frame = Frame(
            index=self._position,
            pts=pts,
            planes=views(picture, self._video.layout),
            picture=picture,
        )
        self._position += 1
        return frame

    def _expected(self, picture: av.VideoFrame | None) -> bool:
        """Whether the frame after a seek is the one the timeline names."""
        known = self.timeline()
        if picture is None:
            return self._position == len(known)
        if picture.is_corrupt or self._position >= len(known):
            return False
        return bool(picture.pts == known.pts[self._position])

    def _again(self) -> Frame | None:
        """The frame at the current place, found by decoding from the beginning."""
        wanted = self._position
        self._start_over()
        while (frame := self._next()) is not None and frame.index < wanted:
            pass
        return frame

    def _stamp(self, picture: av.VideoFrame) -> int:
        """The frame's stamp: from the timeline where it is known, else made strictly increasing."""
        if self._known is not None:
            if self._position >= len(self._known):
                raise TruncatedVideo(self._video.path, "it changed while it was read")
            return int(self._known.pts[self._position])
        if self._position >= self._video.limits.max_frames:
            raise LimitExceeded(
                self._video.path,
                "the number of frames",
                self._position + 1,
                self._video.limits.max_frames,
                "limits.max_frames",
            )
        return self._draft.add(picture, self._video, self._need_film().first_dts)

    def _check_same(self, picture: av.VideoFrame) -> None:
        video = self._video
        size = (picture.width, picture.height, picture.format.name)
        if size != (video.width, video.height, video.layout.pix_fmt):
            before = f"{video.width}x{video.height} {video.layout.pix_fmt}"
            after = f"{size[0]}x{size[1]} {size[2]}"
            raise ChangingVideo(video.path, self._position, before, after)


class _Draft:
    """A timeline while its film is being decoded for the first time."""

    def __init__(self) -> None:
        self._pts = array("q")
        self._keys = array("q")
        self._sums = array("L")
        self._made_up = 0
        self._last_duration = 0
        self._lag = 0
        self._damaged = 0
        self._reordered = False

    def add(self, picture: av.VideoFrame, video: VideoInfo, first_dts: int) -> int:
        """The stamp of the next frame: its own if that is later than the last one's."""
        last = self._pts[-1] if self._pts else None
        pts = picture.pts
        if video.container == "avi":
            pts = self._avi_stamp(picture, first_dts)
        if pts is None:
            self._made_up += not self._reordered
            pts = 0 if last is None else last + max(1, round(1 / (video.rate * video.time_base)))
        if last is not None and pts <= last:
            back_seconds = float((last - pts) * video.time_base)
            if back_seconds > _JUMP_SECONDS:
                raise JumpingTimes(video.path, len(self._pts), back_seconds)
            self._made_up += 1
            pts = last + 1
        self._damaged += picture.is_corrupt
        if picture.key_frame:
            self._keys.append(len(self._pts))
            self._sums.append(_checksum(picture, video))
        self._pts.append(pts)
        self._last_duration = picture.duration or 0
        return pts

    def _avi_stamp(self, picture: av.VideoFrame, first_dts: int) -> int | None:
        """AVI stores decoding stamps only; FFmpeg's guess at the others fails with B-frames."""
        if picture.dts is None:  # the last few of a film with B-frames
            return None if self._reordered else picture.pts
        if not self._pts:
            self._lag = picture.dts - first_dts
        pts = picture.dts - self._lag
        self._reordered = self._reordered or pts != picture.pts
        return pts

    def finish(self, video: VideoInfo, film: Decoder) -> Timeline:
        """The whole timeline, after the film's end was found to be its true end."""
        film.check_complete(len(self._pts))
        warnings = list(film.warnings())
        if self._damaged:
            warnings.append(f"{self._damaged} pictures of the source are damaged")
        if self._made_up:
            warnings.append(f"{self._made_up} frames had no usable time stamp")
        return Timeline(
            pts=np.array(self._pts, dtype=np.int64),
            keyframes=np.array(self._keys, dtype=np.int64),
            key_sums=np.array(self._sums, dtype=np.uint32),
            last_duration=self._last_duration,
            seekable=not self._made_up and not self._reordered,
            warnings=tuple(warnings),
        )


def _checksum(picture: av.VideoFrame, video: VideoInfo) -> int:
    luma = views(picture, video.layout)[0]
    return zlib.crc32(np.ascontiguousarray(luma).data)
