"""Excerpts: a stretch of a film as a film of its own, without loss.

The pictures are stored with FFV1, bit for bit; the packets of all other streams that begin in the
stretch are copied. Times start at 0.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from erasecore.errors import InputError
from erasecore.settings import EncodeSettings, TimeRange
from erasecore.video.assemble import assemble
from erasecore.video.opening import open_film
from erasecore.video.probe import VideoInfo
from erasecore.video.timeline import Timeline
from erasecore.video.writer import SegmentWriter

EXCERPT_SUFFIX = ".mkv"
"""Ending of a file with an excerpt."""
_LOSSLESS = "ffv1"
_SEGMENT_ENDING = ".segment.mkv"
_CLOCK = 1_000_000  # parts of a second to which times are rounded: 0.2 is no float
_MAX_SECONDS = 36_000.0  # longest stretch; a guess


@dataclass(frozen=True, slots=True)
class Excerpt:
    """An excerpt that was written.

    Attributes:
        path: its file.
        stretch: seconds of the film, from its first frame to the end of its last.
    """

    path: Path
    stretch: TimeRange


def cut_excerpt(
    video: VideoInfo,
    wanted: TimeRange,
    goal: Path,
    *,
    before: tuple[VideoInfo, EncodeSettings, Path] | None = None,
) -> Excerpt:
    """Write the frames that are shown in ``wanted`` to ``goal``, with what is heard meanwhile.

    Args:
        video: the film.
        wanted: seconds on the clock that players show.
        goal: file to write; Matroska.
        before: film in the container of a result, its encoder and a file: the same excerpt is
            written there as a result would be.

    Raises:
        InputError: no frame is shown then, or the film's times cannot be read there.
    """
    lossless = replace(video, codec=_LOSSLESS, muxer="matroska", suffix=EXCERPT_SUFFIX)
    copies = [(lossless, EncodeSettings(), goal), *([before] if before else [])]
    stamps = _encode(video, wanted, copies)
    timeline = _timeline(stamps)
    start = stamps[0] * video.time_base
    end = timeline.stamp_of(len(timeline)) * video.time_base + start
    # The codec is the source's own again: what its container says of it must not be copied.
    films = [replace(film, codec=video.codec, programs=()) for film, _, _ in copies]
    for film, (_, _, file) in zip(films, copies, strict=True):
        assemble(film, [_segment_of(file)], timeline, file, span=(start, end))
        _segment_of(file).unlink()
    zero = video.clock_zero
    return Excerpt(goal, TimeRange(float(start - zero), float(end - zero)))


def _encode(
    video: VideoInfo, wanted: TimeRange, copies: list[tuple[VideoInfo, EncodeSettings, Path]]
) -> list[int]:
    """Encode the pictures shown in ``wanted`` for each of ``copies``; return their stamps.

    Raises:
        InputError: there are none.
    """
    stamps: list[int] = []
    with ExitStack() as stack:
        writers = [
            stack.enter_context(SegmentWriter(_segment_of(file), like=film, settings=encode))
            for film, encode, file in copies
        ]
        for stamp, picture in _pictures(video, wanted):
            stamps.append(stamp)
            for writer in writers:
                writer.write(picture, cut=False)
        if not stamps:
            span = f"from {wanted.start_seconds:g} to {wanted.stop_seconds:g} seconds"
            raise InputError(video.path, f"shows no picture {span}; choose other times.")
    return stamps


def _segment_of(file: Path) -> Path:
    """Return the path of the pictures of ``file`` before other streams are added."""
    return file.with_name(file.stem + _SEGMENT_ENDING)


def _timeline(stamps: list[int]) -> Timeline:
    """Return the timeline of an excerpt whose frames have these stamps in the film."""
    pts = np.array(stamps, np.int64) - stamps[0]
    first = np.zeros(1, np.int64)
    return Timeline(pts, first, first.astype(np.uint32), last_duration=0, seekable=False)


def _pictures(video: VideoInfo, wanted: TimeRange) -> Iterator[tuple[int, av.VideoFrame]]:
    """Yield the pictures that are shown in ``wanted``, each with its stamp.

    It seeks first; where that lands too late, it decodes from the film's start.
    """
    first, last = (
        (Fraction(seconds).limit_denominator(_CLOCK) + video.clock_zero) / video.time_base
        for seconds in (wanted.start_seconds, min(wanted.stop_seconds, _end(wanted)))
    )
    for seek in (True, False):
        with open_film(video.path, video.limits) as container:
            stream = container.streams.video[_position(container, video)]
            stream.thread_type = "AUTO"
            if seek:
                container.seek(max(0, int(first)), stream=stream, backward=True)
            late = seek
            for picture in container.decode(stream):
                if picture.pts is None:
                    raise InputError(video.path, "has pictures without times; erase all of it.")
                if picture.pts >= last:
                    return
                if late and picture.pts > first and first > 0:
                    break  # the seek has landed after the first picture that is wanted
                late = False
                if picture.pts >= first:
                    yield picture.pts, picture
            else:
                return


def _end(wanted: TimeRange) -> float:
    return wanted.start_seconds + _MAX_SECONDS


def _position(container: av.container.InputContainer, video: VideoInfo) -> int:
    """Return the position of the film's stream among the video streams."""
    indices = [stream.index for stream in container.streams.video]
    return indices.index(video.stream_index)
