"""A film that there is no memory for is passed by smaller ones, for a while and no longer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config.schema import load_config
from daemon.dispatcher import PATIENCE_SECONDS, Dispatch
from daemon.inbox.blocked import Refusals
from daemon.inbox.candidates import Intake
from daemon.inbox.scanner import looks_of
from daemon.inbox.settling import Candidate
from daemon.jobs.history import History
from daemon.jobs.job import JobState
from daemon.jobs.store import Holdings
from daemon.runtime.host_problems import Troubles
from daemon.runtime.wakeup import Wake
from daemon.workers.pool import Workers
from daemon.workers.process import Seat
from daemon.workers.resources import available_bytes
from tests.process.house import House
from tests.process.quick_daemon import QUICK_WORKER

pytestmark = pytest.mark.process

MB = 1 << 20
UHD = 3840 * 2160


class Desk:
    """A dispatch with two real workers, whose clock is ours."""

    def __init__(self, house: House) -> None:
        self.house = house
        config = load_config(house.config)
        instance = house.work / "instance"
        instance.mkdir()
        self._wake, self._history = Wake(), History(house.state)
        self._workers = Workers(instance, (sys.executable, "-m", QUICK_WORKER))
        self._workers.arrange(config.worker, config.host(), (Seat(1), Seat(2)))
        self._holdings = Holdings(instance, config, self._history)
        troubles = Troubles()
        self._intake = intake = Intake(config, self._wake, Refusals(troubles))
        self.dispatch = Dispatch(config, self._holdings, self._workers, intake, troubles)

    def claim(self, name: str, *, pixels: int = 0) -> None:
        """Hold a film, queued, that goes on until there is a file of its name without ending."""
        path = self.house.drop(name, f"wait {Path(name).stem}\n")
        candidate = Candidate(self.house.inbox, name, looks_of(path.lstat()), 0.0)
        job_id = f"{len(self._holdings.jobs):04}"
        assert self._holdings.claim(candidate, job_id, now=0.0, wall=time.time())
        self._holdings.learn_size(job_id, pixels)

    def at_work(self, now: float) -> set[str]:
        """The films that are being worked on after a turn at ``now``."""
        self.dispatch.hear(now=now, wall=time.time())
        self.dispatch.give(now=now, wall=time.time())
        return {job.name for job in self._holdings.states(JobState.RUNNING)}

    def wait_for(self, *films: str, now: float) -> None:
        """Return once exactly these are being worked on, the clock standing still at ``now``."""
        self.house.wait(lambda: self.at_work(now) == set(films))

    def idle(self) -> int:
        """How many workers could begin a film this moment."""
        return len(list(self._workers.free()))

    def close(self) -> None:
        """End the workers."""
        self._workers.kill()
        self._intake.stop()
        self._history.close()
        self._wake.close()


@pytest.fixture
def desk(house: House) -> Iterator[Desk]:
    """A desk with memory for two usual films, and for no large one beside a usual one."""
    house.configure(worker={"count": 2, "film_mb": int(0.3 * available_bytes()) // MB})
    desk = Desk(house)
    yield desk
    desk.close()


def test_a_large_film_is_passed_for_a_while(desk: Desk) -> None:
    """Until its patience is over smaller ones go first; then none, though a worker is free."""
    began, over = 1.0, 1.0 + PATIENCE_SECONDS
    desk.claim("usual.mp4")
    desk.wait_for("usual.mp4", now=0.0)
    desk.claim("large.mp4", pixels=UHD)
    for name, now in (("one", began), ("two", over)):
        desk.claim(f"{name}.mp4")
        desk.wait_for("usual.mp4", f"{name}.mp4", now=now)
        (desk.house.root / name).touch()
        desk.wait_for("usual.mp4", now=now)
    desk.claim("three.mp4")
    assert desk.idle() == 1
    assert desk.at_work(over + 0.1) == {"usual.mp4"}
    assert "of memory" in desk.dispatch.note

    config = desk.dispatch.config
    desk.dispatch.config = replace(config, worker=replace(config.worker, film_mb=1))
    assert desk.at_work(over + 0.2) == {"usual.mp4", "large.mp4"}  # there is room: it is first
