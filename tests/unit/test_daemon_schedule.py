"""Working hours: when films may be begun."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from daemon.config.schedule import Day, Hours, closed_sentence, is_open, next_opening
from daemon.config.schema import load_config
from erasecore.errors import ConfigError

NIGHTS = Hours("22:00", "06:00")
OFFICE = Hours("08:30", "17:00", (Day.MON, Day.FRI))
SUNDAY_NIGHT = Hours("23:00", "02:00", (Day.SUN,))
WEEKEND = Hours("00:00", "24:00", (Day.SAT, Day.SUN))
AROUND = Hours("12:00", "12:00", (Day.WED,))  # from noon to noon

MOMENTS = [
    # 2026-11-23 is a Monday
    ((), "2026-11-23 12:00", True),  # no hours: always
    ((NIGHTS,), "2026-11-23 21:59", False),
    ((NIGHTS,), "2026-11-23 22:00", True),
    ((NIGHTS,), "2026-11-24 05:59", True),
    ((NIGHTS,), "2026-11-24 06:00", False),
    ((OFFICE,), "2026-11-23 08:29", False),
    ((OFFICE,), "2026-11-23 08:30", True),
    ((OFFICE,), "2026-11-24 08:30", False),  # a Tuesday
    ((OFFICE,), "2026-11-27 16:59", True),  # a Friday
    ((SUNDAY_NIGHT,), "2026-11-29 23:00", True),
    ((SUNDAY_NIGHT,), "2026-11-30 01:59", True),  # Monday, but it began on Sunday
    ((SUNDAY_NIGHT,), "2026-11-29 01:59", False),  # Sunday, but it would have begun on Saturday
    ((WEEKEND,), "2026-11-28 00:00", True),
    ((WEEKEND,), "2026-11-29 23:59", True),
    ((WEEKEND,), "2026-11-30 00:00", False),
    ((NIGHTS, OFFICE), "2026-11-27 12:00", True),
    ((AROUND,), "2026-11-25 12:00", True),
    ((AROUND,), "2026-11-26 11:59", True),
    ((AROUND,), "2026-11-26 12:00", False),
]


@pytest.mark.parametrize(("hours", "moment", "expected"), MOMENTS)
def test_open(hours: tuple[Hours, ...], moment: str, expected: bool) -> None:
    """By the day on which the hours began, and by the minute."""
    assert is_open(hours, datetime.fromisoformat(moment)) is expected


OPENINGS = [
    ((NIGHTS,), "2026-11-23 12:00", "2026-11-23 22:00"),
    ((OFFICE,), "2026-11-23 17:00", "2026-11-27 08:30"),
    ((OFFICE,), "2026-11-27 17:00", "2026-11-30 08:30"),
    ((SUNDAY_NIGHT, OFFICE), "2026-11-28 12:00", "2026-11-29 23:00"),
]


@pytest.mark.parametrize(("hours", "moment", "expected"), OPENINGS)
def test_next_opening(hours: tuple[Hours, ...], moment: str, expected: str) -> None:
    """The first beginning after now, of whichever hours, is open and said."""
    now, opens = datetime.fromisoformat(moment), datetime.fromisoformat(expected)
    assert next_opening(hours, now) == opens
    assert is_open(hours, opens)
    assert closed_sentence(hours, now) == f"no film is begun before {opens:%a %H:%M}"
    assert closed_sentence(hours, opens) == ""


@pytest.fixture
def berlin() -> Iterator[None]:
    """Local time with daylight saving, whatever this machine's is."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "CET-1CEST,M3.5.0,M10.5.0/3"
    time.tzset()
    yield
    os.environ.pop("TZ")
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("evening", "hours_long"),
    [
        (1774645200.0, 8),  # 2026-03-27 22:00 CET, an ordinary night
        (1774731600.0, 7),  # 2026-03-28 22:00 CET, the night that loses an hour
        (1792872000.0, 9),  # 2026-10-24 22:00 CEST, the night that has one more
    ],
)
def test_daylight_saving(evening: float, hours_long: int) -> None:
    """It opens at 22:00 and closes at 06:00 of the clock on the wall, however long the night is."""

    def open_at(moment: float) -> bool:
        return is_open((NIGHTS,), datetime.fromtimestamp(moment))

    assert not open_at(evening - 60)
    minutes = [open_at(evening + 60 * minute) for minute in range(10 * 60)]
    assert minutes == [minute < hours_long * 60 for minute in range(10 * 60)]


def config_of(folder: Path, text: str) -> tuple[Hours, ...]:
    """The hours of a configuration file."""
    (folder / "config.yaml").write_text(text)
    return load_config(folder / "config.yaml").schedule.hours


def test_hours_of_a_file(tmp_path: Path) -> None:
    """With and without quotes: YAML takes 22:00 for a number, we do not."""
    for text in ('{start: "22:00", stop: "06:00"}', "{start: 22:00, stop: 06:00}"):
        (hours,) = config_of(tmp_path, f"schedule: {{hours: [{text}]}}")
        assert is_open((hours,), datetime(2026, 11, 23, 23, 0))
        assert not is_open((hours,), datetime(2026, 11, 23, 21, 0))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{start: "25:00", stop: "06:00"}', r"schedule\.hours\[0\]\.start: is '25:00'"),
        ('{start: "8", stop: "06:00"}', r"schedule\.hours\[0\]\.start: is '8'"),
        ('{start: "08:00", stop: "24:01"}', r"schedule\.hours\[0\]\.stop: is '24:01'"),
        ('{start: "08:00"}', "stop"),
        ('{start: "08:00", stop: "09:00", days: [monday]}', r"schedule\.hours\[0\]\.days\[0\]"),
        ('{start: "08:00", stop: "09:00", days: []}', r"schedule\.hours\[0\]\.days: name"),
    ],
)
def test_hours_that_are_none(tmp_path: Path, text: str, words: str) -> None:
    """The complaint names the key."""
    with pytest.raises(ConfigError, match=words):
        config_of(tmp_path, f"schedule: {{hours: [{text}]}}")
