"""Ink, plates, fades and OCR on random geometry: nothing raises, and results fit the crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.detection.detector import Bgr
from erasecore.ink.fades import see_through
from erasecore.ink.plate_search import find_plate
from erasecore.ink.plates import Plate, opacities, undo_plates
from erasecore.ink.strokes import Ink, find_ink
from erasecore.ink.transitions import Transition
from erasecore.model.boxes import area, clip_box
from erasecore.model.clips import Clip
from erasecore.model.crop_stacks import CropCollector, CropStack
from erasecore.model.events import NO_READING, Event, Reading
from erasecore.recovery.clip_recovery import find_inks
from erasecore.text.ocr import read_event
from tests import geometry
from tests.geometry import LAYOUTS, picture

pytestmark = pytest.mark.filterwarnings("error")


class CountingRecognizer:
    """Reads every picture as one unsure letter, and notes the pictures' sizes."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, ...]] = []

    def read(self, line: Bgr) -> Reading:
        """Note the size."""
        self.sizes.append(line.shape)
        return Reading("a", 0.5, 0.5, 0.5)


def crop_of(frames: int, *, start: int = 0, size: tuple[int, int] = (160, 90)) -> CropStack:
    """A crop of the whole picture, with letters in every frame."""
    collector = CropCollector(start, start + frames, (0, 0, *size), LAYOUTS[0])
    for index in range(start, start + frames):
        collector.add(index, picture(LAYOUTS[0], size, index, (40, 40, 120, 56)))
    return collector.finish()


def test_ink_of_a_line_whose_opaque_time_begins_where_the_crop_ends() -> None:
    """A line that still fades in at the crop's last frame is sought there; it was an IndexError."""
    event = Event(7, 30, 10, 30, (40, 40, 120, 56), 12, 0.9)
    ink = find_ink(crop_of(10), event, (event,))
    assert ink.mask[40:56, 40:120].any()


def test_ink_of_a_line_whose_opaque_time_ended_before_the_crop() -> None:
    """A line that fades out in the crop's first frames is sought there."""
    event = Event(3, 24, 3, 18, (40, 40, 120, 56), 12, 0.9)
    ink = find_ink(crop_of(10, start=20), event, (event,))
    assert ink.mask[40:56, 40:120].any()


@pytest.mark.parametrize("box", [(40, 120, 120, 136), (-90, 40, -10, 56), (150, 80, 260, 96)])
def test_a_line_outside_the_crop_is_not_read(box: tuple[float, float, float, float]) -> None:
    """Its ink may reach in, its letters do not; it was a crop without rows."""
    recognizer = CountingRecognizer()
    event = Event(0, 10, 0, 10, box, 24, 0.9)
    assert read_event(crop_of(10), event, range(10), recognizer) == NO_READING
    assert recognizer.sizes == []


def test_a_line_that_lies_in_the_crop_for_the_most_part_is_read() -> None:
    """A line that the picture's edge cuts off is read as far as it shows."""
    recognizer = CountingRecognizer()
    event = Event(0, 10, 0, 10, (-20, 40, 120, 56), 12, 0.9)
    assert read_event(crop_of(10), event, range(10), recognizer).text == "a"


@settings(max_examples=150, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_ink_has_the_size_of_the_crop(data: st.DataObject, size: tuple[int, int]) -> None:
    """Whatever the event's box and span, in every layout; and it can be seen through and undone."""
    crop = data.draw(geometry.crops(size))
    shown = data.draw(st.lists(geometry.events(size), min_size=1, max_size=3, unique=True))
    found = [find_ink(crop, event, tuple(shown), cuts=(crop.start + 2,)) for event in shown]
    assert all(ink.mask.shape == crop.size for ink in found)
    for number, seen in see_through(crop, found).items():
        assert 0 <= number < crop.stop - crop.start
        assert [plane.shape for plane in seen.planes] == [p.shape[1:] for p in crop.planes]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes, style=st.booleans())
def test_plates_with_any_box(data: st.DataObject, size: tuple[int, int], style: bool) -> None:
    """It is searched, hidden, taken away and undone, and only pixels of its box change."""
    crop = data.draw(geometry.crops(size))
    event = data.draw(geometry.events(size))
    left, top, right, bottom = (int(side) for side in data.draw(geometry.boxes(size)))
    box = clip_box((left, top, right, bottom), crop.size)
    plate = Plate(0.5, (8.0, *[64.0] * (len(crop.planes) - 1)), box)
    ink = find_ink(crop, event, (event,), style=plate if style else None)
    assert ink.mask.shape == crop.size
    hidden = plate.hidden(crop.size)
    assert hidden.shape == crop.size
    everywhere = np.ones(crop.size, bool)
    shares = opacities(crop, event, plate, everywhere, everywhere)
    assert all(0 <= share <= 1 for share in shares.values())
    pair = Transition(crop.levels(crop.start), crop.levels(crop.stop - 1))
    assert plate.take_away(pair).with_ink.shape == pair.with_ink.shape
    before = [stack.copy() for stack in crop.planes]
    done = undo_plates(crop.planes, 0, [plate], crop.layout)
    assert np.array_equal(before[0][0][~done], crop.planes[0][0][~done])
    assert done.sum() == area(box)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes, stacked=st.booleans())
def test_the_plate_at_transitions(
    data: st.DataObject, size: tuple[int, int], stacked: bool
) -> None:
    """A plate is found inside the picture, or not at all."""
    crop = data.draw(geometry.crops(size))
    box = tuple(int(side) for side in data.draw(geometry.boxes(size)))
    before = crop.levels(crop.start)
    after = before.copy()
    after[:] = 0.4 * before + 10
    distance = np.full(crop.size, 50, np.float32)
    for pairs in ([], [Transition(before, after)], [Transition(before, before)]):
        plate = find_plate(pairs, distance, box, stacked=stacked)  # type: ignore[arg-type]
        if plate is not None:
            left, top, right, bottom = plate.box
            assert 0 <= left <= right <= crop.size[1]
            assert 0 <= top <= bottom <= crop.size[0]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_reading_asks_for_pictures_with_pixels(data: st.DataObject, size: tuple[int, int]) -> None:
    """The recognizer gets no empty picture, whatever part of a line the crop shows, and when."""
    crop = data.draw(geometry.crops(size))
    event = data.draw(geometry.events(size))
    recognizer = CountingRecognizer()
    aspect = data.draw(st.sampled_from((0.25, 1.0, 4.0)))
    read_event(crop, event, range(-5, 30), recognizer, pixel_aspect=aspect)
    assert all(min(size) > 0 for size in recognizer.sizes)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_fades_of_any_mask(data: st.DataObject, size: tuple[int, int]) -> None:
    """Solved backgrounds have the crop's size, also for masks at its edges."""
    crop = data.draw(geometry.crops(size))
    found: list[Ink] = [data.draw(geometry.inks(crop, size)) for _ in range(2)]
    for seen in see_through(crop, found).values():
        assert seen.mask.shape == crop.size


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_ink_of_drawn_letters(data: st.DataObject) -> None:
    """Strokes on a plate, cut off by any edge of the crop, coming and going at any time."""
    size = (120, data.draw(st.sampled_from((33, 64, 90))))
    layout = data.draw(geometry.layouts)
    left, top = data.draw(st.integers(-30, 100)), data.draw(st.integers(-12, size[1]))
    text = (left, top, left + data.draw(st.integers(20, 90)), top + 14)
    event = replace(data.draw(geometry.events(size)), box_xyxy=text, text_height_px=12.0)
    start, count = data.draw(st.integers(0, 6)), data.draw(st.integers(1, 8))
    box = data.draw(st.sampled_from(((0, 0, *size), data.draw(geometry.pixel_boxes(size, layout)))))
    collector = CropCollector(start, start + count, box, layout)
    darker = data.draw(st.booleans())
    for frame in range(start, start + count):
        shown = event.shows_at(frame)
        planes = picture(layout, size, frame // 4, text if shown else None)
        if shown and darker:
            x0, y0, x1, y1 = clip_box((text[0] - 6, top - 4, text[2] + 6, top + 18), size[::-1])
            window = planes[0][y0:y1, x0:x1]
            window[window < 200 * layout.scale] //= 2
        collector.add(frame, planes)
    crop = collector.finish()
    others = tuple(data.draw(st.lists(geometry.events(size), max_size=2)))
    clip = Clip(crop.start, crop.stop, crop.start, crop.stop, box, (event, *others))
    for ink in find_inks(crop, clip, (start + 3,)):
        assert ink.mask.shape == crop.size
        if ink.plate is not None:
            x0, y0, x1, y1 = ink.plate.box
            assert 0 <= x0 < x1 <= crop.size[1]
            assert 0 <= y0 < y1 <= crop.size[0]
    see_through(crop, find_inks(crop, clip, ()))
