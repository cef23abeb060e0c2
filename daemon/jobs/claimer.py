"""Claiming: take a film out of the inbox, wait for its sender, put the job into the queue."""

from __future__ import annotations

import structlog

from daemon.config.schema import Config
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate, Settling, writer_has
from daemon.jobs import claims
from daemon.jobs.attempts import remove_products
from daemon.jobs.job import LOG_FILE, Job, JobState
from daemon.jobs.store import JobStore
from daemon.runtime.logs import job_bound
from erasecore.errors import printable

log = structlog.get_logger(__name__)


class Claimer:
    """Claims candidates and queues the claimed jobs once their sources are complete."""

    def __init__(self, store: JobStore, config: Config) -> None:
        self._store = store
        self._settling = Settling(config.inbox.settle_local_seconds)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the inbox folder and the default erase settings of ``config`` from now on."""
        self._inbox = config.folders.inbox
        self._erase_defaults = config.erase

    def claim(self, candidate: Candidate, job_id: str, *, now: float, wall: float) -> Job | None:
        """Return the new job of ``candidate``; None if the file changed, went, or was taken.

        Args:
            candidate: a settled film of the inbox.
            job_id: id of the new job.
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            ClaimRefused: the film, or any film of its folder, must not be taken.
            OSError: the claim failed half-way; ``JobStore.reattach_orphans`` completes it.
        """
        try:
            if signature_of(candidate.path.lstat()) != candidate.signature:
                return None
        except (FileNotFoundError, PermissionError):
            return None  # the next scan finds out which of the two it is
        try:
            job = claims.claim(candidate, self._store.instance, job_id, wall=wall)
        except OSError:
            self._store.expect_orphans()
            raise
        if job is None:
            return None
        self._store.hold(job)
        with job_bound(job_id, self._store.folder(job) / LOG_FILE):
            log.info("job.claimed", film=printable(job.name), size_bytes=job.size_bytes)
        self.queue_settled(settle_seconds=self._settling.settle_seconds, now=now, wall=wall)
        return self._store.jobs[job_id]

    def queue_settled(self, *, settle_seconds: float, now: float, wall: float) -> None:
        """Queue the claimed jobs whose senders have finished writing.

        Args:
            settle_seconds: how long a source must not change to count as complete.
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            OSError: a job's folder cannot be read or written; the call may be repeated.
        """
        self._settling.reconfigure(settle_seconds)
        for job in self._store.states(JobState.CLAIMED):
            folder = self._store.folder(job)
            source = folder / job.source
            settled = self._settling.observe(source, signature_of(source.lstat()), now=now)
            untouched = claims.untouched(folder, job)
            ready = job.not_before <= wall if untouched else settled and not writer_has(source)
            if not ready:
                continue
            if not untouched:
                remove_products(folder, job)
            self._settling.forget(source)
            admitted = claims.admit(folder, job, self._inbox, self._erase_defaults, now=wall)
            self._store.hold(admitted)
