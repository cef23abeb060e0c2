"""Detection of bars (letterbox, pillarbox, windowbox): the picture's rectangle in each shot.

A bar is a strip along a side of the frame that has one colour in every frame of a shot, though
the colour may change (a film that fades to white takes its bars along), and its edge is a straight
line at which most of the picture begins. Text and logos on a bar interrupt neither: a row of the
bar is flat wherever they are not, and the edge shows in the other columns, or in frames without
the text. A dark scene has no such line; a blurred copy of the picture beside it is not flat; both
are picture. Where a shot is too dark to show its edges, those of the film's other shots count, if
the shot does not contradict them.

As `cropdetect` of FFmpeg, but for each shot, with text on the bars, and for bars of any colour.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np

from erasecore.detection.bar_sides import (
    NO_BAR,
    OUTER_PX,
    BlockMeans,
    Bools,
    Edge,
    Side,
    bar_colour,
)
from erasecore.detection.scaling import Luma
from erasecore.detection.shots import ShotFinder
from erasecore.model.events import BoxXyxy, Event, posed_box
from erasecore.model.picture_areas import PictureArea
from erasecore.video.color import Box, Plane, PlaneLayout

_EVERY_SECONDS = 0.25  # seconds from one examined frame to the next; guess
_BLOCKS = 48  # blocks along a side of the frame; guess
_MIN_BLOCK_PX = 12  # pixels; shortest block, as noise must average out; guess
_MAX_DEPTH = 0.45  # of the frame's height or width; the deepest bar; guess
_MIN_FRAME_PX = 64  # pixels; shorter side of frames in which bars are searched; guess
_TEXT_MARGIN = 0.4  # of a line's height around its box, for outline, shadow and glow; guess
_TEXT_FRAMES = 2  # frames before and after a text in which something of it may show; guess
_MAX_BYTES = 32_000_000  # bytes of evidence that are kept; guess

TextSpan: TypeAlias = tuple[int, int, BoxXyxy]
"""Text that may stand on a bar: first film frame, first after it, box in pixels of the frame."""

_Area: TypeAlias = tuple[Box, Box]
_FilmEdges: TypeAlias = Sequence[Counter[Edge]]
"""For each side the edges that a film's shots show there or opposite, weighted by frames."""


def text_spans(events: Iterable[Event]) -> list[TextSpan]:
    """Return where the text of events may be, those on their way included."""
    spans: list[TextSpan] = []
    for event in events:
        spans.append((event.start, event.stop, event.box_xyxy))
        spans += [
            (point.frame, point.frame + 1, posed_box(event.box_xyxy, point)) for point in event.path
        ]
    return spans


class _Shot:
    """The four sides of the frame over one shot, from film frame ``start`` on."""

    def __init__(self, start: int, size: tuple[int, int]) -> None:
        self.start = start
        self.sides = [Side(int(_MAX_DEPTH * side)) for side in (*size, *size)]

    def add(self, index: int, luma: Plane | None, scale: float) -> int:
        """Examine one frame; return the bytes that are kept of it.

        Args:
            index: number of the frame in the film.
            luma: in native depth, ``(H, W)``; ``None`` if no side of the frame is flat.
            scale: levels of the native depth for each 8-bit level.
        """
        return sum(
            side.add(index, _flat_means(luma, number, side.depth, scale))
            for number, side in enumerate(self.sides)
            if side.depth
        )

    @property
    def has_bars(self) -> bool:
        """True if a side may have a bar."""
        return any(side.may_have_bar for side in self.sides)


class _TextCover:
    """Blocks of the four sides that texts hide in the frames of a shot.

    Args:
        texts: of the shot.
        size: width and height of the frame.
    """

    def __init__(self, texts: Sequence[TextSpan], size: tuple[int, int]) -> None:
        self._texts, self._size = texts, size
        self._known: dict[tuple[int, tuple[int, ...]], Bools] = {}

    def known_at(self, number: int, frame: int) -> Bools | None:
        """Return the blocks of a side without text in a frame; ``None``: all of them.

        Args:
            number: of the side: left, top, right, bottom.
            frame: number of the frame in the film.
        """
        shown = tuple(
            k
            for k, (first, last, _) in enumerate(self._texts)
            if first - _TEXT_FRAMES <= frame < last + _TEXT_FRAMES
        )
        if not shown:
            return None
        if (number, shown) not in self._known:
            self._known[number, shown] = self._clear_of(number, [self._texts[k][2] for k in shown])
        return self._known[number, shown]

    def _clear_of(self, number: int, boxes: Sequence[BoxXyxy]) -> Bools:
        """Return the blocks of a side outside of ``boxes`` and their margins."""
        upright = number % 2 == 0
        length, across = (self._size[1], self._size[0]) if upright else self._size
        block = _block_px(length)
        known = np.ones((int(_MAX_DEPTH * across), length // block), np.bool_)
        for x0, y0, x1, y1 in boxes:
            margin = _TEXT_MARGIN * min(x1 - x0, y1 - y0) + 2
            (row, below), (first, last) = ((x0, x1), (y0, y1)) if upright else ((y0, y1), (x0, x1))
            if number >= 2:
                row, below = across - below, across - row
            rows = slice(max(0, int(row - margin)), max(0, int(below + margin) + 1))
            blocks = slice(
                max(0, int((first - margin) // block)), max(0, int((last + margin) // block) + 1)
            )
            known[rows, blocks] = False
        return known


class _ShotEdges:
    """Edges that a shot shows itself, and what it admits.

    Args:
        shot: all its frames have been examined.
        texts: of the film.
        stop: first film frame after the shot.
        size: width and height of the frame.

    Attributes:
        own: the edge that the shot shows, for each side.
    """

    def __init__(
        self, shot: _Shot, texts: Sequence[TextSpan], stop: int, size: tuple[int, int]
    ) -> None:
        reach = _TEXT_FRAMES
        shown = [text for text in texts if text[0] - reach < stop and text[1] + reach > shot.start]
        cover = _TextCover(shown, size)
        self._size, self._sides = size, shot.sides
        self._known = [partial(cover.known_at, number) for number in range(4)]
        self.own = [side.edge(known) for side, known in zip(self._sides, self._known, strict=True)]

    def area(self, film: _FilmEdges) -> _Area:
        """Return the box of the shot's picture, and the box outside which all is bar.

        Args:
            film: edges of all shots.
        """
        edges = []
        for own, side, known, counts in zip(self.own, self._sides, self._known, film, strict=True):
            admitted = (side.admitted(edge, known) for edge, _ in counts.most_common())
            edges.append(own or next((edge for edge in admitted if edge), NO_BAR))
        width, height = self._size
        left, top, right, bottom = edges
        return (
            (left.picture, top.picture, width - right.picture, height - bottom.picture),
            (left.bar, top.bar, width - right.bar, height - bottom.bar),
        )


def _flat_means(luma: Plane | None, number: int, depth: int, scale: float) -> BlockMeans | None:
    """Return the means of a side's blocks; ``None`` if its border is not flat."""
    if luma is None or bar_colour(_block_means(luma, number, OUTER_PX, scale)) is None:
        return None
    return _block_means(luma, number, depth, scale)


def _block_px(length: int) -> int:
    """Return the length of the blocks along a side of ``length`` pixels."""
    return min(length, max(_MIN_BLOCK_PX, length // _BLOCKS))


def _block_means(luma: Plane, number: int, depth: int, scale: float) -> BlockMeans:
    """Return means of blocks of the rows along a side of the frame, the outermost row first.

    Args:
        luma: in native depth, ``(H, W)``.
        number: of the side: left, top, right, bottom.
        depth: number of rows (of columns at the left and right sides).
        scale: levels of the native depth for each 8-bit level.

    Returns:
        float32 ``(depth, blocks)``, in 8-bit levels.
    """
    rows = luma.T if number % 2 == 0 else luma
    rows = rows[:depth] if number < 2 else rows[-depth:]
    length = rows.shape[1]
    block = _block_px(length)
    whole = rows[:, : length // block * block]
    if number % 2:
        means = cv2.resize(whole, (length // block, depth), interpolation=cv2.INTER_AREA)
    else:
        means = cv2.resize(whole.T, (depth, length // block), interpolation=cv2.INTER_AREA).T
    levels = np.asarray(means, np.float32) / np.float32(scale)
    return levels if number < 2 else levels[::-1]


class ShotGeometry:
    """Finds a film's hard cuts, and the picture area of each shot; ``add`` every frame in order.

    Args:
        size: width and height of the stored picture, px.
        layout: of its planes.
        rate: frames a second.
    """

    def __init__(self, size: tuple[int, int], layout: PlaneLayout, rate: float) -> None:
        self._size, self._scale = size, float(layout.scale)
        self._step = max(1, round(_EVERY_SECONDS * rate))
        self._cuts = ShotFinder()
        self._frames = 0
        # Frames are examined once it is known whether they are cuts.
        self._waiting: deque[tuple[int, Plane | None]] = deque()
        self._shots = [_Shot(0, size)]
        self._kept_bytes = 0

    @property
    def flash_candidates(self) -> frozenset[int]:
        """Frames that differ plainly from the one before: cuts, flashes, and possible ones."""
        return self._cuts.flash_candidates

    def add(self, reduced: Luma, luma: Plane) -> None:
        """Take the next frame.

        Args:
            reduced: its luma at any size, 8 bits.
            luma: the same as it is stored.
        """
        self._cuts.add(reduced)
        if self._frames % self._step == 0 and min(self._size) >= _MIN_FRAME_PX:
            flat = any(
                bar_colour(_block_means(luma, number, OUTER_PX, self._scale)) for number in range(4)
            )
            self._waiting.append((self._frames, luma.copy() if flat else None))
        self._frames += 1
        self._examine(self._cuts.settled)

    def finish(self) -> tuple[int, ...]:
        """Return the cuts: for each, the index of the first frame after it."""
        cuts = self._cuts.finish()
        self._examine(self._frames)
        return cuts

    def picture_areas(self, texts: Sequence[TextSpan] = ()) -> tuple[PictureArea, ...]:
        """Return the areas of the shots that have bars; call ``finish`` before.

        Args:
            texts: what stands on the bars or may, with margins as detected.
        """
        return tuple(self._areas(texts))

    def _examine(self, stop: int) -> None:
        """Examine the waiting frames before ``stop``, each as one of its shot."""
        while self._waiting and self._waiting[0][0] < stop:
            index, luma = self._waiting.popleft()
            last_cut = max((cut for cut in self._cuts.found if cut <= index), default=0)
            if last_cut > self._shots[-1].start:
                self._shots.append(_Shot(last_cut, self._size))
            self._kept_bytes += self._shots[-1].add(index, luma, self._scale)
        if self._kept_bytes > _MAX_BYTES:
            self._kept_bytes = sum(side.thin_out() for shot in self._shots for side in shot.sides)

    def _areas(self, texts: Sequence[TextSpan]) -> Iterator[PictureArea]:
        """Yield the areas; a shot too short to be examined has that of the one before."""
        spans = dict(pairwise([0, *self._cuts.found, self._frames]))
        shots = {shot.start: shot for shot in self._shots}
        barred = [shot for shot in self._shots if shot.has_bars]
        seen = {
            shot.start: _ShotEdges(shot, texts, spans[shot.start], self._size) for shot in barred
        }
        film: list[Counter[Edge]] = [Counter() for _ in range(4)]
        for start, edges in seen.items():
            frames = spans[start] - start
            for number, edge in enumerate(edges.own):
                if edge is not None:
                    film[number][edge] += 2 * frames
                    film[(number + 2) % 4][edge] += frames  # bars are the same on both sides
        shot = self._shots[0]
        for start, stop in spans.items():
            shot = shots.get(start, shot)
            if shot.start in seen:
                box, edge_box = seen[shot.start].area(film)
                if box[0] < box[2] and box[1] < box[3] and edge_box != (0, 0, *self._size):
                    yield PictureArea(start, stop, box, edge_box)
