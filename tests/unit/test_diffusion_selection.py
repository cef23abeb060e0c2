"""Which windows are diffused, which frames the networks see with them, and which rectangle."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from erasecore.engines.base import Filled, FilledFrame, Origin
from erasecore.engines.diffueraser.crops import SURROUNDINGS, crop_around
from erasecore.engines.diffueraser.selection import Run, Selection, doubtful, select_runs
from erasecore.engines.diffueraser.temporal import WINDOW, unet_frames
from erasecore.model.inpaint_input import InpaintInput
from erasecore.settings import DiffusionSettings
from erasecore.video.color import PlaneLayout

GRAY = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
COLOUR = PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False)
HOLE_PX = 100
SETTINGS = DiffusionSettings(min_invented_share=0.05, min_error_levels=2.0)


def chosen(
    invented: Sequence[int | None],
    *,
    cuts: tuple[int, ...] = (),
    context: int = 0,
    settings: DiffusionSettings = SETTINGS,
) -> Selection:
    """What is chosen of frames with so many doubtful pixels of 100 (None: no hole)."""
    count = len(invented)
    masks = np.zeros((2, 10, 20), bool)
    masks[1, :5, :20] = True
    mask_of = np.array([int(pixels is not None) for pixels in invented], np.intp)
    strip = InpaintInput(
        planes=(np.zeros((count, 10, 20), np.uint8),),
        masks=masks,
        mask_of=mask_of,
        fill_start=context,
        fill_stop=count - context,
        cuts=cuts,
        thumbnails=np.zeros((count, 8, 8), np.float32),
        thumbnail_scale=1.0,
        layout=GRAY,
    )
    frames = tuple(_frame(pixels) for pixels in invented[context : count - context])
    return select_runs(strip, Filled(frames), settings)


def _frame(invented: int | None, *, error: float = 9.0) -> FilledFrame:
    size = 0 if invented is None else HOLE_PX
    origin = np.full(size, Origin.PROPAGATED, np.uint8)
    origin[: invented or 0] = Origin.INVENTED
    return FilledFrame((np.zeros(size, np.uint8),), origin, np.full(size, error, np.float16))


NO: list[int | None] = [None]
CASES: list[tuple[str, Sequence[int | None], list[tuple[int, int]], tuple[int, int]]] = [
    ("nothing to fill", NO * 30, [], (0, 0)),
    ("all recovered", [0] * 30, [], (2, 0)),
    ("just at the share: stays", [5] * 20, [], (1, 0)),
    ("above it", [6] * 20, [(0, 20)], (1, 1)),
    ("one window of two", [0] * 20 + [50] * 20, [(18, 40)], (2, 1)),
    ("a single frame with a hole", NO * 5 + [90] + NO * 5, [(0, 11)], (1, 1)),
    ("a film of one frame", [90], [(0, 1)], (1, 1)),
    ("a mean over the window, not a peak", [40] + [0] * 19, [], (1, 0)),
    ("far apart: two runs", [90] * 20 + NO * 40 + [90] * 20, [(0, 22), (58, 80)], (2, 2)),
    ("near: one run", [90] * 20 + NO * 5 + [90] * 20, [(0, 45)], (2, 2)),
    ("context fills up a window", NO * 30 + [90] * 4 + NO * 30, [(21, 43)], (1, 1)),
    ("a long run stays one", [90] * 100, [(0, 100)], (5, 5)),
    ("no context that asks for a second window", NO * 30 + [90] * 22 + NO * 30, [(30, 52)], (1, 1)),
    ("less of it, where that saves a window", NO * 30 + [90] * 30 + NO * 30, [(29, 61)], (2, 2)),
    ("none that makes a clip a led one", NO * 30 + [90] * 43 + NO * 30, [(30, 73)], (2, 2)),
]


@pytest.mark.parametrize(("what", "invented", "spans", "counts"), CASES)
def test_which_frames_go_to_the_networks(
    what: str,
    invented: Sequence[int | None],
    spans: list[tuple[int, int]],
    counts: tuple[int, int],
) -> None:
    """Windows above the share, joined where they are near, with context up to a window."""
    choice = chosen(invented)
    runs = [run for shot in choice.shots for run in shot]
    assert [(run.start, run.stop) for run in runs] == spans, what
    assert (choice.windows, choice.chosen) == counts


def test_shots_are_split() -> None:
    """No run reaches over a cut; each shot has its own."""
    choice = chosen([90] * 40, cuts=(13, 14))
    assert [[(run.start, run.stop) for run in shot] for shot in choice.shots] == [
        [(0, 13)],
        [(13, 14)],
        [(14, 40)],
    ]


def test_context_frames_are_seen_but_not_filled() -> None:
    """Frames outside the fill span belong to a run, as its context only."""
    choice = chosen([90] * 30, context=5)
    (run,) = (run for shot in choice.shots for run in shot)
    assert (run.start, run.stop, run.fill) == (4, 26, tuple(range(5, 25)))


def test_frames_that_need_nothing_are_context() -> None:
    """In a chosen window only frames with doubtful pixels are filled; a pause ends no run."""
    choice = chosen([0] * 4 + [90] * 3 + [0] * 5 + [90] * 2 + [0] * 6)
    (run,) = (run for shot in choice.shots for run in shot)
    assert (run.start, run.stop, run.fill) == (0, 20, (4, 5, 6, 12, 13))
    apart = chosen([90] * 8 + [0] * 14 + [0] * 14 + [90] * 8)
    assert [run.fill for shot in apart.shots for run in shot] == [
        tuple(range(8)),
        tuple(range(36, 44)),
    ]


def test_what_is_surely_right_is_not_doubtful() -> None:
    """Made-up pixels that are expected to err little do not count: flat ground needs no network."""
    assert doubtful(_frame(30, error=9.0), SETTINGS).sum() == 30
    assert doubtful(_frame(30, error=1.5), SETTINGS).sum() == 0
    zero = DiffusionSettings(min_error_levels=0.0)
    assert doubtful(_frame(30, error=1.5), zero).sum() == 30


FRAMES = some.lists(some.sampled_from([None, 0, 3, 90]), min_size=1, max_size=90)


@given(FRAMES, some.sets(some.integers(1, 89), max_size=4), some.integers(0, 9))
def test_every_run_is_a_clip_of_one_shot(
    invented: Sequence[int | None], cuts: set[int], context: int
) -> None:
    """Whatever is asked: in order, apart where filled, inside a shot, holding all that it fills."""
    count = len(invented)
    context = min(context, (count - 1) // 2)
    inside = tuple(sorted(cut for cut in cuts if cut < count))
    choice = chosen(invented, cuts=inside, context=context)
    runs: list[Run] = [run for shot in choice.shots for run in shot]
    fills = [frame for run in runs for frame in run.fill]
    assert fills == sorted(set(fills))
    borders = (0, *inside, count)
    for run in runs:
        shot = next((a, b) for a, b in pairwise(borders) if a <= run.start < b)
        assert shot[0] <= run.start <= run.fill[0]
        assert run.fill[-1] < run.stop <= shot[1]
        assert run.stop - run.start >= min(WINDOW, shot[1] - shot[0])
        assert all(invented[frame] for frame in run.fill)
        least = min(max(WINDOW, run.fill[-1] + 1 - run.fill[0]), shot[1] - shot[0])
        assert unet_frames(run.stop - run.start, 2) == unet_frames(least, 2)
    assert sum(len(shot) for shot in choice.shots) <= choice.chosen <= choice.windows


CROPS = [
    ("a line of an HD film", (720, 1280), (600, 640, 300, 900), (768, 256), 64),
    ("a short word", (720, 1280), (600, 640, 600, 660), (256, 256), 64),
    ("at the lower right", (720, 1280), (690, 720, 1200, 1280), (256, 256), 64),
    ("a picture less high than a crop", (180, 320), (140, 160, 60, 260), (320, 256), 0),
    ("the whole width", (1080, 1920), (900, 960, 0, 1920), (1920, 256), 64),
    ("coarser steps for large ones", (1080, 1920), (800, 850, 400, 1400), (1152, 256), 64),
    ("an upright column", (720, 1280), (20, 700, 1200, 1240), (256, 768), 0),
    ("odd sides", (719, 853), (650, 690, 100, 700), (768, 256), 0),
]


@pytest.mark.parametrize(("what", "size", "ink", "sides", "margin"), CROPS)
def test_the_crop_has_room_around_the_ink(
    what: str,
    size: tuple[int, int],
    ink: tuple[int, int, int, int],
    sides: tuple[int, int],
    margin: int,
) -> None:
    """Sides as allowed, on whole colour samples, the margin kept where the picture has it."""
    hole = np.zeros(size, bool)
    top, bottom, left, right = ink
    hole[top:bottom, left:right] = True
    crop = crop_around(hole, COLOUR)
    assert (crop.width, crop.height) == sides, what
    x0, y0, x1, y1 = crop.box
    assert (x0 % 2, y0 % 2) == (0, 0)
    assert 0 <= x0 <= max(0, left - margin)
    assert 0 <= y0 <= max(0, top - margin)
    assert min(size[1], right + margin) <= x1 <= size[1]
    assert min(size[0], bottom + margin) <= y1 <= size[0]
    assert (x1 - x0, y1 - y0) <= sides
    assert crop.padded(np.zeros((y1 - y0, x1 - x0, 3), np.uint8)).shape == (*sides[::-1], 3)


@given(some.integers(1, 3000), some.data())
def test_spans_with_surroundings_lie_in_the_room(room: int, data: some.DataObject) -> None:
    """Whatever the room: the ink is inside, the ends lie on whole colour samples, the side fits."""
    start = data.draw(some.integers(0, room - 1))
    stop = data.draw(some.integers(start + 1, room))
    step = data.draw(some.sampled_from([1, 2, 4]))
    first, last = SURROUNDINGS.span(start, stop, room=room, step=step)
    assert 0 <= first <= start < stop <= last <= room
    assert first % step == 0
    assert last % step == 0 or last == room
    side = SURROUNDINGS.side(last - first)
    assert side >= 256
    assert side % 64 == 0
