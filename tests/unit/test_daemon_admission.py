"""How much memory and space a film is taken to need, and whether there is as much."""

from __future__ import annotations

from pathlib import Path

import pytest

from daemon.config.locations import FolderSettings
from daemon.dispatch.admission import DiskRoom, SpaceBudget
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


def budget(free_mb: int, *, factor: float = 3.0, outstanding_mb: int = 0) -> SpaceBudget:
    """A work disk with plenty, and 1000 MB for done/, some of them free; 100 MB stay free."""
    folders = FolderSettings(min_free_mb=100, free_factor=factor)
    disks = (
        DiskRoom("work", Path("/work"), free=10_000 * MB, total=10_000 * MB),
        DiskRoom("done", Path("/done"), free=free_mb * MB, total=1000 * MB),
    )
    return SpaceBudget(folders, disks, outstanding_mb * MB)


@pytest.mark.parametrize(
    ("space", "size_mb", "passes"),
    [
        (budget(400), 100, None),  # exactly
        (budget(399), 100, False),
        (budget(400, outstanding_mb=1), 100, True),  # films at work will release it
        (budget(399, outstanding_mb=1), 100, False),  # and that would not be enough
        (budget(100, factor=0.0), 10_000, None),  # nothing is asked for
        (budget(99, factor=0.0), 1, False),
    ],
)
def test_space(space: SpaceBudget, size_mb: int, passes: bool | None) -> None:
    """A film waits until there is a multiple of its size beside what is to stay free."""
    shortage = space.shortage("film.mp4", size_mb * MB)
    assert (None if shortage is None else shortage.passes) == passes
    assert (size_mb * MB <= space.largest_now) == (passes is None)


@pytest.mark.parametrize(
    ("space", "size_mb", "refused"),
    [
        (budget(0), 300, False),  # exactly what the empty disk has
        (budget(0), 301, True),
        (budget(500, factor=0.0), 1000, False),
        (budget(500, factor=0.0), 1001, True),  # larger than the disk itself
    ],
)
def test_films_that_never_fit(space: SpaceBudget, size_mb: int, *, refused: bool) -> None:
    """A film that needs more than a disk has at all is refused with a sentence for its sender."""
    error = space.refusal("film.mp4", size_mb * MB)
    assert (error is not None) == refused == (size_mb * MB > space.largest_ever)
    assert error is None or "1000 MB in all" in str(error)


def test_a_disk_of_unknown_size() -> None:
    """Some servers say that they have no space at all: nothing is refused for that."""
    disk = DiskRoom("work", Path("/work"), free=MB, total=0)
    assert SpaceBudget(FolderSettings(), (disk,), 0).refusal("film.mp4", 1 << 50) is None
