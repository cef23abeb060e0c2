"""Crops of the working luma around one line of text: their place, and those kept of it.

Whole pictures are never kept: a track holds the crops of the frames around its first sighting and
of about the last second.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.scaling import Luma, average

WorkBox: TypeAlias = NDArray[np.float64]
"""Bounding box: left, top, right, bottom in working pixels, float64 ``(4,)``."""

_EDGE_LINES = 0.6  # text heights between two middles or edges that are common, at most; guess
_MAX_TAIL_BYTES = 6_000_000  # bytes of the newest crops that one track keeps; guess
_ALONG_MARGIN_LINES = 2.0  # text heights of the window before and behind the line; guess
_ACROSS_MARGIN_LINES = 0.6  # text heights of the window on the line's other sides; guess
_CONTEXT_MARGIN_LINES = 0.25  # text heights around a line that are not its surroundings; guess


@dataclass(frozen=True, slots=True)
class TrackTiming:
    """Durations that tracking needs, in frames of this film."""

    gone_frames: int  # without the text before a track is over
    frames_before: int  # kept before the first sighting, and of the tail
    frames_after: int  # kept after the first sighting
    slide_frames: int = 20  # that a line slides in or out, at most
    pop_frames: int = 10  # that a line grows or shrinks, at most


@dataclass(frozen=True, slots=True)
class Piece:
    """Crop of one frame's working luma to a track's window."""

    index: int  # the frame's, from the film's first
    luma: Luma
    averaged: int = 1  # frames up to that one whose mean it is


@dataclass(frozen=True, slots=True)
class LineWindow:
    """Rectangle around a line of text that is kept of each frame, with room for its surroundings.

    Attributes:
        box: left, top, right, bottom in working pixels.
        text_height: working pixels across the line, as detected.
        vertical: True if the line runs downwards.
    """

    box: tuple[int, int, int, int]
    text_height: float
    vertical: bool

    @classmethod
    def around(cls, box: WorkBox, shape: tuple[int, ...], thickness: float = 0.0) -> LineWindow:
        """Return the window around a detected line.

        Args:
            box: of the line, working pixels.
            shape: of the picture: height, width.
            thickness: across the line as it is tilted; 0: the shorter side of ``box``.
        """
        wide, high = box[2] - box[0], box[3] - box[1]
        vertical = bool(high > 1.5 * wide)
        across = thickness or (wide if vertical else min(wide, high))
        text_height = float(max(4.0, across))
        along, across = _ALONG_MARGIN_LINES * text_height, _ACROSS_MARGIN_LINES * text_height
        grow_x, grow_y = (across, along) if vertical else (along, across)
        sides = (
            max(0, int(box[0] - grow_x)),
            max(0, int(box[1] - grow_y)),
            min(shape[1], int(np.ceil(box[2] + grow_x))),
            min(shape[0], int(np.ceil(box[3] + grow_y))),
        )
        return cls(sides, text_height, vertical)

    def crop(self, luma: Luma) -> Luma:
        """Return a copy of the window's part of a frame's working luma."""
        left, top, right, bottom = self.box
        return luma[top:bottom, left:right].copy()

    def place_of(self, box: WorkBox) -> tuple[int, int, int, int]:
        """Return ``box`` in the window's coordinates, rounded.

        It lies in the window and has at least two pixels each way.
        """
        left, top, right, bottom = self.box
        x0, y0, x1, y1 = (round(float(side)) for side in box)
        x0, x1 = _fit(x0 - left, x1 - left, right - left)
        y0, y1 = _fit(y0 - top, y1 - top, bottom - top)
        return x0, y0, x1, y1

    def context_mask(self, boxes: Sequence[WorkBox]) -> NDArray[np.bool_]:
        """Pixels of the window away from all of ``boxes``: bool ``(H, W)``."""
        left, top, right, bottom = self.box
        around = np.ones((bottom - top, right - left), np.bool_)
        pad = _CONTEXT_MARGIN_LINES * self.text_height
        for box in boxes:
            x0, y0 = max(0, int(box[0] - left - pad)), max(0, int(box[1] - top - pad))
            x1, y1 = int(box[2] - left + pad), int(box[3] - top + pad)
            if x1 > 0 and y1 > 0:
                around[y0:y1, x0:x1] = False
        return around


def common_edge(one: WorkBox, other: WorkBox, width: float) -> bool:
    """Return True if two lines that run across have their middle, left or right in common.

    Args:
        one: left, top, right, bottom.
        other: the same of the other line.
        width: of the picture; lines that its sides cut off have nothing in common.
    """
    most = _EDGE_LINES * min(float(box[3] - box[1]) for box in (one, other))
    if min(one[0], other[0]) <= 1 or max(one[2], other[2]) >= width - 1:
        return False
    sides = [(float(box[0]), float(box[0] + box[2]) / 2, float(box[2])) for box in (one, other)]
    return any(abs(a - b) < most for a, b in zip(*sides, strict=True))


def _fit(first: int, last: int, length: int) -> tuple[int, int]:
    """Return ``[first, last)`` clipped to ``[0, length)``, at least two pixels long."""
    first = min(max(0, first), length - 2)
    return first, max(first + 2, min(last, length))


class HeldPieces:
    """Ring buffer of a track's newest crops, and those around its first sighting.

    Args:
        window: the rectangle that is kept.
        frames: ``(index, luma)`` of the frames up to the first sighting, oldest first.
        timing: how many are kept.
        averaged: number of the newest frames in whose average the line is found.

    Attributes:
        head: crops from before the first sighting to some frames after it, oldest first.
        tail: the newest crops, oldest first.
        first: the crop that showed the line first, or the average that did.
    """

    def __init__(
        self,
        window: LineWindow,
        frames: Iterable[tuple[int, Luma]],
        timing: TrackTiming,
        *,
        averaged: int,
    ) -> None:
        self._window = window
        self._averaged = averaged
        self.head = [Piece(index, window.crop(luma)) for index, luma in frames]
        piece_bytes = max(1, self.head[-1].luma.nbytes)
        by_bytes = min(timing.frames_before, _MAX_TAIL_BYTES // piece_bytes)
        self.tail = deque(self.head, maxlen=max(timing.gone_frames + 6, by_bytes))
        self.first = self._newest(self.head)
        self._last_head_index = self.first.index + timing.frames_after

    def add(self, index: int, luma: Luma) -> None:
        """Keep the window of one more frame."""
        piece = Piece(index, self._window.crop(luma))
        self.tail.append(piece)
        if index <= self._last_head_index:
            self.head.append(piece)

    def newest(self) -> Piece:
        """Return the newest crop, or the average of the newest if the line was found in one."""
        return self._newest(self.tail)

    def _newest(self, pieces: Sequence[Piece]) -> Piece:
        """Return the last of ``pieces``, or the average of the last ones."""
        if self._averaged == 1:
            return pieces[-1]
        newest = [piece.luma for piece in islice(reversed(pieces), self._averaged)]
        return Piece(pieces[-1].index, average(newest), len(newest))
