"""Contrast that is left of a labelled caption, measured without a clean film.

A caption's place is averaged over the caption's life: the scene behind it averages out, letters and
plate stay. This imprint is regressed on a source frame and on the same frame of the result; the
ratio of both coefficients is the share of the contrast that is left. It is taken for cells as long
as the line is high, so that one letter of many counts.

Measured on 66 source frames beside a caption's first or last one, where the truth is known: at
most 0.20 with the caption absent (median 0.02), at least 0.92 of the mean with it present. On 2434
pairs of a frame without captions and the imprint of another time: at most 0.21.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.boxes import PixelBox, grow, intersection
from bench.metrics import Gray

Levels = NDArray[np.float32]
Mask = NDArray[np.bool_]

SIDES = (TOP, BOTTOM, LEFT, RIGHT) = range(4)
BLUR_PX = 3.0  # sigma; detail is what this blur takes away, strokes and outlines up to some 8 px
STRONG = 0.6  # of the detail's 95th percentile: pixels that count as letters
FAINT = 0.15  # of the mean contrast in the source below which a frame of a fade is not judged
FEW = 0.2  # of an even share of the strong pixels, below which a cell is not judged
BAND_PX = 2  # of both bands whose difference is the step at a plate's edge
SKIP_PX = 2  # inside of the edge before the inner band: plates have soft edges, which boxes hold
FAINT_STEP = (
    0.5  # of a plate's median step, likewise: the scene behind it may be as dark for a while
)
STEP_LEVELS = 4.0  # mean step below which a plate cannot be told from what is around it


@dataclass(frozen=True, slots=True)
class Imprint:
    """Mean detail of a caption's place, and median steps at the edges of its plate."""

    box: PixelBox
    detail: Levels  # (height, width) of the box
    cells: tuple[Mask, ...]  # strong pixels of each cell
    steps: tuple[
        tuple[int, Levels], ...
    ]  # measurable sides of the plate, median step of each pixel

    def left(self, before: Gray, after: Gray) -> float:
        """Return the largest share of contrast that any cell or side has kept.

        Args:
            before: luma of the source's frame, (height, width).
            after: luma of the result's.

        Returns:
            0 for nothing left, 1 for all of it; a ghost of inverse contrast counts as well.
        """
        return max((abs(share) for share in self._shares(before, after)), default=0.0)

    def amount(self, luma: Gray) -> float:
        """Return the largest share of its contrast that any cell has in a picture.

        For pictures in which this caption is not on screen: another one's letters.
        """
        there = detail_of(luma, self.box)
        shares = (
            float((self.detail[cell] * there[cell]).sum())
            / float(np.square(self.detail[cell]).sum())
            for cell in self.cells
        )
        return max(shares, default=0.0)

    def _shares(self, before: Gray, after: Gray) -> Iterator[float]:
        source, result = detail_of(before, self.box), detail_of(after, self.box)
        for cell in self.cells:
            yield _share(self.detail[cell], source[cell], result[cell], FAINT)
        for side, step in self.steps:
            there, kept = (step_of(luma, self.box, side) for luma in (before, after))
            yield _share(step, there, kept, FAINT_STEP)


def _share(mean: Levels, source: Levels, result: Levels, faint: float) -> float:
    """Return the share of the imprint in the source that the result has; 0 if it is too faint."""
    there = float((mean * source).sum())
    if there < faint * float(np.square(mean).sum()):
        return 0.0
    return float((mean * result).sum()) / there


class ImprintSum:
    """Sums up the frames of one caption; ``mean`` is its imprint.

    Args:
        box: the caption's place.
        sides: sides of its plate that may be measured; none if it has no plate.
    """

    def __init__(self, box: PixelBox, sides: Sequence[int] = ()) -> None:
        self._box = box
        self._detail = np.zeros((box[3] - box[1], box[2] - box[0]), np.float32)
        self._steps: dict[int, list[Levels]] = {side: [] for side in sides}
        self._frames = 0

    def add(self, luma: Gray) -> None:
        """Add the luma, (height, width), of a source frame that shows the caption."""
        self._detail += detail_of(luma, self._box)
        for side, steps in self._steps.items():
            steps.append(step_of(luma, self._box, side))
        self._frames += 1

    def mean(self) -> Imprint:
        """Return the imprint; of a caption of which no frame was added, one without cells."""
        if not self._frames:
            return Imprint(self._box, self._detail, (), ())
        detail = self._detail * np.float32(1 / self._frames)
        steps = {side: np.median(all_, 0) for side, all_ in self._steps.items()}
        seen = {side: step for side, step in steps.items() if np.abs(step).mean() >= STEP_LEVELS}
        return Imprint(self._box, detail, tuple(_cells(detail)), tuple(seen.items()))


def free_sides(box: PixelBox, others: Iterable[PixelBox]) -> list[int]:
    """Return the sides of a plate that no other caption touches."""
    blockers = list(others)
    return [
        side
        for side in SIDES
        if not any(intersection(_band(box, side, outside=True), other) for other in blockers)
    ]


def detail_of(luma: Gray, box: PixelBox) -> Levels:
    """Return the luma in a box less a blurred copy, float32."""
    height, width = luma.shape
    left, top, right, bottom = grow(box, int(3 * BLUR_PX), width, height)
    around = luma[top:bottom, left:right].astype(np.float32)
    fine = around - cv2.GaussianBlur(around, (0, 0), BLUR_PX)
    inside: Levels = fine[box[1] - top : box[3] - top, box[0] - left : box[2] - left]
    return inside


def step_of(luma: Gray, box: PixelBox, side: int) -> Levels:
    """Return the step from outside to inside at each pixel along one side of a box."""
    across = 0 if side in (TOP, BOTTOM) else 1
    inner, outer = _band(box, side, outside=False), _band(box, side, outside=True)
    height, width = luma.shape
    left, top, right, bottom = grow(outer, 0, width, height)
    if right - left != outer[2] - outer[0] or bottom - top != outer[3] - outer[1]:
        return np.zeros(_length(box, side), np.float32)  # the box touches the picture's border
    bands = (
        luma[band[1] : band[3], band[0] : band[2]].astype(np.float32).mean(across)
        for band in (inner, outer)
    )
    step: Levels = np.subtract(*bands)
    return step


def _band(box: PixelBox, side: int, *, outside: bool) -> PixelBox:
    left, top, right, bottom = box
    near = -BAND_PX if outside else SKIP_PX
    far = near + BAND_PX
    return {
        TOP: (left, top + near, right, top + far),
        BOTTOM: (left, bottom - far, right, bottom - near),
        LEFT: (left + near, top, left + far, bottom),
        RIGHT: (right - far, top, right - near, bottom),
    }[side]


def _length(box: PixelBox, side: int) -> int:
    return box[2] - box[0] if side in (TOP, BOTTOM) else box[3] - box[1]


def _cells(detail: Levels) -> Iterator[Mask]:
    """Yield the strong pixels of each cell along the longer side that has enough of them."""
    strong = np.abs(detail) >= STRONG * np.percentile(np.abs(detail), 95)
    along = 1 if detail.shape[1] >= detail.shape[0] else 0
    count = max(1, round(max(detail.shape) / min(detail.shape)))
    for places in np.array_split(np.arange(detail.shape[along]), count):
        cell = np.zeros_like(strong)
        where = np.s_[:, places] if along else np.s_[places, :]
        cell[where] = strong[where]
        if cell.sum() >= FEW * strong.sum() / count:
            yield cell
