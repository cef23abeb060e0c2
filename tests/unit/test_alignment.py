"""How far off a proposal for the hidden pixels is, told by the ring around the hole."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import Hole, find_holes
from erasecore.engines.propagate.subpixel_align import Aligner, Offset
from erasecore.model.inpaint_input import InpaintInput
from erasecore.motion.resample import sample
from erasecore.video.color import PlaneLayout

Floats = NDArray[np.float32]
LAYOUT = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
HEIGHT, WIDTH = 80, 400
MASK = np.zeros((HEIGHT, WIDTH), bool)
for left in range(40, 360, 14):  # strokes of a line of text
    MASK[34:50, left : left + 6] = True


def textured(spread: float) -> NDArray[np.uint8]:
    """A smooth random picture around 128."""
    noise = np.random.default_rng(4).normal(0, 1, (HEIGHT, WIDTH)).astype(np.float32)
    blurred = np.asarray(cv2.GaussianBlur(noise, (0, 0), 2.5), np.float32)
    return np.asarray(np.clip(np.rint(128 + spread * blurred / blurred.std()), 0, 255), np.uint8)


def strip_of(picture: NDArray[np.uint8]) -> InpaintInput:
    """One frame with a hole."""
    return InpaintInput(
        planes=(picture[None],),
        masks=MASK[None],
        mask_of=np.zeros(1, np.intp),
        fill_start=0,
        fill_stop=1,
        cuts=(),
        thumbnails=np.zeros((1, 20, 100), np.float32),
        thumbnail_scale=4.0,
        layout=LAYOUT,
    )


class Case:
    """A frame, its hole, and proposals made from the frame itself."""

    def __init__(self, spread: float = 40.0) -> None:
        self.picture = textured(spread)
        strip = strip_of(self.picture)
        (self.hole,) = find_holes(strip)
        self.aligner = Aligner(strip, [self.hole])

    @property
    def columns(self) -> Floats:
        """Of all hidden pixels."""
        return self.hole.rows_columns[1].astype(np.float32)

    def off_by(self, dx: Floats | float, dy: float, *, brighter: float = 0.0) -> Offset | None:
        """What is told of a proposal that was read so far from the right places."""
        rows, columns = (one.astype(np.float32) for one in self.hole.rows_columns)
        ring = self.aligner.ring(0)
        x, y = (columns + dx).take(ring), (rows + dy).take(ring)
        proposed = sample(self.picture.astype(np.float32), x, y) + np.float32(brighter)
        return self.aligner.offset(0, proposed, np.ones(ring.size, bool))


def inside(hole: Hole, values: Floats) -> Floats:
    """What is told of the hole's own pixels."""
    chosen: Floats = values[hole.inside]
    return chosen


@pytest.mark.parametrize(("dx", "dy"), [(0.0, 0.0), (0.3, -0.2), (-0.5, 0.4)])
@pytest.mark.parametrize("brighter", [0.0, 6.0])
def test_a_fraction_of_a_pixel_is_told(dx: float, dy: float, brighter: float) -> None:
    """To a tenth of a pixel, whatever the light; most of the error goes with it."""
    case = Case()
    offset = case.off_by(dx, dy, brighter=brighter)
    assert offset is not None
    assert np.abs(inside(case.hole, offset.x) + dx).mean() < 0.1
    assert np.abs(inside(case.hole, offset.y) + dy).mean() < 0.1
    assert inside(case.hole, offset.error).mean() < 4.0


def test_it_may_differ_along_the_line() -> None:
    """A picture that is stretched is moved one way at one end and the other way at the other."""
    case = Case()
    stretch = np.asarray((case.columns - WIDTH / 2) / WIDTH, np.float32)  # half a pixel at the ends
    offset = case.off_by(stretch, 0.0)
    assert offset is not None
    assert np.abs(inside(case.hole, offset.x + stretch)).mean() < 0.1


def test_nothing_is_moved_where_nothing_tells() -> None:
    """A flat picture with a little noise has no place to be moved to."""
    case = Case(spread=0.5)
    offset = case.off_by(0.4, 0.0)
    assert offset is not None
    assert np.abs(offset.x).max() < 0.05
    assert np.abs(offset.y).max() < 0.05


def test_what_shows_something_else_is_told_by_its_error() -> None:
    """A proposal that no small move makes right is not moved far, and its error stays large."""
    case = Case()
    right, wrong = case.off_by(0.2, 0.0), case.off_by(37.0, 0.0)
    assert right is not None
    assert wrong is not None
    assert inside(case.hole, wrong.error).mean() > 5 * inside(case.hole, right.error).mean()
    assert np.abs(wrong.x).max() <= 1.0


def test_too_little_of_a_ring_tells_nothing() -> None:
    """Where hardly any of the ring is seen elsewhere, what is proposed stays where it is."""
    case = Case()
    ring = case.aligner.ring(0)
    known = np.arange(ring.size) < 50
    assert case.aligner.offset(0, np.full(ring.size, 128, np.float32), known) is None
