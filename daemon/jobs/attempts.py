"""Attempts of the held jobs: their start, and how each of their outcomes changes the job.

Starts no process: the caller sends the returned ``Start`` to a worker.
"""

from __future__ import annotations

import errno
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import structlog

from daemon.config.film_settings import up_to_date
from daemon.config.schema import Config, RetrySettings
from daemon.jobs import claims
from daemon.jobs.companions import companions_in
from daemon.jobs.isolation import ATTEMPT, JobIsolation
from daemon.jobs.job import (
    CUES_FILE,
    JOB_FILE,
    LOG_FILE,
    MASK_FILE,
    SETTINGS_FILE,
    Job,
    JobState,
    begun,
    finished,
    handed_back,
    rejected,
    renewed,
    requeued,
    waiting,
)
from daemon.jobs.report_files import write_report
from daemon.jobs.retry import (
    MIN_DELAY_SECONDS,
    Decision,
    Next,
    decide,
    given_up,
    unfinished_delay,
)
from daemon.jobs.store import JobStore
from daemon.plans.files import PLAN_FILE
from daemon.runtime.log_limits import shorten_if_we_may
from daemon.runtime.logs import job_bound
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import remove_tree
from daemon.workers.messages import Failure, Finished, Start
from erasecore.errors import EraseError, Remedy, printable
from erasecore.system.atomic_files import status_if_there

log = structlog.get_logger(__name__)


class UnsavedDecisions:
    """Decisions about failed attempts, each of which stays the same until it is saved.

    If the disk was full, and the job could not be saved for that, there may be room at the next
    try: judged again, the film would be blamed.
    """

    def __init__(self, store: JobStore, isolation: JobIsolation) -> None:
        self._store = store
        self._isolation = isolation
        self._decisions: dict[tuple[str, int], Decision] = {}  # by job id and attempt

    def about(self, job: Job, failure: Failure, retry: RetrySettings, *, now: float) -> Decision:
        """Return the decision about the last attempt of ``job``, and log it, once.

        Args:
            job: the job, whose attempt has failed.
            failure: the worker's record of the error.
            retry: limits and delays.
            now: monotonic time in seconds.
        """
        key = (job.job_id, len(job.attempts))
        if key not in self._decisions:
            blame = self._isolation.blame_of_attempt(failure, job, now=now)
            decision = decide(failure.remedy, job.counted, retry, blame=blame)
            self._decisions[key] = decision
            _log_failure(self._store.folder(job), job, failure, decision)
        return self._decisions[key]

    def saved(self, job_id: str) -> None:
        """Forget the decisions about a job, since they are saved."""
        self._decisions = {key: one for key, one in self._decisions.items() if key[0] != job_id}


class AttemptRecorder:
    """Records in the job store that attempts begin, finish, fail or are handed back."""

    def __init__(self, store: JobStore, isolation: JobIsolation, config: Config) -> None:
        self._store = store
        self._isolation = isolation
        self._decisions = UnsavedDecisions(store, isolation)
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Use the retry limits and the default erase settings of ``config`` from now on."""
        self._retry = config.retry
        self._young_seconds = config.inbox.young_seconds
        self._erase_defaults = config.erase

    def begin(self, job: Job, *, now: float, wall: float) -> Start | None:
        """Count one more attempt of ``job``; return the message that starts it on a worker.

        None if the job or its folder does not allow it; the job waits then, or is rejected.

        Args:
            job: a queued job.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        starts: list[Start] = []
        begin = lambda: starts.append(self._begin(job, wall))  # noqa: E731 - the step, for ``run``
        self._isolation.run(job, ATTEMPT, begin, now=now, wall=wall)
        return starts[0] if starts else None

    def _begin(self, job: Job, wall: float) -> Start:
        folder = self._store.folder(job)
        if not claims.source_is_there(folder, job):
            raise FileNotFoundError(errno.ENOENT, "the source is gone", str(folder / job.source))
        companions = companions_in(folder, mask=bool(job.settings.mask))
        settings = up_to_date(job.settings, self._erase_defaults)
        job = begun(replace(job, settings=settings), now=wall)
        self._store.save(job)
        failpoint("attempt.after_begin")
        attempt = job.attempts[-1].number
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info("attempt.started", film=printable(job.name), attempt=attempt)
        return Start(
            job_id=job.job_id,
            attempt=attempt,
            source=str(folder / job.source),
            folder=str(folder),
            shown_as=printable(job.relative.name),
            log=str(folder / LOG_FILE),
            settings=job.settings,
            companions=companions,
            rungs_down=job.rungs_down,
        )

    def refuse(self, job: Job, error: EraseError, *, wall: float) -> None:
        """Give up a queued job without an attempt because of ``error``."""
        failure = Failure(type(error).__name__, error.remedy, str(error))
        with job_bound(job.job_id, self._store.folder(job) / LOG_FILE):
            log.warning("job.refused", film=printable(job.name), sentence=failure.sentence)
        self._store.save(rejected(job, failure, now=wall))
        failpoint("attempt.after_refusal")

    # --- outcomes ---------------------------------------------------------------------------

    def finish(self, outcome: Finished, versions: dict[str, str], *, wall: float) -> None:
        """Record that an attempt made a verified result, and write its report.

        Args:
            outcome: the worker's message.
            versions: libraries and devices of the worker, by name, for the report.
            wall: seconds since 1970.
        """
        job = self._store.jobs[outcome.job_id]
        folder = self._store.folder(job)
        if self._renew_if_changed(job, wall=wall):
            return
        report, events = outcome.report, len(outcome.report.events)
        job = finished(job, report.result, now=wall, frames=report.frames, events=events)
        job = replace(job, source_sha256=outcome.source_sha256)
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info(
                "attempt.finished",
                film=printable(job.name),
                events=events,
                untouched=report.untouched,
                seconds=round(wall - job.attempts[-1].started_at, 1),
            )
        write_report(folder, job, outcome, versions)
        failpoint("attempt.after_report")
        self._store.save(job)
        failpoint("attempt.after_outcome")

    def fail(self, job_id: str, failure: Failure, *, now: float, wall: float) -> Decision:
        """Record that an attempt failed; return the decision about the job.

        Args:
            job_id: id of the job.
            failure: the worker's record of the error.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        job = self._store.jobs[job_id]
        if not claims.source_is_there(self._store.folder(job), job):
            self._isolation.reject_without_source(job, now=now, wall=wall)
            return Decision(Next.FAIL)
        if self._renew_if_changed(job, wall=wall):
            return Decision(Next.REQUEUE)
        delay_seconds = unfinished_delay(wall - job.unchanged_since, self._young_seconds)
        if delay_seconds is None and not _failed_the_same_before(job, failure):
            delay_seconds = MIN_DELAY_SECONDS  # a disk error, too, makes a film look truncated
        if failure.unfinished and delay_seconds is not None:
            return self._wait_for_sender(job, failure, delay_seconds, wall=wall)
        decision = self._decisions.about(job, failure, self._retry, now=now)
        if decision.next is Next.FAIL:
            job = rejected(job, given_up(failure, printable(job.name)), now=wall)
        else:
            # A pause holds back the whole queue; the job needs no delay of its own on top.
            pause = decision.next is Next.PAUSE
            delay = 0.0 if pause else decision.delay_seconds
            job = requeued(job, failure, now=wall, delay_seconds=delay, counted=not pause)
        self._store.save(job)
        self._decisions.saved(job_id)
        failpoint("attempt.after_failure")
        return decision

    def _wait_for_sender(
        self, job: Job, failure: Failure, delay_seconds: float, *, wall: float
    ) -> Decision:
        """Delay a job whose source looks as if it were still being copied; not counted."""
        with job_bound(job.job_id, self._store.folder(job) / LOG_FILE):
            log.info(
                "job.looks_unfinished",
                film=printable(job.name),
                sentence=failure.sentence,
                delay_seconds=round(delay_seconds, 1),
            )
        self._store.save(waiting(job, failure, now=wall, delay_seconds=delay_seconds))
        failpoint("attempt.after_doubt")
        return Decision(Next.REQUEUE, delay_seconds)

    def hand_back(self, job_id: str, *, now: float, wall: float) -> None:
        """Requeue a running job whose attempt was interrupted by us; the attempt does not count.

        Args:
            job_id: id of the job.
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        running = self._store.jobs[job_id]
        hand_back = partial(self._hand_back, running, wall)
        self._isolation.run(running, ATTEMPT, hand_back, now=now, wall=wall)

    def _hand_back(self, running: Job, wall: float) -> None:
        job = handed_back(running, now=wall)
        with job_bound(job.job_id, self._store.folder(job) / LOG_FILE):
            log.info("attempt.handed_back", film=printable(job.name))
        self._store.save(job)
        failpoint("attempt.after_hand_back")

    def _renew_if_changed(self, job: Job, *, wall: float) -> bool:
        """Return True if the source changed during the attempt; the job is CLAIMED again then.

        The outcome of such an attempt is about a file that no longer exists, so it is discarded.
        """
        folder = self._store.folder(job)
        if not claims.source_is_there(folder, job) or claims.untouched(folder, job):
            return False  # a verified result of a source that is gone now is all there is
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info("job.source_changed", film=printable(job.name))
        remove_products(folder, job)
        failpoint("attempt.after_products")
        self._store.save(renewed(job, now=wall))
        failpoint("attempt.after_renewal")
        return True

    # --- while attempts run -----------------------------------------------------------------

    def learn_size(self, job_id: str, pixels: int) -> None:
        """Note the frame size of a film, ``pixels`` = width x height, in its job."""
        job = replace(self._store.jobs[job_id], pixels=pixels)
        self._store.hold(job)
        with suppress(OSError):  # it only helps to plan; the next step of the job saves it, too
            self._store.save(job)

    def outstanding_bytes(self, free_factor: float) -> int:
        """Return the disk space that running attempts will still use, in bytes.

        Args:
            free_factor: space that one film needs, as a multiple of its source's size.
        """
        return sum(
            max(0, int(free_factor * job.size_bytes) - _product_bytes(self._store.folder(job), job))
            for job in self._store.states(JobState.RUNNING)
        )

    def shorten_logs(self) -> None:
        """Limit the size of the log files that running attempts append to."""
        for job in self._store.states(JobState.RUNNING):
            shorten_if_we_may(self._store.folder(job) / LOG_FILE)


def _log_failure(folder: Path, job: Job, failure: Failure, decision: Decision) -> None:
    """Log a failed attempt, and what follows; ``folder``: the job's."""
    # ERROR is for our own bugs; the sender, the operator or time can mend the others.
    write_line = log.error if failure.remedy is Remedy.FIX_CODE else log.warning
    with job_bound(job.job_id, folder / LOG_FILE):
        if failure.detail:
            log.debug("attempt.traceback", detail=failure.detail)
        write_line(
            "attempt.failed",
            film=printable(job.name),
            attempt=job.attempts[-1].number,
            error=failure.error,
            remedy=failure.remedy.value,
            sentence=failure.sentence,
            next=decision.next.value,
            delay_seconds=decision.delay_seconds,
        )


def _failed_the_same_before(job: Job, failure: Failure) -> bool:
    """Return True if the attempt before the current one failed with the same error class."""
    before = job.attempts[-2].failure if len(job.attempts) > 1 else None
    return before is not None and before.error == failure.error


def _product_bytes(folder: Path, job: Job) -> int:
    """Return the size in bytes of all files in the job's folder except its source.

    0 if they cannot be inspected: the job meets the same error, and reports it.
    """
    try:
        found = [status_if_there(path) for path in folder.rglob("*") if path.name != job.source]
    except OSError:
        return 0
    return sum(status.st_size for status in found if status is not None)


def remove_products(folder: Path, job: Job) -> None:
    """Remove the files that attempts have made of a source that has changed since."""
    kept = (job.source, JOB_FILE, LOG_FILE, SETTINGS_FILE, CUES_FILE, MASK_FILE, PLAN_FILE)
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()
