"""Searches are spent where and when they can find something."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.plan import SearchPlan, in_pixels
from erasecore.settings import Region


def _luma(seed: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (90, 160)).astype(np.uint8) // 32 * 32


def test_whole_picture_now_and_then() -> None:
    """While everything changes the whole picture is searched at every fourth sample."""
    plan = SearchPlan((), portrait=False)
    names = [[part.name for part in plan.parts(_luma(k) // 8 + 20 * k)] for k in range(9)]
    assert [k for k, parts in enumerate(names) if parts == ["whole"]] == [0, 4, 8]
    assert all(parts for parts in names)


def test_still_picture_is_searched_once() -> None:
    """What has not changed is not searched again, but for once in a while."""
    plan = SearchPlan((), portrait=False)
    searches = sum(len(plan.parts(_luma(1))) for _ in range(12))
    assert searches == 3  # the whole picture, the usual rows, those at the top
    assert sum(len(plan.parts(_luma(1))) for _ in range(40)) > 2


def test_change_is_searched() -> None:
    """Text that appears in a still picture is searched for at the next sample."""
    plan = SearchPlan((), portrait=False)
    for _ in range(5):
        plan.parts(_luma(1))
    changed = _luma(1)
    changed[75:83, 40:120] = 255
    assert plan.parts(changed)


def test_learned_rows_are_searched() -> None:
    """Rows at the top that held text are searched at every sample from then on."""
    plan = SearchPlan((), portrait=False)
    plan.learn(0.05, 0.12)
    plan.parts(_luma(0))
    regions = [part.region for part in plan.parts(_luma(2) // 8)]
    assert any(region.top < 0.05 and region.bottom > 0.12 for region in regions)


def test_settled_rows_replace_usual_ones() -> None:
    """Once several lines stood in the same rows, only those are searched in between."""
    plan = SearchPlan((), portrait=False)
    for _ in range(3):
        plan.learn(0.88, 0.94)
    plan.parts(_luma(0))
    (part,) = plan.parts(_luma(2) // 8)
    assert part.region.top > 0.7


def test_settled_rows_leave_room_for_another_line() -> None:
    """After captions of two lines the next may have three: a line more is searched above."""
    plan = SearchPlan([], portrait=False)
    for _ in range(3):
        plan.learn(0.80, 0.86)
        plan.learn(0.85, 0.92)
    plan.parts(np.zeros((90, 160), np.uint8))
    (part,) = plan.parts(np.full((90, 160), 99, np.uint8))
    assert part.region.top <= 0.80 - 0.06


def test_rows_that_are_held_are_searched_half_as_often() -> None:
    """While a caption stands its rows and the whole picture are searched at every other turn."""
    plan = SearchPlan([], portrait=False)
    for _ in range(3):
        plan.learn(0.88, 0.94)
    held = [(0.88, 0.94)]
    names = [[p.name for p in plan.parts(_luma(k) // 8 + 20 * k, held)] for k in range(9)]
    assert [k for k, parts in enumerate(names) if parts == ["whole"]] == [0, 8]
    assert [k for k, parts in enumerate(names) if not parts] == [1, 3, 5, 7]
    (part,) = plan.parts(_luma(9) // 8 + 200)  # it has gone: what comes next is looked for
    assert part.region.bottom > 0.9


def test_text_at_a_parts_edge_brings_the_whole_picture_sooner() -> None:
    """A line that a part cuts through is looked for whole, two samples after the last time."""
    plan = SearchPlan([], portrait=False)
    plan.parts(_luma(0))
    plan.parts(_luma(1) // 8)
    plan.widen(0.5, 0.6)
    assert [part.name for part in plan.parts(_luma(2) // 8 + 90)] == ["whole"]


def test_regions_are_all_that_is_searched() -> None:
    """With regions given nothing else is looked at."""
    region = Region(0.1, 0.2, 0.5, 0.6)
    plan = SearchPlan([region], portrait=False)
    parts = [part for k in range(4) for part in plan.parts(_luma(k) // 8 + 20 * k)]
    assert {part.region for part in parts} == {region}


def test_pixels_of_a_region() -> None:
    """A region always has pixels, and never any outside the picture."""
    assert in_pixels(Region(0.0, 0.0, 1.0, 1.0), 5, 3) == (0, 0, 5, 3)
    assert in_pixels(Region(1.0, 1.0, 1.0, 1.0), 5, 3) == (4, 2, 5, 3)
