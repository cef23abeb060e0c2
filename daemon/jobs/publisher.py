"""Publication of the held jobs that have ended, beside the main loop.

A job that is FINISHED or REJECTED is given to a thread (``daemon.jobs.publication``), as a queued
one is to a worker, and comes back DONE, FAILED or with an error. To each disk at most
``publish.copies_per_disk`` jobs are published at a time, so that a slow disk holds up nobody else.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from daemon.config.schema import Config
from daemon.jobs.history import History
from daemon.jobs.history_view import Content
from daemon.jobs.isolation import (
    DISCARD,
    PUBLISH,
    REJECT,
    WITHDRAW,
    JobIsolation,
    Step,
    announce_rejection,
)
from daemon.jobs.job import Job, JobState
from daemon.jobs.job_events import JobEvents
from daemon.jobs.publication import Publication
from daemon.jobs.report_files import entry_of
from daemon.jobs.speeds import speed_of
from daemon.jobs.store import JobStore
from daemon.runtime.threads import Starter, Work
from erasecore.errors import printable

log = structlog.get_logger(__name__)

UNKNOWN_DISK = 0
"""Number that stands for the disk of a folder that cannot be looked at."""

_STEPS = {
    JobState.FINISHED: PUBLISH,
    JobState.REJECTED: REJECT,
    JobState.DONE: DISCARD,
    JobState.FAILED: DISCARD,
}
"""Next step of a job that has ended, by its state."""


def disks_of(step: Step, folders: FolderSettings) -> frozenset[int]:
    """Return the numbers (st_dev) of the disks that a step may copy to.

    The disk of work/ counts only if there is no other: there files are renamed.
    """
    work = _disk_of(folders.work)
    unused = () if folders.keep_originals else ("originals",)
    roles = [role for role in step.roles if role != "work" and role not in unused]
    others = {_disk_of(getattr(folders, role)) for role in roles} - {work}
    return frozenset(others or {work})


def _disk_of(folder: Path) -> int:
    try:
        return os.stat(folder).st_dev  # noqa: PTH116 - one call, often
    except OSError:
        return UNKNOWN_DISK


class Publisher:
    """Has the ended jobs of a store published by threads, then releases them.

    Args:
        store: the held jobs.
        isolation: errors of single jobs.
        history: history of the ended jobs.
        config: the configuration.
        start: runs a publication in a thread.
    """

    def __init__(
        self,
        store: JobStore,
        isolation: JobIsolation,
        history: History,
        config: Config,
        start: Starter,
    ) -> None:
        self._store = store
        self._isolation = isolation
        self._history = history
        self._start = start
        self._running: dict[str, Publication] = {}  # by job id
        self._recorded: set[str] = set()  # ids of held jobs that are in the history already
        self.failed_count = (
            0  # jobs moved to failed/ since the start, for the exit code of ``once``
        )
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Publish into the folders of ``config``, as many at a time as it says, from now on."""
        self._folders = config.folders
        self._events = JobEvents.of(config)
        self._copies_per_disk = config.publish.copies_per_disk

    # --- queries ----------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while a job is being published."""
        return bool(self._running)

    def owned(self) -> set[str]:
        """Return the ids of the jobs that are being published: nobody else may change them."""
        return set(self._running)

    def running(self) -> list[Publication]:
        """Return the publications that have not ended, in the order in which they began."""
        return [one for one in self._running.values() if not one.ended.is_set()]

    # --- in a turn --------------------------------------------------------------------------

    def publish_finished(self, *, now: float, wall: float) -> None:
        """Begin to publish every job that has ended, as far as its disks are free.

        A job that cannot be published waits alone; a broken folder is reported, and ends the call.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        jobs = [job for job in self._store.states(*_STEPS) if job.job_id not in self._running]
        disks = {
            step: disks_of(step, self._folders) for step in {_STEPS[one.state] for one in jobs}
        }
        for job in jobs:
            if self._isolation.blame.host_is_broken(now=now):
                break
            step = _STEPS[job.state]
            due = self._isolation.due(job.job_id, now=now)
            if due and all(map(self._is_free, disks[step])):
                self._begin(job, step, disks[step])
                self.collect(now=now, wall=wall)

    def _is_free(self, disk: int) -> bool:
        used = sum(disk in one.disks for one in self._running.values())
        return used < self._copies_per_disk

    def _begin(self, job: Job, step: Step, disks: frozenset[int]) -> None:
        publication = self._publication(job, step, disks)
        recorded = job.job_id in self._recorded
        publish = partial(publication.publish, self._record, recorded=recorded)
        self._launch(publication, publish)

    def _publication(self, job: Job, step: Step, disks: frozenset[int]) -> Publication:
        folder = self._store.folder(job)
        return Publication(job, step, folder, self._folders, disks=disks, events=self._events)

    def _launch(self, publication: Publication, work: Work) -> None:
        self._start(work)
        self._running[publication.job.job_id] = publication

    def _record(self, job: Job, published_as: str) -> None:
        """Add the published job to the history and to the log; called by the threads."""
        outcome = "done" if job.state is JobState.DONE else "failed"
        is_done = job.state is JobState.DONE
        content = None
        if is_done and job.source_sha256:
            content = Content(job.source_sha256, job.size_bytes, job.job_id, published_as)
        speed = speed_of(job) if is_done else None
        self._history.record(entry_of(job, outcome, published_as), content, speed)
        film = printable(job.name)
        if job.state is JobState.DONE:
            log.info("job.done", job_id=job.job_id, film=film, result=printable(published_as))
        else:
            sentence = job.failure.sentence if job.failure else ""
            log.warning("job.failed", job_id=job.job_id, film=film, sentence=sentence)

    # --- outcomes ---------------------------------------------------------------------------

    def collect(self, *, now: float, wall: float) -> None:
        """Take back the jobs whose publication has ended, and draw the conclusions.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        for job_id, publication in list(self._running.items()):
            if publication.ended.is_set():
                del self._running[job_id]
                self._settle(publication, now=now, wall=wall)
            else:
                publication.sample(now=now)

    def _settle(self, publication: Publication, *, now: float, wall: float) -> None:
        job = publication.job
        if publication.released:
            self._release(job, tidy=publication.tidy)
        else:
            self._store.hold(job)
            if publication.recorded:
                self._recorded.add(job.job_id)
            if publication.progress.stopped:
                return  # its error, if any, may come from the reason of the stop
        step, error = publication.step, publication.error
        if step == WITHDRAW and error is not None:
            log.debug("job.not_rejected", job_id=job.job_id, reason=str(error))
            self._isolation.set_aside(job.job_id)
        elif step == WITHDRAW:
            self._isolation.clear(job.job_id)
        elif self._isolation.settle(job, step, error, now=now, wall=wall):
            self._give_up(job, publication.disks, wall=wall)

    def _release(self, job: Job, *, tidy: bool) -> None:
        """Forget a job whose folder is gone."""
        if not tidy:
            self._store.expect_orphans()
        self._store.release(job)
        self._recorded.discard(job.job_id)
        self.failed_count += job.state is JobState.FAILED

    def _give_up(self, job: Job, disks: frozenset[int], *, wall: float) -> None:
        """Have a job rejected that cannot be published; set it aside if it is rejected already."""
        if job.state is not JobState.FINISHED:
            self._isolation.set_aside(job.job_id)
            return
        failure = self._isolation.hindrances()[job.job_id].failure
        if not self._isolation.is_set_aside(job.job_id):
            announce_rejection(job, self._store.folder(job), failure)
        publication = self._publication(job, WITHDRAW, disks)
        self._launch(publication, partial(publication.withdraw, failure, wall=wall))

    # --- the end ----------------------------------------------------------------------------

    def stop(self) -> None:
        """Ask every thread to stop; what a copy has written is removed, its job stays as it is."""
        for publication in self._running.values():
            publication.progress.stop()

    def close(self) -> None:
        """Stop every thread and wait for them; one that hangs is left to the end of the process."""
        self.stop()
        for publication in self._running.values():
            if not publication.wait():
                return
