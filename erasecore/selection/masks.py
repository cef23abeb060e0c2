"""Masks that came with a film: a picture for all its frames, or a film with a frame for each.

White (128 and more of 255) is to be erased, black is kept; nothing is looked for beside it. A mask
is anybody's file: its kind is told by its content, its size is known before it is decoded.
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
from erasecore.settings import LimitSettings
from erasecore.system.safe_open import blames_host, read_plain
from erasecore.video.color import Box
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame, FrameReader

MAX_PICTURE_BYTES = 64_000_000
MOST_COVERED = 0.6
"""A mask that is white over more of the picture has most likely its colours the wrong way round."""

_WHITE = 128
_PNG = b"\x89PNG\r\n\x1a\n"
_SAME_ASPECT = 0.01

Bits: TypeAlias = NDArray[np.bool_]
Span: TypeAlias = tuple[int, int]
Complain: TypeAlias = Callable[[str], BadMask]


@dataclass(frozen=True, slots=True)
class Run:
    """Frames ``[start, stop)`` with one mask: bool ``(H, W)`` of the box that was asked for."""

    start: int
    stop: int
    bits: Bits


class Mask(Protocol):
    """What is to be erased in each frame of a film."""

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Its connected areas as events; to be asked for before ``runs``.

        Args:
            frames: how many the film has.
            spans: the frames in which it counts, apart from each other and in order.
            tick: told now and then which frame has been looked at.

        Raises:
            BadMask: it does not fit the film.
        """
        ...

    def runs(self, start: int, stop: int, box: Box) -> Iterator[Run]:
        """The mask in the frames ``[start, stop)``, cut out at ``box``."""
        ...

    def close(self) -> None:
        """Let go of its file."""
        ...


def open_mask(path: Path, film: VideoInfo, name: str) -> Mask:
    """The mask at ``path`` for ``film``; complaints call it ``name``.

    Raises:
        BadMask: it cannot be used; the sentence is about the film.
    """

    def complain(what: str) -> BadMask:
        return BadMask(film.path, name, what)

    if _read(path, len(_PNG), complain) == _PNG:
        content = _read(path, MAX_PICTURE_BYTES + 1, complain)
        return PictureMask(_picture(content, film, complain))
    try:
        video = probe(path, film.limits)
    except InputError as error:
        raise complain(f"is neither a PNG nor a film that can be read: {error.sentence}") from error
    return FilmMask(video, film, complain)


class PictureMask:
    """One mask for every frame: bool of the stored picture's size."""

    def __init__(self, bits: Bits) -> None:
        self._bits = bits

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Its areas, each in every span."""
        tick(frames)
        boxes, height = connected_components(self._bits), self._bits.shape[0]
        return tuple(event_of(MaskComponent(*span, box), height) for span in spans for box in boxes)

    def runs(self, start: int, stop: int, box: Box) -> Iterator[Run]:
        """The same mask throughout."""
        left, top, right, bottom = box
        yield Run(start, stop, self._bits[top:bottom, left:right])

    def close(self) -> None:
        """Nothing is open."""


class FilmMask:
    """Frame by frame from another film, which has as many frames."""

    def __init__(self, video: VideoInfo, film: VideoInfo, complain: Complain) -> None:
        _check_aspect((video.width, video.height), film, complain)
        self._video, self._complain = video, complain
        self._size = film.width, film.height
        self._reader = FrameReader(video)

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Its areas, followed from frame to frame while they overlap."""
        tracker, wanted = ComponentTracker(), _member(spans)
        count, covered, white = 0, 0.0, False
        boxes: tuple[Box, ...] = ()
        before = np.zeros((0, 0), np.bool_)
        with FrameReader(self._video) as reader:
            for frame, bits in self._bits(iter(reader)):
                count = frame + 1
                if not np.array_equal(before, bits):
                    boxes, before = connected_components(bits), bits
                    covered = max(covered, float(bits.mean()))
                    white |= bool(boxes)
                if wanted(frame):
                    tracker.add(frame, boxes)
                if len(boxes) > MAX_COMPONENTS or len(tracker) > MAX_EVENTS:
                    raise self._complain(f"has too many separate areas (at frame {frame})")
                tick(frame)
            timeline = reader.timeline()
        if count != frames:
            raise self._complain(f"has {count} frames, the film has {frames}")
        _check_cover(covered, white=white, complain=self._complain)
        self._reader = FrameReader(self._video, timeline)
        self._reader.__enter__()
        return tuple(event_of(area, self._size[1]) for area in tracker.finish())

    def runs(self, start: int, stop: int, box: Box) -> Iterator[Run]:
        """The masks of these frames; equal ones that follow each other are one."""
        left, top, right, bottom = box
        run: Run | None = None
        for frame, bits in self._bits(self._reader.read(start, stop)):
            part = bits[top:bottom, left:right]
            if run is not None and np.array_equal(run.bits, part):
                run = Run(run.start, frame + 1, run.bits)
                continue
            if run is not None:
                yield run
            run = Run(frame, frame + 1, part.copy())
        if run is not None:
            yield run

    def close(self) -> None:
        """Let go of the film."""
        self._reader.__exit__(None, None, None)

    def _bits(self, frames: Iterator[Frame]) -> Iterator[tuple[int, Bits]]:
        scale = self._video.layout.scale
        for frame in frames:
            yield frame.index, _fitted(frame.planes[0] >= _WHITE * scale, self._size)


def spans_of(shown: Iterator[bool]) -> tuple[Span, ...]:
    """The runs of frames that are ``shown``."""
    spans, at = [], 0
    for wanted, group in groupby(shown):
        count = sum(1 for _ in group)
        if wanted:
            spans.append((at, at + count))
        at += count
    return tuple(spans)


def _member(spans: Sequence[Span]) -> Callable[[int], bool]:
    """Whether a frame lies in one of ``spans``; frames are asked for in order."""
    pending = list(reversed(spans))

    def wanted(frame: int) -> bool:
        while pending and pending[-1][1] <= frame:
            pending.pop()
        return bool(pending) and pending[-1][0] <= frame

    return wanted


def _read(path: Path, most_bytes: int, complain: Complain) -> bytes:
    try:
        return read_plain(path, most_bytes)
    except OSError as error:
        if blames_host(error):
            raise
        raise complain(f"cannot be read ({error.strerror})") from error


def _picture(content: bytes, film: VideoInfo, complain: Complain) -> Bits:
    """The mask that a PNG holds, at the film's size."""
    if len(content) > MAX_PICTURE_BYTES:
        raise complain(f"is larger than {MAX_PICTURE_BYTES} bytes")
    size = int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    _check_size(size, film.limits, complain)
    _check_aspect(size, film, complain)
    try:
        decoded = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise complain("is a PNG that cannot be decoded") from error
    if decoded is None or (decoded.shape[1], decoded.shape[0]) != size:
        raise complain("is a damaged PNG")
    levels = decoded.astype(np.uint16) // (257 if decoded.dtype == np.uint16 else 1)
    bits = _fitted(_white(levels.astype(np.uint16)), (film.width, film.height))
    _check_cover(float(bits.mean()), white=bool(bits.any()), complain=complain)
    if len(connected_components(bits)) > MAX_COMPONENTS:
        raise complain(f"has more than {MAX_COMPONENTS} separate areas")
    return bits


def _white(picture: NDArray[np.uint16]) -> Bits:
    """Where a picture (gray, blue-green-red, with or without alpha; 0 to 255) is white."""
    if picture.ndim == 2:
        return np.asarray(picture >= _WHITE, np.bool_)
    if picture.shape[2] == 2:  # gray with alpha
        return np.asarray((picture >= _WHITE).all(axis=2), np.bool_)
    white = np.rint(picture[..., :3] @ np.array([0.114, 0.587, 0.299])) >= _WHITE
    if picture.shape[2] == 4:
        white &= picture[..., 3] >= _WHITE
    return np.asarray(white, np.bool_)


def _fitted(bits: NDArray[np.bool_], size: tuple[int, int]) -> Bits:
    """``bits`` at width and height ``size``."""
    if (bits.shape[1], bits.shape[0]) == size:
        return bits
    gray = cv2.resize(bits.astype(np.uint8) * 255, size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(gray >= _WHITE, np.bool_)


def _check_size(size: tuple[int, int], limits: LimitSettings, complain: Complain) -> None:
    if not (0 < size[0] <= limits.max_width_px and 0 < size[1] <= limits.max_height_px):
        most = f"{limits.max_width_px}x{limits.max_height_px}"
        raise complain(f"is {size[0]}x{size[1]} pixels; at most {most} are read")


def _check_aspect(size: tuple[int, int], film: VideoInfo, complain: Complain) -> None:
    if abs(size[0] * film.height - size[1] * film.width) > _SAME_ASPECT * size[1] * film.width:
        stored = f"{film.width}x{film.height}"
        raise complain(f"is {size[0]}x{size[1]} pixels; the film's stored picture is {stored}")


def _check_cover(covered: float, *, white: bool, complain: Complain) -> None:
    if not white:
        raise complain("is black all over; white is what is erased")
    if covered > MOST_COVERED:
        raise complain(
            f"is white over {covered:.0%} of the picture; white is what is erased, black is kept"
        )
