"""A film that there is no memory for is passed by smaller ones, for a while and no longer."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from daemon.config.schema import load_config
from daemon.dispatch.selection import MAX_OVERTAKING_SECONDS
from daemon.folders.proofs import FolderProofs
from daemon.inbox.blocked_paths import BlockedPaths
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.inbox.left_films import LeftFilms
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate
from daemon.jobs.history import History
from daemon.jobs.job import JobState
from daemon.jobs.pause_switch import PauseSwitch
from daemon.jobs.request_folders import make_request_folders
from daemon.lifecycle.instance_parts import InstanceParts, SharedParts, SteeringParts
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.wakeup import Wakeup
from daemon.workers.host_resources import HostResources, available_bytes
from tests.process.house import House
from tests.process.quick_daemon import QUICK_WORKER

pytestmark = pytest.mark.process

MB = 1 << 20
UHD = 3840 * 2160


class Desk:
    """The parts of one instance with two real workers, whose clock is ours."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.config = config = load_config(house.config)
        instance = house.work / "instance"
        instance.mkdir()
        make_request_folders(instance)
        self._wake, self._history = Wakeup(), History(config.folders)
        problems = HostProblems(config.retry)
        left = LeftFilms(house.root / "left.json")
        self._queue = CandidateQueue(config, self._wake, BlockedPaths(problems, left))
        proofs = FolderProofs(config.folders, token="patience", check_mounts=lambda: None)
        host = HostResources(cores=2, memory_bytes=available_bytes(), devices=())
        command = (sys.executable, "-m", QUICK_WORKER)
        people = SteeringParts(self._wake.wake, PauseSwitch(None), left)
        shared = SharedParts(self._queue, problems, proofs, self._history, host, command, people)
        self.parts = InstanceParts.build(instance, config, shared, preload=False)

    def claim(self, name: str, *, pixels: int = 0) -> None:
        """Hold a film, queued, that goes on until there is a file of its name without ending."""
        path = self.house.drop(name, f"wait {Path(name).stem}\n")
        candidate = Candidate(self.house.inbox, name, signature_of(path.lstat()), 0.0)
        jobs = self.parts.jobs
        job_id = f"{len(jobs.store.jobs):04}"
        assert jobs.claimer.claim(candidate, job_id, now=0.0, wall=time.time())
        jobs.attempts.learn_size(job_id, pixels)

    def at_work(self, now: float) -> set[str]:
        """The films that are being worked on after a turn at ``now``."""
        self.parts.reports.process_reports(now=now, wall=time.time())
        self.parts.dispatcher.assign(now=now, wall=time.time())
        return {job.name for job in self.parts.jobs.store.states(JobState.RUNNING)}

    def wait_for(self, *films: str, now: float) -> None:
        """Return once exactly these are being worked on, the clock standing still at ``now``."""
        self.house.wait(lambda: self.at_work(now) == set(films))

    def idle(self) -> int:
        """How many workers could begin a film this moment."""
        return len(list(self.parts.workers.free()))

    def close(self) -> None:
        """End the workers."""
        self.parts.workers.kill()
        self._queue.stop()
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
    began, over = 1.0, 1.0 + MAX_OVERTAKING_SECONDS
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
    assert "of memory" in desk.parts.dispatcher.idle_reason

    desk.parts.reconfigure(replace(desk.config, worker=replace(desk.config.worker, film_mb=1)))
    assert desk.at_work(over + 0.2) == {"usual.mp4", "large.mp4"}  # there is room: it is first
