"""Films that do their worker harm: tried again in fresh ones, given up, and in nobody's way."""

from __future__ import annotations

import json
import re
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from daemon.runtime.log_limits import MAX_BYTES
from tests.process.house import House, problems

DELAY_SECONDS = 1.0
GOOD = ["good0.mp4", "good1.mp4", "good2.mp4"]


def moment(record: dict[str, Any]) -> float:
    """When something was logged."""
    return datetime.fromisoformat(record["timestamp"]).timestamp()


@pytest.mark.parametrize(
    ("orders", "error"),
    [("die", "WorkerLost"), ("hang", "WorkerLost"), ("raise MEMORY", "OutOfMemory")],
)
def test_a_film_that_harms_its_worker(house: House, orders: str, error: str) -> None:
    """It has three attempts, further and further apart; those behind it go meanwhile."""
    stall_seconds = 1.5 if orders == "hang" else 60.0
    house.configure(retry={"delay_seconds": DELAY_SECONDS}, worker={"stall_seconds": stall_seconds})
    house.drop("a.mp4", f"seat\n{orders}\n")
    for name in GOOD:
        house.drop(name, "segments 1\n")
    daemon = house.start("once")
    assert daemon.wait() == 1
    assert house.films("done") == GOOD
    assert house.films("failed") == ["a.mp4"]
    explained = house.explanation("a.mp4")
    assert explained["error"] == error
    assert [one["counted"] for one in explained["attempts"]] == [True] * 3
    assert (house.failed / "a.mp4.log").read_text().count("attempt.started") == 3
    failures = [moment(one) for one in daemon.said("attempt.failed")]
    starts = [moment(one) for one in daemon.said("attempt.started") if one["film"] == "a.mp4"]
    for number, (failed, again) in enumerate(zip(failures, starts[1:], strict=False)):
        assert again - failed >= 0.95 * DELAY_SECONDS * 2**number
    done = [moment(one) for one in daemon.said("job.done")]
    assert max(done) < starts[1], "a film waited behind one that had failed"
    if error == "WorkerLost":
        slots = [json.loads(line) for line in (house.root / "seats").read_text().splitlines()]
        assert len({slot["pid"] for slot in slots}) == 3


def test_others_pass_even_when_its_time_has_come(house: House) -> None:
    """A film that has failed goes after those that have not, though it was there before them."""
    house.configure(retry={"delay_seconds": 0.0})
    house.drop("a.mp4", "seat\nraise RETRY\n")
    for name in GOOD:
        house.drop(name, "segments 1\n")
    daemon = house.start("once")
    assert daemon.wait() == 1
    order = [one["film"] for one in daemon.said("attempt.started")]
    assert order == ["a.mp4", "a.mp4", "a.mp4", *GOOD]


def test_a_film_under_which_the_daemon_ends(house: House) -> None:
    """Attempts count before they begin; from the second on the film is held back, then given up."""
    house.configure(retry={"delay_seconds": 60.0})
    house.drop("a.mp4", "segments 1\n")
    for _ in range(2):
        assert house.once(FAULT_AT="attempt.after_begin") == -signal.SIGKILL
    house.drop("b.mp4", "segments 1\n")
    daemon = house.start()
    house.wait(lambda: house.films("done") == ["b.mp4"])
    assert daemon.said("job.recovered")[0]["film"] == "a.mp4"
    assert [one["film"] for one in daemon.said("attempt.started")] == ["b.mp4"]
    assert daemon.stop() == 0
    house.configure(retry={"delay_seconds": 60.0, "max_attempts": 2})
    (job,) = house.work.rglob("job.json")
    assert len(json.loads(job.read_bytes())["attempts"]) == 2


@pytest.mark.parametrize("end", ["segments 1", "raise FIX_INPUT"], ids=["done", "failed"])
def test_a_film_that_fills_its_log(house: House, end: str) -> None:
    """However much is printed about it: the log stays small meanwhile, and tells begin and end."""
    house.drop("film.mp4", f"print\nflood 30\nwait go\n{end}\n")
    daemon = house.start()
    house.wait(lambda: daemon.said("attempt.started"))
    (log,) = house.work.glob("*/*/log")
    house.wait(lambda: b"are left out here" in log.read_bytes()[:MAX_BYTES])
    house.wait(lambda: left_out(log) > 25_000_000)  # all has been printed, and the film waits
    assert log.stat().st_size <= MAX_BYTES
    (house.root / "go").touch()
    place = house.failed if end.startswith("raise") else house.done
    house.wait(lambda: (place / "film.mp4").exists())
    told = (place / "film.mp4.log").read_text()
    assert len(told) <= MAX_BYTES
    assert told.index("attempt.started") < told.index("a library says something") < 1000
    assert told.index("bytes of this log are left out here") < told.index("attempt.f")
    assert told.splitlines()[-1].split()[2] in ("attempt.finished", "attempt.failed")
    assert daemon.stop() == 0


def left_out(log: Path) -> int:
    """How many bytes a log says that it lacks."""
    mark = re.search(rb"\[(\d+) bytes of this log are left out here\]", log.read_bytes())
    return int(mark[1]) if mark else 0


def test_a_worker_that_never_starts_fills_no_log(house: House) -> None:
    """What it has printed at each of its many tries is kept to a size, too."""
    daemon = house.start(CUDA_VISIBLE_DEVICES="broken")
    house.wait(lambda: problems(daemon))
    (log,) = house.work.glob("*/worker-1.log")
    with log.open("ab") as writer:
        writer.write(b"the last try failed, too\n" * 200_000)
    house.wait(lambda: log.stat().st_size < MAX_BYTES)
    assert "fallen off the bus" in log.read_text()
    assert daemon.stop() == 0
