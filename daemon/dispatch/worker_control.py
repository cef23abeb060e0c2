"""Interruption of workers from outside: preempt the film, or put the worker into backoff."""

from __future__ import annotations

from daemon.config.schema import Config
from daemon.jobs.attempts import AttemptRecorder
from daemon.runtime.host_problems import HostProblems
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Supervisor, WorkerState


class WorkerControl:
    """Ends attempts early and keeps failed workers idle for a while."""

    def __init__(
        self,
        attempts: AttemptRecorder,
        workers: WorkerPool,
        problems: HostProblems,
        config: Config,
    ) -> None:
        self._attempts = attempts
        self._workers = workers
        self._problems = problems
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use ``retry.pause_seconds`` of ``config`` for later backoffs."""
        self._pause_seconds = config.retry.pause_seconds

    def hand_back(self, worker: Supervisor, *, now: float, wall: float) -> None:
        """Kill a worker in the middle of its film and requeue the film (preemption).

        The attempt does not count, and the next one resumes after the finished segments.
        """
        job_id = worker.job_id
        worker.kill()
        self._attempts.hand_back(job_id, now=now, wall=wall)

    def interrupt(self, job_id: str = "", *, now: float, wall: float) -> None:
        """Interrupt the attempt of a job, or all attempts, as ``hand_back`` does.

        Args:
            job_id: id of the job; empty: all.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        for worker in self._workers.in_state(WorkerState.BUSY):
            if job_id in ("", worker.job_id):
                self.hand_back(worker, now=now, wall=wall)

    def back_off(self, worker: Supervisor, sentence: str, *, now: float) -> None:
        """Do not start a worker for ``retry.pause_seconds``; the others go on.

        If no other worker can start either, the queue counts as paused.

        Args:
            worker: worker that cannot start, or whose device is broken.
            sentence: text for the operator.
            now: monotonic time in seconds.
        """
        worker.back_off(now + self._pause_seconds)
        self._problems.report(worker.slot.name, sentence, now=now, pauses=False)
