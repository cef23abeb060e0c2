"""Claiming: take a film out of the inbox, wait for its sender, put the job into the queue."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import structlog

from daemon.config.locations import DuplicateMode
from daemon.config.schema import Config
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate, Settling, writer_has
from daemon.jobs import claims
from daemon.jobs.attempts import remove_products
from daemon.jobs.duplicates import Twin, may_be_twin_of_held, twin_of
from daemon.jobs.isolation import CLAIM, QUEUE, JobIsolation, caught
from daemon.jobs.job import LOG_FILE, Job, JobState
from daemon.jobs.queueing import admit, as_duplicate, has_large_mask
from daemon.jobs.step_thread import StepThread
from daemon.jobs.store import JobStore
from daemon.runtime.logs import job_bound
from daemon.runtime.threads import Starter
from erasecore.errors import ClaimRefused, printable
from erasecore.system.atomic_files import status_if_there

log = structlog.get_logger(__name__)

MAX_MASK_COPIES = 2
"""Large masks that are copied at a time (guess): a film without one goes on beside the first."""


class Claimer:
    """Claims candidates and queues the claimed jobs once their sources are complete."""

    def __init__(
        self, store: JobStore, isolation: JobIsolation, config: Config, start: Starter
    ) -> None:
        """Hold no thread yet; ``start`` runs the copy of a large mask in one."""
        self._store = store
        self._isolation = isolation
        self._start = start
        self._copying: dict[str, StepThread] = {}  # by job id: its mask is being copied
        self._settling = Settling(config.inbox.settle_local_seconds)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the inbox folder and the default erase settings of ``config`` from now on."""
        self._folders, self._duplicates = config.folders, config.inbox.duplicates
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
        self._collect(now, wall)
        for job in self._store.states(JobState.CLAIMED):
            if job.job_id in self._copying:
                continue
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
        looks = self._duplicates is not DuplicateMode.ERASE  # for the same content, done before
        if looks and may_be_twin_of_held(job, self._store):
            return
        if not untouched:
            remove_products(folder, job)
        self._settling.forget(source)
        if looks or has_large_mask(folder, job, self._inbox, self._erase_defaults):
            self._admit_in_thread(folder, job, wall)
        else:
            self._store.hold(admit(folder, job, self._inbox, self._erase_defaults, now=wall))

    # --- large masks ------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True while ``MAX_MASK_COPIES`` run: no film is to be claimed, lest it be the whole inbox.

        The jobs whose masks are being copied stay CLAIMED.
        """
        return len(self._copying) >= MAX_MASK_COPIES

    def owned(self) -> set[str]:
        """Return the ids of the jobs whose masks are being copied: nobody else may change them."""
        return set(self._copying)

    def _admit_in_thread(self, folder: Path, job: Job, wall: float) -> None:
        """Begin to copy the mask of a job and to queue the job, beside the main loop.

        It is looked up there as well if the same content has been done before.
        """
        thread = StepThread(job, QUEUE)
        inbox, defaults, folders = self._inbox, self._erase_defaults, self._folders
        mode = self._duplicates

        def queue_job() -> Job:
            progress, twin = thread.progress, None
            if mode is not DuplicateMode.ERASE:
                content = twin_of(folder / job.source, folders, progress)
                twin = Twin(content, mode) if content else None
            admitted = admit(folder, job, inbox, defaults, now=wall, progress=progress)
            if twin is None or admitted.state is not JobState.QUEUED:
                return admitted
            return as_duplicate(folder, admitted, twin)

        self._start(partial(thread.change_job, queue_job))
        self._copying[job.job_id] = thread

    def _collect(self, now: float, wall: float) -> None:
        """Take back the jobs whose masks have been copied."""
        for job_id, thread in list(self._copying.items()):
            if not thread.ended.is_set():
                continue
            del self._copying[job_id]
            if job_id not in self._store.jobs:  # another daemon has taken it over
                continue
            self._store.hold(thread.job)
            if not thread.progress.stopped:
                self._isolation.conclude(thread.job, QUEUE, thread.error, now=now, wall=wall)

    def stop(self) -> None:
        """Ask the threads to stop; their jobs stay as they are."""
        for thread in self._copying.values():
            thread.progress.stop()

    def close(self) -> None:
        """Stop the threads and wait for them."""
        self.stop()
        all(thread.wait() for thread in self._copying.values())
