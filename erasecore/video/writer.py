"""Segments: spans of the film, encoded, each a finished file."""

from __future__ import annotations

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import av.container
import av.error
from av.codec.context import Flags, ThreadType
from av.video.frame import PictureType
from av.video.stream import VideoStream

from erasecore.settings import EncodeSettings
from erasecore.system.atomic_files import whole_file
from erasecore.video.color import Planes
from erasecore.video.containers import holds
from erasecore.video.encoders import EncoderPlan, plan_encoder
from erasecore.video.formats import layout_of, views
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame


class SegmentWriter:
    """Encodes one segment into ``path``; a context manager.

    Inside a segment time is the frame's number; ``assemble`` puts the film's own stamps back. The
    file appears whole when the block ends well, and not at all when it raises.

    Args:
        path: the segment's file; Matroska, whatever its name.
        like: the film it is a segment of.
        settings: how to encode.
        lean: whether the encoder is to look ahead less than it likes to, to save memory.
    """

    def __init__(
        self, path: Path, like: VideoInfo, settings: EncodeSettings, *, lean: bool = False
    ) -> None:
        self._path = path
        self._video = like
        self._threads = settings.threads
        self._plan = plan_encoder(like, settings, lean=lean)
        self._count = 0
        self._file = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._stream: VideoStream | None = None

    def __enter__(self) -> Self:
        part = self._file.enter_context(whole_file(self._path))
        # Matroska holds nearly all codecs, players read it, and a torn one is told at once.
        muxer = next(m for m in ("matroska", "nut", "mov") if holds(m, self._plan.encoder))
        self._container = av.open(str(part.absolute()), "w", format=muxer)
        self._stream = _add_encoder(self._container, self._plan, self._video, self._threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._file:  # on any error that leaves this block the file is removed
            try:
                if error is None:
                    self._finish()
            finally:
                self._close(broken=error is not None)
            if error is not None:
                raise error

    def write(self, picture: av.VideoFrame, *, cut: bool = False) -> None:
        """Append one picture, in presentation order. Its stamp and picture type are overwritten.

        Args:
            picture: the next one.
            cut: whether a shot begins with it.
        """
        assert self._container is not None
        assert self._stream is not None
        picture = _in_format(picture, self._plan.pix_fmt)
        picture.time_base = 1 / self._plan.rate
        picture.pts = self._count
        picture.duration = 1
        # Any type but none would be an order, the source's as well.
        picture.pict_type = PictureType.I if cut and self._plan.told_cuts else PictureType.NONE
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def _close(self, *, broken: bool) -> None:
        """Let go of the file; a fault that follows from an earlier one is not raised."""
        container, self._container, self._stream = self._container, None, None
        if container is None:
            return
        try:
            container.close()
        except av.error.FFmpegError:
            if not broken:  # else it is the same fault again, and the first one counts
                raise

    def _finish(self) -> None:
        assert self._container is not None
        assert self._stream is not None
        if not self._count:
            raise ValueError(f"segment {self._path.name} has no frames")
        self._container.mux(self._stream.encode(None))


def writable(frame: Frame) -> tuple[av.VideoFrame, Planes]:
    """A deep copy of the frame's picture, and views of its planes that may be written to.

    Colour tags, field flags and side data (captions, HDR) come along.
    """
    picture = frame.picture
    graph = av.filter.Graph()
    graph.threads = 1
    facts = {
        "video_size": f"{picture.width}x{picture.height}",
        "pix_fmt": picture.format.name,
        "time_base": str(picture.time_base or Fraction(1, 1000)),
        "colorspace": int(picture.colorspace),
        "range": int(picture.color_range),
    }
    entry = graph.add("buffer", ":".join(f"{key}={value}" for key, value in facts.items()))
    copy, leave = graph.add("copy"), graph.add("buffersink")
    graph.link_nodes(entry, copy, leave).configure()
    graph.vpush(picture)
    result = graph.vpull()
    layout = layout_of(picture.format.name, full_range=False)
    return result, views(result, layout, writable=True)


def _add_encoder(
    container: av.container.OutputContainer, plan: EncoderPlan, video: VideoInfo, threads: int
) -> VideoStream:
    """The segment's stream, its encoder told everything the film says about its pictures."""
    stream = container.add_stream(plan.encoder, rate=plan.rate, options=plan.options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = video.width, video.height
    context.pix_fmt = plan.pix_fmt
    context.time_base = 1 / plan.rate
    context.gop_size = plan.gop_frames
    context.thread_count = threads
    context.thread_type = ThreadType.AUTO  # "slice" alone would have x264 cut pictures up
    if video.sample_aspect is not None:
        context.sample_aspect_ratio = video.sample_aspect
    context.color_range = video.color.range
    context.color_primaries = video.color.primaries
    context.color_trc = video.color.transfer
    context.colorspace = video.color.matrix
    if plan.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.field_order = video.field_order
    return stream


def _in_format(picture: av.VideoFrame, wanted: str) -> av.VideoFrame:
    """The picture in the encoder's format, its range untouched."""
    if picture.format.name == wanted:
        return picture
    full = picture.format.name.startswith("yuvj") or picture.color_range == 2
    span = "JPEG" if full else "MPEG"
    return picture.reformat(format=wanted, src_color_range=span, dst_color_range=span)
