"""One side of the frame over a shot: where the bar ends there, if there is one.

Rows are compared by the means of blocks along the side, in which coding noise averages out. Of each
examined frame is kept in which blocks it deviates from the border's colour, so that text is left
out of the frames that show it only: a line that hides a bar's edge leaves it in the others.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

OUTER_PX = 2  # pixels at the frame's border that give the bar's colour; guess
_MIN_BAR_PX = 3  # pixels; thinner strips are left to the picture; guess
_LEAST_TOLERANCE = 1.5  # levels; a block's deviation from the bar that is coding noise; guess
_MOST_TOLERANCE = 8.0  # levels; noisier strips are no bars; guess
_NOISE_RATIO = 4.0  # of the standard deviation of a bar's block means that is noise; guess
_MIN_FLAT_OUTER = 0.5  # of the border's blocks that have the bar's colour in each frame; guess
_MIN_TEXT_OUTER = 0.25  # of the border's blocks in text, from which they may be uneven; guess
_MAX_UNEVEN = 8  # frames with an uneven border after which most must be even; guess
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
_SOFT_PX = 8  # pixels; widest soft edge (scaled up by 3); guess
_RINGING_SHARE = 0.15  # of the picture's deviation; so much of it shows before a soft edge; guess
_FULL_SHARE = (
    0.88  # of the deviation in the rows that follow from which a row is all picture; guess
)
_DEEPER_ROWS = 16  # rows below where the picture begins that later frames still examine; guess
_DENSE_SHARE = 0.95  # of the most blocks that deviate in any row: the picture has begun; guess
_DENSE_RUN = 24  # rows in which they do; text lines on a bar are thinner or narrower; guess
_STEPS = 8  # steps of a square root of a level in which deviations are kept
_MAX_TRIALS = 6  # depths at which a bar's edge is sought below text that may not be there; guess

Bools: TypeAlias = NDArray[np.bool_]
BlockMeans: TypeAlias = NDArray[np.float32]
"""Means of blocks of the rows along a side, the outermost row first: ``(rows, blocks)``."""

KnownAt: TypeAlias = Callable[[int], Bools | None]
"""Gives for a film frame the blocks ``(rows, blocks)`` without text; ``None``: all of them."""


@dataclass(frozen=True, slots=True)
class Edge:
    """Inner end of a bar, pixels from the frame's border."""

    bar: int  # rows that are bar only
    picture: int  # first row that is picture only


NO_BAR = Edge(0, 0)


@dataclass(frozen=True, slots=True)
class _SideFrame:
    """Deviations of one film frame, 0 where they are noise; ``None`` if its border is uneven."""

    index: int
    packed: bytes | None


@dataclass(frozen=True, slots=True)
class _Evidence:
    """Sums over the frames of a side, as far as no text may be there.

    Attributes:
        frames: int32 ``(depth, blocks)``; frames in which a block is known.
        hits: int32 ``(depth, blocks)``; those in which it deviates.
        deviation: float32 ``(depth, blocks)``; mean of its deviations in them, in levels.
    """

    frames: NDArray[np.int32]
    hits: NDArray[np.int32]
    deviation: BlockMeans

    @property
    def known(self) -> Bools:
        """Blocks that are known in any frame."""
        return self.frames > 0

    @property
    def shows(self) -> Bools:
        """Blocks that deviate in more frames than coding noise explains."""
        return self.hits > _RARE_RATE * self.frames

    @property
    def rates(self) -> BlockMeans:
        """Share of the known frames in which a block deviates."""
        return np.asarray(self.hits / np.maximum(1, self.frames), np.float32)


class Side:
    """One side of the frame over a shot: where its rows deviate from the colour of the border.

    Rows are counted from the border inwards; they are columns at the left and right sides.

    Args:
        depth: rows that are examined.

    Attributes:
        depth: the same; 0 once the frames have shown that there is no bar.
    """

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._frames: list[_SideFrame] = []
        self._uneven = 0
        self._ever: Bools = np.zeros((0, 0), np.bool_)  # blocks that deviate in any frame

    def add(self, index: int, means: BlockMeans | None) -> int:
        """Take one frame; return the bytes that are kept of it.

        Args:
            index: number of the frame in the film.
            means: of its blocks, ``(depth, blocks)``; ``None`` if its border is not flat.
        """
        found = None if means is None else bar_colour(means[:OUTER_PX])
        if means is None or found is None:
            self._frames.append(_SideFrame(index, None))
            self._uneven += 1
            if self._uneven > max(_MAX_UNEVEN, len(self._frames) // 2):
                self._give_up()
            return 0
        colour, tolerance = found
        apart = np.abs(means - colour)
        apart[apart <= tolerance] = 0
        steps = np.rint(_STEPS * np.sqrt(apart)).astype(np.uint8)
        packed = zlib.compress(steps.tobytes(), 1)
        self._frames.append(_SideFrame(index, packed))
        if not self._ever.size:
            self._ever = np.zeros(means.shape, np.bool_)
        self._ever |= steps > 0
        self._examine_less()
        return len(packed)

    def thin_out(self) -> int:
        """Forget every second frame; return the bytes of the others."""
        self._frames = self._frames[::2]
        return sum(len(frame.packed or b"") for frame in self._frames)

    def _give_up(self) -> None:
        self.depth, self._frames = 0, []

    def _examine_less(self) -> None:
        """Leave out the rows beyond the one at which the picture has begun for certain."""
        shares = self._ever.mean(axis=1)
        dense = (shares >= max(0.3, _DENSE_SHARE * float(shares.max()))).astype(np.int32)
        runs = np.convolve(dense, np.ones(_DENSE_RUN, np.int32), "valid")
        begun = np.flatnonzero(runs == _DENSE_RUN)
        if begun.size:
            self.depth = min(self.depth, int(begun[0]) + _DENSE_RUN + _DEEPER_ROWS)
            self._ever = self._ever[: self.depth]

    @property
    def may_have_bar(self) -> bool:
        """True if no frame has shown yet that there is no bar."""
        return self.depth > 0 and any(frame.packed is not None for frame in self._frames)

    def edge(self, known_at: KnownAt) -> Edge | None:
        """Return the bar's edge; ``None`` if there is none to be seen.

        Args:
            known_at: gives the blocks without text, at least ``depth`` rows of them.
        """
        if not self._is_flat(known_at):
            return None
        evidence = self._gathered(known_at)
        edge = _edge_of(evidence)
        if edge is None:
            edge = next(self._edges_below_text(known_at, evidence), None)
        return edge

    def admitted(self, edge: Edge, known_at: KnownAt) -> Edge | None:
        """Return an edge that other shots or sides have, as it is here; ``None`` if it is not.

        It may lie a few rows farther in or out, since padding is rarely symmetric.

        Args:
            edge: of another shot or the opposite side.
            known_at: gives the blocks without text, at least ``depth`` rows of them.
        """
        if not self._is_flat(known_at) or edge.bar > self.depth:
            return None
        evidence = self._gathered(known_at)
        moved = _bar_rows(evidence.shows, evidence.known) - edge.bar
        if moved < -_UNEVEN_ROWS:
            return None
        if not 0 < moved <= _UNEVEN_ROWS:  # farther on nothing shows: it may be dark
            return edge
        return Edge(edge.bar + moved, edge.picture + moved)

    def _is_flat(self, known_at: KnownAt) -> bool:
        """Return True if the border is flat in each frame in which text does not cover it."""
        if not self.may_have_bar:
            return False
        uneven = (known_at(frame.index) for frame in self._frames if frame.packed is None)
        return all(
            known is not None and (~known[:OUTER_PX]).mean() >= _MIN_TEXT_OUTER for known in uneven
        )

    def _gathered(self, known_at: KnownAt) -> _Evidence:
        """Return the evidence of all frames."""
        frames = np.zeros(self._ever.shape, np.int32)
        hits, deviation = np.zeros_like(frames), np.zeros(frames.shape, np.float32)
        for index, steps in self._unpacked():
            known = known_at(index)
            clear: Bools = np.ones_like(self._ever) if known is None else known[: len(steps)]
            frames += clear
            hits += (steps > 0) & clear
            deviation += np.where(clear, np.square(steps / np.float32(_STEPS)), 0)
        seen = np.maximum(1, frames).astype(np.float32)
        return _Evidence(frames, hits, np.asarray(deviation / seen, np.float32))

    def _unpacked(self) -> Iterator[tuple[int, NDArray[np.uint8]]]:
        """Yield the number of each frame with a flat border, and its deviations in steps."""
        blocks = self._ever.shape[1]
        for frame in self._frames:
            if frame.packed is not None:
                steps = np.frombuffer(zlib.decompress(frame.packed), np.uint8)
                yield frame.index, steps.reshape(-1, blocks)[: self.depth]

    def _edges_below_text(self, known_at: KnownAt, evidence: _Evidence) -> Iterator[Edge]:
        """Yield edges, the likeliest first: text that does not show in a frame hides nothing there.

        Where text may be is known more roughly than where it shows. In a frame whose blocks in text
        deviate from some row on only, nothing hides a bar that ends in that row or before; frames
        are trusted in this way from the one with the deepest such row on. The columns that are
        known in any case must show the edge, too, or the text must be gone from a frame: a row of
        letters is as straight as a bar's edge.
        """
        begins: dict[int, int] = {}
        for index, steps in self._unpacked():
            known = known_at(index)
            if known is not None and not known[: len(steps)].all():
                rows = np.flatnonzero(((steps > 0) & ~known[: len(steps)]).any(axis=1))
                begins[index] = int(rows[0]) if rows.size else len(steps)
        depths = sorted({row for row in begins.values() if row >= _MIN_BAR_PX}, reverse=True)
        for depth in depths[:_MAX_TRIALS]:
            clear = {index for index, row in begins.items() if row >= depth}
            edge = _edge_of(self._gathered(partial(_known_but_in, known_at, clear)))
            if edge is not None and _supports(evidence, edge, text_left=len(clear) < len(begins)):
                yield edge


def _known_but_in(known_at: KnownAt, clear: Set[int], frame: int) -> Bools | None:
    """Return the blocks without text in a frame, all of them in ``clear`` frames (``None``)."""
    return None if frame in clear else known_at(frame)


def bar_colour(outer: BlockMeans) -> tuple[np.float32, np.float32] | None:
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


def _edge_of(evidence: _Evidence) -> Edge | None:
    """Return the edge that the frames show; ``None`` if there is none to be seen."""
    shows, known = evidence.shows, evidence.known
    columns = np.flatnonzero(shows.any(axis=0))
    if columns.size < _MIN_SHOWING * shows.shape[1]:
        return None
    rates = evidence.rates[:, columns]
    flat = _bar_rows(shows, known)  # then a soft edge may follow, with its ringing
    rows = range(_MIN_BAR_PX, min(len(shows) - 2, flat + _SOFT_PX) + 1)
    scores = [_edge_score(rates, known[:, columns], row) for row in rows]
    if flat < _MIN_BAR_PX or not any(scores):
        return None
    first = rows[int(np.argmax(scores))]
    seen = known[first - _MIN_BAR_PX : first + _EDGE_ROWS, columns].all(axis=0)
    begun = (rates[first : first + _EDGE_ROWS, seen] > 0).mean(axis=1) >= _BEGUN_SHARE
    first += int(np.argmax(begun))  # coding noise may show a row or two before the picture does
    ringing = evidence.deviation[flat:first, columns].mean(axis=1).max(initial=0)
    profile = evidence.deviation[:, columns[seen]].mean(axis=1)
    if ringing > _RINGING_SHARE * profile[min(first + _SOFT_PX, len(profile) - 1)]:
        return None
    return Edge(min(first, flat), _first_full_row(profile, first))


def _supports(evidence: _Evidence, edge: Edge, *, text_left: bool) -> bool:
    """Return True if the columns without text do not contradict ``edge``, however few they are.

    Args:
        evidence: of what is known for certain.
        edge: found where text may be.
        text_left: text shows there in other frames; needed where no column is without text.
    """
    columns = np.flatnonzero(evidence.shows.any(axis=0))
    rates, known = evidence.rates[:, columns], evidence.known[:, columns]
    rows = range(max(_MIN_BAR_PX, edge.bar - 1), min(edge.picture + 2, len(rates) - 1))
    if not known[rows.start : rows.stop].all(axis=0).any():
        return text_left
    return any(_edge_score(rates, known, row, least=1) for row in rows)


def _bar_rows(shows: Bools, known: Bools) -> int:
    """Return the number of rows from the border on that may be bar.

    Args:
        shows: bool ``(rows, blocks)``; True where a block deviates that is no text.
        known: bool ``(rows, blocks)``; False where text may be.
    """
    most = np.maximum(1, known.sum(axis=1)) * (1 - _MIN_FLAT_ROW)
    over = shows.sum(axis=1) > most
    full = np.flatnonzero(over[:-1] & over[1:])  # by chance the noise of a single row may be over
    return min(len(shows) - 2, int(full[0]) if full.size else len(shows))


def _edge_score(rates: BlockMeans, known: Bools, row: int, least: int | None = None) -> float:
    """Return the share of columns whose picture begins at ``row`` or a few rows on; 0 for no edge.

    Args:
        rates: float32 ``(rows, columns)``; share of the frames in which a column deviates.
        known: bool ``(rows, columns)``; False where text may be.
        row: at which a bar may end.
        least: columns without text that are needed; ``None``: enough to find an edge by.
    """
    around = slice(max(0, row - _EDGE_ROWS), row + 2 * _EDGE_ROWS)
    seen = known[around].all(axis=0)
    if seen.sum() < (max(_MIN_SEEN, _MIN_SEEN_SHARE * seen.size) if least is None else least):
        return 0.0
    outside = rates[around.start : row, seen].max(axis=0) + np.float32(_MORE_RATE)
    begins = rates[row : row + _EDGE_ROWS, seen].max(axis=0) >= outside
    stays = rates[row + 1 : around.stop, seen].mean(axis=0) >= outside
    share = float((begins & stays).mean())
    return share if share >= _MIN_AT_EDGE and (rates[row, seen] > 0).any() else 0.0


def _first_full_row(profile: BlockMeans, first: int) -> int:
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
