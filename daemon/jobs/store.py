"""Store of the jobs that this daemon holds, in memory and as ``job.json`` files on disk.

Claiming (``claimer``), attempts (``attempts``) and publication (``publisher``) each change the jobs
held here. A crash after any single step loses nothing: ``job.json`` is saved before memory.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.jobs.job import Job, JobState, save_job
from daemon.jobs.retry import yields_to_others
from erasecore.errors import printable

log = structlog.get_logger(__name__)


class JobStore:
    """Jobs of one instance folder, keyed by job id."""

    def __init__(self, instance: Path) -> None:
        self.instance = instance
        self.jobs: dict[str, Job] = {}
        self.has_orphans = False  # True: the instance folder may contain jobs that are not held

    # --- queries ----------------------------------------------------------------------------

    def folder(self, job: Job) -> Path:
        """Return the folder that holds the job's files."""
        return self.instance / job.job_id

    def states(self, *states: JobState) -> list[Job]:
        """Return the jobs in one of ``states``, the oldest first."""
        return [job for _, job in sorted(self.jobs.items()) if job.state in states]

    def due(self, *, wall: float) -> list[Job]:
        """Return the queued jobs whose delay is over, in the order in which they are to begin.

        Those that a person prefers come first, the latest preferred before the others. Then by
        priority (highest first), jobs that have not failed before those that have, and by age.

        Args:
            wall: the current time, seconds since 1970.
        """
        ready = [job for job in self.states(JobState.QUEUED) if job.not_before <= wall]
        return sorted(
            ready,
            key=lambda job: (
                -job.preferred_at,
                -job.settings.priority,
                yields_to_others(job, wall=wall),
                job.job_id,
            ),
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

    def forget_lost(self, kept: Collection[str] = ()) -> set[str]:
        """Forget the jobs that another daemon has taken over; return their ids.

        Args:
            kept: ids of jobs that are being published, whose folder may be gone for that reason.

        Raises:
            OSError: the instance folder cannot be listed.
        """
        there = {folder.name for folder in self.instance.iterdir()}
        lost = self.jobs.keys() - there - set(kept)
        for job_id in lost:
            log.warning("job.lost", job_id=job_id, film=printable(self.jobs.pop(job_id).name))
        return lost

    def expect_orphans(self, *, expected: bool = True) -> None:
        """Note that a step failed half-way and may have left a job that is not held, or none."""
        self.has_orphans = expected

    def shift_times(self, seconds: float) -> None:
        """Move the times that the jobs wait for along with the system clock, which was set.

        Only in memory: delays stay as long as they were on the monotonic clock. ``job.json`` keeps
        what it was saved with; ``claims.recover`` limits it at the next start.

        Args:
            seconds: how far the clock was set forward; negative if it was set back.
        """
        for job in self.jobs.values():
            unchanged_since = job.unchanged_since + seconds if job.unchanged_since else 0.0
            not_before = job.not_before + seconds if job.not_before else 0.0
            self.jobs[job.job_id] = replace(
                job, not_before=not_before, unchanged_since=unchanged_since
            )
