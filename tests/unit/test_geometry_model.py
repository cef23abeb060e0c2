"""Boxes, crop stacks, patches and masks with random geometry."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.model.boxes import (
    area,
    bounds,
    clip_box,
    inside,
    intersect,
    mostly_inside,
    overlap,
    shared_area,
    union,
)
from erasecore.model.crop_stacks import CropCollector
from erasecore.model.inpaint_input import ContextNeeds, reduce_mask
from erasecore.model.patches import Patch, composite
from erasecore.selection.connected_components import (
    ComponentTracker,
    connected_components,
    event_of,
)
from erasecore.selection.masks import PictureMask, spans_of
from erasecore.selection.time_filter import TimeFilter, merge_ranges
from erasecore.settings import TimeRange
from erasecore.video.color import PlaneLayout, plane_window
from tests import geometry
from tests.geometry import picture

pytestmark = pytest.mark.filterwarnings("error")

integers = st.integers(-50, 150)
any_box = st.tuples(integers, integers, integers, integers)


@given(box=any_box, size=geometry.sizes)
def test_a_clipped_box_is_a_part_of_the_picture(
    box: tuple[int, int, int, int], size: tuple[int, int]
) -> None:
    """Its slices select just the pixels of the box that the picture has; never a wrapped index."""
    left, top, right, bottom = clip_box(box, size)
    assert 0 <= left <= right <= size[1]
    assert 0 <= top <= bottom <= size[0]
    rows, columns = np.indices(size)
    by_pixel = (columns >= box[0]) & (columns < box[2]) & (rows >= box[1]) & (rows < box[3])
    assert np.array_equal(inside(box, size), by_pixel)
    assert area((left, top, right, bottom)) == by_pixel.sum()


@given(data=st.data(), size=geometry.sizes)
def test_measures_of_boxes(data: st.DataObject, size: tuple[int, int]) -> None:
    """Overlap is between 0 and 1 and the same both ways, also of boxes without area."""
    one, other = data.draw(geometry.boxes(size)), data.draw(geometry.boxes(size))
    assert 0 <= overlap(one, other) <= 1 + 1e-9
    assert overlap(one, other) == overlap(other, one)
    assert intersect(one, other) == (shared_area(one, other) > 0)
    assert not (mostly_inside(one, other) and not intersect(one, other))
    around = union([one, other])
    assert around[0] <= min(one[0], other[0])
    assert around[3] >= max(one[3], other[3])


@given(data=st.data(), size=geometry.sizes)
def test_bounds_of_a_mask(data: st.DataObject, size: tuple[int, int]) -> None:
    """The bounding box holds all True pixels and touches them on each side."""
    mask = data.draw(geometry.masks(size))
    if not mask.any():
        with pytest.raises(IndexError):
            bounds(mask)
        return
    left, top, right, bottom = bounds(mask)
    assert mask[top:bottom, left:right].sum() == mask.sum()
    assert mask[top].any()
    assert mask[:, right - 1].any()


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_crop_stacks(data: st.DataObject, size: tuple[int, int], layout: PlaneLayout) -> None:
    """A stack holds the frames' own samples; context around it changes none; spans are clamped."""
    box, wider = (data.draw(geometry.pixel_boxes(size, layout)) for _ in range(2))
    start, count = data.draw(st.integers(0, 5)), data.draw(st.integers(1, 4))
    context = data.draw(st.sampled_from((None, union([box, wider]))))
    collector = CropCollector(start, start + count, box, layout, context_box=context)
    frames = [picture(layout, size, index) for index in range(12)]
    for index, planes in enumerate(frames):
        collector.add(index, planes)
    crop = collector.finish()
    for frame in range(crop.start, crop.stop):
        for index, stack in enumerate(crop.planes):
            expected = frames[frame][index][plane_window(box, index, layout)]
            assert np.array_equal(stack[frame - start], expected)
        assert crop.levels(frame).shape == (layout.planes, *crop.size)
    first, last = data.draw(st.integers(-5, 20)), data.draw(st.integers(-5, 20))
    held = crop.nearest_frames(first, last)
    assert len(held) >= 1
    assert crop.start <= held.start < held.stop <= crop.stop
    if max(first, start) < min(last, crop.stop):
        assert held == range(max(first, start), min(last, crop.stop))


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_patches_change_only_their_samples(
    data: st.DataObject, size: tuple[int, int], layout: PlaneLayout
) -> None:
    """Samples outside the patch's masks are kept bit for bit, in every layout and at every edge."""
    box = data.draw(geometry.pixel_boxes(size, layout))
    mask = data.draw(geometry.masks((box[3] - box[1], box[2] - box[0])))
    planes, kept = picture(layout, size, 1), picture(layout, size, 1)
    masks = tuple(mask if k == 0 else reduce_mask(mask, layout) for k in range(layout.planes))
    samples = tuple(np.full(int(m.sum()), 7, planes[0].dtype) for m in masks)
    composite(planes, [Patch(box, masks, samples)], layout)
    for index, (after, before) in enumerate(zip(planes, kept, strict=True)):
        changed = np.zeros(after.shape, bool)
        changed[plane_window(box, index, layout)] = masks[index]
        assert np.array_equal(after[~changed], before[~changed])
        assert (after[changed] == 7).all()


@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_reduced_masks(data: st.DataObject, size: tuple[int, int], layout: PlaneLayout) -> None:
    """A reduced mask has the chroma plane's size and is set where any of its pixels is."""
    mask = data.draw(geometry.masks(size))
    reduced = reduce_mask(mask, layout)
    assert reduced.shape == layout.plane_size(1, size[1], size[0])
    rows, columns = np.nonzero(mask)
    assert reduced[rows >> layout.shift_y, columns >> layout.shift_x].all()
    assert reduced.any() == mask.any()


@given(
    start=st.integers(0, 199),
    length=st.integers(1, 200),
    room=st.integers(1, 200),
    step=st.sampled_from((1, 2, 4)),
)
def test_context_lies_in_the_picture(start: int, length: int, room: int, step: int) -> None:
    """The span with context holds the ink, as far as the picture goes."""
    start = min(start, room - 1)
    stop = min(room, start + length)
    first, last = ContextNeeds(8, 64, 8, 128).span(start, stop, room=room, step=step)
    assert 0 <= first <= start
    assert stop <= last <= room


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_components_hold_the_mask(data: st.DataObject, size: tuple[int, int]) -> None:
    """Their boxes hold every white pixel; each is a valid event; a tracker ends each once."""
    frames = [data.draw(geometry.masks(size)) for _ in range(3)]
    tracker = ComponentTracker()
    for index, mask in enumerate(frames):
        found = connected_components(mask)
        held = np.zeros(size, bool)
        for left, top, right, bottom in found:
            held[top:bottom, left:right] = True
        assert not (mask & ~held).any()
        tracker.add(2 * index if data.draw(st.booleans()) else index + 6, found)
    for component in tracker.finish():
        event = event_of(component, size[0])
        assert event.start < event.stop
        assert event.text_height_px >= 4


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_a_picture_mask_has_the_size_of_the_box(data: st.DataObject, size: tuple[int, int]) -> None:
    """Runs are cropped to the clip's box, and their events lie in the picture."""
    mask = PictureMask(data.draw(geometry.masks(size)))
    box = data.draw(geometry.pixel_boxes((size[1], size[0]), geometry.LAYOUTS[0]))
    (run,) = mask.runs(2, 5, box)
    assert run.bits.shape == (box[3] - box[1], box[2] - box[0])
    for event in mask.events(5, [(0, 1), (3, 5)], lambda _: None):
        assert 0 <= event.box_xyxy[0] < event.box_xyxy[2] <= size[1]


@given(shown=st.lists(st.booleans(), max_size=20))
def test_spans_of_shown_frames(shown: list[bool]) -> None:
    """The spans hold just the shown frames, in order and without touching."""
    spans = spans_of(iter(shown))
    assert [any(a <= k < b for a, b in spans) for k in range(len(shown))] == shown
    assert all(before[1] < after[0] for before, after in itertools.pairwise(spans))


times = st.lists(
    st.tuples(st.floats(-5, 50), st.floats(0, 20)).map(lambda t: TimeRange(t[0], t[0] + t[1])),
    max_size=5,
)


@given(spans=times, at=st.floats(0, 80), length=st.floats(0, 5))
def test_times(spans: list[TimeRange], at: float, length: float) -> None:
    """Merged ranges are ascending and disjoint; a line at a wanted time is wanted."""
    merged = merge_ranges(spans, before=1, after=1).spans
    pairs = itertools.pairwise(merged)
    assert all(one.stop_seconds < other.start_seconds for one, other in pairs)
    chosen = TimeFilter(tuple(spans))
    if chosen.wants_at(at) and at + length > at:
        assert chosen.wants(at, at + length)
        assert chosen.covers(at)
