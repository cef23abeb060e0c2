"""A strip that reaches over the picture's edge is filled area by area; ink on bars is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.engines.base import Filled, FilledFrame, Origin, Tick, Traits, check_filled
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.ink.strokes import Ink
from erasecore.model.boxes import inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.inpaint_input import InpaintInput, reduce_mask
from erasecore.model.picture_areas import PictureArea
from erasecore.recovery.area_fill import area_runs, fill_strip
from erasecore.recovery.bar_ink import grow_on_bars, parts_by_area
from erasecore.video.color import Box, PlaneLayout
from tests import geometry

LAYOUT = PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False)
HEIGHT, WIDTH, FRAMES = 96, 160, 12
WHOLE = (0, 0, WIDTH, HEIGHT)


class Recorder:
    """An engine that fills with 200 and remembers what it was given."""

    traits = Traits(name="recorder", context_seconds=0.5)

    def __init__(self) -> None:
        self.strips: list[InpaintInput] = []

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """Return 200 in every hole."""
        self.strips.append(strip)
        frames = []
        for frame in range(strip.fill_start, strip.fill_stop):
            mask = strip.mask(frame)
            holes = [mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1)]
            values = tuple(
                np.full(int(hole.sum()), 200, stack.dtype)
                for hole, stack in zip(holes, strip.planes, strict=True)
            )
            count = int(mask.sum())
            origin = np.full(count, Origin.PROPAGATED, np.uint8)
            frames.append(FilledFrame(values, origin, np.zeros(count, np.float16)))
        return Filled(tuple(frames))


def crop_of(planes: tuple[NDArray[np.uint8], ...], areas: tuple[PictureArea, ...]) -> CropStack:
    """Return a crop that is the whole frame."""
    thumbnails = planes[0].astype(np.float32)
    return CropStack(0, WHOLE, planes, thumbnails, 1.0, LAYOUT, picture_areas=areas)


def strip_of(crop: CropStack, hole: Box, cuts: tuple[int, ...] = ()) -> InpaintInput:
    """Return a strip with one hole in the frames 2 to 9."""
    masks = np.zeros((2, HEIGHT, WIDTH), bool)
    masks[1, hole[1] : hole[3], hole[0] : hole[2]] = True
    mask_of = np.zeros(FRAMES, np.intp)
    mask_of[2:10] = 1
    return InpaintInput(
        planes=crop.planes,
        masks=masks,
        mask_of=mask_of,
        fill_start=2,
        fill_stop=10,
        cuts=cuts,
        thumbnails=crop.thumbnails,
        thumbnail_scale=1.0,
        layout=LAYOUT,
    )


def moving_picture(seed: int = 0) -> tuple[NDArray[np.uint8], ...]:
    """Texture that pans by 2 px a frame, in all planes."""
    random = np.random.default_rng(seed)
    planes = []
    for shift in (0, 1, 1):
        rows, columns, step = HEIGHT >> shift, WIDTH >> shift, 2 >> shift
        wide = random.integers(40, 220, (rows, columns + FRAMES * step)).astype(np.uint8)
        views = [wide[:, step * f : step * f + columns] for f in range(FRAMES)]
        planes.append(np.stack(views))
    return tuple(planes)


def with_bars(
    planes: tuple[NDArray[np.uint8], ...], box: Box, colour: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], ...]:
    """Return the planes with bars around ``box``."""
    framed = []
    for plane, (stack, level) in enumerate(zip(planes, colour, strict=True)):
        left, top, right, bottom = (side >> (plane > 0) for side in box)
        made = np.full_like(stack, level)
        made[:, top:bottom, left:right] = stack[:, top:bottom, left:right]
        framed.append(made)
    return tuple(framed)


def composited(strip: InpaintInput, filled: Filled) -> list[NDArray[np.uint8]]:
    """Return the strip's planes with the holes filled."""
    made = [stack.copy() for stack in strip.planes]
    for offset, frame in enumerate(filled.frames):
        index = strip.fill_start + offset
        mask = strip.mask(index)
        holes = [mask, *[reduce_mask(mask, strip.layout)] * 2]
        for stack, hole, samples in zip(made, holes, frame.planes, strict=True):
            stack[index][hole] = samples
    return [np.asarray(stack, np.uint8) for stack in made]


@pytest.mark.parametrize(
    ("box", "hole"),
    [
        ((0, 20, WIDTH, 76), (20, 66, 120, 90)),  # half on the lower bar
        ((0, 20, WIDTH, 76), (20, 4, 120, 16)),  # all of it on the upper bar
        ((40, 0, 120, HEIGHT), (20, 40, 140, 52)),  # across both pillar bars
        ((30, 16, 130, 80), (10, 70, 150, 92)),  # over the corner of a window
    ],
)
@pytest.mark.parametrize("colour", [(16, 128, 128), (70, 110, 160), (235, 128, 128)])
def test_a_bar_is_filled_with_its_colour(box: Box, hole: Box, colour: tuple[int, int, int]) -> None:
    """The bar comes back exactly, under any text; the picture's part is the engine's."""
    clean = with_bars(moving_picture(), box, colour)
    written = tuple(stack.copy() for stack in clean)
    written[0][2:10, hole[1] : hole[3], hole[0] : hole[2]] = 240
    crop = crop_of(written, (PictureArea(0, FRAMES, box, box),))
    strip, engine = strip_of(crop, hole), Recorder()
    filled = fill_strip(engine, strip, area_runs(crop), lambda _: None)
    made = composited(strip, filled)
    outside = np.ones((HEIGHT, WIDTH), bool)
    outside[box[1] : box[3], box[0] : box[2]] = False
    for stack, truth, plane in zip(made, clean, (0, 1, 1), strict=True):
        bar = outside[:: 1 + plane, :: 1 + plane]
        assert np.array_equal(stack[:, bar], truth[:, bar])
        inner = strip.masks[1][:: 1 + plane, :: 1 + plane] & ~bar
        assert (stack[2:10][:, inner] == 200).all()
    if engine.strips:
        assert engine.strips[0].planes[0].shape[1:] == (box[3] - box[1], box[2] - box[0])
        assert engine.strips[0].thumbnails.shape[1:] == (box[3] - box[1], box[2] - box[0])


def test_the_engine_is_not_asked_for_a_bar() -> None:
    """A text that is on a bar alone costs no motion estimation."""
    box = (0, 20, WIDTH, 70)
    crop = crop_of(
        with_bars(moving_picture(), box, (16, 128, 128)), (PictureArea(0, FRAMES, box, box),)
    )
    engine = Recorder()
    fill_strip(engine, strip_of(crop, (20, 76, 120, 90)), area_runs(crop), lambda _: None)
    assert engine.strips == []


def test_a_bar_fades_with_its_film() -> None:
    """Each frame's bar has the colour that is seen of it in this frame."""
    box = (0, 20, WIDTH, 70)
    planes = list(with_bars(moving_picture(), box, (16, 128, 128)))
    for frame in range(FRAMES):
        planes[0][frame] = planes[0][frame] + (235 - planes[0][frame]) * (frame / FRAMES)
    crop = crop_of(tuple(planes), (PictureArea(0, FRAMES, box, box),))
    strip = strip_of(crop, (20, 76, 120, 90))
    made = composited(strip, fill_strip(Recorder(), strip, area_runs(crop), lambda _: None))
    assert np.array_equal(made[0], planes[0])


def test_a_soft_edge_is_a_mix_of_picture_and_bar() -> None:
    """Rows between bar and picture are solved for; without bars they would be dragged along."""
    box, edge_box = (0, 0, WIDTH, 60), (0, 0, WIDTH, 64)
    truth = np.repeat(moving_picture(3)[0][:, :1], HEIGHT, axis=1).astype(np.float64)
    shares = np.array([0.8, 0.6, 0.4, 0.2])
    for row, share in enumerate(shares):
        truth[:, 60 + row] = 16 + share * (truth[:, 59] - 16)
    truth[:, 64:] = 16
    luma = np.rint(truth).astype(np.uint8)
    chroma = np.full((FRAMES, HEIGHT // 2, WIDTH // 2), 128, np.uint8)
    written = luma.copy()
    written[2:10, 56:80, 30:110] = 240
    crop = crop_of((written, chroma, chroma), (PictureArea(0, FRAMES, box, edge_box),))
    strip = strip_of(crop, (30, 56, 110, 80))
    made = composited(strip, fill_strip(PropagateEngine(), strip, area_runs(crop), lambda _: None))
    inner = made[0][2:10, 59, 30:110].astype(np.float64)
    for row, share in enumerate(shares):
        expected = 16 + share * (inner - 16)
        assert np.abs(made[0][2:10, 60 + row, 30:110] - expected).max() <= 2
    assert np.array_equal(made[0][:, 64:], luma[:, 64:])


def test_what_is_not_flat_is_picture() -> None:
    """An area that a shot's samples took for bar is filled by the engine if it is none."""
    crop = crop_of(
        moving_picture(), (PictureArea(0, FRAMES, (0, 20, WIDTH, 70), (0, 20, WIDTH, 70)),)
    )
    engine, strip = Recorder(), strip_of(crop, (20, 60, 120, 90))
    filled = fill_strip(engine, strip, area_runs(crop), lambda _: None)
    assert engine.strips[0].planes[0].shape == (FRAMES, HEIGHT, WIDTH)
    assert all((frame.planes[0] == 200).all() for frame in filled.frames)


def test_shots_with_and_without_bars_are_filled_apart() -> None:
    """Where the bars change at a cut, each shot has its own."""
    box = (0, 20, WIDTH, 70)
    bars, none = with_bars(moving_picture(), box, (16, 128, 128)), moving_picture()
    planes = tuple(np.concatenate([a[:6], b[6:]]) for a, b in zip(bars, none, strict=True))
    crop = crop_of(planes, (PictureArea(0, 6, box, box),))
    engine, strip = Recorder(), strip_of(crop, (20, 60, 120, 90), cuts=(6,))
    filled = fill_strip(engine, strip, area_runs(crop), lambda _: None)
    assert [part.planes[0].shape for part in engine.strips] == [(6, 50, WIDTH), (6, HEIGHT, WIDTH)]
    assert [(part.fill_start, part.fill_stop) for part in engine.strips] == [(2, 6), (0, 4)]
    assert [part.cuts for part in engine.strips] == [(), ()]
    check_filled("recorder", strip, filled)


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_any_geometry(data: st.DataObject) -> None:
    """Whatever the areas, holes, layouts and sizes, the result fits the strip."""
    size = data.draw(geometry.sizes)
    strip = data.draw(geometry.strips())
    height, width = strip.masks.shape[1:]
    crop = CropStack(
        data.draw(st.integers(0, 12)),
        (0, 0, width, height),
        strip.planes,
        strip.thumbnails,
        strip.thumbnail_scale,
        strip.layout,
        picture_areas=data.draw(geometry.picture_areas(size)),
    )
    runs = area_runs(crop)
    assert [run.start for run in runs] == [0, *[run.stop for run in runs][:-1]]
    assert runs[-1].stop == strip.frames
    strip = replace(strip, cuts=())
    filled = fill_strip(Recorder(), strip, runs, lambda _: None)
    check_filled("recorder", strip, filled)


def test_a_bar_that_a_mask_hides_as_a_whole() -> None:
    """It is filled with the colour that most of it has under the mask."""
    box = (0, 0, WIDTH, 60)
    planes = with_bars(moving_picture(), box, (30, 120, 135))
    for plane, stack in enumerate(planes):
        stack[:, 70 >> (plane > 0) : 80 >> (plane > 0), 20 >> (plane > 0) : 60] = 235
    crop = crop_of(planes, (PictureArea(0, FRAMES, box, box),))
    strip = strip_of(crop, (0, 60, WIDTH, HEIGHT))
    strip = replace(strip, mask_of=np.ones(FRAMES, np.intp), fill_start=0, fill_stop=FRAMES)
    made = composited(strip, fill_strip(Recorder(), strip, area_runs(crop), lambda _: None))
    for stack, level in zip(made, (30, 120, 135), strict=True):
        assert (stack[:, 60 * stack.shape[1] // HEIGHT :] == level).all()


def test_an_event_has_a_part_for_each_shape_of_the_bars_around_it() -> None:
    """Bars that change elsewhere, or before and after it, divide nothing."""
    box = (0, 0, WIDTH, 72)
    crop = crop_of(moving_picture(), (PictureArea(6, FRAMES, box, box),))
    event = Event(2, 10, 3, 9, (28.0, 64.0, 120.0, 82.0), 14.0, 1.0)
    parts = parts_by_area(event, crop)
    spans = [(part.start, part.full_start, part.full_stop, part.stop) for part in parts]
    assert spans == [(2, 3, 6, 6), (6, 6, 9, 10)]
    assert parts_by_area(replace(event, stop=6, full_stop=6), crop) == ()
    assert parts_by_area(replace(event, box_xyxy=(28.0, 10.0, 120.0, 28.0)), crop) == ()


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_ink_on_a_bar_is_all_that_differs_from_it(noise: float) -> None:
    """The halo around letters on a bar is ink; a logo far off and the picture are not."""
    box = (0, 0, WIDTH, 60)
    planes = list(with_bars(moving_picture(), box, (16, 128, 128)))
    random = np.random.default_rng(2)
    bar = np.full((FRAMES, 36, WIDTH), 16.0) + random.normal(0, noise, (FRAMES, 36, WIDTH))
    bar[2:10, 10:24, 40:60] = 30  # halo
    bar[2:10, 12:22, 42:58] = 235
    bar[:, 14:20, 120:130] = 200  # logo
    planes[0][:, 60:] = np.rint(bar).astype(np.uint8)
    crop = crop_of(tuple(planes), (PictureArea(0, FRAMES, box, box),))
    event = Event(2, 10, 2, 10, (42.0, 70.0, 58.0, 84.0), 14.0, 1.0)
    letters = np.zeros((HEIGHT, WIDTH), bool)
    letters[72:82, 42:58] = True
    letters[50:60, 42:58] = True  # the line above it, on the picture
    grown = grow_on_bars(crop, Ink(event, letters, None)).mask
    expected = letters.copy()
    expected[70:84, 40:60] = True
    assert np.array_equal(grown[:, :100], expected[:, :100])
    assert not grown[:, 100:].any()
    assert grow_on_bars(replace(crop, picture_areas=()), Ink(event, letters, None)).mask is letters


@settings(max_examples=40, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_ink_on_bars_of_any_geometry(data: st.DataObject, size: tuple[int, int]) -> None:
    """Masks keep their size and what they had, and grow on bars only."""
    crop = data.draw(geometry.crops(size))
    ink = data.draw(geometry.inks(crop, size))
    grown = grow_on_bars(crop, ink).mask
    assert grown.shape == ink.mask.shape
    assert (grown | ~ink.mask).all()
    new = grown & ~ink.mask
    boxes = [area.within(crop.box).edge_box for area in crop.picture_areas]
    bars = [~inside(box, crop.size) for box in boxes]
    assert not (new & ~np.any([np.zeros(crop.size, bool), *bars], axis=0)).any()
