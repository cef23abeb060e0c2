"""A step on one job that takes long, carried out by a thread of its own.

The thread owns the job and its folder until ``ended`` is set: nobody else changes either. The job
keeps its state on disk, so that a crash at any moment leaves what a crash of the main loop would
have left. The main loop reads the outcome afterwards, and the progress at any time.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import structlog

from daemon.jobs.isolation import Step, caught
from daemon.jobs.job import Job
from daemon.storage.copy_progress import CopyProgress, CopyStopped
from daemon.storage.failpoints import failpoint
from erasecore.errors import printable

log = structlog.get_logger(__name__)

STOP_SECONDS = 5.0
"""Longest wait for a thread when the daemon ends, in seconds; one that waits for a dead share ends
with the process. A guess."""


class StepThread:
    """The work of one thread on one job, its progress and its outcome.

    Args:
        job: the job as it is held.
        step: kind of the step, for ``JobIsolation``.
    """

    def __init__(self, job: Job, step: Step) -> None:
        self.job = job  # as it was last saved
        self.step = step
        self.progress = CopyProgress()
        self.error: Exception | None = None
        self.ended = Event()  # set last: the thread is through with the job

    def run(self, work: Callable[[], None]) -> None:
        """Do the work in this thread; sets ``error``, raises nothing."""
        self.error = caught(lambda: self._until_stopped(work))
        self.ended.set()

    def change_job(self, change: Callable[[], Job]) -> None:
        """Do the same with work that returns the job as it has saved it."""

        def work() -> None:
            self.job = change()

        self.run(work)

    def _until_stopped(self, work: Callable[[], None]) -> None:
        try:
            work()
        except CopyStopped:
            failpoint("stop.after_copy")
            log.info("job.step_stopped", job_id=self.job.job_id, film=printable(self.job.name))

    def wait(self) -> bool:
        """Return True once the thread has ended, False if it hangs for ``STOP_SECONDS``."""
        if self.ended.wait(STOP_SECONDS):
            return True
        log.warning("job.step_hangs", job_id=self.job.job_id, film=printable(self.job.name))
        return False
