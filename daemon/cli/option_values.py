"""Values of command line options: times, time ranges and regions as people write them."""

from __future__ import annotations

import re

from daemon.cli.context import WrongUsage
from erasecore.settings import Region, RegionUnit, TimeRange

_CLOCK = re.compile(r"(?:(\d+):)?(?:(\d+):)?(\d+(?:\.\d*)?)")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_SIDES = ("left", "top", "right", "bottom")


def seconds_of(text: str, option: str) -> float:
    """Return the seconds in a text such as ``90``, ``1:30``, ``0:01:30.5``, ``5s`` or ``2m``.

    Raises:
        WrongUsage: the text is no time.
    """
    number = text.strip().rstrip("hmins")
    letters = text.strip()[len(number) :]
    match = _CLOCK.fullmatch(number)
    if match is None or letters not in _UNITS or (":" in number and letters):
        raise WrongUsage(f"{option}: {text!r} is no time; write 90, 1:30, 0:01:30.5, 5s or 2m.")
    first, second, last = match.groups()
    hours, minutes = (first, second) if second is not None else (None, first)
    clock = 3600 * int(hours or 0) + 60 * int(minutes or 0) + float(last)
    return clock * _UNITS[letters]


def time_ranges_of(text: str, option: str) -> tuple[TimeRange, ...]:
    """Return the ranges in a text such as ``0:10-0:20,1:00-1:30``.

    Raises:
        WrongUsage: the text is no list of ranges.
    """
    ranges = []
    for part in text.split(","):
        start, dash, stop = part.partition("-")
        if not dash:
            raise WrongUsage(f"{option}: {part!r} is no range; write START-STOP, e.g. 0:10-0:20.")
        ranges.append(TimeRange(seconds_of(start, option), seconds_of(stop, option)))
    return tuple(ranges)


def region_of(text: str, option: str) -> Region:
    """Return the region in a text: ``0,0.7,1,1``, ``0,70%,100%,100%`` or ``0,600,1280,720px``.

    After an ``@`` come the times at which it counts: ``0,0.7,1,1@0:10-0:20``.

    Raises:
        WrongUsage: the text is no region.
    """
    sides, at, times = text.partition("@")
    parts = [part.strip() for part in sides.split(",")]
    unit = RegionUnit.SHARE
    if any(part.endswith("%") for part in parts):
        unit = RegionUnit.PERCENT
    elif any(part.endswith("px") for part in parts):
        unit = RegionUnit.PIXELS
    try:
        numbers = [float(part.removesuffix("%").removesuffix("px")) for part in parts]
        left, top, right, bottom = numbers
    except ValueError as error:
        example = "write LEFT,TOP,RIGHT,BOTTOM in shares (0 to 1), % or px, e.g. 0,70%,100%,100%"
        raise WrongUsage(f"{option}: {text!r} is no region; {example}.") from error
    ranges = time_ranges_of(times, option) if at else ()
    return Region(left, top, right, bottom, unit, ranges)
