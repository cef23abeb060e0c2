"""How far a plate reaches: the picture tells for each of its sides where the arithmetic ends.

Outwards from a core that surely lies on the plate, every block of columns (or rows) has an opinion
of its own where the plate ends: inside it the plate's arithmetic explains what changed, outside it
nothing did. Where the plates of two lines overlap the arithmetic may hold twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box

Levels: TypeAlias = NDArray[np.float32]
"""Levels, as 8-bit pictures count them."""

_MOST_LEVELS = 12.0  # errors count no further: a letter is no evidence, nor is what moves
_COLOUR_WEIGHT = 0.25  # of a colour plane's errors: it is reduced, and coarse after a shift
_LEAST_SUPPORT = 0.12  # of all blocks' evidence, for a place to be taken as the plate's end
_AGREE_PX = 1.5
_EDGE_ROWS = 4  # evidence for an end is looked for so far on both of its sides
_TWICE_PENALTY = 8.0  # levels times rows by which "twice" must explain a block better
_AGAIN_PENALTY = 0.5  # levels for each row of what comes after a plate's end

# What a block's rows are, from the plate's core outwards: once, twice, once again, three rows
# without, more without, anything. The states that last but one row, and where each may come from.
_ONCE, _TWICE, _ALONE, _OUT, _ANY = 0, 1, 2, 5, 6
_SINGLE_ROWS = (3, 4)
_COMES_FROM: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1, 2), (3,), (4,), (5,))


@dataclass(frozen=True, slots=True)
class Errors:
    """How badly each pixel is explained by no plate, by one and by two: levels ``(H, W)``."""

    none: Levels
    once: Levels
    twice: Levels

    @property
    def turned(self) -> Errors:
        """The same with rows for columns."""
        return Errors(self.none.T, self.once.T, self.twice.T)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a plate.

    Attributes:
        reach: rows from the core to the plate's end.
        twice: the last of them belong to another line's plate as well, and are darkened twice.
        agreement: share of the evidence that speaks for this very place, 0 to 1.
    """

    reach: int
    twice: bool
    agreement: float


@dataclass(frozen=True, slots=True)
class PlateBounds:
    """Where a plate lies.

    Attributes:
        box: in the errors' coordinates.
        twice: it meets another line's plate, and there the picture is darkened twice.
        agreement: how much the evidence agrees on each side: left, top, right, bottom.
    """

    box: Box
    twice: bool
    agreement: tuple[float, float, float, float]


def errors_of(
    withouts: Sequence[Levels],
    with_inks: Sequence[Levels],
    scale: float,
    offsets: tuple[float, ...],
) -> Errors:
    """The errors of the three explanations, over all planes and all moments.

    Args:
        withouts: float32 ``(P, H, W)`` each; the place without the plate.
        with_inks: the same with it.
        scale: the plate's.
        offsets: the plate's, one for each plane.
    """
    add = np.array(offsets, np.float32)[:, None, None]
    weights = np.array([1.0, *[_COLOUR_WEIGHT] * (len(offsets) - 1)], np.float32)
    sums = np.zeros((3, *withouts[0].shape[1:]), np.float32)
    for without, with_ink in zip(withouts, with_inks, strict=True):
        once = scale * without + add
        for index, guess in enumerate((without, once, scale * once + add)):
            error = np.tensordot(weights, np.abs(guess - with_ink), axes=1)
            sums[index] += np.minimum(error, _MOST_LEVELS)
    sums /= len(withouts)
    return Errors(sums[0], sums[1], sums[2])


def find_plate_bounds(errors: Errors, core: Box, line_px: float) -> PlateBounds:
    """The plate around ``core``, a box that lies on it; letters are ``line_px`` high."""
    left, top, right, bottom = core
    wide, low = max(4, round(0.4 * line_px)), max(2, round(0.1 * line_px))
    # Lines lie above one another: beside the core there is no other plate to meet.
    beside = Errors(errors.none, errors.once, errors.once).turned
    middle = (left + right) // 2
    across = _both_sides(beside, (top, bottom), middle, low)
    left, right = middle - across[0].reach, middle + across[1].reach
    middle = (top + bottom) // 2
    down = _both_sides(errors, (left, right), middle, wide)
    top, bottom = middle - down[0].reach, middle + down[1].reach
    agreement = (across[0].agreement, down[0].agreement, across[1].agreement, down[1].agreement)
    return PlateBounds((left, top, right, bottom), down[0].twice or down[1].twice, agreement)


def _both_sides(errors: Errors, columns: tuple[int, int], middle: int, block: int) -> list[Side]:
    """The plate's ends above and below row ``middle``, as seen by blocks of these columns."""
    start, stop = columns
    edges = np.arange(start, max(stop - block, start) + 1, block)
    rows = np.stack([errors.none, errors.once, errors.twice])[:, :, start:stop]
    blocks = np.add.reduceat(rows, edges - start, axis=2)
    widths = np.diff(np.append(edges, stop)).astype(np.float32)
    blocks /= widths
    return [_side(blocks[:, :middle][:, ::-1]), _side(blocks[:, middle:])]


def _side(blocks: NDArray[np.float32]) -> Side:
    """The end that the blocks agree on; ``blocks`` is ``(3, rows, blocks)``, core first."""
    reaches, twice = _ends(blocks)
    weights = _support(blocks, reaches, twice)
    total = float(weights.sum())
    if total <= 0:
        return Side(int(np.median(reaches)), twice=False, agreement=0.0)
    near = np.abs(reaches[:, None] - reaches[None]) <= _AGREE_PX
    support = near @ weights
    nearest = np.min(reaches[support >= _LEAST_SUPPORT * total], initial=blocks.shape[1])
    # Of the places so close by that they mean the same end, the one with most behind it.
    here = np.abs(reaches - nearest) <= 2 * _AGREE_PX
    best = int(np.argmax(np.where(here, support, -1)))
    same = near[best]
    share = float(weights[same].sum())
    return Side(int(reaches[best]), float(weights[same & twice].sum()) > share / 2, share / total)


def _ends(blocks: NDArray[np.float32]) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """For each block how many rows are plate, and whether the last of them are plate twice."""
    none, once, twice = blocks
    either = np.minimum(np.minimum(none, once), twice) + np.float32(_AGAIN_PENALTY)
    costs = np.stack([once, twice, once, none, none, none, either], axis=1)  # rows, states, blocks
    came = np.zeros(costs.shape, np.int8)
    best = np.full(costs.shape[1:], np.inf)
    best[_ONCE] = costs[0, _ONCE]
    for row in range(1, len(costs)):
        best = _step(best, came[row]) + costs[row]
    state = np.argmin(best, axis=0)
    path = np.empty((len(costs), costs.shape[2]), np.intp)
    columns = np.arange(costs.shape[2])
    for row in range(len(costs) - 1, -1, -1):
        path[row] = state
        state = came[row, state, columns]
    doubled = (path == _TWICE).sum(axis=0)
    alone = (path == _ONCE).sum(axis=0)
    reaches = alone + doubled
    return reaches, doubled > 0


def _step(best: NDArray[np.float64], came: NDArray[np.int8]) -> NDArray[np.float64]:
    """The least cost of being in each state a row on, before that row's own; fills in ``came``."""
    after = np.empty_like(best)
    for state, sources in enumerate(_COMES_FROM):
        choices = sources if state in _SINGLE_ROWS else (state, *sources)
        costs = best[list(choices)]
        pick = np.argmin(costs, axis=0)
        came[state] = np.array(choices, np.int8)[pick]
        penalty = _TWICE_PENALTY if state == _TWICE else 0.0
        entered = pick > 0
        after[state] = costs.min(axis=0) + np.where(entered, penalty, 0.0)
    return after


def _support(
    blocks: NDArray[np.float32], reaches: NDArray[np.intp], doubled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How plainly each block's plate ends where it seems to: what the errors gain on both sides."""
    none, once, twice = blocks
    weights = np.zeros(len(reaches))
    for block, reach in enumerate(reaches):
        gain = (once - twice if doubled[block] else none - once)[:, block]
        inside, outside = gain[max(0, reach - _EDGE_ROWS) : reach], gain[reach : reach + _EDGE_ROWS]
        plain = float(inside.mean()) if inside.size else 0.0
        if outside.size:
            plain = min(plain, -float(outside.mean()))
        weights[block] = np.clip(plain, 0, 4)
    return weights
