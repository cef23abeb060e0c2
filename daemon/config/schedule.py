"""Working hours: when films may be begun, by the clock on the wall.

Hours are compared with the local time of day and weekday, so that a change to or from daylight
saving needs no arithmetic: 22:00 is 22:00. Hours that end before they begin go on past midnight.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum

from erasecore.errors import ConfigError

_DAYS_AHEAD = 8


class Day(StrEnum):
    """A day of the week, from Monday on."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


ClockTime = str | int
"""``"22:00"``; without quotes YAML takes it for a number to the base of 60, minutes here."""


@dataclass(frozen=True, slots=True)
class Hours:
    """A time of day in which films may be begun."""

    start: ClockTime
    stop: ClockTime  # if it is not later than start: of the next day
    days: tuple[Day, ...] = tuple(Day)  # on which it begins


class AtClosing(StrEnum):
    """What becomes of films that are being worked on when working hours end."""

    FINISH = "finish"  # they are finished
    HAND_BACK = "hand_back"  # they go on when it opens again, with the segments they have


@dataclass(frozen=True, slots=True)
class ScheduleSettings:
    """When films are begun."""

    hours: tuple[Hours, ...] = ()  # empty: always
    at_closing: AtClosing = AtClosing.FINISH


_DAYS = tuple(Day)


def minute_of(clock_time: ClockTime) -> int:
    """The minute of the day, 0 to 1440.

    Raises:
        ValueError: it is no time of day.
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


def check_schedule(schedule: ScheduleSettings) -> None:
    """Raise unless the hours are times of day.

    Raises:
        ConfigError: the text names the key.
    """
    for at, hours in enumerate(schedule.hours):
        for key in ("start", "stop"):
            found = getattr(hours, key)
            try:
                minute_of(found)
            except ValueError:
                place = f"schedule.hours[{at}].{key}"
                sentence = f'{place}: is {found!r}, must be a time of day such as "22:00".'
                raise ConfigError(sentence) from None
        if not hours.days:
            raise ConfigError(f"schedule.hours[{at}].days: name at least one day, or leave it out.")


def is_open(hours: Iterable[Hours], moment: datetime) -> bool:
    """Whether a film may be begun at ``moment``, local time; without any hours always."""
    known = tuple(hours)
    return not known or any(_covers(one, moment) for one in known)


def _covers(hours: Hours, moment: datetime) -> bool:
    start, stop = minute_of(hours.start), minute_of(hours.stop)
    minute = moment.hour * 60 + moment.minute
    today, yesterday = _DAYS[moment.weekday()], _DAYS[moment.weekday() - 1]
    if start < stop:
        return today in hours.days and start <= minute < stop
    return (today in hours.days and minute >= start) or (yesterday in hours.days and minute < stop)


def next_opening(hours: Iterable[Hours], moment: datetime) -> datetime | None:
    """When films may be begun again after ``moment``, local time; nothing if never."""
    known = tuple(hours)
    return min((one for one in _openings(known, moment) if one > moment), default=None)


def _openings(hours: tuple[Hours, ...], moment: datetime) -> Iterator[datetime]:
    for ahead in range(_DAYS_AHEAD):
        day = (moment + timedelta(days=ahead)).date()
        for one in hours:
            if _DAYS[day.weekday()] in one.days:
                hour, minute = divmod(minute_of(one.start), 60)
                yield datetime.combine(day, time(hour % 24, minute))


def closed_sentence(hours: Iterable[Hours], moment: datetime) -> str:
    """What to say while no film may be begun; empty while one may."""
    known = tuple(hours)
    if is_open(known, moment):
        return ""
    opens = next_opening(known, moment)
    return f"no film is begun before {opens:%a %H:%M}" if opens else "no film is ever begun"
