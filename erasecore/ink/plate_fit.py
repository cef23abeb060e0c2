"""Fit of a plate: opacity and colour by robust regression, bounds by dynamic programming.

Opacity and colour come from pixel samples without and with the plate; a line is fitted to their
luma (see `fit_plate`). Bounds are voted on: outwards from a core that lies on the plate for
certain, each block of columns (or rows) has its own estimate of the plate's end, the cheapest path
through "plate", "two plates" and "no plate" (a Viterbi search over the rows); see
`find_plate_bounds` and docs/decisions.md 13, 25 and 26.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.ink.plates import Plate
from erasecore.video.color import Box

Levels: TypeAlias = NDArray[np.float32]
"""Pixel values or errors in 8-bit levels."""

MIN_SAMPLES = 80  # pixels without letters that a fit of opacity and colour needs; guess

_MIN_CORRELATION = 0.3  # of the luma before and after; with less they show other scenes; guess
_NEAR_BLACK_LEVELS = 12.0  # levels; a fitted colour no farther from black may be black; guess
_NEUTRAL_CHROMA = 128.0  # level of a colour plane without colour (BT.601, BT.709)
_NEAR_GREY_LEVELS = 1.5  # levels; a chroma offset no farther from grey's is grey's; guess

_MAX_ERROR_LEVELS = 12.0  # levels; cap on an error, so that letters and motion weigh little; guess
_CHROMA_WEIGHT = 0.25  # of a colour plane's errors: subsampled, and coarse after a shift; guess
_MIN_SUPPORT = 0.12  # of all blocks' weight; least for a row to be taken as the end; guess
_AGREE_PX = 1.5  # rows; estimates no farther apart mean the same end; guess
_EDGE_ROWS = 4  # rows on both sides of an end over which its weight is measured; guess
_TWICE_PENALTY = 8.0  # levels times rows; cost of entering the state "two plates"; guess
_BEYOND_PENALTY = 0.5  # levels per row; cost of the state "anything" beyond the end; guess

# States of a block's rows from the core outwards: 0 one plate, 1 two plates, 2 one plate again (the
# other line's), 3 and 4 the first two rows without a plate, 5 further ones, 6 anything.
_ONCE = 0  # index of the state "one plate"
_TWICE = 1  # index of the state "two plates"
_SINGLE_ROWS = (3, 4)  # indices of states that last one row
_COMES_FROM: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (0, 1, 2), (3,), (4,), (5,))
"""For each state the states it may be entered from."""


def fit_plate(without: Levels, with_ink: Levels, *, black: float) -> Plate | None:
    """Fit opacity to luma, then an offset to each colour plane; ``None`` where no plate fits.

    Args:
        without: float32 ``(P, N)``; samples of all planes without the plate, 8-bit levels.
        with_ink: the same with it, without letters.
        black: luma level of black: 0 in full range, else 16.

    Returns:
        A plate with an empty box.
    """
    fitted = _fit_luma(without[0], with_ink[0], black=black)
    if fitted is None:
        return None
    scale, offset = fitted
    colours = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in colours]
    grey = _NEUTRAL_CHROMA * (1 - scale)
    added = [grey if abs(offset - grey) < _NEAR_GREY_LEVELS else offset for offset in added]
    return Plate(scale, (offset, *added), (0, 0, 0, 0))


def black_plate(without: Levels, with_ink: Levels, *, black: float) -> Plate | None:
    """Fit the opacity of a black plate; ``None`` where too few samples are bright.

    Args:
        without: float32 ``(P, N)``; samples of all planes without the plate, 8-bit levels.
        with_ink: the same with it.
        black: luma level of black: 0 in full range, else 16.

    Returns:
        A plate with an empty box.
    """
    before = without[0] - black
    bright = before > 16
    if bright.sum() < MIN_SAMPLES:
        return None
    scale = float(np.median((with_ink[0] - black)[bright] / before[bright]))
    if not 0 < scale < 0.9:
        return None
    planes = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in planes]
    return Plate(scale, (black * (1 - scale), *added), (0, 0, 0, 0))


def fits_style(style: Plate, before: Levels, after: Levels) -> bool:
    """Return True if ``style`` explains most of the change of luma samples, in levels."""
    error = float(np.median(np.abs(style.scale * before + style.offsets[0] - after)))
    return error <= min(25.0, 0.5 * float(np.median(np.abs(before - after))))


def _fit_luma(before: Levels, after: Levels, *, black: float) -> tuple[float, float] | None:
    """Scale and offset of the line through (before, after); ``None`` if the points do not fit.

    Least squares takes motion between the two frames for noise in ``before``, and its line is too
    flat; the ratio of the standard deviations (reduced major axis) is not.
    """
    darker = float(np.median(after - before)) < 0
    same_sign = (after < before) if darker else (after > before)  # letters change the other way
    before, after = before[same_sign], after[same_sign]
    if before.size < MIN_SAMPLES:
        return None
    if after.std() < 4 and after.std() < 0.25 * before.std():  # nothing shows through
        return 0.0, float(np.median(after))
    if before.std() < 6:  # a flat background tells no slope: take the plate for black
        scale = float(np.median((after - black) / np.maximum(before - black, 8)))
        offset = black * (1 - scale)
    else:
        line = _robust_line(before, after)
        if line is None:
            return None
        scale, offset = _prefer_black(line, before, after, black)
    error = np.abs(scale * before + offset - after)
    if not scale < 0.9 or float(np.median(error)) > 10:
        return None
    return (scale, offset) if -4 < offset / (1 - scale) < 259 else None


def _prefer_black(
    line: tuple[float, float],
    before: Levels,
    after: Levels,
    black: float,
) -> tuple[float, float]:
    """Return the best line through black if it fits about as well as ``line``, else ``line``.

    Most plates are black, and then the slope is measured on the contrast with black instead of only
    on that among the background's own pixels.
    """
    scale, offset = line
    if not scale < 0.9 or abs(offset / (1 - scale) - black) > _NEAR_BLACK_LEVELS:
        return line
    error = np.abs(scale * before + offset - after)
    x, y = before - black, after - black
    through = scale
    for _ in range(4):
        apart = np.abs(through * x - y)
        keep = apart <= max(3.0, float(np.percentile(apart, 65)))
        through = float((x[keep] * y[keep]).sum() / max(float((x[keep] ** 2).sum()), 1.0))
    if np.median(np.abs(through * x - y)) > 1.25 * np.median(error) + 0.25:
        return line
    return through, black * (1 - through)


def _robust_line(before: Levels, after: Levels) -> tuple[float, float] | None:
    """Scale and offset that most points lie on (iterated trimming to the best 65 %).

    ``None`` if before and after do not correlate.
    """
    keep = np.ones(before.size, bool)
    scale = offset = 0.0
    for _ in range(6):
        x, y = before[keep], after[keep]
        correlation = float(np.corrcoef(x, y)[0, 1])
        if not correlation > _MIN_CORRELATION:
            return None
        scale = float(y.std() / x.std())
        offset = float(y.mean() - scale * x.mean())
        error = np.abs(scale * before + offset - after)
        keep = error <= max(3.0, float(np.percentile(error, 65)))
    return scale, offset


@dataclass(frozen=True, slots=True)
class Errors:
    """Error of each pixel under "no plate", "one plate" and "two plates": ``(H, W)``, levels."""

    none: Levels
    once: Levels
    twice: Levels

    @property
    def turned(self) -> Errors:
        """Transposed errors: rows become columns."""
        return Errors(self.none.T, self.once.T, self.twice.T)


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a plate.

    Attributes:
        reach: rows from the core to the plate's end.
        twice: True if the last of them are darkened twice, by another line's plate as well.
        agreement: share of the blocks' weight that votes for this row, 0 to 1.
    """

    reach: int
    twice: bool
    agreement: float


@dataclass(frozen=True, slots=True)
class PlateBounds:
    """Bounding box of a plate.

    Attributes:
        box: in the errors' coordinates, pixels.
        twice: True if it overlaps another line's plate and the picture is darkened twice there.
        agreement: share of the weight that votes for each side, 0 to 1: left, top, right, bottom.
    """

    box: Box
    twice: bool
    agreement: tuple[float, float, float, float]


def plate_errors(
    withouts: Sequence[Levels],
    with_inks: Sequence[Levels],
    scale: float,
    offsets: tuple[float, ...],
) -> Errors:
    """Return the errors of "no plate", "one plate" and "two", averaged over the transitions.

    Args:
        withouts: float32 ``(P, H, W)`` each; the place without the plate, 8-bit levels.
        with_inks: the same with it.
        scale: the plate's share of background, 0 to 1.
        offsets: the plate's levels, one for each plane.
    """
    add = np.array(offsets, np.float32)[:, None, None]
    weights = np.array([1.0, *[_CHROMA_WEIGHT] * (len(offsets) - 1)], np.float32)
    sums = np.zeros((3, *withouts[0].shape[1:]), np.float32)
    for without, with_ink in zip(withouts, with_inks, strict=True):
        once = scale * without + add
        for index, guess in enumerate((without, once, scale * once + add)):
            error = np.tensordot(weights, np.abs(guess - with_ink), axes=1)
            sums[index] += np.minimum(error, _MAX_ERROR_LEVELS)
    sums /= len(withouts)
    return Errors(sums[0], sums[1], sums[2])


def find_plate_bounds(errors: Errors, core: Box, line_px: float) -> PlateBounds:
    """Return the bounds of the plate around ``core``.

    Args:
        errors: of the three explanations, float32 ``(H, W)`` each, in levels.
        core: box that lies on the plate, in pixels.
        line_px: height of the detected line, in pixels.
    """
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
    """Ends of the plate above and below row ``middle``, voted on by blocks of these columns."""
    start, stop = columns
    edges = np.arange(start, max(stop - block, start) + 1, block)
    rows = np.stack([errors.none, errors.once, errors.twice])[:, :, start:stop]
    blocks = np.add.reduceat(rows, edges - start, axis=2)
    widths = np.diff(np.append(edges, stop)).astype(np.float32)
    blocks /= widths
    return [_side(blocks[:, :middle][:, ::-1]), _side(blocks[:, middle:])]


def _side(blocks: Levels) -> Side:
    """End of the plate that the blocks vote for.

    Args:
        blocks: float32 ``(3, rows, blocks)``; mean errors of each block's rows, from the core
            outwards, in levels.
    """
    reaches, twice = _ends(blocks)
    weights = _support(blocks, reaches, twice)
    total = float(weights.sum())
    if total <= 0:
        return Side(int(np.median(reaches)), twice=False, agreement=0.0)
    near = np.abs(reaches[:, None] - reaches[None]) <= _AGREE_PX
    support = near @ weights
    nearest = np.min(reaches[support >= _MIN_SUPPORT * total], initial=blocks.shape[1])
    # Of the rows so close by that they mean the same end, the one with most support.
    here = np.abs(reaches - nearest) <= 2 * _AGREE_PX
    best = int(np.argmax(np.where(here, support, -1)))
    same = near[best]
    share = float(weights[same].sum())
    return Side(int(reaches[best]), float(weights[same & twice].sum()) > share / 2, share / total)


def _ends(blocks: Levels) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Rows of each block that are plate, and True where the last of them are two (Viterbi)."""
    none, once, twice = blocks
    either = np.minimum(np.minimum(none, once), twice) + np.float32(_BEYOND_PENALTY)
    costs = np.stack([once, twice, once, none, none, none, either], axis=1)  # rows, states, blocks
    came_from = np.zeros(costs.shape, np.int8)
    best = np.full(costs.shape[1:], np.inf)
    best[_ONCE] = costs[0, _ONCE]
    for row in range(1, len(costs)):
        best = _step(best, came_from[row]) + costs[row]
    state = np.argmin(best, axis=0)
    path = np.empty((len(costs), costs.shape[2]), np.intp)
    columns = np.arange(costs.shape[2])
    for row in range(len(costs) - 1, -1, -1):
        path[row] = state
        state = came_from[row, state, columns]
    doubled = (path == _TWICE).sum(axis=0)
    alone = (path == _ONCE).sum(axis=0)
    reaches = alone + doubled
    return reaches, doubled > 0


def _step(best: NDArray[np.float64], came_from: NDArray[np.int8]) -> NDArray[np.float64]:
    """Least cost of reaching each state in the next row, without that row's own cost.

    Args:
        best: ``(states, blocks)``; least cost of each state in this row.
        came_from: the same shape; filled with the state that each least cost came from.
    """
    after = np.empty_like(best)
    for state, sources in enumerate(_COMES_FROM):
        choices = sources if state in _SINGLE_ROWS else (state, *sources)
        costs = best[list(choices)]
        pick = np.argmin(costs, axis=0)
        came_from[state] = np.array(choices, np.int8)[pick]
        penalty = _TWICE_PENALTY if state == _TWICE else 0.0
        entered = pick > 0
        after[state] = costs.min(axis=0) + np.where(entered, penalty, 0.0)
    return after


def _support(
    blocks: Levels, reaches: NDArray[np.intp], doubled: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Weight of each block's vote: the error that its end saves per row, 0 to 4 levels.

    The smaller of the gains of "plate" within 4 rows inside and of "no plate" outside.
    """
    none, once, twice = blocks
    weights = np.zeros(len(reaches))
    for block, reach in enumerate(reaches):
        gain = (once - twice if doubled[block] else none - once)[:, block]
        inside, outside = gain[max(0, reach - _EDGE_ROWS) : reach], gain[reach : reach + _EDGE_ROWS]
        saved = float(inside.mean()) if inside.size else 0.0
        if outside.size:
            saved = min(saved, -float(outside.mean()))
        weights[block] = np.clip(saved, 0, 4)
    return weights
