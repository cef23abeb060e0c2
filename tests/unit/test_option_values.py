"""Times and regions as people write them on the command line."""

from __future__ import annotations

import pytest

from daemon.cli.context import WrongUsage
from daemon.cli.option_values import region_of, seconds_of, time_ranges_of
from erasecore.settings import Region, RegionUnit, TimeRange


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1:30", 90), ("1:02:03.5", 3723.5), ("5s", 5), ("2m", 120), ("1.5h", 5400)],
)
def test_times(text: str, seconds: float) -> None:
    """Numbers, clocks and numbers with a unit."""
    assert seconds_of(text, "--start") == seconds


@pytest.mark.parametrize("text", ["", "soon", "1:30s", "-5", "5x", "1:2:3:4", "s"])
def test_what_is_no_time(text: str) -> None:
    """It is said how to write one."""
    with pytest.raises(WrongUsage, match=r"--start: .* is no time; write 90"):
        seconds_of(text, "--start")


def test_ranges() -> None:
    """Several, separated by commas."""
    assert time_ranges_of("0:10-0:20,60-2m", "--times") == (TimeRange(10, 20), TimeRange(60, 120))
    with pytest.raises(WrongUsage, match="is no range"):
        time_ranges_of("0:10", "--times")


def test_regions() -> None:
    """In shares, per cent or pixels, with times or without."""
    assert region_of("0,0.7,1,1", "--region") == Region(0, 0.7, 1, 1)
    percent = Region(0, 70, 100, 100, RegionUnit.PERCENT)
    assert region_of("0,70%,100%,100%", "--region") == percent
    pixels = Region(0, 600, 1280, 720, RegionUnit.PIXELS, (TimeRange(10, 20),))
    assert region_of("0,600,1280,720px@0:10-0:20", "--region") == pixels
    for wrong in ("0,1,2", "a,b,c,d", "", "0,0,1,1,1"):
        with pytest.raises(WrongUsage, match="is no region; write LEFT,TOP,RIGHT,BOTTOM"):
            region_of(wrong, "--region")
