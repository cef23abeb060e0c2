"""Segment writer: encodes one span of the film into a file of its own (a resumable checkpoint)."""

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
from erasecore.video.containers import muxer_takes_encoder
from erasecore.video.encoders import EncoderPlan, plan_encoder
from erasecore.video.formats import layout_of, views
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame


class SegmentWriter:
    """Encoder of one segment; a context manager that writes ``path`` atomically.

    The pts in a segment are frame numbers; ``assemble`` restores the film's timestamps. The file
    appears complete when the ``with`` block succeeds, and not at all when it raises.

    Args:
        path: the segment's file; Matroska in most cases, whatever its name.
        like: the film that the segment belongs to.
        settings: codec, quality, preset and threads.
        first_frame: index of the segment's first frame in the film.
        lean: save memory with a short encoder lookahead.
    """

    def __init__(
        self,
        path: Path,
        like: VideoInfo,
        settings: EncodeSettings,
        *,
        first_frame: int = 0,
        lean: bool = False,
    ) -> None:
        self._path = path
        self._video = like
        self._threads = settings.threads
        self._plan = plan_encoder(like, settings, first_frame=first_frame, lean=lean)
        self._count = 0
        self._cleanup = ExitStack()
        self._container: av.container.OutputContainer | None = None
        self._stream: VideoStream | None = None

    def __enter__(self) -> Self:
        part = self._cleanup.enter_context(whole_file(self._path))
        # Matroska stores nearly all codecs, players read it, and a truncated file is recognised.
        muxer = next(
            m for m in ("matroska", "nut", "mov") if muxer_takes_encoder(m, self._plan.encoder)
        )
        self._container = av.open(str(part.absolute()), "w", format=muxer)
        self._stream = _add_encoder(self._container, self._plan, self._video, self._threads)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._cleanup:  # any error that leaves this block removes the partial file
            try:
                if error is None:
                    self._finish()
            finally:
                self._close(broken=error is not None)
            if error is not None:
                raise error

    def write(self, picture: av.VideoFrame, *, cut: bool = False) -> None:
        """Encode one frame, in presentation order; its pts and picture type are overwritten.

        Args:
            picture: the next frame.
            cut: True for the first frame of a shot, which becomes a keyframe (x264 only).
        """
        assert self._container is not None
        assert self._stream is not None
        picture = _converted(picture, self._plan.pix_fmt)
        picture.time_base = 1 / self._plan.rate
        picture.pts = self._count
        picture.duration = 1
        # The encoder obeys any type but NONE, also the one that the source's decoder has set.
        picture.pict_type = (
            PictureType.I if cut and self._plan.forces_keyframes else PictureType.NONE
        )
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def _close(self, *, broken: bool) -> None:
        """Close the container; with ``broken``, drop errors that follow from the first one."""
        container, self._container, self._stream = self._container, None, None
        if container is None:
            return
        try:
            container.close()
        except av.error.FFmpegError:
            if not broken:
                raise

    def _finish(self) -> None:
        """Flush the encoder.

        Raises:
            ValueError: no frame was written.
        """
        assert self._container is not None
        assert self._stream is not None
        if not self._count:
            raise ValueError(f"segment {self._path.name} has no frames")
        self._container.mux(self._stream.encode(None))


def writable(frame: Frame) -> tuple[av.VideoFrame, Planes]:
    """Return a deep copy of the frame's picture, and writable views of its planes, turned.

    FFmpeg's ``copy`` filter keeps colour tags, field flags and side data (captions, HDR).
    """
    picture = frame.picture
    graph = av.filter.Graph()
    graph.threads = 1
    buffer_args = {
        "video_size": f"{picture.width}x{picture.height}",
        "pix_fmt": picture.format.name,
        "time_base": str(picture.time_base or Fraction(1, 1000)),
        "colorspace": int(picture.colorspace),
        "range": int(picture.color_range),
    }
    entry = graph.add("buffer", ":".join(f"{key}={value}" for key, value in buffer_args.items()))
    copy, leave = graph.add("copy"), graph.add("buffersink")
    graph.link_nodes(entry, copy, leave).configure()
    graph.vpush(picture)
    result = graph.vpull()
    layout = layout_of(picture.format.name, full_range=False)
    planes = views(result, layout, writable=True)
    return result, tuple(frame.orientation.view(plane) for plane in planes)


def _add_encoder(
    container: av.container.OutputContainer, plan: EncoderPlan, video: VideoInfo, threads: int
) -> VideoStream:
    """Add the segment's stream: encoder of ``plan``, with the film's size, aspect, colour tags."""
    stream = container.add_stream(plan.encoder, rate=plan.rate, options=plan.options)
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height = video.stored_size
    context.pix_fmt = plan.pix_fmt
    context.time_base = 1 / plan.rate
    context.gop_size = plan.gop_frames
    context.thread_count = threads
    context.thread_type = ThreadType.AUTO  # with SLICE alone x264 would split frames into slices
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


def _converted(picture: av.VideoFrame, wanted: str) -> av.VideoFrame:
    """Return the picture in the pixel format ``wanted``, without a change of colour range."""
    if picture.format.name == wanted:
        return picture
    full = picture.format.name.startswith("yuvj") or picture.color_range == 2
    color_range = "JPEG" if full else "MPEG"
    return picture.reformat(format=wanted, src_color_range=color_range, dst_color_range=color_range)
