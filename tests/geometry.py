"""Random geometry for property tests: layouts, boxes, events, crop stacks, clips and masks.

Sizes go down to one pixel, boxes lie inside, across or outside the picture, and spans reach beyond
the crop, the clip and the film.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.ink.strokes import Ink
from erasecore.model.boxes import clip_box
from erasecore.model.clips import Clip
from erasecore.model.crop_stacks import CropCollector, CropStack
from erasecore.model.events import BoxXyxy, Event, PathPoint
from erasecore.model.inpaint_input import InpaintInput
from erasecore.model.picture_areas import PictureArea
from erasecore.video.color import Box, PlaneLayout, Planes, as_plane

LAYOUTS = (
    PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False),
    PlaneLayout("yuv422p", 8, 1, 0, 3, full_range=False),
    PlaneLayout("yuv444p", 8, 0, 0, 3, full_range=True),
    PlaneLayout("yuv411p", 8, 2, 0, 3, full_range=False),
    PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False),
    PlaneLayout("yuv422p10le", 10, 1, 0, 3, full_range=False),
    PlaneLayout("yuv444p10le", 10, 0, 0, 3, full_range=False),
    PlaneLayout("gray", 8, 0, 0, 1, full_range=True),
    PlaneLayout("gbrp", 8, 0, 0, 3, full_range=True, rgb=True),
)
layouts = st.sampled_from(LAYOUTS)
SIDES = (1, 2, 3, 5, 8, 9, 16, 33, 64, 120, 121)
"""Sides of pictures, px; lines of text fit into the largest ones."""
sides = st.sampled_from(SIDES)
sizes = st.tuples(sides, sides)
"""Width and height of a picture, px."""
seeds = st.integers(0, 2**32 - 1)


def picture(
    layout: PlaneLayout, size: tuple[int, int], seed: int, text: Box | None = None
) -> Planes:
    """Return one frame of noise; in ``text`` its luma has strokes as of letters."""
    random = np.random.default_rng(seed)
    planes = []
    for index in range(layout.planes):
        rows, columns = layout.plane_size(index, *size)
        levels = random.integers(40, 120, (rows, columns)) * layout.scale
        if text is not None and index == 0:
            left, top, right, bottom = (max(0, side) for side in text)
            levels[top:bottom:2, left:right:4] = 235 * layout.scale
        planes.append(as_plane(levels, layout))
    return tuple(planes)


@st.composite
def boxes(draw: st.DrawFn, size: tuple[int, int], *, margin: int = 40) -> BoxXyxy:
    """Draw a box that lies in, across or outside a picture of ``size``; it may have no area."""
    width, height = size
    left = draw(st.floats(-margin, width + margin, width=32))
    top = draw(st.floats(-margin, height + margin, width=32))
    wide = draw(st.one_of(st.just(0.0), st.floats(0, width + margin, width=32)))
    high = draw(st.one_of(st.just(0.0), st.floats(0, height + margin, width=32)))
    return left, top, left + wide, top + high


@st.composite
def events(draw: st.DrawFn, size: tuple[int, int], *, first: int = -3, last: int = 14) -> Event:
    """Draw an event in the film frames ``[first, last)`` whose opaque time may have any place."""
    start = draw(st.integers(first, last - 1))
    stop = draw(st.integers(start + 1, last))
    full_start = draw(st.integers(start, stop - 1))
    full_stop = draw(st.integers(start + 1, stop))
    box = draw(boxes(size))
    height = draw(st.sampled_from((1.0, 4.0, 12.0, 30.0, 200.0)))
    scales = st.floats(0.25, 3, width=32)
    moved = st.tuples(st.integers(-size[0], size[0]), st.integers(-size[1], size[1]), scales)
    poses = draw(st.lists(moved, max_size=min(3, stop - start)))
    path = tuple(PathPoint(start + k, *pose) for k, pose in enumerate(poses))
    return Event(start, stop, full_start, full_stop, box, height, 0.9, path)


@st.composite
def pixel_boxes(draw: st.DrawFn, size: tuple[int, int], layout: PlaneLayout) -> Box:
    """Draw a box inside a picture, in whole chroma samples, as a clip has."""
    step_x, step_y = 1 << layout.shift_x, 1 << layout.shift_y
    left = draw(st.integers(0, size[0] - 1)) // step_x * step_x
    top = draw(st.integers(0, size[1] - 1)) // step_y * step_y
    right = draw(st.integers(left + 1, size[0]))
    bottom = draw(st.integers(top + 1, size[1]))
    return (
        left,
        top,
        min(size[0], -(-right // step_x) * step_x),
        min(size[1], -(-bottom // step_y) * step_y),
    )


@st.composite
def picture_areas(draw: st.DrawFn, size: tuple[int, int]) -> tuple[PictureArea, ...]:
    """Draw picture areas of up to two shots; a picture may be empty, and its edge of any width."""
    width, height = size
    borders = sorted(draw(st.sets(st.integers(0, 16), max_size=4)))
    areas = []
    for start, stop in zip(borders[::2], borders[1::2], strict=False):
        left, top = draw(st.integers(0, width)), draw(st.integers(0, height))
        right, bottom = draw(st.integers(left, width)), draw(st.integers(top, height))
        soft = draw(st.integers(0, 4))
        edge_box = clip_box((left - soft, top - soft, right + soft, bottom + soft), (height, width))
        areas.append(PictureArea(start, stop, (left, top, right, bottom), edge_box))
    return tuple(areas)


@st.composite
def crops(draw: st.DrawFn, size: tuple[int, int], *, frames: int | None = None) -> CropStack:
    """Draw a crop stack of a noisy film whose frames may have strokes in one place."""
    layout = draw(layouts)
    box = draw(pixel_boxes(size, layout))
    start = draw(st.integers(0, 6))
    count = draw(st.integers(1, 8)) if frames is None else frames
    seed = draw(seeds)
    text = tuple(int(side) for side in draw(boxes(size))) if draw(st.booleans()) else None
    collector = CropCollector(start, start + count, box, layout)
    still = draw(st.booleans())
    for index in range(start, start + count):
        planes = picture(layout, size, seed if still else seed + index, text)  # type: ignore[arg-type]
        collector.add(index, planes)
    return replace(collector.finish(), picture_areas=draw(picture_areas(size)))


@st.composite
def clips_of(draw: st.DrawFn, crop: CropStack, size: tuple[int, int]) -> Clip:
    """Draw a clip that ``crop`` was collected for, with up to three events near it."""
    fill_start = draw(st.integers(crop.start, crop.stop - 1))
    fill_stop = draw(st.integers(fill_start + 1, crop.stop))
    shown = tuple(draw(st.lists(events(size), max_size=3, unique=True)))
    kept = tuple(event for event in shown if draw(st.integers(0, 3)) == 0)
    return Clip(crop.start, crop.stop, fill_start, fill_stop, crop.box, shown, kept=kept)


@st.composite
def masks(draw: st.DrawFn, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw a mask: empty, full, one pixel, a rectangle or noise; bool, ``shape``."""
    kind = draw(st.sampled_from(("empty", "full", "pixel", "rectangle", "noise")))
    mask = np.zeros(shape, bool)
    if kind == "full":
        mask[:] = True
    elif kind == "noise":
        mask = np.random.default_rng(draw(seeds)).random(shape) < 0.3
    elif kind != "empty":
        top, left = (draw(st.integers(0, side - 1)) for side in shape)
        high, wide = (1, 1) if kind == "pixel" else shape
        mask[top : top + high, left : left + wide] = True
    return mask


@st.composite
def inks(draw: st.DrawFn, crop: CropStack, size: tuple[int, int]) -> Ink:
    """Draw the ink of one event with a random mask and no plate."""
    return Ink(draw(events(size)), draw(masks(crop.size)), None)


@st.composite
def strips(draw: st.DrawFn, *, frames: int | None = None) -> InpaintInput:
    """Draw the input of an engine: noise with up to two random holes."""
    size = draw(sizes)
    crop = draw(crops(size, frames=frames))
    count = len(crop.planes[0])
    holes = [np.zeros(crop.size, bool), *(draw(masks(crop.size)) for _ in range(2))]
    fill_start = draw(st.integers(0, count - 1))
    return InpaintInput(
        planes=crop.planes,
        masks=np.stack(holes),
        mask_of=np.array(
            draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)), np.intp
        ),
        fill_start=fill_start,
        fill_stop=draw(st.integers(fill_start, count)),
        cuts=tuple(sorted(draw(st.sets(st.integers(1, max(1, count - 1)), max_size=2)))),
        thumbnails=crop.thumbnails,
        thumbnail_scale=crop.thumbnail_scale,
        layout=crop.layout,
    )
