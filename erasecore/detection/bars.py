"""Detection of bars (letterbox, pillarbox, windowbox): the picture's rectangle in each shot.

A bar is a strip along a side of the frame that has one colour in every frame of a shot, though
the colour may change (a film that fades to white takes its bars along), and its edge is a straight
line at which most of the picture begins. Text and logos on a bar interrupt neither: a row of the
bar is flat wherever they are not, and the edge shows in the other columns. A dark scene has no such
line; a blurred copy of the picture beside it is not flat; both are picture. Where a shot is too
dark to show its edges, those of the film's other shots count, if the shot does not contradict them.

Rows are compared by the means of blocks along the side, in which coding noise averages out. As
`cropdetect` of FFmpeg, but for each shot, with text on the bars, and for bars of any colour.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.scaling import Luma
from erasecore.detection.shots import ShotFinder
from erasecore.model.events import BoxXyxy
from erasecore.model.picture_areas import PictureArea
from erasecore.video.color import Box, Plane, PlaneLayout

_EVERY_SECONDS = 0.25  # seconds from one examined frame to the next; guess
_BLOCKS = 48  # blocks along a side of the frame; guess
_MIN_BLOCK_PX = 12  # pixels; shortest block, as noise must average out; guess
_MAX_DEPTH = 0.45  # of the frame's height or width; the deepest bar; guess
_OUTER_PX = 2  # pixels at the frame's border that give the bar's colour; guess
_MIN_FRAME_PX = 64  # pixels; shorter side of frames in which bars are searched; guess
_MIN_BAR_PX = 3  # pixels; thinner strips are left to the picture; guess
_LEAST_TOLERANCE = 1.5  # levels; a block's deviation from the bar that is coding noise; guess
_MOST_TOLERANCE = 8.0  # levels; noisier strips are no bars; guess
_NOISE_RATIO = 4.0  # of the standard deviation of a bar's block means that is noise; guess
_MIN_FLAT_OUTER = 0.5  # of the border's blocks that have the bar's colour in each frame; guess
_MIN_FLAT_ROW = 0.8  # of a row of a bar that must be flat besides text; logos are not; guess
_EDGE_ROWS = 3  # rows in which the picture begins at a soft edge, dark parts later; guess
_MIN_AT_EDGE = 0.6  # of the columns in which anything shows that must begin at the edge; guess
_UNEVEN_ROWS = 3  # rows by which the bars of two sides, or of two shots, may differ; guess
_RARE_RATE = 0.04  # of the frames; deviations in fewer are noise; guess
_MORE_RATE = 0.2  # of the frames; so many more deviate inside of the edge than outside; guess
_MIN_SEEN = 4  # columns without text at the edge; guess
_MIN_SEEN_SHARE = 0.15  # of the columns in which anything shows: these without text; guess
_MIN_SHOWING = 0.25  # of all columns in which anything must show for an edge to be found; guess
_BEGUN_SHARE = 0.15  # of the columns that show something in a row that is no longer bar; guess
_TEXT_MARGIN = 0.4  # of a line's height around its box, for outline, shadow and glow; guess
_SOFT_PX = 8  # pixels; widest soft edge (scaled up by 3); guess
_RINGING_SHARE = 0.15  # of the picture's deviation; so much of it shows before a soft edge; guess
_FULL_SHARE = (
    0.88  # of the deviation in the rows that follow from which a row is all picture; guess
)
_DEEPER_ROWS = 16  # rows below where the picture begins that later frames still examine; guess
_DENSE_SHARE = 0.95  # of the most blocks that deviate in any row: the picture has begun; guess
_DENSE_RUN = 24  # rows in which they do; text lines on a bar are thinner or narrower; guess

Bools: TypeAlias = NDArray[np.bool_]
TextSpan: TypeAlias = tuple[int, int, BoxXyxy]
"""Text that may stand on a bar: first film frame, first after it, box in pixels of the frame."""

_Counts: TypeAlias = NDArray[np.int32]
_Means: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class _Edge:
    """Inner end of a bar, pixels from the frame's border."""

    bar: int  # rows that are bar only
    picture: int  # first row that is picture only


_NO_BAR = _Edge(0, 0)
_Area: TypeAlias = tuple[Box, Box]
_FilmEdges: TypeAlias = Sequence[Counter[_Edge]]
"""For each side the edges that a film's shots show there or opposite, weighted by frames."""


@dataclass(slots=True)
class _Side:
    """One side of the frame over a shot: where its rows deviate from the colour of the border.

    Rows are counted from the border inwards; they are columns at the left and right sides.

    Attributes:
        depth: rows that are examined; 0 once a frame has shown that there is no bar.
        frames: frames examined.
        hits: int32 ``(depth, blocks)``; frames in which a block deviates.
        deviation: float32 ``(depth, blocks)``; sum of its absolute deviations, in levels.
    """

    depth: int
    frames: int = 0
    hits: _Counts = field(default_factory=lambda: np.zeros((0, 0), np.int32))
    deviation: _Means = field(default_factory=lambda: np.zeros((0, 0), np.float32))

    def add(self, means: _Means) -> None:
        """Count one frame.

        Args:
            means: float32 ``(depth, blocks)``; mean of each block, in levels.
        """
        found = _bar_colour(means[:_OUTER_PX])
        if found is None:
            self.depth = 0
            return
        colour, tolerance = found
        apart = np.abs(means - colour)
        if not self.frames:
            self.hits = np.zeros(means.shape, np.int32)
            self.deviation = np.zeros(means.shape, np.float32)
        self.frames += 1
        self.hits += apart > tolerance
        self.deviation += apart
        self._examine_less()

    def _examine_less(self) -> None:
        """Leave out the rows beyond the one at which the picture has begun for certain."""
        shares = (self.hits > 0).mean(axis=1)
        dense = (shares >= max(0.3, _DENSE_SHARE * float(shares.max()))).astype(np.int32)
        runs = np.convolve(dense, np.ones(_DENSE_RUN, np.int32), "valid")
        begun = np.flatnonzero(runs == _DENSE_RUN)
        if begun.size:
            self.depth = min(self.depth, int(begun[0]) + _DENSE_RUN + _DEEPER_ROWS)
            self.hits, self.deviation = self.hits[: self.depth], self.deviation[: self.depth]

    @property
    def _shows(self) -> Bools:
        """Blocks that deviate in more frames than coding noise explains: ``(depth, blocks)``."""
        return self.hits > _RARE_RATE * self.frames

    def edge(self, known: Bools) -> _Edge | None:
        """Return the bar's edge; ``None`` if there is none to be seen.

        Args:
            known: bool ``(depth, blocks)``; False where text may be.
        """
        if not self.depth or not self.frames:
            return None
        known = known[: len(self.hits)]
        shows = self._shows & known
        columns = np.flatnonzero(shows.any(axis=0))
        if columns.size < _MIN_SHOWING * shows.shape[1]:
            return None
        rates = np.asarray(self.hits[:, columns] / self.frames, np.float32)
        flat = _bar_rows(shows, known)  # then a soft edge may follow, with its ringing
        rows = range(_MIN_BAR_PX, min(len(shows) - 2, flat + _SOFT_PX) + 1)
        scores = [_edge_score(rates, known[:, columns], row) for row in rows]
        if flat < _MIN_BAR_PX or not any(scores):
            return None
        first = rows[int(np.argmax(scores))]
        seen = known[first - _MIN_BAR_PX : first + _EDGE_ROWS, columns].all(axis=0)
        begun = (rates[first : first + _EDGE_ROWS, seen] > 0).mean(axis=1) >= _BEGUN_SHARE
        first += int(np.argmax(begun))  # coding noise may show a row or two before the picture does
        ringing = self.deviation[flat:first, columns].mean(axis=1).max(initial=0)
        profile = self.deviation[:, columns[seen]].mean(axis=1)
        if ringing > _RINGING_SHARE * profile[min(first + _SOFT_PX, len(profile) - 1)]:
            return None
        return _Edge(min(first, flat), _first_full_row(profile, first))

    def admitted(self, edge: _Edge, known: Bools) -> _Edge | None:
        """Return an edge that other shots or sides have, as it is here; ``None`` if it is not.

        It may lie a few rows farther in or out, since padding is rarely symmetric.

        Args:
            edge: of another shot or the opposite side.
            known: bool ``(depth, blocks)``; False where text may be.
        """
        if not self.depth or not self.frames or edge.bar > len(self.hits):
            return None
        flat = _bar_rows(self._shows & known[: len(self.hits)], known)
        moved = flat - edge.bar
        if moved < -_UNEVEN_ROWS:
            return None
        if not 0 < moved <= _UNEVEN_ROWS:  # farther on nothing shows: it may be dark
            return edge
        return _Edge(edge.bar + moved, edge.picture + moved)


def _bar_colour(outer: _Means) -> tuple[np.float32, np.float32] | None:
    """Return the colour of a bar by its outermost rows, and the noise of its blocks, in levels.

    Args:
        outer: float32 ``(rows, blocks)``; block means, in levels.

    Returns:
        The median, and the largest deviation from it that is noise; ``None`` if the rows are not
        flat: there is no bar.
    """
    # Sorting these few is four times as fast as NumPy's median and quantile.
    colour = np.sort(outer, axis=None)[outer.size // 2]
    apart = np.abs(outer - colour)
    sigma = float(np.sort(apart, axis=None)[apart.size * 3 // 4]) / 1.15  # of a normal distribution
    tolerance = max(_LEAST_TOLERANCE, _NOISE_RATIO * sigma)
    if tolerance > _MOST_TOLERANCE or float((apart <= tolerance).mean()) < _MIN_FLAT_OUTER:
        return None
    return colour, np.float32(tolerance)


def _bar_rows(shows: Bools, known: Bools) -> int:
    """Return the number of rows from the border on that may be bar.

    Args:
        shows: bool ``(rows, blocks)``; True where a block deviates that is no text.
        known: bool ``(rows, blocks)`` or longer; False where text may be.
    """
    most = np.maximum(1, known[: len(shows)].sum(axis=1)) * (1 - _MIN_FLAT_ROW)
    full = np.flatnonzero(shows.sum(axis=1) > most)
    return min(len(shows) - 2, int(full[0]) if full.size else len(shows))


def _edge_score(rates: _Means, known: Bools, row: int) -> float:
    """Return the share of columns whose picture begins at ``row`` or a few rows on; 0 for no edge.

    Args:
        rates: float32 ``(rows, columns)``; share of the frames in which a column deviates.
        known: bool ``(rows, columns)``; False where text may be.
        row: at which a bar may end.
    """
    around = slice(max(0, row - _EDGE_ROWS), row + 2 * _EDGE_ROWS)
    seen = known[around].all(axis=0)
    if seen.sum() < max(_MIN_SEEN, _MIN_SEEN_SHARE * seen.size):
        return 0.0
    outside = rates[around.start : row, seen].max(axis=0) + np.float32(_MORE_RATE)
    begins = rates[row : row + _EDGE_ROWS, seen].max(axis=0) >= outside
    stays = rates[row + 1 : around.stop, seen].mean(axis=0) >= outside
    share = float((begins & stays).mean())
    return share if share >= _MIN_AT_EDGE and (rates[row, seen] > 0).any() else 0.0


def _first_full_row(profile: _Means, first: int) -> int:
    """Return the first row from ``first`` on at which a soft edge has ended.

    Args:
        profile: float32 ``(rows,)``; mean deviation of each row from the bar.
        first: first row that is not bar.
    """
    last = min(first + _SOFT_PX, len(profile) - 1 - _EDGE_ROWS)
    for row in range(first, last):
        if profile[row] >= _FULL_SHARE * profile[row + 1 : row + 2 + _EDGE_ROWS].max():
            return row
    return max(first, last)


class _Shot:
    """The four sides of the frame over one shot, from film frame ``start`` on."""

    def __init__(self, start: int, size: tuple[int, int]) -> None:
        self.start = start
        self.sides = [_Side(int(_MAX_DEPTH * side)) for side in (*size, *size)]

    def add(self, luma: Plane | None, scale: float) -> None:
        """Examine one frame.

        Args:
            luma: in native depth, ``(H, W)``; ``None`` if no side of the frame is flat.
            scale: levels of the native depth for each 8-bit level.
        """
        for number, side in enumerate(self.sides):
            if luma is None:
                side.depth = 0
            elif side.depth:
                side.add(_block_means(luma, number, side.depth, scale))

    @property
    def has_bars(self) -> bool:
        """True if a side may have a bar."""
        return any(side.depth and side.frames for side in self.sides)

    def edges(self, known: Sequence[Bools]) -> list[_Edge | None]:
        """Return the edges that the shot itself shows, for each side."""
        return [side.edge(clear) for side, clear in zip(self.sides, known, strict=True)]

    def clear_of(self, texts: Sequence[TextSpan], size: tuple[int, int], stop: int) -> list[Bools]:
        """Return for each side its blocks without text: bool ``(rows, blocks)``.

        Args:
            texts: of the film.
            size: width and height of the frame.
            stop: first film frame after the shot.
        """
        clear = np.full((size[1], size[0]), 255, np.uint8)
        for first, last, (x0, y0, x1, y1) in texts:
            if first < stop and last > self.start:
                margin = _TEXT_MARGIN * min(x1 - x0, y1 - y0) + 2
                rows = slice(max(0, int(y0 - margin)), max(0, int(y1 + margin) + 1))
                clear[rows, max(0, int(x0 - margin)) : max(0, int(x1 + margin) + 1)] = 0
        depths = (int(_MAX_DEPTH * side) for side in (*size, *size))
        means = (_block_means(clear, k, depth, 1.0) for k, depth in enumerate(depths))
        return [each > 254 for each in means]


def _area(shot: _Shot, known: Sequence[Bools], film: _FilmEdges, size: tuple[int, int]) -> _Area:
    """Return the box of a shot's picture, and the box outside which all is bar."""
    edges = []
    for side, own, clear, counts in zip(shot.sides, shot.edges(known), known, film, strict=True):
        admitted = (side.admitted(edge, clear) for edge, _ in counts.most_common())
        edges.append(own or next((edge for edge in admitted if edge), _NO_BAR))
    width, height = size
    left, top, right, bottom = edges
    return (
        (left.picture, top.picture, width - right.picture, height - bottom.picture),
        (left.bar, top.bar, width - right.bar, height - bottom.bar),
    )


def _block_means(luma: Plane, number: int, depth: int, scale: float) -> _Means:
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
    block = min(length, max(_MIN_BLOCK_PX, length // _BLOCKS))
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
                _bar_colour(_block_means(luma, number, _OUTER_PX, self._scale))
                for number in range(4)
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
            self._shots[-1].add(luma, self._scale)

    def _areas(self, texts: Sequence[TextSpan]) -> Iterator[PictureArea]:
        """Yield the areas; a shot too short to be examined has that of the one before."""
        spans = dict(pairwise([0, *self._cuts.found, self._frames]))
        clear = {
            shot.start: shot.clear_of(texts, self._size, spans[shot.start])
            for shot in self._shots
            if shot.has_bars
        }
        shots = {shot.start: shot for shot in self._shots}
        film: list[Counter[_Edge]] = [Counter() for _ in range(4)]
        for start, known in clear.items():
            frames = spans[start] - start
            for number, edge in enumerate(shots[start].edges(known)):
                if edge is not None:
                    film[number][edge] += 2 * frames
                    film[(number + 2) % 4][edge] += frames  # bars are the same on both sides
        shot = self._shots[0]
        for start, stop in spans.items():
            shot = shots.get(start, shot)
            if shot.has_bars:
                box, edge_box = _area(shot, clear[shot.start], film, self._size)
                if box[0] < box[2] and box[1] < box[3] and edge_box != (0, 0, *self._size):
                    yield PictureArea(start, stop, box, edge_box)
