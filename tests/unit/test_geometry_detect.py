"""Detection on random frames: tiny pictures, boxes at and beyond the edges, films of one frame."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.detection.detector import Bgr, TextBox
from erasecore.detection.finder import EventFinder
from erasecore.detection.line_window import LineWindow
from erasecore.detection.patterns import Template, strokes
from erasecore.detection.scaling import LumaRing, Scaler
from erasecore.detection.searching import split_box
from erasecore.detection.shots import ShotFinder
from erasecore.settings import DetectSettings, Region
from erasecore.video.color import PlaneLayout
from tests import geometry
from tests.detectors import ShownPlanes
from tests.geometry import picture

pytestmark = pytest.mark.filterwarnings("error")


class BoxDetector:
    """Finds the same boxes, in shares of the picture, in every picture; refuses empty ones."""

    def __init__(self, shares: list[tuple[float, float, float, float]]) -> None:
        self._shares = shares

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """Return the boxes."""
        assert min(bgr.shape) > 0
        height, width = bgr.shape[:2]
        return [
            TextBox((x0 * width, y0 * height, x1 * width, y1 * height), 0.9)
            for x0, y0, x1, y1 in self._shares
        ]


@st.composite
def shares(draw: st.DrawFn) -> tuple[float, float, float, float]:
    """Draw a box in shares of a picture, with an area; it may touch the edges."""
    x0, y0 = draw(st.floats(0, 0.95)), draw(st.floats(0, 0.95))
    x1 = draw(st.floats(x0 + 0.01, 1))
    y1 = draw(st.floats(y0 + 0.01, min(1, y0 + 0.2)))
    return x0, y0, x1, y1


regions = st.sampled_from(((), (Region(0.0, 0.5, 1.0, 1.0),), (Region(0.99, 0.99, 1.0, 1.0),)))


@settings(max_examples=50, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts, where=regions)
def test_the_finder_on_any_film(
    data: st.DataObject,
    size: tuple[int, int],
    layout: PlaneLayout,
    where: tuple[Region, ...],
) -> None:
    """Events and refused lines lie in the film and in the picture, in order of their start."""
    boxes = data.draw(st.lists(shares(), max_size=3))
    frames = data.draw(st.integers(0, 30))
    rate = data.draw(st.sampled_from((Fraction(2), Fraction(25))))
    finder = EventFinder(
        layout,
        size,
        rate,
        settings=DetectSettings(regions=where),
        detector=BoxDetector(boxes),
    )
    seed, first = data.draw(geometry.seeds), data.draw(st.integers(0, 30))
    text = tuple(int(s * size[k % 2]) for k, s in enumerate(boxes[0])) if boxes else None
    still = data.draw(st.booleans())
    for frame in range(frames):
        shown = text if frame >= first else None
        noise = seed if still else seed + frame
        finder.add(ShownPlanes(picture(layout, size, noise, shown)))  # type: ignore[arg-type]
    detection = finder.finish()
    assert detection.frames == frames
    assert all(0 < cut < frames for cut in detection.cuts)
    for event in (*detection.events, *(event for event, _ in detection.rejected)):
        assert 0 <= event.start <= event.full_start < event.full_stop <= event.stop <= frames
        assert event.box_xyxy[0] < event.box_xyxy[2]
        assert event.box_xyxy[1] < event.box_xyxy[3]


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_windows_of_any_line(data: st.DataObject, size: tuple[int, int]) -> None:
    """A window around a line in the picture lies in it; a line's place lies in its window."""
    size = max(2, size[0]), max(2, size[1])
    left, top = (data.draw(st.floats(0, side - 2)) for side in size)
    right, bottom = data.draw(st.floats(left + 2, size[0])), data.draw(st.floats(top + 2, size[1]))
    box = np.array((left, top, right, bottom))
    window = LineWindow.around(box, (size[1], size[0]))
    luma = np.zeros((size[1], size[0]), np.uint8)
    assert min(window.crop(luma).shape) > 0
    x0, y0, x1, y1 = window.place_of(box)
    height, width = window.crop(luma).shape
    assert 0 <= x0 <= x1 - 2 <= width - 2
    assert 0 <= y0 <= y1 - 2 <= height - 2
    other = np.array(data.draw(geometry.boxes(size)))
    assert window.context_mask([other]).shape == window.crop(luma).shape
    values = np.random.default_rng(0).integers(0, 255, luma.shape, np.uint8)
    pattern = strokes(window.crop(values), window.text_height)
    template = Template([pattern], (x0, y0, x1, y1), vertical=window.vertical)
    assert np.isfinite(template.presence_in(pattern).gain)
    assert np.isfinite(template.shift(pattern).length)


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_splitting_any_box(data: st.DataObject, size: tuple[int, int]) -> None:
    """The part of the picture that is searched once more has pixels, or there is none."""
    frames = [np.full((size[1], size[0]), 90, np.uint8)] * data.draw(st.integers(1, 3))
    box = np.array(data.draw(geometry.boxes(size)))
    lines = split_box(frames, box, BoxDetector([(0.0, 0.0, 1.0, 0.3)]))
    assert len(lines) <= 1


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_pictures_of_any_size(
    data: st.DataObject, size: tuple[int, int], layout: PlaneLayout
) -> None:
    """Working luma and colour pictures have the size that is asked for, in every layout."""
    scaler = Scaler(*size, layout)
    planes = picture(layout, size, 0)
    assert scaler.luma(planes).shape == (scaler.work_height, scaler.work_width)
    part = data.draw(geometry.pixel_boxes(size, geometry.LAYOUTS[2]))
    scale = data.draw(st.sampled_from((0.1, 0.5, 1.0)))
    shown: NDArray[np.uint8] = scaler.bgr(planes, part, scale)
    assert shown.shape[2] == 3
    assert min(shown.shape) > 0
    ring = LumaRing(frames=2, max_bytes=1)
    for index in range(5):
        ring.add(index, scaler.luma(planes))
    assert [index for index, _ in ring] == [3, 4]


@settings(max_examples=60, deadline=None)
@given(size=geometry.sizes, levels=st.lists(st.integers(0, 255), max_size=14))
def test_cuts_of_any_film(size: tuple[int, int], levels: list[int]) -> None:
    """Cuts lie inside the film, in order, whatever the pictures' size."""
    finder = ShotFinder()
    for level in levels:
        finder.add(np.full((size[1], size[0]), level, np.uint8))
    cuts = finder.finish()
    assert list(cuts) == sorted(set(cuts))
    assert all(0 < cut < len(levels) for cut in cuts)
