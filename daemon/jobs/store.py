"""Store of the jobs that this daemon holds, in memory and as ``job.json`` files on disk.

Claiming (``claimer``), attempts (``attempts``) and publication (``publisher``) each change the jobs
held here. A crash after any single step loses nothing: ``job.json`` is saved before memory.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import structlog

from daemon.config.schema import Config
from daemon.jobs import claims
from daemon.jobs.job import LOG_FILE, Job, JobState, save_job
from daemon.jobs.retry import yields_to_others
from daemon.runtime.logs import job_bound
from erasecore.errors import printable

log = structlog.get_logger(__name__)


class JobStore:
    """Jobs of one instance folder, keyed by job id."""

    def __init__(self, instance: Path, config: Config) -> None:
        self.instance = instance
        self.jobs: dict[str, Job] = {}
        self.has_orphans = False  # True: the instance folder may contain jobs that are not held
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the inbox folder and the retry limits of ``config`` from now on."""
        self._inbox = config.folders.inbox
        self._retry = config.retry

    # --- queries ----------------------------------------------------------------------------

    def folder(self, job: Job) -> Path:
        """Return the folder that holds the job's files."""
        return self.instance / job.job_id

    def states(self, *states: JobState) -> list[Job]:
        """Return the jobs in one of ``states``, the oldest first."""
        return [job for _, job in sorted(self.jobs.items()) if job.state in states]

    def due(self, *, wall: float) -> list[Job]:
        """Return the queued jobs whose delay is over, in the order in which they are to begin.

        Sorted by priority (highest first), then jobs that have not failed before those that have,
        then by age.

        Args:
            wall: the current time, seconds since 1970.
        """
        ready = [job for job in self.states(JobState.QUEUED) if job.not_before <= wall]
        return sorted(
            ready,
            key=lambda job: (-job.settings.priority, yields_to_others(job, wall=wall), job.job_id),
        )

    def due_in(self, *, wall: float) -> float | None:
        """Return the seconds until the next delayed job may begin; None if no job is delayed."""
        waits = (job.not_before - wall for job in self.states(JobState.QUEUED))
        return min((seconds for seconds in waits if seconds > 0), default=None)

    # --- changes ----------------------------------------------------------------------------

    def save(self, job: Job) -> None:
        """Write ``job.json`` durably, then hold the job."""
        save_job(self.folder(job), job)
        self.hold(job)

    def hold(self, job: Job) -> None:
        """Keep ``job`` in memory; its ``job.json`` must already be saved."""
        self.jobs[job.job_id] = job

    def release(self, job: Job) -> None:
        """Forget a job whose folder is gone."""
        del self.jobs[job.job_id]

    def forget_lost(self) -> set[str]:
        """Forget the jobs that another daemon has taken over; return their ids."""
        lost = {job_id for job_id in self.jobs if not (self.instance / job_id).is_dir()}
        for job_id in lost:
            log.warning("job.lost", job_id=job_id, film=printable(self.jobs.pop(job_id).name))
        return lost

    # --- recovery ---------------------------------------------------------------------------

    def adopt(self, folders: Iterable[Path], *, wall: float) -> None:
        """Recover and hold the jobs in ``folders``, whatever their state.

        Args:
            folders: job folders directly below our instance folder.
            wall: the current time, seconds since 1970.

        Raises:
            OSError: at least one folder could not be read; the others are held, and
                ``has_orphans`` is set.
        """
        first_error: OSError | None = None
        for folder in folders:
            try:
                if folder.name not in self.jobs:
                    self._adopt(folder, wall)
            except OSError as error:
                first_error = first_error or error
        if first_error is not None:
            self.has_orphans = True
            raise first_error

    def _adopt(self, folder: Path, wall: float) -> None:
        """Recover the job in one folder, and hold it if there is one."""
        job = claims.recover(folder, self._inbox, self._retry, wall=wall)
        if job is not None:
            self.hold(job)
            with job_bound(job.job_id, folder / LOG_FILE):
                log.info("job.recovered", film=printable(job.name), state=job.state.value)

    def expect_orphans(self) -> None:
        """Note that a step failed half-way and may have left a job that is not held."""
        self.has_orphans = True

    def reattach_orphans(self, *, wall: float) -> None:
        """Hold the jobs of our instance folder that are not held (orphans of a failed step).

        Raises:
            OSError: at least one could not be read; ``has_orphans`` stays set.
        """
        self.has_orphans = True
        claims.sweep(self.instance)
        self.adopt(claims.job_folders(self.instance), wall=wall)
        self.has_orphans = False
