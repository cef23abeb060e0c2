"""Shares and disks that go away, fill up, turn read-only or break: nothing fails, all goes on.

Real mounts, made and unmade by the tests; for that they must be run by root.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from tests.process.house import BESIDE_STATE, House, problems
from tests.process.mounts import Mounts, run
from tests.process.systemd import Systemd

pytestmark = pytest.mark.process


def filled(disk: Path) -> Path:
    """A file that takes all the room there is on ``disk``."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def everything_below(folder: Path) -> list[Path]:
    """All that lies below ``folder``."""
    return sorted(folder.rglob("*"))


def share(house: House, mounts: Mounts) -> Callable[[], None]:
    """Lay all folders but the state on a share; what is returned mounts it (again)."""
    disk, point = mounts.disk(house.root / "disk"), house.root / "share"
    for name in BESIDE_STATE:
        (disk / name).mkdir()
        (point / name).mkdir(parents=True)  # what lies below the mount, and must stay empty
    mounts.bind(disk, point)
    house.place(**{name: point / name for name in BESIDE_STATE})
    return lambda: mounts.bind(disk, point)


def test_a_share_that_vanishes_in_mid_film(house: House, mounts: Mounts, tmp_path: Path) -> None:
    """Nothing fails and nothing is written below the mount; it goes on when the share is back."""
    mount_again = share(house, mounts)
    point = house.root / "share"
    house.drop("film.mp4", "segments 2\nwait go\n")
    house.drop("next.mp4")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    mounts.unmount(point)
    house.wait(lambda: problems(daemon))
    assert "folders.inbox" in problems(daemon)[0]
    assert "mount it" in problems(daemon)[0]
    (tmp_path / "other").mkdir()
    other = House(tmp_path / "other")
    other.drop("elsewhere.mp4")
    assert other.once() == 0  # another service goes on
    assert other.films("done") == ["elsewhere.mp4"]
    assert [one.name for one in everything_below(point)] == sorted(BESIDE_STATE)
    assert daemon.process.poll() is None
    mount_again()
    (house.inbox.parent / "go").touch()
    house.wait(lambda: house.films("done") == ["film.mp4", "next.mp4"])
    house.wait(lambda: house.films("inbox") == [])
    assert house.films("failed") == []
    assert daemon.stop() == 0
    assert house.films("originals") == ["film.mp4", "next.mp4"]
    assert daemon.said("host.mended")


def test_a_start_without_the_share(house: House, mounts: Mounts) -> None:
    """A daemon whose share is not mounted waits for it, and leaves when it is asked to."""
    mount_again = share(house, mounts)
    point = house.root / "share"
    house.drop("film.mp4")
    assert house.once() == 0
    mounts.unmount(point)
    asked = house.start()
    house.wait(lambda: problems(asked))
    assert asked.stop() == 0
    assert house.once() == 1  # who wants an end gets one
    daemon = house.start()
    house.wait(lambda: problems(daemon))
    assert [one.name for one in everything_below(point)] == sorted(BESIDE_STATE)
    mount_again()
    house.drop("later.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4", "later.mp4"])
    assert daemon.stop() == 0


def test_an_empty_disk_in_place_of_the_share(house: House, mounts: Mounts) -> None:
    """Another disk at the same place is not taken for the share: the mark in work/ is missing."""
    mount_again = share(house, mounts)
    assert house.once() == 0
    point = house.root / "share"
    mounts.unmount(point)
    empty = mounts.disk(house.root / "empty")
    for name in BESIDE_STATE:
        (empty / name).mkdir()
    mounts.bind(empty, point)
    daemon = house.start()
    house.wait(lambda: problems(daemon))
    assert "folders.work" in problems(daemon)[0]
    assert "filesystems.json" in problems(daemon)[0]
    mounts.unmount(point)
    mount_again()
    house.drop("film.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


@pytest.mark.parametrize("role", ["work", "done", "failed", "originals"])
def test_a_full_disk(house: House, mounts: Mounts, role: str) -> None:
    """No room in one of the folders pauses the queue and names the place; room lets it go on."""
    disk = mounts.disk(house.root / "small", size_kb=512)
    places = {role: disk / role}
    if role == "work":
        places["inbox"] = disk / "inbox"
    house.place(**places)
    house.drop("first.mp4", "wait go\nsegments 1\n" + "x" * 60_000)
    house.drop("refused.mp4", "wait go\nraise FIX_INPUT\n" + "x" * 60_000)
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    ballast = filled(disk)
    (house.inbox.parent / "go").touch()
    house.wait(lambda: problems(daemon))
    assert str(disk) in problems(daemon)[0]
    ballast.unlink()
    house.wait(lambda: house.films("done") == ["first.mp4"])
    house.wait(lambda: house.films("failed") == ["refused.mp4"])
    assert daemon.stop() == 0
    assert house.films("originals") == ["first.mp4"]
    assert house.work_is_empty()


def test_a_start_on_a_full_disk(house: House, mounts: Mounts, systemd: Systemd) -> None:
    """A daemon that is started then, after a power cut say, waits for room; it does not give up."""
    disk = mounts.disk(house.root / "small", size_kb=512)
    house.place(done=disk / "done")
    ballast = filled(disk)
    house.drop("film.mp4")
    daemon = house.start(NOTIFY_SOCKET=str(systemd.path))
    house.wait(lambda: systemd.heard("STATUS=Paused"))
    assert "folders.done has no room left" in problems(daemon)[0]
    assert systemd.heard("READY=1")  # so that nobody restarts it for waiting
    ballast.unlink()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


def test_a_disk_that_turns_read_only(house: House, mounts: Mounts) -> None:
    """A filesystem that the kernel has made read-only pauses the queue until it is mended."""
    disk = mounts.disk(house.root / "small")
    house.place(done=disk / "done")
    house.drop("film.mp4", "wait go\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    run("mount", "-o", "remount,ro", disk)
    (house.root / "go").touch()
    house.wait(lambda: problems(daemon))
    assert "read-only" in problems(daemon)[0]
    assert house.films("done") == []
    run("mount", "-o", "remount,rw", disk)
    house.wait(lambda: house.films("done") == ["film.mp4"])
    assert daemon.stop() == 0


@pytest.mark.skipif(shutil.which("bindfs") is None, reason="bindfs is missing")
def test_a_filesystem_whose_server_dies(house: House, mounts: Mounts) -> None:
    """ENOTCONN from a share whose server is gone pauses the queue until it is mounted anew."""
    disk, point = mounts.disk(house.root / "disk"), house.root / "share"
    mounts.fuse(disk, point)
    house.place(inbox=point / "inbox", work=point / "work")
    house.configure(inbox={"settle_network_seconds": 0.3})
    house.drop("film.mp4")
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["film.mp4"])
    started = daemon.said("service.started")[0]
    assert started["filesystem"].startswith("fuse")
    assert started["watch"] == "polling"  # no events come over the network
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"] and process.info["cmdline"][-1] == str(point):
            os.kill(process.pid, signal.SIGKILL)
    house.wait(lambda: problems(daemon))
    mounts.unmount(point)
    mounts.fuse(disk, point)
    house.drop("later.mp4")
    house.wait(lambda: house.films("done") == ["film.mp4", "later.mp4"])
    assert house.films("failed") == []
    assert daemon.stop() == 0
