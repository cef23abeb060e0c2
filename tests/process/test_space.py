"""Films that are too large for what is free, or for the disk: smaller ones pass them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.process.house import House, problems
from tests.process.mounts import Mounts
from tests.process.test_begin import status_of

pytestmark = pytest.mark.process

MB = 1 << 20
FILM = "segments 1\n"


def padded(size_mb: int) -> bytes:
    """A film of that size."""
    return FILM.encode().ljust(size_mb * MB, b"\n")


def drop_sparse(house: House, name: str, size_bytes: int) -> Path:
    """A file of that size that takes no space."""
    part = house.inbox / ".sparse.part"
    part.write_text(FILM)
    os.truncate(part, size_bytes)
    return part.rename(house.inbox / name)


def test_smaller_films_pass(house: House, mounts: Mounts) -> None:
    """A film waits for space and is told once; later, smaller ones pass it; then it has its turn.

    One that the whole disk could not hold goes to failed/ with a sentence, and delays nobody.
    """
    mounts.disk(house.done, size_kb=16 << 10)
    ballast = house.done / "ballast"
    ballast.write_bytes(bytes(8 * MB))
    house.configure(folders={"free_factor": 4.0})
    house.drop("a-large.mp4", padded(3))
    daemon = house.start()
    house.wait(lambda: status_of(house)["paused"])
    for number in range(3):
        house.drop(f"small-{number}.mp4", FILM)
        house.wait(lambda number=number: f"small-{number}.mp4" in house.films("done"))  # type: ignore[misc]
    house.drop("never.mp4", padded(5))
    house.wait(lambda: house.films("failed") == ["never.mp4"])
    assert "16 MB in all" in house.explanation("never.mp4")["sentence"]
    assert house.explanation("never.mp4")["error"] == "FilmTooLarge"
    ballast.write_bytes(bytes(7 * MB))  # another number, the same trouble
    house.wait(lambda: "a-large.mp4 needs 12 MB" in status_of(house)["trouble"])
    assert house.films("inbox") == ["a-large.mp4"]
    assert len(problems(daemon)) == 1
    ballast.unlink()
    house.wait(lambda: "a-large.mp4" in house.films("done"))
    assert [one["what"] for one in daemon.said("host.mended")] == ["space"]
    assert daemon.stop() == 0
    assert house.work_is_empty()


@pytest.mark.errors_logged
def test_once_ends_although_a_film_does_not_fit(house: House, mounts: Mounts) -> None:
    """The others are done first, then it ends with 1."""
    mounts.disk(house.done, size_kb=16 << 10)
    (house.done / "ballast").write_bytes(bytes(8 * MB))
    house.configure(folders={"free_factor": 4.0})
    house.drop("a-large.mp4", padded(3))
    for name in ("b.mp4", "c.mp4"):
        house.drop(name, FILM)
    assert house.once() == 1
    assert house.films("done") == ["b.mp4", "c.mp4"]
    assert house.films("inbox") == ["a-large.mp4"]


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same disk", "other disk"])
def test_a_sparse_file_of_five_terabytes(house: House, mounts: Mounts, *, elsewhere: bool) -> None:
    """It is refused at no cost in space or time, even if failed/ is on another disk."""
    if elsewhere:
        mounts.disk(house.failed)
    sparse = drop_sparse(house, "sparse.mp4", 5 << 40)
    house.drop("good.mp4", FILM)
    daemon = house.start()
    house.wait(lambda: house.films("failed") == ["sparse.mp4"])
    house.wait(lambda: house.films("done") == ["good.mp4"])
    assert house.explanation("sparse.mp4")["remedy"] == "fix-input"
    status = (house.failed / "sparse.mp4").stat()
    assert status.st_size == 5 << 40
    assert status.st_blocks * 512 < 64 * MB
    assert not sparse.exists()
    assert daemon.stop() == 0
    assert house.work_is_empty()
