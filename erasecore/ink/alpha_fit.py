"""The opacity and colour of a plate, from samples of the picture without it and with it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erasecore.ink.plates import Plate

LEAST_PX = 80
"""Samples without letters that a fit needs."""

_LEAST_LIKENESS = 0.3  # correlation of the same place before and after: no other scene
_NEARLY_BLACK = 12.0  # levels; a plate's colour that may well be black
_NO_COLOUR, _NEARLY_GREY = 128.0, 1.5  # levels; of the colour planes


def fit_plate(
    without: NDArray[np.float32], with_ink: NDArray[np.float32], *, black: float
) -> Plate | None:
    """Opacity from luma, then what each colour plane gets added; its box is not known yet."""
    fitted = _fit(without[0], with_ink[0], black=black)
    if fitted is None:
        return None
    scale, offset = fitted
    colours = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in colours]
    grey = _NO_COLOUR * (1 - scale)
    added = [grey if abs(offset - grey) < _NEARLY_GREY else offset for offset in added]
    return Plate(scale, (offset, *added), (0, 0, 0, 0))


def black_plate(
    without: NDArray[np.float32], with_ink: NDArray[np.float32], *, black: float
) -> Plate | None:
    """The black plate that fits best, its box not known yet; ``None`` where all is dark."""
    before = without[0] - black
    bright = before > 16
    if bright.sum() < LEAST_PX:
        return None
    scale = float(np.median((with_ink[0] - black)[bright] / before[bright]))
    if not 0 < scale < 0.9:
        return None
    planes = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in planes]
    return Plate(scale, (black * (1 - scale), *added), (0, 0, 0, 0))


def _fit(
    before: NDArray[np.float32], after: NDArray[np.float32], *, black: float
) -> tuple[float, float] | None:
    """Scale and offset of the line through (before, after), outliers left out.

    A regression takes what moves between the two frames for noise in ``before`` and comes out too
    flat; the ratio of the spreads (reduced major axis) does not.
    """
    darker = float(np.median(after - before)) < 0
    same_way = (after < before) if darker else (after > before)  # letters go the other way
    before, after = before[same_way], after[same_way]
    if before.size < LEAST_PX:
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
        scale, offset = _black_if_it_may_be(line, before, after, black)
    error = np.abs(scale * before + offset - after)
    if not scale < 0.9 or float(np.median(error)) > 10:
        return None
    return (scale, offset) if -4 < offset / (1 - scale) < 259 else None


def _black_if_it_may_be(
    line: tuple[float, float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    black: float,
) -> tuple[float, float]:
    """The line through black, where it tells the points about as well as ``line`` does.

    Most plates are black, and then the slope is known from all of the contrast with black instead
    of only that among the background's own pixels.
    """
    scale, offset = line
    if not scale < 0.9 or abs(offset / (1 - scale) - black) > _NEARLY_BLACK:
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


def _robust_line(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> tuple[float, float] | None:
    """The line that most of the points lie on; ``None`` where they lie on none."""
    keep = np.ones(before.size, bool)
    scale = offset = 0.0
    for _ in range(6):
        x, y = before[keep], after[keep]
        likeness = float(np.corrcoef(x, y)[0, 1])
        if not likeness > _LEAST_LIKENESS:
            return None
        scale = float(y.std() / x.std())
        offset = float(y.mean() - scale * x.mean())
        error = np.abs(scale * before + offset - after)
        keep = error <= max(3.0, float(np.percentile(error, 65)))
    return scale, offset
