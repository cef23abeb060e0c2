"""Masks beside a film: a PNG for all its frames, or a film with one mask frame for each of them.

White (level 128 to 255) is erased, black is kept; no text is detected besides. A mask is an
untrusted file: its type is taken from its content, its size is checked before it is decoded.

A mask is drawn on the picture as it is seen. Of a film that players turn by a quarter, one with the
shape of the stored picture is turned with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.errors import BadMask, InputError
from erasecore.model.events import Event
from erasecore.selection.connected_components import (
    MAX_COMPONENTS,
    MAX_EVENTS,
    ComponentTracker,
    MaskComponent,
    connected_components,
    event_of,
)
from erasecore.settings import LimitSettings, PictureFrame
from erasecore.system.safe_open import blames_host, read_plain
from erasecore.video.color import Box
from erasecore.video.orientation import UPRIGHT, Orientation
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame, FrameReader

MAX_PICTURE_BYTES = 64_000_000  # largest PNG that is read; a guess
MAX_WHITE_SHARE = 0.6
"""Largest white share of a mask; a whiter one is most likely inverted. A guess."""

_WHITE_LEVEL = 128  # level from which a pixel is white, of 255
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"  # first bytes of the file (PNG specification, 5.2)
_ASPECT_TOLERANCE = 0.01  # largest relative difference of aspect ratios, mask to film; a guess

Bits: TypeAlias = NDArray[np.bool_]
"""Mask pixels ``(H, W)``: True is erased."""

Span: TypeAlias = tuple[int, int]
"""Film frames ``[start, stop)``."""

MakeError: TypeAlias = Callable[[str], BadMask]
"""Makes the error for a mask from the rest of a sentence such as "is a damaged PNG"."""


@dataclass(frozen=True, slots=True)
class MaskRun:
    """Film frames ``[start, stop)`` with equal masks (run-length coding).

    ``bits`` has the size of the box that was asked for.
    """

    start: int
    stop: int
    bits: Bits


class Mask(Protocol):
    """Pixels to be erased in each frame of a film."""

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Return the mask's connected components as events; call it before ``runs``.

        Args:
            frames: number of frames of the film.
            spans: frames in which the mask counts; disjoint, ascending.
            tick: progress callback, given the number of the frame that was processed.

        Raises:
            BadMask: the mask does not fit the film.
        """
        ...

    def runs(self, start: int, stop: int, box: Box) -> Iterator[MaskRun]:
        """Yield the masks of film frames ``[start, stop)``, cropped to ``box``."""
        ...

    def close(self) -> None:
        """Close the mask's file."""
        ...


def open_mask(
    path: Path, film: VideoInfo, name: str, *, picture_frame: PictureFrame = PictureFrame.SEEN
) -> Mask:
    """Open the mask at ``path`` for ``film``.

    Args:
        path: a PNG or a film, of any name.
        film: the film to be erased.
        name: name of the mask in error messages.
        picture_frame: the picture that the mask was drawn on, where its shape does not tell.

    Raises:
        BadMask: the mask cannot be used; the error names the film.
    """

    def bad_mask(detail: str) -> BadMask:
        return BadMask(film.path, name, detail)

    if _read(path, len(_PNG_SIGNATURE), bad_mask) == _PNG_SIGNATURE:
        content = _read(path, MAX_PICTURE_BYTES + 1, bad_mask)
        return PictureMask(_decode_png(content, film, picture_frame, bad_mask))
    try:
        video = probe(path, film.limits)
    except InputError as error:
        raise bad_mask(f"is neither a PNG nor a film that can be read: {error.sentence}") from error
    return FilmMask(video, film, picture_frame, bad_mask)


class PictureMask:
    """One mask for all frames; ``bits`` has the size of the film's picture as it is seen."""

    def __init__(self, bits: Bits) -> None:
        self._bits = bits

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Return one event for each component and span."""
        tick(frames)
        boxes, height = connected_components(self._bits), self._bits.shape[0]
        return tuple(event_of(MaskComponent(*span, box), height) for span in spans for box in boxes)

    def runs(self, start: int, stop: int, box: Box) -> Iterator[MaskRun]:
        """Yield one run: the mask is the same in all frames."""
        left, top, right, bottom = box
        yield MaskRun(start, stop, self._bits[top:bottom, left:right])

    def close(self) -> None:
        """Do nothing; no file is open."""


class FilmMask:
    """One mask for each frame, decoded from a second film with the same number of frames.

    Args:
        video: the film with the masks; its luma counts.
        film: the film to be erased.
        picture_frame: the picture that the masks were drawn on, where their shape does not tell.
        bad_mask: makes the error for a mask that cannot be used.
    """

    def __init__(
        self,
        video: VideoInfo,
        film: VideoInfo,
        picture_frame: PictureFrame,
        bad_mask: MakeError,
    ) -> None:
        self._turn = _turn_of((video.width, video.height), film, picture_frame, bad_mask)
        self._video, self._bad_mask = video, bad_mask
        self._size = film.width, film.height
        self._reader = FrameReader(video)

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Return the components as events, tracked from frame to frame while they overlap."""
        tracker, is_wanted = ComponentTracker(), _span_test(spans)
        count, white_share, has_white = 0, 0.0, False
        boxes: tuple[Box, ...] = ()
        previous = np.zeros((0, 0), np.bool_)
        with FrameReader(self._video) as reader:
            for frame, bits in self._decode_masks(iter(reader)):
                count = frame + 1
                if not np.array_equal(previous, bits):
                    boxes, previous = connected_components(bits), bits
                    white_share = max(white_share, float(bits.mean()))
                    has_white |= bool(boxes)
                if is_wanted(frame):
                    tracker.add(frame, boxes)
                if len(boxes) > MAX_COMPONENTS or len(tracker) > MAX_EVENTS:
                    raise self._bad_mask(f"has too many separate areas (at frame {frame})")
                tick(frame)
            timeline = reader.timeline()
        if count != frames:
            raise self._bad_mask(f"has {count} frames, the film has {frames}")
        _check_white_share(white_share, has_white=has_white, bad_mask=self._bad_mask)
        self._reader = FrameReader(self._video, timeline)
        self._reader.__enter__()
        return tuple(event_of(component, self._size[1]) for component in tracker.finish())

    def runs(self, start: int, stop: int, box: Box) -> Iterator[MaskRun]:
        """Yield the masks of film frames ``[start, stop)``; equal consecutive ones are one run."""
        left, top, right, bottom = box
        run: MaskRun | None = None
        for frame, bits in self._decode_masks(self._reader.read(start, stop)):
            crop = bits[top:bottom, left:right]
            if run is not None and np.array_equal(run.bits, crop):
                run = MaskRun(run.start, frame + 1, run.bits)
                continue
            if run is not None:
                yield run
            run = MaskRun(frame, frame + 1, crop.copy())
        if run is not None:
            yield run

    def close(self) -> None:
        """Close the film with the masks."""
        self._reader.__exit__(None, None, None)

    def _decode_masks(self, frames: Iterator[Frame]) -> Iterator[tuple[int, Bits]]:
        """Yield the number and mask of each frame, at the size of the film to be erased."""
        scale = self._video.layout.scale
        for frame in frames:
            white = self._turn.view(frame.planes[0] >= _WHITE_LEVEL * scale)
            yield frame.index, _resize(white, self._size)


def spans_of(shown: Iterator[bool]) -> tuple[Span, ...]:
    """Return the spans of frames whose value in ``shown`` is True (run-length coding)."""
    spans, start = [], 0
    for is_shown, group in groupby(shown):
        count = sum(1 for _ in group)
        if is_shown:
            spans.append((start, start + count))
        start += count
    return tuple(spans)


def _span_test(spans: Sequence[Span]) -> Callable[[int], bool]:
    """Return a function that is True for frames in ``spans``; it must be called in frame order."""
    pending = list(reversed(spans))

    def is_in_spans(frame: int) -> bool:
        while pending and pending[-1][1] <= frame:
            pending.pop()
        return bool(pending) and pending[-1][0] <= frame

    return is_in_spans


def _read(path: Path, most_bytes: int, bad_mask: MakeError) -> bytes:
    """Return the first ``most_bytes`` of the file; an error of the host's disk goes through."""
    try:
        return read_plain(path, most_bytes)
    except OSError as error:
        if blames_host(error):
            raise
        raise bad_mask(f"cannot be read ({error.strerror})") from error


def _decode_png(
    content: bytes, film: VideoInfo, picture_frame: PictureFrame, bad_mask: MakeError
) -> Bits:
    """Return the mask of a PNG, turned and resized to the film's picture as it is seen."""
    if len(content) > MAX_PICTURE_BYTES:
        raise bad_mask(f"is larger than {MAX_PICTURE_BYTES} bytes")
    # Width and height of the IHDR chunk, so that a hostile size is refused before it is decoded.
    size = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    _check_size(size, film.limits, bad_mask)
    turn = _turn_of(size, film, picture_frame, bad_mask)
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise bad_mask("is a PNG that cannot be decoded") from error
    if decoded is None or (decoded.shape[1], decoded.shape[0]) != size:
        raise bad_mask("is a damaged PNG")
    levels = decoded.astype(np.uint16) // (257 if decoded.dtype == np.uint16 else 1)
    white = turn.view(_white_pixels(levels.astype(np.uint16)))
    bits = _resize(white, (film.width, film.height))
    _check_white_share(float(bits.mean()), has_white=bool(bits.any()), bad_mask=bad_mask)
    if len(connected_components(bits)) > MAX_COMPONENTS:
        raise bad_mask(f"has more than {MAX_COMPONENTS} separate areas")
    return bits


def _white_pixels(picture: NDArray[np.uint16]) -> Bits:
    """Return the white pixels of a picture: bool ``(H, W)``.

    Args:
        picture: 0 to 255; gray ``(H, W)``, gray and alpha ``(H, W, 2)``, BGR ``(H, W, 3)`` or BGRA
            ``(H, W, 4)``. Transparent pixels are black; luma weights are those of BT.601.
    """
    if picture.ndim == 2:
        return np.asarray(picture >= _WHITE_LEVEL, np.bool_)
    if picture.shape[2] == 2:  # gray with alpha
        return np.asarray((picture >= _WHITE_LEVEL).all(axis=2), np.bool_)
    white = np.rint(picture[..., :3] @ np.array([0.114, 0.587, 0.299])) >= _WHITE_LEVEL
    if picture.shape[2] == 4:
        white &= picture[..., 3] >= _WHITE_LEVEL
    return np.asarray(white, np.bool_)


def _resize(bits: NDArray[np.bool_], size: tuple[int, int]) -> Bits:
    """Return ``bits`` at ``size`` (width, height), by bilinear interpolation and a threshold."""
    if (bits.shape[1], bits.shape[0]) == size:
        return bits
    gray = cv2.resize(bits.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(gray >= _WHITE_LEVEL, np.bool_)


def _check_size(size: tuple[int, int], limits: LimitSettings, bad_mask: MakeError) -> None:
    if not (0 < size[0] <= limits.max_width_px and 0 < size[1] <= limits.max_height_px):
        most = f"{limits.max_width_px}x{limits.max_height_px}"
        raise bad_mask(f"is {size[0]}x{size[1]} pixels; at most {most} are read")


def _turn_of(
    size: tuple[int, int], film: VideoInfo, picture_frame: PictureFrame, bad_mask: MakeError
) -> Orientation:
    """Return how a mask of this size (width, height) must be turned to lie on the seen picture.

    Raises:
        BadMask: it has the shape of neither the seen nor the stored picture.
    """
    seen = _has_shape(size, (film.width, film.height))
    stored = _has_shape(size, film.stored_size)
    if not seen and not stored:
        shown = f"{film.width}x{film.height}"
        raise bad_mask(f"is {size[0]}x{size[1]} pixels; the film's picture is {shown}")
    drawn_on_stored = stored and (not seen or picture_frame is PictureFrame.STORED)
    return film.orientation if drawn_on_stored else UPRIGHT


def _has_shape(size: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return True if two sizes (width, height) have the same aspect ratio."""
    difference = abs(size[0] * other[1] - size[1] * other[0])
    return difference <= _ASPECT_TOLERANCE * size[1] * other[0]


def _check_white_share(share: float, *, has_white: bool, bad_mask: MakeError) -> None:
    """Raise unless the mask is white somewhere, and not over most of the picture."""
    if not has_white:
        raise bad_mask("is black all over; white is what is erased")
    if share > MAX_WHITE_SHARE:
        raise bad_mask(
            f"is white over {share:.0%} of the picture; white is what is erased, black is kept"
        )
