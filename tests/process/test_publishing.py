"""A result on its way to a slow disk holds up nobody, and is published once, whatever comes."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from tests.process.house import Daemon, House
from tests.process.mounts import Mounts, SickShare
from tests.process.orders import Orders
from tests.process.test_daemon_life import run_command

pytestmark = pytest.mark.process

SIZE_BYTES = 24 << 20
LARGE = "segments 1\n" + "x" * SIZE_BYTES
SLOW = Orders("", ("write",), seconds=0.2)
"""Delay of each write, of 128 KiB as the kernel cuts them: 0.6 MB/s, 38 s for a film."""
MASK_BYTES = 96 << 20
STOP_SECONDS = 20.0
"""Longest that the end of a daemon may take: 3 s of patience, and a block on its way. The rest of
the copy would take longer."""


@pytest.fixture
def slow(house: House, mounts: Mounts) -> Iterator[SickShare]:
    """A slow disk with done/; failed/ lies on another disk, the rest on a third one."""
    share = SickShare(house.root)
    failed = mounts.disk(house.root / "other") / "failed"
    house.place(done=share.point / "done", failed=failed)
    share.fall_ill(SLOW)
    yield share
    house.close()
    share.close()


def publishing(house: House) -> list[dict[str, Any]]:
    """What the daemon shows of the films on their way out."""
    found: list[dict[str, Any]] = []
    for status in house.work.glob("*/status.json"):
        found += json.loads(status.read_bytes())["publishing"]
    return found


def copied_bytes(house: House) -> int:
    """How much of a film is copied, as it is shown; its sidecars come before it."""
    shown = [one for one in publishing(house) if one["bytes_total"] >= SIZE_BYTES]
    return max([one["bytes_done"] for one in shown], default=0)


def states(house: House) -> dict[str, str]:
    """The state of each job on disk, by the film's name."""
    jobs = []
    for file in house.work.glob("*/*/job.json"):
        with suppress(FileNotFoundError):  # it has just ended
            jobs.append(json.loads(file.read_bytes()))
    return {job["name"]: job["state"] for job in jobs}


def parts(house: House) -> list[str]:
    """Copies that are being made on the slow disk."""
    return [name for name in house.files("done") if name.endswith(".part")]


def copy_has_begun(house: House, point: str = "") -> Daemon:
    """A daemon in the middle of a copy to the slow disk; ``point``: it is to be killed there."""
    house.drop("large.mp4", LARGE)
    daemon = house.start(FAULT_AT=point)
    house.wait(lambda: copied_bytes(house) > 0)
    return daemon


def check_published_once(house: House, film: str, content: str) -> None:
    """A film lies in done/, whole, and was said to be done once by all daemons together."""
    assert (house.done / film).read_text() == content
    said = [one for daemon in house.daemons for one in daemon.said("job.done")]
    assert [one["film"] for one in said].count(film) == 1
    assert house.films("done").count(film) == house.films("originals").count(film) == 1
    assert parts(house) == []


def test_a_slow_disk_holds_up_nobody(house: House, slow: SickShare) -> None:
    """Meanwhile films are claimed, done and published elsewhere; a stop takes seconds."""
    daemon = copy_has_begun(house)
    house.drop("bad.mp4", "raise FIX_INPUT\n")
    house.drop("next.mp4", "segments 1\n")
    house.wait(lambda: house.films("failed") == ["bad.mp4"])
    house.wait(lambda: states(house).get("next.mp4") == "finished")
    assert len(parts(house)) == 1, "copies_per_disk is 1"
    before = copied_bytes(house)
    house.wait(lambda: copied_bytes(house) > before)
    house.wait(lambda: any(one["bytes_per_second"] for one in publishing(house)))
    (shown,) = publishing(house)
    assert (shown["film"], shown["stage"]) == ("large.mp4", "copying")
    assert shown["bytes_total"] == len(LARGE)
    assert "large.mp4: copying" in run_command(house, "status")
    begun_at = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun_at < STOP_SECONDS
    assert daemon.said("job.step_stopped")
    assert house.films("done") == parts(house) == []
    assert states(house) == {"large.mp4": "finished", "next.mp4": "finished"}
    slow.recover()
    assert house.once() == 0
    check_published_once(house, "large.mp4", LARGE)
    check_published_once(house, "next.mp4", "segments 1\n")
    assert house.work_is_empty()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_killed_in_mid_copy(house: House, slow: SickShare, number: signal.Signals) -> None:
    """Killed while it copies, or just after a copy was stopped: once more, and once in the end."""
    point = "stop.after_copy" if number is signal.SIGTERM else ""
    daemon = copy_has_begun(house, point)
    assert daemon.stop(number) == -signal.SIGKILL
    slow.recover()
    assert house.once() == 0
    check_published_once(house, "large.mp4", LARGE)
    assert house.work_is_empty()


def test_several_copies_at_a_time(house: House, slow: SickShare) -> None:
    """As many as ``publish.copies_per_disk`` says, also after a reload; ``once`` waits for all."""
    house.drop("one.mp4", LARGE)
    house.drop("two.mp4", LARGE)
    daemon = house.start()
    house.wait(lambda: list(states(house).values()) == ["finished", "finished"])
    house.wait(lambda: len(parts(house)) == 1)
    house.configure(publish={"copies_per_disk": 2})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: len(parts(house)) == 2)
    assert daemon.stop(signal.SIGKILL) == -signal.SIGKILL
    slow.recover()
    assert house.once() == 0
    for film in ("one.mp4", "two.mp4"):
        check_published_once(house, film, LARGE)
    assert house.work_is_empty()


def test_the_slow_disk_is_taken_away(house: House, slow: SickShare, mounts: Mounts) -> None:
    """A copy to a disk that goes away ends, costs the film no try, and is made once it is back."""
    point = house.root / "far"
    mounts.bind(slow.point, point)
    house.place(done=point / "done")
    daemon = copy_has_begun(house)
    mounts.unmount(point)
    house.wait(lambda: daemon.said("job.step_stopped"))
    assert list(point.iterdir()) == [], "written beside the mount"
    slow.recover()
    mounts.bind(slow.point, point)
    house.wait(lambda: daemon.said("job.done"))
    assert not daemon.said("job.hindered")
    assert daemon.stop() == 0
    check_published_once(house, "large.mp4", LARGE)
    assert house.work_is_empty()
    mounts.unmount(point)


def test_a_large_mask_holds_up_nobody(house: House, share: SickShare) -> None:
    """It is copied into the job's folder beside the rest, too; a stop in between costs nothing."""
    house.drop("a/logo.png", "x" * MASK_BYTES)
    house.drop("a/.erase.yaml", "mask: logo.png")
    house.drop("a/film.mp4", "segments 1\n")
    share.fall_ill(replace(SLOW, below="/work", seconds=0.05))
    daemon = house.start()
    house.wait(lambda: any(one.endswith("/.mask.part") for one in house.files("work")))
    house.drop("good.mp4", "segments 1\n")
    house.wait(lambda: house.films("done") == ["good.mp4"])
    assert states(house)["a/film.mp4"] == "claimed"
    begun_at = time.monotonic()
    assert daemon.stop() == 0
    assert time.monotonic() - begun_at < STOP_SECONDS
    assert states(house) == {"a/film.mp4": "claimed"}
    share.recover()
    assert house.once() == 0
    assert house.films("done") == ["a/film.mp4", "good.mp4"]
    assert house.work_is_empty()
