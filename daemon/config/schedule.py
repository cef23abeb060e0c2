"""Working hours: times of the week, in local time, in which films may be begun.

Hours are compared with the local time of day and weekday, so daylight saving time needs no
arithmetic: 22:00 is 22:00. Hours whose end is not later than their start go on past midnight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from daemon.config.parsing import Problem

_DAYS_AHEAD = 8  # days searched for the next opening: hours of one weekday may have begun today


class Day(StrEnum):
    """A weekday; the order is that of ``datetime.weekday``, from Monday."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


ClockTime = str | int
"""A time of day: text such as "22:00", or minutes since midnight.

YAML 1.1 reads 22:00 without quotes as a base-60 integer, which is the number of minutes."""


@dataclass(frozen=True, slots=True)
class Hours:
    """One range of working hours, half-open ``[start, stop)``."""

    start: ClockTime
    stop: ClockTime  # on the next day, if it is not later than start
    days: tuple[Day, ...] = tuple(Day)  # weekdays of the start


class AtClosing(StrEnum):
    """Treatment of running jobs when working hours end."""

    FINISH = "finish"  # they run to their end
    HAND_BACK = "hand_back"  # they are stopped, and resumed at the next opening


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """Section ``schedule``: working hours."""

    hours: tuple[Hours, ...] = ()  # empty: films may be begun at any time
    at_closing: AtClosing = AtClosing.FINISH


_DAYS = tuple(Day)
"""Weekdays by their number, as ``datetime.weekday`` counts them."""


def minute_of(clock_time: ClockTime) -> int:
    """Return ``clock_time`` in minutes since midnight, 0 to 1440 (which is 24:00).

    Raises:
        ValueError: ``clock_time`` is no time of day.
    """
    if isinstance(clock_time, int):
        minute = clock_time
    elif match := re.fullmatch(r"(\d{1,2}):([0-5]\d)", clock_time):
        minute = int(match[1]) * 60 + int(match[2])
    else:
        raise ValueError(clock_time)
    if not 0 <= minute <= 24 * 60:
        raise ValueError(clock_time)
    return minute


def schedule_problems(schedule: ScheduleSettings) -> Iterator[Problem]:
    """Yield times of day that are none, and hours without a weekday."""
    for index, hours in enumerate(schedule.hours):
        key = f"schedule.hours[{index}]"
        for name in ("start", "stop"):
            value = getattr(hours, name)
            try:
                minute_of(value)
            except ValueError:
                sentence = f'is {value!r}, must be a time of day such as "22:00".'
                yield Problem(f"{key}.{name}", sentence)
        if not hours.days:
            yield Problem(f"{key}.days", "name at least one day, or leave it out.")


def is_open(hours: Iterable[Hours], moment: datetime) -> bool:
    """Return True if a film may be begun at ``moment``, local time; always True without hours."""
    ranges = tuple(hours)
    return not ranges or any(_covers(one, moment) for one in ranges)


def _covers(hours: Hours, moment: datetime) -> bool:
    """Return True if ``moment`` lies in ``hours``, those that began the evening before included."""
    start, stop = minute_of(hours.start), minute_of(hours.stop)
    minute = moment.hour * 60 + moment.minute
    today, yesterday = _DAYS[moment.weekday()], _DAYS[moment.weekday() - 1]
    if start < stop:
        return today in hours.days and start <= minute < stop
    return (today in hours.days and minute >= start) or (yesterday in hours.days and minute < stop)


def next_opening(hours: Iterable[Hours], moment: datetime) -> datetime | None:
    """Return the first start of working hours after ``moment`` (local time); ``None`` if never."""
    starts = _starts(tuple(hours), moment)
    return min((start for start in starts if start > moment), default=None)


def _starts(hours: tuple[Hours, ...], moment: datetime) -> Iterator[datetime]:
    """Yield the starts of ``hours`` on the day of ``moment`` and the seven days after it."""
    for days_ahead in range(_DAYS_AHEAD):
        day = (moment + timedelta(days=days_ahead)).date()
        for one in hours:
            if _DAYS[day.weekday()] in one.days:
                hour, minute = divmod(minute_of(one.start), 60)
                yield datetime.combine(day, time(hour % 24, minute))


def closed_sentence(hours: Iterable[Hours], moment: datetime) -> str:
    """Return a sentence on the next opening if no film may be begun at ``moment``, else ""."""
    ranges = tuple(hours)
    if is_open(ranges, moment):
        return ""
    opens = next_opening(ranges, moment)
    return f"no film is begun before {opens:%a %H:%M}" if opens else "no film is ever begun"
