"""Films that do their worker harm: tried again in fresh ones, given up, and in nobody's way."""

from __future__ import annotations

import json
import signal
from datetime import datetime
from typing import Any

import pytest

from tests.process.house import House

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
        seats = [json.loads(line) for line in (house.root / "seats").read_text().splitlines()]
        assert len({seat["pid"] for seat in seats}) == 3


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
