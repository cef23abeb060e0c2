"""Estimated ends: measured speeds played forward, as tables of numbers."""

from __future__ import annotations

from datetime import datetime

import pytest

from daemon.config.schedule import Hours
from daemon.jobs.speeds import MeasuredSpeed, seconds_per_byte
from daemon.lifecycle.forecast import (
    Conditions,
    ends_of_waiting,
    may_begin_at,
    remaining_seconds,
)

NOON = datetime(2026, 12, 1, 12, 0).timestamp()  # a Tuesday
HOUR = 3600.0
NIGHT = (Hours(start="22:00", stop="06:00"),)


@pytest.mark.parametrize(
    ("elapsed", "share", "size", "speed", "seconds"),
    [
        (100.0, 0.5, 10, 1.0, 100.0),  # its own progress tells it
        (100.0, 0.01, 300, 1.0, 200.0),  # too early: as long as others of its size
        (400.0, 0.01, 300, 1.0, 0.0),  # longer than those already
        (100.0, 0.01, 300, None, None),  # no film was finished yet
        (100.0, 1.0, 300, None, 0.0),
    ],
)
def test_remaining(
    elapsed: float, share: float, size: int, speed: float | None, seconds: float | None
) -> None:
    """A film at work ends as its progress says, or as its size does."""
    assert remaining_seconds(elapsed, share, size, speed) == seconds


@pytest.mark.parametrize(
    ("conditions", "begins"),
    [
        (Conditions(NOON), NOON),
        (Conditions(NOON, hours=NIGHT), NOON + 10 * HOUR),
        (Conditions(NOON, paused=True), None),  # until somebody resumes
        (Conditions(NOON, paused=True, paused_until=NOON + HOUR), NOON + HOUR),
        (Conditions(NOON, NIGHT, paused=True, paused_until=NOON + 20 * HOUR), NOON + 34 * HOUR),
        (Conditions(NOON, blocked=True), None),
        (Conditions(NOON, hours=(Hours(start="22:00", stop="06:00", days=()),)), None),
    ],
)
def test_a_film_may_begin(conditions: Conditions, begins: float | None) -> None:
    """Neither during a pause nor outside the working hours; of a sick host nobody knows."""
    assert may_begin_at(NOON, conditions) == begins


@pytest.mark.parametrize(
    ("sizes", "free_at", "ends"),
    [
        ([10, 10, 10], [0.0], [10.0, 20.0, 30.0]),
        ([10, 30, 10, 10], [0.0, 0.0], [10.0, 30.0, 20.0, 30.0]),  # whoever is free is first
        ([10], [5.0, 100.0], [15.0]),
        ([10, 10], [], [None, None]),
    ],
)
def test_waiting_films_end(sizes: list[int], free_at: list[float], ends: list[float]) -> None:
    """Films begin in their order, each on the worker that is free first."""
    offsets = [NOON + one for one in free_at]
    found = list(ends_of_waiting(sizes, offsets, 1.0, Conditions(NOON)))
    assert found == [None if one is None else NOON + one for one in ends]


def test_one_odd_film_counts_for_nothing() -> None:
    """The typical speed is the median: a film that was merely copied does not change it."""
    speeds = [
        MeasuredSpeed(f"{k}", 100, seconds, 0.0) for k, seconds in enumerate((50.0, 0.1, 60.0))
    ]
    assert seconds_per_byte(speeds) == 0.5
    assert seconds_per_byte([]) is None
