"""Claiming: take a film out of the inbox, wait for its sender, put the job into the queue."""

from __future__ import annotations

from functools import partial

import structlog

from daemon.config.schema import Config
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate, Settling, writer_has
from daemon.jobs import claims
from daemon.jobs.attempts import remove_products
from daemon.jobs.isolation import CLAIM, QUEUE, JobIsolation, caught
from daemon.jobs.job import LOG_FILE, Job, JobState
from daemon.jobs.store import JobStore
from daemon.runtime.logs import job_bound
from erasecore.errors import ClaimRefused, printable
from erasecore.system.atomic_files import status_if_there

log = structlog.get_logger(__name__)


class Claimer:
    """Claims candidates and queues the claimed jobs once their sources are complete."""

    def __init__(self, store: JobStore, isolation: JobIsolation, config: Config) -> None:
        self._store = store
        self._isolation = isolation
        self._settling = Settling(config.inbox.settle_local_seconds)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the inbox folder and the default erase settings of ``config`` from now on."""
        self._inbox = config.folders.inbox
        self._erase_defaults = config.erase

    def claim(self, candidate: Candidate, job_id: str, *, now: float, wall: float) -> Job | None:
        """Return the new job of ``candidate``; None if the file changed, went, or was taken.

        None as well if the claim failed half-way, or a folder is broken: that is reported.

        Args:
            candidate: a settled film of the inbox.
            job_id: id of the new job.
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            ClaimRefused: the film, or any film of its folder, cannot be taken now.
        """
        claimed: list[Job | None] = []
        instance = self._store.instance
        error = caught(lambda: claimed.append(claims.claim(candidate, instance, job_id, wall=wall)))
        if isinstance(error, ClaimRefused):
            raise error
        if error is not None:
            self._failed(candidate, job_id, error, now=now)
        job = claimed[0] if claimed else None
        if job is None:
            return None
        self._store.hold(job)
        with job_bound(job_id, self._store.folder(job) / LOG_FILE):
            log.info("job.claimed", film=printable(job.name), size_bytes=job.size_bytes)
        self.queue_settled(settle_seconds=self._settling.settle_seconds, now=now, wall=wall)
        return self._store.jobs[job_id]

    def _failed(self, candidate: Candidate, job_id: str, error: Exception, *, now: float) -> None:
        """Handle the error of a claim: the film is in the inbox still, or in the job folder.

        Raises:
            ClaimRefused: it is in the inbox, and this film alone is concerned.
        """
        folder = self._store.instance / job_id
        claimed = caught(lambda: claims.discard(folder)) is not None
        if claimed:
            self._store.expect_orphans()
        elif not self._may_be_in_inbox(candidate):
            self._isolation.note_lost()  # the job was taken over while we were at it
            return
        self._isolation.concerns(job_id, candidate.name, CLAIM, error, now=now)
        known = self._isolation.hindrances().get(job_id)
        if not claimed and known is not None:
            self._isolation.clear(job_id)
            sentence = known.failure.sentence.removeprefix(f"{known.film}: ")
            raise ClaimRefused(candidate.path, f"{sentence} Other films go on.") from error

    def _may_be_in_inbox(self, candidate: Candidate) -> bool:
        """Return True if a film was not claimed, as far as one can know."""
        try:
            return self._store.instance.is_dir() and status_if_there(candidate.path) is not None
        except OSError:
            return True

    def queue_settled(self, *, settle_seconds: float, now: float, wall: float) -> None:
        """Queue the claimed jobs whose senders have finished writing.

        Args:
            settle_seconds: how long a source must not change to count as complete.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        self._settling.reconfigure(settle_seconds)
        for job in self._store.states(JobState.CLAIMED):
            queue_job = partial(self._queue_if_settled, job, now, wall)
            self._isolation.run(job, QUEUE, queue_job, now=now, wall=wall)

    def _queue_if_settled(self, job: Job, now: float, wall: float) -> None:
        """Queue one claimed job, unless its sender may still be writing to it."""
        folder = self._store.folder(job)
        source = folder / job.source
        settled = self._settling.observe(source, signature_of(source.lstat()), now=now)
        untouched = claims.untouched(folder, job)
        ready = job.not_before <= wall if untouched else settled and not writer_has(source)
        if not ready:
            return
        if not untouched:
            remove_products(folder, job)
        self._settling.forget(source)
        admitted = claims.admit(folder, job, self._inbox, self._erase_defaults, now=wall)
        self._store.hold(admitted)
