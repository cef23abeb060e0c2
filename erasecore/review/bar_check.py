"""Bars after erasing: a bar has kept its colour and a straight edge, or something is wrong.

The check knows no picture areas, so it also sees bars that detection has missed: of the frames just
before and after a line it takes the rows (or columns) that are flat from the frame's border on, and
holds the erased frames between against them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import clip_box
from erasecore.model.clips import Picture
from erasecore.model.events import Event
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.model.residues import Residue
from erasecore.reports import ResidueReason
from erasecore.video.color import Box, Plane, Planes

BAR_SHARE = 0.05
"""Share of an erased place on a bar from which another colour than the bar's is residue; a guess.

Measured: at most 0.01 where bars are whole, 0.2 and more where picture was dragged into them.
"""

DENT_SHARE = 0.4
"""Share of the contrast beside a bar's edge that erasing has taken: from here on it is dented.

Measured: at most 0.3 where the edge is straight.
"""

_FLAT_LEVELS = 4.0  # 8-bit levels; a bar's samples are no farther from its colour; a guess
_APART_LEVELS = 10.0  # 8-bit levels; a difference that anybody sees on a bar; a guess
_FLAT_SHARE = 0.97  # of a row of a bar that is flat where no text is; a guess
_MAX_DEPTH = 0.45  # of the frame's height or width: the deepest bar; a guess
_MIN_DEPTH_PX = 4  # thinner strips are none; a guess
_MAX_SAMPLES = 240  # columns of which rows are judged; a guess
_MIN_BESIDE_PX = 16  # columns beside a line that show the bar in its frames; a guess
_MIN_WRONG_PX = 30  # fewer wrong pixels are not seen; a guess
_MIN_DENT_PX = 40  # fewer erased pixels beside an edge are not judged; a guess
_DENT_ROWS = slice(1, 4)  # rows beyond an edge in which a dent shows; a guess
_MIN_EDGE_LEVELS = 15.0  # 8-bit levels; least mean contrast of an edge that is judged; a guess
_NEAR_PX = 3  # pixels around changed ones in which letters may be left; a guess
_INSIDE_FRAMES = 3  # frames of an event that are checked; a guess


@dataclass(slots=True)
class _Erased:
    """Luma of the place of a line and the strip beside it, from one border of the frame on."""

    after: NDArray[np.float16]
    changed: Bools


@dataclass(slots=True)
class _Side:
    """Evidence about one side of the frame around an event.

    Attributes:
        depth: rows that are bar in the frames without the line; ``None`` before the first.
        bare: rows of these frames, from the frame's border on.
        erased: frames with the line, at most three.
    """

    depth: int | None = None
    bare: list[NDArray[np.float16]] = field(default_factory=list)
    erased: list[_Erased] = field(default_factory=list)


class BarChecker:
    """Checks the bars in the places of the events of one segment.

    Args:
        picture: frame size and plane layout.
        cuts: film frames at which a new shot begins.
        span: the segment's film frames, half-open.
    """

    def __init__(self, picture: Picture, cuts: tuple[int, ...], span: tuple[int, int]) -> None:
        self._picture, self._cuts, self._span = picture, cuts, span
        self._events_at: dict[int, list[Event]] = defaultdict(list)
        self._sides: dict[Event, tuple[_Side, ...]] = {}
        self._shares: dict[Event, float] = {}

    def plan(self, event: Event) -> None:
        """Plan the check of an event that shows in the segment."""
        for frame in (*_bare_frames(event), *_inside_frames(event)):
            if self._span[0] <= frame < self._span[1] and not self._cut_between(frame, event):
                self._events_at[frame].append(event)

    def events_at(self, index: int) -> list[Event]:
        """Return the events of which film frame ``index`` is needed."""
        return list(self._events_at.get(index, ()))

    def check(self, event: Event, index: int, before: Planes, after: Planes) -> None:
        """Take what is needed of film frame ``index`` for ``event``; frames come in order."""
        sides = self._sides.setdefault(event, tuple(_Side() for _ in range(4)))
        for number, side in enumerate(sides):
            if index in _bare_frames(event):
                self._take_bare(side, _from_border(after[0], number))
            elif side.depth != 0 and len(side.erased) < _INSIDE_FRAMES:
                self._take_erased(side, event, number, before[0], after[0])

    def release(self, index: int) -> None:
        """Forget the plan for film frame ``index``, which has been checked."""
        self._events_at.pop(index, None)

    def residues(self) -> Iterator[tuple[Event, Residue]]:
        """Yield what was found, with its event: at most one residue for each."""
        for event, sides in self._sides.items():
            shares = [
                self._share(event, number, side)
                for number, side in enumerate(sides)
                if side.depth and side.erased
            ]
            if (evidence := max(shares, default=0.0)) > 0:
                box = event.box_xyxy
                reason = ResidueReason.BAR
                yield event, Residue(event.start, event.stop, box, reason, round(evidence, 2))

    def _cut_between(self, frame: int, event: Event) -> bool:
        middle = _inside_frames(event)[0]
        first, last = min(frame, middle), max(frame, middle)
        return any(first < cut <= last for cut in self._cuts)

    def _take_bare(self, side: _Side, rows: Plane) -> None:
        luma = self._levels(rows)
        depth = _flat_rows(luma)
        side.depth = depth if side.depth is None else min(depth, side.depth)
        if side.depth < _MIN_DEPTH_PX:
            side.depth, side.erased = 0, []
            return
        side.bare.append(luma[: depth + _DENT_ROWS.stop].astype(np.float16))

    def _take_erased(
        self, side: _Side, event: Event, number: int, before: Plane, after: Plane
    ) -> None:
        _, top, _, bottom = self._place(event, number)
        rows, source = (self._levels(_from_border(luma, number)) for luma in (after, before))
        if top >= len(rows):
            return
        last = (bottom if side.depth is None else side.depth) + _DENT_ROWS.stop
        changed = np.asarray(rows[:last] != source[:last], np.bool_)
        side.erased.append(_Erased(rows[:last].astype(np.float16), changed))

    def _levels(self, rows: Plane) -> Floats:
        """Return the rows that may be a bar, in 8-bit levels."""
        deepest = int(_MAX_DEPTH * rows.shape[0])
        return np.asarray(rows[:deepest].astype(np.float32) / self._picture.layout.scale)

    def _place(self, event: Event, number: int) -> Box:
        """Return the box that an event's ink may reach, columns and rows from a border on."""
        width, height = self._picture.width, self._picture.height
        left, top, right, bottom = event.box_xyxy
        if number % 2 == 0:
            left, top, right, bottom = top, left, bottom, right
            width, height = height, width
        if number >= 2:
            top, bottom = height - bottom, height - top
        pad = event.reach_px
        sides = (left - pad, top - pad, right + pad + 1, bottom + pad + 1)
        x0, y0, x1, y1 = (int(side) for side in sides)
        return clip_box((x0, y0, x1, y1), (height, width))

    def _share(self, event: Event, number: int, side: _Side) -> float:
        """Return the largest share of a place that is wrong; 0 if none is so for certain."""
        left, top, right, bottom = self._place(event, number)
        found = 0.0
        for erased in side.erased:
            beside = np.delete(erased.after, np.s_[left:right], axis=1)
            if beside.shape[1] < _MIN_BESIDE_PX:
                continue
            depth = min(side.depth or 0, _flat_rows(beside))
            if depth < _MIN_DEPTH_PX or depth <= top:
                continue
            place = np.s_[top : min(bottom, depth - 1), left:right]
            colour = float(np.median(beside[:depth]))
            found = max(found, _wrong_share(erased, place, colour))
            found = max(found, _dent_share(erased, side.bare, depth, (left, right)))
        return found


def _dent_share(
    erased: _Erased, bare: list[NDArray[np.float16]], depth: int, columns: tuple[int, int]
) -> float:
    """Return the share of the contrast beside an edge that erasing has taken; 0 if it is small.

    The picture may move and fade from the frames without the line on, so what was not erased beside
    the same edge is compared as well.

    Args:
        erased: a frame with the line.
        bare: rows of the frames without it.
        depth: rows of the bar.
        columns: of the line's place.
    """
    rows = slice(depth + _DENT_ROWS.start, depth + _DENT_ROWS.stop)
    place = np.zeros(erased.after.shape[1], np.bool_)
    place[columns[0] : columns[1]] = True
    inside = erased.changed[rows] & place
    beside = np.broadcast_to(~place, inside.shape)
    if inside.sum() < _MIN_DENT_PX:
        return 0.0
    kept = []
    for where in (inside, beside):
        before = [_contrast(luma, rows, depth)[where[: len(luma) - rows.start]] for luma in bare]
        usual = float(np.mean(np.concatenate(before)))
        now = float(_contrast(erased.after, rows, depth)[where].mean())
        kept.append(now / usual if usual > _MIN_EDGE_LEVELS else None)
    if kept[0] is None:
        return 0.0
    share = 1 - kept[0] / (1.0 if kept[1] is None else min(1.0, kept[1]))
    return share if share > DENT_SHARE else 0.0


def _contrast(luma: NDArray[np.float16], rows: slice, depth: int) -> Floats:
    """Return the differences of rows from the bar beside them: float32 ``(rows, columns)``."""
    apart = luma[rows].astype(np.float32) - np.float32(np.median(luma[:depth]))
    return np.asarray(np.abs(apart), np.float32)


def _wrong_share(erased: _Erased, place: tuple[slice, slice], colour: float) -> float:
    """Return the share of an erased place on a bar with another colour; 0 if it is small."""
    if not erased.changed[place].any():
        return 0.0
    square = np.ones((2 * _NEAR_PX + 1, 2 * _NEAR_PX + 1), np.uint8)
    near = cv2.dilate(erased.changed[place].astype(np.uint8), square) > 0
    wrong = near & (np.abs(erased.after[place] - colour) > _APART_LEVELS)
    share = float(wrong.sum() / near.sum())
    return share if wrong.sum() >= _MIN_WRONG_PX and share > BAR_SHARE else 0.0


def _bare_frames(event: Event) -> tuple[int, int]:
    return event.start - 1, event.stop


def _inside_frames(event: Event) -> tuple[int, ...]:
    """Return frames that show all of an event, evenly spread; the middle one first."""
    first = min(event.full_start + 1, event.stop - 1)
    last = max(event.full_stop - 2, first)
    return tuple(dict.fromkeys(((first + last) // 2, first, last)))


def _from_border(luma: Plane, number: int) -> Plane:
    """Return a view whose rows are counted from a side: left, top, right, bottom."""
    rows = luma.T if number % 2 == 0 else luma
    return rows if number < 2 else rows[::-1]


def _flat_rows(luma: Floats | NDArray[np.float16]) -> int:
    """Return the number of rows from the border on that have one colour."""
    sparse = luma[:, :: 1 + luma.shape[1] // _MAX_SAMPLES]
    colour = float(np.median(sparse[0])) if sparse.size else 0.0
    flat = (np.abs(sparse - colour) <= _FLAT_LEVELS).mean(axis=1) >= _FLAT_SHARE
    return int(np.argmin(flat)) if not flat.all() else len(flat)
