"""Looking on: the queue, a film's log, the events, and the status again and again."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.process.house import REPOSITORY, House
from tests.process.test_control import at_work, command, snapshot

pytestmark = pytest.mark.process


def queue_of(house: House) -> dict[str, Any]:
    """What ``queue --json`` says of the only daemon."""
    (daemon,) = json.loads(command(house, "queue", "--json"))["daemons"]
    found: dict[str, Any] = daemon
    return found


@contextmanager
def following(house: House, *words: str) -> Iterator[Path]:
    """Run a command that goes on until it is interrupted; yield the file that it writes to."""
    output = house.root / f"{words[0]}.out"
    argv = [sys.executable, "-m", "daemon", *words, "--config", str(house.config)]
    with output.open("wb") as file:
        process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=file)
    try:
        yield output
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(20) in (0, 130, -signal.SIGINT)  # the last: it was just leaving


def test_the_queue_in_its_order(house: House) -> None:
    """Films stand in the order in which they begin, with their reasons and estimated ends."""
    house.drop("first.mp4")
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["first.mp4"])
    assert daemon.stop() == 0
    at_work(house)
    house.drop("low.mp4.erase.yaml", "priority: -5\n")
    for name in ("low.mp4", "2.mp4", "3.mp4"):
        house.drop(name)
    house.drop("late.mp4", "raise RETRY\n")
    house.wait(lambda: snapshot(house)["settled"] == 4)
    command(house, "prefer", "3.mp4")
    command(house, "hand-back", "2.mp4")
    house.wait(lambda: snapshot(house)["queue"]["count"] == 5)
    house.wait(lambda: [one["standing"] for one in snapshot(house)["queue"]["films"]][-1] == "held")
    queue = queue_of(house)
    shown = {one["film"]: one for one in queue["films"]}
    assert list(shown) == ["film.mp4", "3.mp4", "late.mp4", "low.mp4", "2.mp4"]
    assert shown["film.mp4"]["standing"] == "at-work"
    assert shown["3.mp4"]["preferred"]
    assert shown["3.mp4"]["reason"] == "the worker is at a film"
    assert shown["low.mp4"]["reason"] == "goes after the films above it"
    assert "handed back" in shown["2.mp4"]["reason"]
    ends = [shown[name]["ends_at"] for name in ("film.mp4", "3.mp4", "late.mp4", "low.mp4")]
    assert ends == sorted(ends)  # the speed was measured by the daemon before
    assert queue["ends_at"] == ends[-1] > time.time()
    assert queue["measured_films"] == 1
    said = command(house, "queue")
    assert "preferred; the worker is at a film" in said
    assert "by the speed of the last film" in said


def test_the_queue_during_a_pause(house: House) -> None:
    """It says who has paused it, and nobody knows when it ends."""
    house.start()
    house.wait(lambda: snapshot(house))
    command(house, "pause")
    house.drop("film.mp4")
    house.wait(lambda: snapshot(house)["queue"]["count"] == 1)
    (film,) = queue_of(house)["films"]
    assert film["reason"] == "the queue is paused"
    assert queue_of(house)["ends_at"] is None
    assert "paused by root" in command(house, "queue")


def test_the_log_of_a_film(house: House) -> None:
    """The log goes on while the film is at work, and ends with it; later it lies in done/."""
    at_work(house)
    house.drop("other.mp4")
    house.wait(lambda: snapshot(house)["settled"] == 1)
    assert "has no log yet" in command(house, "logs", "other.mp4", code=1)
    assert "is not known" in command(house, "logs", "nothing.mp4", code=1)
    assert "attempt.started film=film.mp4" in command(house, "logs", "film.mp4")
    with following(house, "logs", "-f", "film.mp4") as output:
        house.wait(lambda: "attempt.started" in output.read_text())
        (house.root / "go").touch()
        house.wait(lambda: "attempt.finished" in output.read_text())
        house.wait(lambda: len(house.films("done")) == 2)
    assert "attempt.finished film=film.mp4" in command(house, "logs", "film.mp4")


def test_events_as_they_come(house: House) -> None:
    """Each event is one line of JSON, over the end of one daemon and the start of the next."""
    house.configure(log={"level": "warning"}, worker={"drain_seconds": 0.0})
    daemon = at_work(house)
    with following(house, "events", "-f") as output:

        def events() -> list[dict[str, Any]]:
            return [json.loads(line) for line in output.read_text().splitlines()]

        def named(event: str) -> list[dict[str, Any]]:
            return [one for one in events() if one["event"] == event]

        house.wait(lambda: named("attempt.started"))
        command(house, "pause")
        house.wait(lambda: named("queue.paused"))
        assert named("queue.paused")[0]["by"].startswith("root")
        command(house, "resume")
        assert daemon.stop() == 0
        house.start()
        (house.root / "go").touch()
        house.wait(lambda: named("job.done"))
        assert named("job.done")[0]["film"] == "film.mp4"
        assert [one["event"] for one in events()].count("job.claimed") == 1
        assert all(set(one) >= {"time", "event"} for one in events())
    assert not daemon.said("job.claimed")  # the log itself has no more than its level says


def test_the_status_again_and_again(house: House) -> None:
    """Without a terminal each report follows the one before; as JSON each is one line."""
    house.start()
    house.wait(lambda: snapshot(house))
    with following(house, "status", "--watch", "--json") as output:
        house.wait(lambda: len(output.read_text().splitlines()) >= 2)
        assert all(json.loads(line)["well"] for line in output.read_text().splitlines())
