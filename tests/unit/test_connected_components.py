"""The areas of masks: nothing white is left out, and one area is one event while it lasts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.selection.connected_components import (
    ComponentTracker,
    MaskComponent,
    connected_components,
    event_of,
)
from erasecore.selection.masks import spans_of
from erasecore.video.color import Box

places = st.tuples(st.integers(0, 150), st.integers(0, 80), st.integers(1, 30), st.integers(1, 20))


@settings(max_examples=60, deadline=None)
@given(st.lists(places, max_size=6))
def test_every_white_pixel_lies_in_an_area(rectangles: list[tuple[int, int, int, int]]) -> None:
    """And each area's box is tight: white touches all of its sides."""
    bits = np.zeros((120, 200), np.bool_)
    for x, y, wide, high in rectangles:
        bits[y : y + high, x : x + wide] = True
    inside = np.zeros_like(bits)
    for left, top, right, bottom in connected_components(bits):
        inside[top:bottom, left:right] = True
        part = bits[top:bottom, left:right]
        assert part[0].any() and part[-1].any() and part[:, 0].any() and part[:, -1].any()
    assert not (bits & ~inside).any()
    assert bool(connected_components(bits)) == bool(bits.any())


def test_letters_of_a_line_are_one_area_and_lines_far_apart_are_not() -> None:
    """What is nearer than a fortieth of the height on both sides is joined."""
    bits = np.zeros((400, 800), np.bool_)
    for x in range(100, 300, 20):
        bits[350:370, x : x + 10] = True
    bits[100:120, 100:300] = True
    assert connected_components(bits) == ((100, 100, 300, 120), (100, 350, 290, 370))


A: Box = (0, 0, 10, 10)
B: Box = (5, 5, 15, 15)  # touches A
C: Box = (50, 50, 60, 60)


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ({0: [A], 1: [A], 2: [A]}, [MaskComponent(0, 3, A)]),
        (
            {0: [A], 1: [B]},
            [MaskComponent(0, 2, (0, 0, 15, 15))],
        ),  # moves: one area around both places
        ({0: [A], 1: [C]}, [MaskComponent(0, 1, A), MaskComponent(1, 2, C)]),  # jumps: two
        (
            {0: [A], 1: [], 2: [A]},
            [MaskComponent(0, 1, A), MaskComponent(2, 3, A)],
        ),  # gone for a frame
        (
            {0: [A], 2: [A]},
            [MaskComponent(0, 1, A), MaskComponent(2, 3, A)],
        ),  # a frame that does not count
        ({3: [A, C], 4: [C]}, [MaskComponent(3, 4, A), MaskComponent(3, 5, C)]),
        ({0: [A], 1: [A, B]}, [MaskComponent(0, 2, A), MaskComponent(1, 2, B)]),  # one becomes two
        ({}, []),
    ],
)
def test_areas_are_followed_while_they_overlap(
    frames: dict[int, list[Box]], expected: list[MaskComponent]
) -> None:
    """From frame to frame, each to one of the next."""
    tracker = ComponentTracker()
    for index, boxes in frames.items():
        tracker.add(index, boxes)
    assert len(tracker) == len(expected)
    assert tracker.finish() == expected


def test_an_area_is_an_event_as_opaque_from_first_to_last() -> None:
    """No fade is looked for, and a large area is not taken for large letters."""
    event = event_of(MaskComponent(3, 9, (0, 0, 600, 300)), 360)
    assert (event.start, event.full_start, event.full_stop, event.stop) == (3, 3, 9, 9)
    assert event.text_height_px == pytest.approx(30)


@given(st.lists(st.booleans(), max_size=40))
def test_spans_are_the_runs_of_frames_that_count(shown: list[bool]) -> None:
    """In order, apart from each other, together all of them."""
    spans = spans_of(iter(shown))
    assert [k for start, stop in spans for k in range(start, stop)] == [
        k for k, yes in enumerate(shown) if yes
    ]
    assert all(one[1] < other[0] for one, other in pairwise(spans))
