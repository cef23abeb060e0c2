"""Rectangles: what two share, what is around several, and where one lies in a picture."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasecore.model.boxes import (
    PixelBox,
    area,
    bounds,
    inside,
    intersect,
    overlap,
    shared_area,
    union,
)

SIDES = st.tuples(st.integers(-5, 25), st.integers(1, 12))


@st.composite
def boxes(draw: st.DrawFn) -> PixelBox:
    """A box, perhaps partly outside of a picture of 20 by 20."""
    (left, width), (top, height) = draw(SIDES), draw(SIDES)
    return left, top, left + width, top + height


@given(boxes(), boxes())
def test_what_two_share_is_counted_pixel_by_pixel(one: PixelBox, other: PixelBox) -> None:
    """Areas are those of the pixels; boxes that lie apart on both sides share nothing."""
    canvas = (60, 60)
    first, second = (inside(_moved(box), canvas) for box in (one, other))
    assert shared_area(one, other) == (first & second).sum()
    assert area(one) == first.sum()
    assert intersect(one, other) == bool((first & second).any())
    smaller = min(first.sum(), second.sum())
    assert overlap(one, other) == pytest.approx((first & second).sum() / smaller)
    assert _moved(union((one, other))) == bounds(first | second)


def _moved(box: PixelBox) -> PixelBox:
    left, top, right, bottom = box
    return left + 10, top + 10, right + 10, bottom + 10


@given(boxes())
def test_a_box_reaches_no_further_than_the_picture(box: PixelBox) -> None:
    """What lies outside of the picture is left out; a box beside it is nowhere."""
    here = inside(box, (20, 20))
    rows, columns = np.mgrid[0:20, 0:20]
    left, top, right, bottom = box
    expected = (rows >= top) & (rows < bottom) & (columns >= left) & (columns < right)
    assert np.array_equal(here, expected)
