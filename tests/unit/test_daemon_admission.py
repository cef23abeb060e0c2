"""How much memory a film is taken to need, and whether there is as much."""

from __future__ import annotations

import pytest

from daemon.workers.admission import Demand, lacking_bytes, needed_bytes

MB = 1 << 20
HD, UHD = 1920 * 1080, 3840 * 2160

NEEDS = [
    # pixels, film_mb, memory of the machine -> megabytes
    (0, 1500, 16_000, 1500),  # not looked at yet
    (1280 * 720, 1500, 16_000, 1500),  # no less than usual
    (HD, 1500, 16_000, 1500),
    (UHD, 1500, 16_000, 6000),
    (16 * HD, 1500, 16_000, 12_800),  # larger than the machine: most of it must do
    (16 * HD, 20_000, 16_000, 20_000),  # the operator's own word counts
]


@pytest.mark.parametrize(("pixels", "film_mb", "memory_mb", "expected_mb"), NEEDS)
def test_needed(pixels: int, film_mb: int, memory_mb: int, expected_mb: int) -> None:
    """In proportion to the picture, from 1080p up."""
    assert needed_bytes(pixels, film_mb, memory_mb * MB) == expected_mb * MB


LACKS = [
    # needed, held of it; others; available -> lacking
    ((1500, 0), [], 1500, 0),
    ((1500, 0), [], 1400, 100),
    ((1500, 400), [], 1100, 0),  # its worker has some of it already
    ((1500, 0), [(1500, 500)], 2500, 0),  # another film will still take 1000
    ((1500, 0), [(1500, 500)], 2000, 500),
    ((1500, 0), [(1500, 2000)], 1500, 0),  # it has taken more than it was taken to need
    ((1500, 1600), [(1500, 1500)], 0, 0),  # nothing more is needed
]


@pytest.mark.parametrize(("film", "others", "available", "expected"), LACKS)
def test_lacking(
    film: tuple[int, int], others: list[tuple[int, int]], available: int, expected: int
) -> None:
    """What films that are being worked on will still take is not free."""
    assert lacking_bytes(Demand(*film), [Demand(*one) for one in others], available) == expected
