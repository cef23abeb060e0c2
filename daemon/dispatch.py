"""Which film goes to which worker, and what is heard of it.

A film is claimed only when a worker is free for it: until then it lies in the inbox, for other
daemons too. A worker process is started only when there is a film for it.
"""

from __future__ import annotations

import structlog
from ulid import ULID

from daemon.config import Config
from daemon.faults import fault_point
from daemon.folders import free_bytes
from daemon.holdings import Holdings
from daemon.inbox import Candidate
from daemon.intake import Intake
from daemon.jobs import Job
from daemon.retry import Next
from daemon.supervisor import Report, Supervisor, WorkerBroken, WorkerState
from daemon.troubles import Troubles
from daemon.wire import Failed, Finished, Hello
from daemon.workers import Workers

log = structlog.get_logger(__name__)


class Dispatch:
    """Brings films and workers together."""

    def __init__(
        self,
        config: Config,
        holdings: Holdings,
        workers: Workers,
        intake: Intake,
        troubles: Troubles,
    ) -> None:
        self._config = config
        self._holdings = holdings
        self._workers = workers
        self._intake = intake
        self._troubles = troubles
        self.eager = False  # whether a worker is started before there is a film, to see if it can

    # --- what workers tell --------------------------------------------------------------------

    def hear(self, *, now: float, wall: float) -> None:
        """Take in what the workers have told since the last time."""
        for worker, report in self._workers.step(now=now):
            self._hear(worker, report, now, wall)

    def _hear(self, worker: Supervisor, report: Report, now: float, wall: float) -> None:
        if isinstance(report, Hello):
            log.info("worker.ready", worker=worker.seat.number, pid=worker.pid)
            self.eager = False
            self._troubles.clear(worker.seat.name)
        elif isinstance(report, WorkerBroken):
            self._hear_of_end(worker, report, now)
        elif isinstance(report, Finished):
            self._holdings.finish(report, worker.versions, wall=wall)
            self._troubles.clear("film")
        elif isinstance(report, Failed):
            decision = self._holdings.fail(report.job_id, report.fault, wall=wall)
            if decision.next is Next.PAUSE:
                self._trouble("film", report.fault.sentence, now)
            else:
                self._troubles.clear("film")

    def _hear_of_end(self, worker: Supervisor, report: WorkerBroken, now: float) -> None:
        """A worker that cannot start is left alone for a while; the others go on."""
        number = worker.seat.number
        if report.loaded:
            log.warning("worker.lost", worker=number, sentence=report.sentence)
            return
        worker.rests_until = now + self._config.retry.pause_seconds
        sentence = f"worker {number} cannot start: {report.sentence}"
        self._trouble(worker.seat.name, sentence, now, pauses=False)

    # --- what workers are given ---------------------------------------------------------------

    def give(self, *, now: float, wall: float) -> None:
        """Give every free worker a film; start workers for the films that are left."""
        for worker in self._workers.free():
            job = self._next(now, wall)
            if job is None:
                return
            worker.begin(self._holdings.begin(job, wall=wall), now=now)
            fault_point("attempt.after_start")
        waiting = self._holdings.count_due(wall=wall) + len(self._intake.candidates)
        loading = len(self._workers.those(WorkerState.LOADING))
        self._workers.start(max(waiting, int(self.eager)) - loading, now=now)

    def _next(self, now: float, wall: float) -> Job | None:
        """The job that goes next; if it is a film in the inbox still, it is claimed now."""
        while True:
            job, candidate = self._holdings.due(wall=wall), self._intake.best()
            if candidate is None:
                return job
            if job is not None and job.settings.priority >= self._intake.priority(candidate):
                return job
            if not self._room_for(candidate, now):
                return job
            self._claim(candidate, now, wall)

    def _claim(self, candidate: Candidate, now: float, wall: float) -> None:
        self._intake.take(candidate)
        job_id = str(ULID()).lower()
        if self._holdings.claim(candidate, job_id, now=now, wall=wall) is None:
            self._intake.look_again()

    def _room_for(self, candidate: Candidate, now: float) -> bool:
        """Whether there is space for what will be made of a film; if not, the queue waits."""
        folders = self._config.folders
        needed = (folders.min_free_mb << 20) + int(folders.free_factor * candidate.stamp.size_bytes)
        for role, path in (("work", folders.work), ("done", folders.done)):
            free = free_bytes(path)
            if free < needed:
                sentence = (
                    f"folders.{role}: {path} has {free >> 20} MB free, the next film needs "
                    f"{needed >> 20} MB; free some space, the queue goes on by itself."
                )
                self._trouble("space", sentence, now)
                return False
        self._troubles.clear("space")
        return True

    def _trouble(self, what: str, sentence: str, now: float, *, pauses: bool = True) -> None:
        seconds = self._config.retry.pause_seconds
        self._troubles.report(what, sentence, now=now, pause_seconds=seconds, pauses=pauses)
