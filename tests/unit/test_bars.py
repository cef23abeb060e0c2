"""Bars are found exactly, whatever stands on them, and dark pictures are not taken for bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.detection.bars import ShotGeometry, TextSpan, text_spans
from erasecore.model.events import Detection, Event, PathPoint
from erasecore.model.picture_areas import PictureArea
from erasecore.video.color import Box, PlaneLayout

Luma = NDArray[np.uint8]

SIZE = (320, 240)
FRAMES = 16
RATE = 12.0
LAYOUT = PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False)


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars of a drawn shot, px and levels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0
    level: int = 16

    @property
    def box(self) -> Box:
        """Picture between them."""
        return self.left, self.top, SIZE[0] - self.right, SIZE[1] - self.bottom


def scene(seed: int, frames: int = FRAMES, low: int = 40, high: int = 220) -> Luma:
    """Texture that pans, with the noise of a sensor: ``(T, H, W)``."""
    random = np.random.default_rng(seed)
    large = cv2.GaussianBlur(
        random.normal(size=(SIZE[1] + 40, SIZE[0] + frames * 3)).astype(np.float32), (0, 0), 5
    )
    large = (large - large.min()) / (large.max() - large.min()) * (high - low) + low
    views = [large[f % 30 : f % 30 + SIZE[1], 3 * f : 3 * f + SIZE[0]] for f in range(frames)]
    noise = random.normal(0, 1.5, (4, SIZE[1], SIZE[0]))
    return levels(np.stack([view + noise[f % 4] for f, view in enumerate(views)]))


def levels(values: NDArray[np.floating]) -> Luma:
    """Round to 8 bits."""
    return np.asarray(np.clip(np.rint(values), 0, 255), np.uint8)


def framed(pictures: Luma, bars: Bars, *, noise: float = 0.0, seed: int = 0) -> Luma:
    """Put bars around the pictures."""
    random = np.random.default_rng(seed)
    left, top, right, bottom = bars.box
    film = np.full(pictures.shape, bars.level, np.float32)
    if noise:
        film += random.normal(0, noise, pictures.shape)
    film[:, top:bottom, left:right] = pictures[:, top:bottom, left:right]
    return levels(film)


def write(film: Luma, box: Box, frames: slice = slice(None)) -> None:
    """Write strokes as of letters into a box, in place."""
    left, top, right, bottom = box
    film[frames, top:bottom, left:right:4] = 235
    film[frames, top:bottom, left + 1 : right : 4] = 235


def found(
    film: Luma | NDArray[np.uint16], layout: PlaneLayout = LAYOUT, texts: Sequence[TextSpan] = ()
) -> tuple[PictureArea, ...]:
    """Return the picture areas of a film in which ``texts`` were detected."""
    geometry = ShotGeometry((film.shape[2], film.shape[1]), layout, RATE)
    for luma in film:
        reduced = (luma >> (layout.bits - 8)).astype(np.uint8)
        geometry.add(reduced, luma)
    geometry.finish()
    return geometry.picture_areas(texts)


def drawn_bars() -> st.SearchStrategy[Bars]:
    """Letterbox, pillarbox, windowbox, one bar alone; of any level that shows in the scene."""
    high = st.one_of(st.just(0), st.integers(4, 80))
    wide = st.one_of(st.just(0), st.integers(4, 100))
    return st.builds(Bars, wide, high, wide, high, st.sampled_from((0, 16, 17, 20, 235, 255)))


@settings(max_examples=15, deadline=None)
@given(bars=drawn_bars(), seed=st.integers(0, 9), noise=st.sampled_from((0.0, 0.0, 1.0, 3.0)))
def test_bars_are_exact(bars: Bars, seed: int, noise: float) -> None:
    """The picture's rectangle is found to the pixel; a film without bars has none."""
    film = framed(scene(seed), bars, noise=noise, seed=seed)
    areas = found(film)
    assert [area.box for area in areas] == [bars.box] * (bars.box != (0, 0, *SIZE))
    for area in areas:
        assert (area.start, area.stop) == (0, FRAMES)
        apart = np.abs(np.subtract(area.box, area.edge_box)).max()
        assert apart <= (2 if noise else 0)


@settings(max_examples=15, deadline=None)
@given(data=st.data(), high=st.integers(24, 60), seed=st.integers(0, 9))
def test_text_on_a_bar_hides_no_edge(data: st.DataObject, high: int, seed: int) -> None:
    """Lines on a bar, half on the picture or beside it, and a logo, hide no edge."""
    bars = Bars(top=high, bottom=high)
    film = framed(scene(seed), bars)
    wide = data.draw(st.integers(60, 220))
    left = data.draw(st.integers(10, SIZE[0] - 10 - wide))
    top = data.draw(st.integers(SIZE[1] - high - 30, SIZE[1] - 20))
    box, start = (left, top, left + wide, top + 16), data.draw(st.integers(0, 5))
    write(film, box, slice(start, None))
    write(film, (20, 6, 50, 16))  # a logo, which is not detected
    assert [area.box for area in found(film, texts=[(start, FRAMES, box)])] == [bars.box]


@settings(max_examples=6, deadline=None)
@given(high=st.integers(10, 60), scale=st.sampled_from((1.5, 2.0, 2.6)), seed=st.integers(0, 9))
def test_soft_edges_of_films_that_were_scaled_up(high: int, scale: float, seed: int) -> None:
    """All that is blended lies between the two boxes, and they are a few rows apart."""
    small = framed(scene(seed), Bars(top=high, bottom=high))
    small = small[:, :, : SIZE[0] // 2]
    film = np.stack(
        [
            cv2.resize(luma, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            for luma in small
        ]
    )
    (area,) = found(film.astype(np.uint8))
    top, bottom = high * scale, film.shape[1] - high * scale
    assert top - 4 <= area.edge_box[1] <= top + 0.5 <= area.box[1] + 1 <= top + 5
    assert bottom - 4 <= area.box[3] <= bottom + 0.5 <= area.edge_box[3] + 1 <= bottom + 5


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 9), dark=st.integers(20, 100), noise=st.sampled_from((0.0, 1.0)))
def test_a_dark_sky_is_no_bar(seed: int, dark: int, noise: float) -> None:
    """Above hills a black sky is picture; a straight edge would be that of a bar."""
    film = scene(seed)
    random = np.random.default_rng(seed)
    hills = np.sin(np.arange(SIZE[0]) / random.uniform(10, 30) + random.uniform(0, 6))
    horizon = dark + random.uniform(12, 20) * hills
    rows = np.arange(SIZE[1])[:, None]
    sky = np.broadcast_to(rows < horizon, film.shape)
    film[sky] = levels(16 + random.normal(0, noise, film.shape))[sky]
    assert found(film) == ()


@pytest.mark.parametrize("fade", ["in", "out", "white"])
def test_fades_of_the_whole_film(fade: str) -> None:
    """A film that fades with its bars, to black or white, keeps its rectangle."""
    bars = Bars(top=30, bottom=30)
    film = framed(scene(3), bars).astype(np.float64)
    share = np.clip(np.linspace(-0.2, 1.4, FRAMES), 0, 1)[:, None, None]
    if fade == "in":
        film = 16 + (film - 16) * share
    else:
        film = film + ((235 if fade == "white" else 16) - film) * share
    assert [area.box for area in found(levels(film))] == [bars.box]


def test_bars_that_change_between_shots() -> None:
    """Each shot has its own rectangle, also none, and short shots have one too."""
    shots = [Bars(top=30, bottom=30), Bars(), Bars(left=50, right=50), Bars(top=12, bottom=12)]
    film = np.concatenate(
        [framed(scene(k, 18, 40 + 30 * (k % 2)), bars) for k, bars in enumerate(shots)]
    )
    areas = [(area.start, area.stop, area.box) for area in found(film)]
    assert areas == [
        (18 * k, 18 * k + 18, bars.box) for k, bars in enumerate(shots) if bars != Bars()
    ]


@pytest.mark.parametrize("bottom", [28, 29, 30, 31, 32])
def test_a_wide_line_over_an_edge_hides_no_bar(bottom: int) -> None:
    """The opposite side's edge counts, to a row or two: padding is not always symmetric."""
    bars = Bars(top=30, bottom=bottom)
    film = framed(scene(5), bars)
    top = SIZE[1] - bottom - 12
    write(film, (34, top, 286, top + 24))
    (area,) = found(film, texts=[(0, FRAMES, (34.0, float(top), 286.0, float(top + 24)))])
    assert area.box[:3] == (0, 30, SIZE[0])
    assert abs(area.box[3] - (SIZE[1] - bottom)) <= 2


@pytest.mark.parametrize("shown", [(5, 12), (0, 12), (4, FRAMES)])
def test_a_wide_line_hides_an_edge_only_while_it_shows(shown: tuple[int, int]) -> None:
    """The only bar of a film ends where the frames without the line show it."""
    bars = Bars(bottom=40)
    film = framed(scene(5), bars)
    box = (14, SIZE[1] - 52, 306, SIZE[1] - 28)
    write(film, box, slice(*shown))
    sides = (14.0, float(box[1]), 306.0, float(box[3]))
    assert [area.box for area in found(film, texts=[(*shown, sides)])] == [bars.box]


def test_a_place_where_text_may_be_hides_no_bar() -> None:
    """Of a mask it is known where letters are, but not when: frames without them show the edge."""
    bars = Bars(bottom=40)
    film = framed(scene(5), bars)
    write(film, (60, SIZE[1] - 50, 260, SIZE[1] - 30), slice(6, 12))
    place = (12.0, SIZE[1] - 60.0, 308.0, float(SIZE[1]))
    assert [area.box for area in found(film, texts=[(0, FRAMES, place)])] == [bars.box]


def test_a_line_that_rises_over_the_border_hides_no_bar() -> None:
    """The border of a bar need not be flat where a line slides over it."""
    bars = Bars(bottom=40)
    film = framed(scene(5), bars)
    line = Event(3, FRAMES, 6, FRAMES, (20.0, 206.0, 300.0, 222.0), 12.0, 0.9)
    line = replace(line, path=tuple(PathPoint(3 + k, 0, 30 - 10 * k) for k in range(3)))
    for frame in range(3, FRAMES):
        pose = line.pose_at(frame)
        down = pose.dy if pose else 0
        write(film, (20, 206 + down, 300, min(SIZE[1], 222 + down)), slice(frame, frame + 1))
    assert [area.box for area in found(film, texts=text_spans([line]))] == [bars.box]


def test_evidence_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of long films fewer frames are kept, and their bars are found all the same."""
    monkeypatch.setattr("erasecore.detection.bars._MAX_BYTES", 5000)
    bars = Bars(top=30, bottom=30)
    assert {area.box for area in found(framed(scene(2, 90), bars))} == {bars.box}


def test_a_dark_shot_has_the_bars_of_its_film() -> None:
    """A shot too dark to show its edges has those that other shots show."""
    bars = Bars(top=30, bottom=30)
    dark = np.full((18, SIZE[1], SIZE[0]), 16, np.uint8)
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    lamp = np.hypot(rows - 120, columns - 160) < 40
    dark[:, lamp] = scene(1, 18)[:, lamp]
    film = np.concatenate([framed(scene(0, 18), bars), dark, framed(scene(2, 18), bars)])
    assert {area.box for area in found(film)} == {bars.box}
    assert sum(area.stop - area.start for area in found(film)) == len(film)
    assert found(dark) == ()


def test_a_blurred_copy_beside_the_picture_is_picture() -> None:
    """Portrait films that were put over a blurred copy of themselves have no bars."""
    film = scene(5)
    behind = np.stack([cv2.GaussianBlur(luma, (0, 0), 12) for luma in film]).astype(np.uint8)
    behind[:, :, 100:220] = film[:, :, 100:220]
    assert found(behind) == ()


def test_ten_bits() -> None:
    """Films of more than eight bits have their bars found as well."""
    layout = PlaneLayout("yuv420p10le", 10, 1, 1, 3, full_range=False)
    film = framed(scene(7), Bars(top=31, bottom=30)).astype(np.uint16) * 4
    assert [area.box for area in found(film, layout)] == [(0, 31, 320, 210)]


@settings(max_examples=15, deadline=None)
@given(
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    frames=st.integers(0, 9),
    seed=st.integers(0, 99),
)
def test_any_size(size: tuple[int, int], frames: int, seed: int) -> None:
    """Frames of any size and number are taken; the boxes lie in the frame and in each other."""
    random = np.random.default_rng(seed)
    geometry = ShotGeometry(size, LAYOUT, RATE)
    for _ in range(frames):
        luma = random.integers(16, 18 + seed, (size[1], size[0])).astype(np.uint8)
        luma[: size[1] // 4] = 16
        geometry.add(cv2.resize(luma, (64, 36)).astype(np.uint8), luma)
    geometry.finish()
    for area in geometry.picture_areas():
        left, top, right, bottom = area.edge_box
        assert 0 <= left <= area.box[0] < area.box[2] <= right <= size[0]
        assert 0 <= top <= area.box[1] < area.box[3] <= bottom <= size[1]


def test_a_detection_keeps_its_areas_as_json() -> None:
    """The checkpoint brings the same areas back."""
    areas = (PictureArea(0, 24, (0, 30, 320, 210), (0, 29, 320, 211)),)
    detection = Detection((), (), (24,), 48, areas)
    assert Detection.from_json(detection.to_json()) == detection
