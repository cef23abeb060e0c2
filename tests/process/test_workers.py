"""Several workers: one film each, and what becomes of one concerns no other."""

from __future__ import annotations

import json
import random
import signal
from contextlib import suppress
from typing import Any

import psutil
import pytest

from tests.process.house import Daemon, House


def at_work(house: House) -> dict[str, dict[str, Any]]:
    """The films that are being worked on, by name, each with its worker, as the daemon tells."""
    found = {}
    for path in house.work.glob("*/status.json"):
        for worker in json.loads(path.read_bytes())["workers"]:
            if worker["current"]:
                found[worker["current"]["film"]] = worker
    return found


def wait_for_films(house: House, *names: str) -> None:
    """Return once exactly these films are being worked on."""
    house.wait(lambda: set(at_work(house)) == set(names))


def slots(house: House) -> list[dict[str, Any]]:
    """What the films with a ``slot`` in them have told about their workers."""
    return [json.loads(line) for line in (house.root / "seats").read_text().splitlines()]


def workers_of(daemon: Daemon) -> list[psutil.Process]:
    """The worker processes of a daemon."""
    return psutil.Process(daemon.process.pid).children()


def test_small_films_pass_a_long_one(house: House) -> None:
    """A film that takes long keeps one worker; the others go on, one after the other."""
    house.configure(worker={"count": 2})
    daemon = house.start()
    house.drop("long.mp4", "seat\nwait\n")
    wait_for_films(house, "long.mp4")
    assert len(workers_of(daemon)) == 1, "a worker without work was started"
    for name in ("one.mp4", "two.mp4", "three.mp4"):
        house.drop(name, f"seat\nwait {name}\n")
        wait_for_films(house, "long.mp4", name)
        (house.root / name).touch()
        house.wait(lambda name=name: name in house.films("done"))  # type: ignore[misc]
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 4)
    pids = {one["film"]: one["pid"] for one in slots(house)}
    assert pids["one.mp4"] == pids["two.mp4"] == pids["three.mp4"] != pids["long.mp4"]
    assert {one.pid for one in workers_of(daemon)} == set(pids.values()), "idle ones are kept"
    assert daemon.stop() == 0
    assert house.work_is_empty()


@pytest.mark.parametrize(
    ("order", "error"),
    [
        ("die", "WorkerLost"),
        ("exit", "WorkerLost"),
        ("garbage", "WorkerLost"),
        ("hang", "WorkerLost"),
        ("raise MEMORY", "OutOfMemory"),
    ],
)
def test_the_end_of_one_worker_is_its_own(house: House, order: str, error: str) -> None:
    """Killed, silent, out of its mind or of memory: the film beside it does not notice."""
    stall_seconds = 2.5 if order == "hang" else 60.0
    house.configure(worker={"count": 2, "stall_seconds": stall_seconds}, retry={"max_attempts": 2})
    house.drop("well.mp4", "segments 2\nseat\nwait\n")
    daemon = house.start()
    wait_for_films(house, "well.mp4")
    before = at_work(house)["well.mp4"]
    house.drop("ill.mp4", f"seat\n{order}\n")
    house.wait(lambda: house.films("failed") == ["ill.mp4"])
    assert at_work(house)["well.mp4"]["pid"] == before["pid"]
    assert [one["film"] for one in slots(house)] == ["well.mp4", "ill.mp4", "ill.mp4"]
    (house.root / "go").touch()
    house.wait(lambda: house.films("done") == ["well.mp4"])
    report = house.report("well.mp4")
    assert len(report["attempts"]) == 1
    assert slots(house)[0]["pid"] == before["pid"]
    assert house.explanation("ill.mp4")["error"] == error
    assert daemon.stop() == 0


@pytest.mark.errors_logged
def test_workers_killed_at_random(house: House) -> None:
    """Four workers, of which one after the other is killed: every film is done, once."""
    house.configure(worker={"count": 4}, retry={"max_attempts": 20, "delay_seconds": 0.05})
    names = [f"{number % 3}/{number:02}.mp4" for number in range(16)]
    for name in names:
        house.drop(name, "segments 8\n")
    daemon, chance = house.start(), random.Random(7)
    for done in range(1, 9):
        house.wait(lambda done=done: len(house.films("done")) >= done)  # type: ignore[misc]
        house.wait(lambda: workers_of(daemon))
        with suppress(IndexError, psutil.NoSuchProcess):  # that one has just ended by itself
            chance.choice(workers_of(daemon)).kill()
    house.wait(lambda: len(house.films("originals")) == len(names))
    assert daemon.stop() == 0
    assert house.films("done") == house.films("originals") == sorted(names)
    assert house.work_is_empty()
    assert not daemon.said("turn.failed")


def test_each_worker_has_its_gpu_and_its_threads(house: House) -> None:
    """As many workers as GPUs, if not told otherwise; each sees its own alone."""
    house.configure(worker={"count": "auto", "threads": 3}, erase={"engine": "diffueraser"})
    for name in ("a", "b"):
        house.drop(f"{name}.mp4", "seat\nwait\n")
    daemon = house.start(CUDA_VISIBLE_DEVICES="GPU-one, 5")
    wait_for_films(house, "a.mp4", "b.mp4")
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 2)
    assert {one["CUDA_VISIBLE_DEVICES"] for one in slots(house)} == {"GPU-one", "5"}
    assert {one["OMP_NUM_THREADS"] for one in slots(house)} == {"3"}
    assert daemon.said("service.started")[0]["workers"] == 2
    assert daemon.stop() == 0


@pytest.mark.errors_logged
def test_a_worker_that_cannot_start_is_left_alone(house: House) -> None:
    """The others do all the films; status says what is to be mended."""
    house.configure(worker={"count": 2}, retry={"pause_seconds": 60.0})
    for name in ("a", "b", "c"):
        house.drop(f"{name}.mp4", "wait\n" if name == "a" else "segments 1\n")
    daemon = house.start(CUDA_VISIBLE_DEVICES="well,broken")
    house.wait(lambda: daemon.said("host.trouble"))
    assert "worker 2 cannot start" in daemon.said("host.trouble")[0]["sentence"]
    assert "fallen off the bus" in daemon.said("host.trouble")[0]["sentence"]
    house.wait(lambda: "a.mp4" in at_work(house))
    (status,) = house.work.glob("*/status.json")
    house.wait(lambda: "worker 2" in json.loads(status.read_bytes())["trouble"])
    assert json.loads(status.read_bytes())["paused"] is False
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 3)
    assert daemon.stop() == 0


@pytest.mark.errors_logged
def test_a_broken_card_is_one_workers_trouble(house: House) -> None:
    """Its film is done by another worker, at no cost; the queue does not pause."""
    house.configure(worker={"count": 2}, retry={"pause_seconds": 60.0, "max_attempts": 1})
    house.drop("long.mp4", "wait\n")
    daemon = house.start(CUDA_VISIBLE_DEVICES="well,bad")
    wait_for_films(house, "long.mp4")
    for name in ("a", "b"):
        house.drop(f"{name}.mp4", "card bad\nsegments 1\n")
    house.wait(lambda: daemon.said("host.trouble"))
    assert daemon.said("host.trouble")[0]["what"] == "worker 2"
    assert "reset or replace it" in daemon.said("host.trouble")[0]["sentence"]
    wait_for_films(house, "long.mp4")
    (house.root / "go").touch()
    house.wait(lambda: len(house.films("done")) == 3)
    assert [one["counted"] for one in house.report("a.mp4")["attempts"]] == [False, True]
    assert len(house.report("b.mp4")["attempts"]) == 1
    assert daemon.stop() == 0


def test_reload_changes_the_number(house: House) -> None:
    """More workers at once; fewer as soon as their films are done."""
    house.configure(worker={"count": 1})
    for name in ("a", "b", "c"):
        house.drop(f"{name}.mp4", f"wait {name}\n")
    daemon = house.start()
    house.wait(lambda: len(at_work(house)) == 1)
    (first,) = at_work(house)
    house.configure(worker={"count": 2})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: len(at_work(house)) == 2)
    house.configure(worker={"count": 1})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: len(daemon.said("config.reloaded")) == 2)
    (second,) = set(at_work(house)) - {first}
    (house.root / second.removesuffix(".mp4")).touch()
    house.wait(lambda: house.films("done") == [second])
    house.wait(lambda: len(workers_of(daemon)) == 1)
    wait_for_films(house, first)
    assert len(house.films("inbox")) == 1, "one worker was given two films"
    for name in ("a", "b", "c"):
        (house.root / name).touch()
    house.wait(lambda: len(house.films("done")) == 3)
    assert daemon.stop() == 0


def test_reload_of_what_workers_are_told(house: House) -> None:
    """A worker that is idle starts anew, one at work when its film is done."""
    house.drop("a.mp4", "seat\nwait a\n")
    daemon = house.start()
    wait_for_films(house, "a.mp4")
    house.configure(models={"folder": str(house.root / "models")})
    daemon.process.send_signal(signal.SIGHUP)
    house.wait(lambda: daemon.said("config.reloaded"))
    assert set(at_work(house)) == {"a.mp4"}
    (house.root / "a").touch()
    house.drop("b.mp4", "seat\n")
    house.wait(lambda: len(house.films("done")) == 2)
    assert len({one["pid"] for one in slots(house)}) == 2
    assert len(house.report("a.mp4")["attempts"]) == 1
    assert daemon.stop() == 0


def test_drains_two_films(house: House) -> None:
    """SIGTERM waits for every film that is nearly done."""
    house.configure(worker={"count": 2})
    for name in ("a", "b"):
        house.drop(f"{name}.mp4", f"wait {name}\n")
    daemon = house.start()
    wait_for_films(house, "a.mp4", "b.mp4")
    daemon.process.terminate()
    house.wait(lambda: daemon.said("service.draining"))
    (house.root / "a").touch()
    house.wait(lambda: house.films("done") == ["a.mp4"])
    assert daemon.process.poll() is None
    house.drop("late.mp4", "segments 1\n")
    (house.root / "b").touch()
    assert daemon.wait() == 0
    assert house.films("done") == ["a.mp4", "b.mp4"]
    assert house.films("inbox") == ["late.mp4"]
    assert house.work_is_empty()


def test_hands_back_what_is_not_done(house: House) -> None:
    """Of two films, the one that outlasts a stop's patience goes on at the next start."""
    house.configure(worker={"count": 2, "drain_seconds": 4.0})
    for name in ("a", "b"):
        house.drop(f"{name}.mp4", f"segments 2\nwait {name}\n")
    daemon = house.start()
    wait_for_films(house, "a.mp4", "b.mp4")
    children = workers_of(daemon)
    daemon.process.terminate()
    house.wait(lambda: daemon.said("service.draining"))
    (house.root / "a").touch()
    assert daemon.wait() == 0
    assert house.films("done") == ["a.mp4"]
    assert len(daemon.said("attempt.handed_back")) == 1
    assert not any(one.is_running() for one in children)
    (house.root / "b").touch()
    assert house.once() == 0
    assert [one["counted"] for one in house.report("b.mp4")["attempts"]] == [False, True]
    assert house.report("b.mp4")["report"]["segments_resumed"] == 2
