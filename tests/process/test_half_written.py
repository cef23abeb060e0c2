"""Films that are still being copied: never taken early, never failed for being young.

Every sender is a process. That many settle times pass is told by other films, which go through
meanwhile: each of them takes at least one.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.clips import small_film
from tests.process.house import Daemon, House
from tests.process.sender import Sender
from tests.process.test_begin import status_of

FIRST, REST = "needs 40\nsegments 1\n", "x" * 21 + "\n"
WHOLE = FIRST + REST
LONG_AGO, FAR_AHEAD = 915148800, 4102444800  # 1999 and 2100


def let_others_through(house: House, count: int = 2) -> None:
    """Return once ``count`` other films, one after the other, have gone all the way."""
    for _ in range(count):
        number = len(house.films("done"))
        house.drop(f"other{number}.mp4", "segments 1\n")
        house.wait(lambda number=number: len(house.films("done")) > number)  # type: ignore[misc]


def started_slow_to_settle(house: House) -> Daemon:
    """A daemon ready for work, which gives senders the time to think better of it."""
    house.configure(inbox={"settle_local_seconds": 3.0})
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    return daemon


def check_whole(house: House, daemon: Daemon, content: str = WHOLE) -> None:
    """The film was done once, from its final state, and nothing failed."""
    house.wait(lambda: (house.done / "film.mp4").exists())
    house.wait(lambda: (house.originals / "film.mp4").exists())
    assert (house.done / "film.mp4").read_text() == content
    assert daemon.stop() == 0
    assert house.files("failed") == []
    assert [one for one in house.films("done") if one.startswith("film")] == ["film.mp4"]
    assert house.films("inbox") == []
    assert house.work_is_empty()


def test_a_copy_that_pauses(house: House) -> None:
    """A sender that has the file open may pause for longer than the settle time."""
    daemon = house.start()
    with Sender(house.inbox / "film.mp4") as send:
        send("open")
        send("write", FIRST)
        let_others_through(house)
        assert (house.inbox / "film.mp4").exists()
        send("write", REST)
        let_others_through(house, 1)
        assert (house.inbox / "film.mp4").exists()
        send("close")
        check_whole(house, daemon)
    assert len(daemon.said("attempt.started")) == len(daemon.said("job.done"))


@pytest.mark.parametrize("seconds", [LONG_AGO, FAR_AHEAD])
def test_a_copy_of_full_size_from_the_start(house: House, seconds: int) -> None:
    """Neither the size nor the file's time says that a copy is whole: they may never change."""
    daemon = house.start()
    with Sender(house.inbox / "film.mp4") as send:
        send("open")
        send("reserve", len(WHOLE))
        send("stamp", seconds)
        let_others_through(house)
        send("write", FIRST)
        send("stamp", seconds)
        let_others_through(house, 1)
        assert (house.inbox / "film.mp4").stat().st_mtime == seconds
        send("write", REST)
        send("stamp", seconds)
        send("close")
        check_whole(house, daemon)
    assert len(daemon.said("attempt.started")) == len(daemon.said("job.done"))


def test_times_that_do_not_change(house: House) -> None:
    """A file of constant size and time that grows behind them is not taken, though never open."""
    house.configure(inbox={"settle_local_seconds": 2.0})
    daemon = house.start()
    house.wait(lambda: daemon.said("worker.ready"))
    with Sender(house.inbox / "film.mp4") as send:
        send("hold")
        send("write", " " * len(WHOLE))
        send("stamp", LONG_AGO)
        until = time.monotonic() + 4.5  # more than two settle times
        while time.monotonic() < until:
            send("seek", 0)
            send("write", FIRST)
            send("stamp", LONG_AGO)
            assert (house.inbox / "film.mp4").exists()
        send("write", REST)
        send("stamp", LONG_AGO)
        send("close")
        check_whole(house, daemon)
    assert len(daemon.said("attempt.started")) == 1


@pytest.mark.parametrize("first", ["", FIRST])
def test_a_pause_that_nobody_can_see(house: House, first: str) -> None:
    """A film that is taken too early and looks cut off is waited for, and then done."""
    house.configure(inbox={"young_seconds": 60.0})
    daemon = house.start()
    with Sender(house.inbox / "film.mp4") as send:
        send("hold")
        if first:
            send("write", first)
        house.wait(lambda: daemon.said("job.looks_unfinished"))
        let_others_through(house, 1)
        assert house.files("failed") == []
        send("write", WHOLE[len(first) :])
        send("close")
        check_whole(house, daemon)
    report = house.report("film.mp4")
    assert [one["counted"] for one in report["attempts"]].count(True) == 1


def test_a_film_that_stays_cut_off(house: House) -> None:
    """Once it has not changed for as long as films are young, it goes to failed/, explained."""
    house.configure(inbox={"young_seconds": 3.0})
    house.drop("film.mp4", FIRST)
    daemon = house.start("once")
    assert daemon.wait() == 1
    explained = house.explanation("film.mp4")
    assert explained["error"] == "TruncatedVideo"
    counted = [one["counted"] for one in explained["attempts"]]
    assert counted == [False] * (len(counted) - 1) + [True]
    assert len(counted) > 1
    assert len(daemon.said("attempt.failed")) == 1


def test_written_on_after_the_claim(house: House) -> None:
    """What a sender adds to a film that is being done makes it be done again, as it is then."""
    daemon = house.start()
    with Sender(house.inbox / "film.mp4") as send:
        send("hold")
        send("write", "wait\n")
        house.wait(lambda: daemon.said("attempt.started"))
        send("write", "segments 2\n")
        send("close")
    (house.root / "go").touch()
    check_whole(house, daemon, "wait\nsegments 2\n")
    assert daemon.said("job.source_changed")


def test_replaced_while_it_waits(house: House) -> None:
    """The file that has the name in the end is the film, and it settles anew."""
    daemon = started_slow_to_settle(house)
    house.drop("film.mp4", "raise FIX_INPUT\n")
    house.wait(lambda: status_of(house)["settling"])
    house.drop("film.mp4", WHOLE)
    check_whole(house, daemon)


def test_renamed_while_it_waits(house: House) -> None:
    """A film is done once, under the last of its names."""
    daemon = started_slow_to_settle(house)
    with Sender(house.inbox / "draft.mp4") as send:
        send("open")
        send("write", WHOLE)
        send("close")
        house.wait(lambda: status_of(house)["settling"])
        send("rename", "film.mp4")
        check_whole(house, daemon)
    assert house.films("done") == ["film.mp4"]


def test_removed_while_it_waits(house: House) -> None:
    """A film that is taken back is forgotten."""
    daemon = started_slow_to_settle(house)
    film = house.drop("film.mp4", WHOLE)
    house.wait(lambda: status_of(house)["settling"])
    film.unlink()
    let_others_through(house, 1)
    assert daemon.stop() == 0
    assert not [one for one in house.films("done") if one.startswith("film")]
    assert house.files("failed") == []


def test_a_part_that_is_renamed_at_the_end(house: House) -> None:
    """Under a ``.part`` name a copy is never looked at, however long it lies there."""
    daemon = house.start()
    with Sender(house.inbox / "film.mp4.part") as send:
        send("open")
        send("write", FIRST)
        send("close")
        let_others_through(house)
        assert (house.inbox / "film.mp4.part").exists()
        send("open")
        send("write", REST)
        send("close")
        send("rename", "film.mp4")
        check_whole(house, daemon)


def test_a_real_film_that_arrives_in_two_halves(house: House, tmp_path: Path) -> None:
    """The real worker takes half a film for one that may be unfinished, and does it once it is."""
    house.configure(inbox={"young_seconds": 100.0})
    small_film(tmp_path / "whole.mp4")
    content = (tmp_path / "whole.mp4").read_bytes()
    daemon = house.start(quick=False)
    film = house.inbox / "film.mp4"
    half = len(content) // 2
    with film.open("wb") as writer:
        writer.write(content[:half])
        writer.flush()
    house.wait(lambda: daemon.said("job.looks_unfinished"))
    (source,) = house.work.rglob("source.mp4")
    with source.open("ab") as writer:  # as a server goes on, which has the file and not its name
        writer.write(content[half:])
    house.wait(lambda: house.films("done") == ["film.mp4"], seconds=90)
    assert daemon.stop() == 0
    assert (house.originals / "film.mp4").read_bytes() == content
    assert house.files("failed") == []
