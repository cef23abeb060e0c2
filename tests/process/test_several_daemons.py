"""Several daemons on one inbox, on one host and on several: each film is done exactly once.

Another host is a daemon with another ``claims.instance``: it knows the others by their owner files
and heartbeats alone.
"""

from __future__ import annotations

import json
import signal
import time
from datetime import datetime
from pathlib import Path

import psutil
import pytest

from tests.process.house import FAST, Daemon, House
from tests.process.quick_worker import SRT

FILM = "segments 3\n"
LEASE_SECONDS: float = FAST["claims"]["lease_seconds"]
SIDECARS = [".mp4.log", ".mp4.preview.jpg", ".mp4.report.json", ".und.srt"]


def is_frozen(daemon: Daemon) -> bool:
    """Whether a daemon stands still."""
    stat = Path(f"/proc/{daemon.process.pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] == "T"


def wake(*processes: psutil.Process) -> None:
    """Let frozen processes go on."""
    for process in processes:
        process.resume()


def check_once(house: House, names: list[str], content: str = FILM) -> None:
    """Each film was done once, with all that belongs to it; nothing is left over."""
    house.wait(lambda: house.films("originals") == names)
    assert house.files("done") == sorted(
        [*names, *(n.removesuffix(".mp4") + e for n in names for e in SIDECARS)]
    )
    for name in names:
        assert (house.done / name).read_text() == content
        assert (house.done / name).with_suffix(".und.srt").read_text() == SRT
        assert house.report(name)["source"] == name
    assert house.files("inbox") == house.files("failed") == []
    assert house.work_is_empty()


@pytest.mark.parametrize("hosts", [("", ""), ("one", "two")], ids=["one host", "two hosts"])
def test_films_are_shared(house: House, hosts: tuple[str, str]) -> None:
    """Daemons race for films, and each film has one winner."""
    house.configure(claims={"lease_seconds": 30.0})  # nobody is dead, however slow
    names = [f"film{number:02}.mp4" for number in range(12)]
    for name in names:
        house.drop(name, FILM)
    daemons = [house.start(host=host) for host in hosts]
    house.wait(lambda: house.films("originals") == names)
    assert [daemon.stop() for daemon in daemons] == [0, 0]
    claimed = [one["film"] for daemon in daemons for one in daemon.said("job.claimed")]
    assert sorted(claimed) == names
    assert not any(daemon.said("claims.taken_over") for daemon in daemons)
    check_once(house, names)


def test_a_dead_host_is_inherited_after_its_lease(house: House) -> None:
    """Nobody can look at another host's processes: its films are taken when it has been silent."""
    house.drop("film.mp4", "segments 2\nwait\nsegments 3\n")
    first = house.start(host="one")
    house.wait(lambda: house.segments() == 2)
    second = house.start(host="two")
    house.wait(lambda: second.said("service.started"))
    first.end()
    (owner,) = house.work.glob("one-*/owner.json")
    last_beat = owner.stat().st_mtime
    (house.root / "go").touch()
    house.wait(lambda: house.films("originals"))
    (taken,) = second.said("claims.taken_over")
    silence = datetime.fromisoformat(taken["timestamp"]).timestamp() - last_beat
    assert silence >= LEASE_SECONDS
    report = house.report("film.mp4")
    assert report["report"]["segments_resumed"] == 2
    assert second.stop() == 0
    check_once(house, ["film.mp4"], "segments 2\nwait\nsegments 3\n")


def test_a_slow_host_keeps_its_films(house: House) -> None:
    """A daemon that now and then stands still, for less than a lease, is not taken for dead."""
    lease_seconds = 5.0
    house.configure(claims={"lease_seconds": lease_seconds})
    house.drop("film.mp4", "wait\nsegments 3\n")
    first = house.start(host="one")
    house.wait(lambda: first.said("attempt.started"))
    second = house.start(host="two")
    house.wait(lambda: second.said("service.started"))
    (owner,) = house.work.glob("one-*/owner.json")
    begun = time.monotonic()
    while time.monotonic() - begun < 1.5 * lease_seconds:
        beaten = owner.stat().st_mtime_ns
        first.process.send_signal(signal.SIGSTOP)
        until = time.monotonic() + 0.2 * lease_seconds
        house.wait(lambda until=until: time.monotonic() > until)  # type: ignore[misc]
        first.process.send_signal(signal.SIGCONT)
        house.wait(lambda beaten=beaten: owner.stat().st_mtime_ns != beaten)  # type: ignore[misc]
    (house.root / "go").touch()
    house.wait(lambda: house.films("originals"))
    assert [first.stop(), second.stop()] == [0, 0]
    assert not first.said("claims.lost")
    assert not second.said("claims.taken_over")
    check_once(house, ["film.mp4"], "wait\nsegments 3\n")


@pytest.mark.parametrize(
    "point",
    [
        "claim.after_rename",
        "worker.before_outcome",
        "attempt.after_outcome",
        "publish.after_sidecars",
        "publish.after_link",
    ],
)
def test_a_sleeper_that_wakes_after_its_lease(house: House, point: str) -> None:
    """Whatever a daemon was at when it froze, it notices that its films are others', and stops."""
    first = house.start(host="one", FAULT_AT=point, FAULT_DOES="freeze")
    house.wait(lambda: first.said("worker.ready"))
    house.drop("film.mp4", FILM)
    house.wait(lambda: is_frozen(first))
    frozen = [psutil.Process(first.process.pid)]
    frozen += frozen[0].children()
    second = house.start(host="two")
    house.wait(lambda: second.said("claims.taken_over"))
    house.wait(lambda: house.films("originals") == ["film.mp4"])
    wake(*frozen)
    house.wait(lambda: first.said("claims.lost"))
    house.wait(lambda: len(list(house.work.glob("*/owner.json"))) == 2)  # it has begun anew
    assert [first.stop(), second.stop()] == [0, 0]
    assert not first.said("turn.failed")  # it is told of by nobody as a mistake of ours
    check_once(house, ["film.mp4"])


def test_a_sleeper_that_has_a_film_waiting(house: House) -> None:
    """A film that it has lost in the middle of a turn is not begun for ever, deaf to all."""
    house.configure(retry={"delay_seconds": 0.5, "max_attempts": 3})
    house.drop("bad.mp4", "raise RETRY\n")
    before = house.start(host="one")
    house.wait(lambda: before.said("attempt.failed"))
    before.end()
    house.drop("film.mp4", FILM)  # the other one lets it pass, and waits in the same turn
    first = house.start(host="one", FAULT_AT="claim.after_rename", FAULT_DOES="freeze")
    house.wait(lambda: is_frozen(first))
    second = house.start(host="two")
    house.wait(lambda: house.films("failed") == ["bad.mp4"])
    wake(psutil.Process(first.process.pid))
    house.wait(lambda: first.said("claims.lost"))
    assert [first.stop(), second.stop()] == [0, 0]
    assert house.films("originals") == ["film.mp4"]


def test_a_host_that_was_started_anew(house: House) -> None:
    """After a power cut of the whole machine its own films are taken back at once."""
    house.drop("film.mp4", FILM)
    assert house.once(FAULT_AT="claim.after_queued") == -signal.SIGKILL
    (path,) = house.work.glob("*/owner.json")
    owner = json.loads(path.read_bytes())
    path.write_text(json.dumps({**owner, "boot_id": "before the power cut"}))
    if owner["machine_id"]:  # else it might be a namesake's, and only the lease tells
        house.configure(claims={"heartbeat_seconds": 1.0, "lease_seconds": 60.0})
    daemon = house.start()
    house.wait(lambda: house.films("originals"))
    assert daemon.stop() == 0
    check_once(house, ["film.mp4"])
