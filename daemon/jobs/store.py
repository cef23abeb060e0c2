"""The jobs we hold, each moved along by one step at a time, each step safe to crash after.

Knows folders, jobs and clocks that it is told; knows no loop, no signal and no worker process.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import structlog

from daemon.config.film_settings import up_to_date
from daemon.config.schema import Config
from daemon.inbox.scanner import signature_of
from daemon.inbox.settling import Candidate, Settling, writer_has
from daemon.jobs import claims
from daemon.jobs.companions import companions_in
from daemon.jobs.history import History
from daemon.jobs.history_view import REPORT_ENDING
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
    load_job,
    rejected,
    renewed,
    requeued,
    save_job,
    waiting,
)
from daemon.jobs.publish import publish, reject, sidecar_of, target
from daemon.jobs.report_files import write_error, write_report
from daemon.jobs.retry import (
    MAX_DELAY_SECONDS,
    MIN_DELAY_SECONDS,
    Decision,
    Next,
    decide,
    given_up,
    retry_delay,
)
from daemon.runtime.log_limits import shorten_if_we_may
from daemon.runtime.logs import job_bound
from daemon.storage.atomic import status_if_there
from daemon.storage.failpoints import failpoint
from daemon.storage.moves import Tick, no_tick, remove_tree
from daemon.storage.names import shown
from daemon.workers.messages import Failure, Finished, Start
from erasecore.errors import Remedy

log = structlog.get_logger(__name__)


class JobStore:
    """The jobs below our instance's folder, in memory as they are on the disk."""

    def __init__(self, instance: Path, config: Config, history: History) -> None:
        self.instance = instance
        self.config = config
        self.jobs: dict[str, Job] = {}
        self.ended: list[Job] = []  # since the start, for whoever counts
        self.orphans = False  # whether something of ours lies below our folder that is not held
        self._history = history
        self._settling = Settling(config.inbox.settle_local_seconds)

    def folder(self, job: Job) -> Path:
        """Where a job's files lie."""
        return self.instance / job.job_id

    def states(self, *states: JobState) -> list[Job]:
        """The jobs in one of ``states``, the oldest first."""
        return [job for _, job in sorted(self.jobs.items()) if job.state in states]

    def _keep(self, job: Job) -> None:
        """Make ``job`` the truth, on the disk and here."""
        save_job(self.folder(job), job)
        self.jobs[job.job_id] = job

    # --- in ---------------------------------------------------------------------------------

    def adopt(self, folders: Iterable[Path], *, wall: float) -> None:
        """Hold the jobs in ``folders``, which lie below our instance, whatever their state.

        Raises:
            OSError: of one at least it cannot be known; those of which it can are held.
        """
        unknown: OSError | None = None
        for folder in folders:
            try:
                if folder.name not in self.jobs:
                    self._adopt(folder, wall)
            except OSError as error:
                unknown = unknown or error
        if unknown is not None:
            self.orphans = True
            raise unknown

    def _adopt(self, folder: Path, wall: float) -> None:
        """Hold the job in one folder, if there is one in it."""
        job = claims.recover(folder, self.config.folders.inbox, self.config.retry, wall=wall)
        if job is not None:
            self.jobs[job.job_id] = job
            with job_bound(job.job_id, folder / LOG_FILE):
                log.info("job.recovered", film=shown(job.name), state=job.state.value)

    def reattach_orphans(self, *, wall: float) -> None:
        """Hold what lies below our instance and is not held: a step that failed half-way."""
        self.orphans = True
        claims.sweep(self.instance)
        self.adopt(claims.job_folders(self.instance), wall=wall)
        self.orphans = False

    def forget_lost(self) -> set[str]:
        """Hold no more what another daemon has taken over; the ids of those jobs."""
        lost = {job_id for job_id in self.jobs if not (self.instance / job_id).is_dir()}
        for job_id in lost:
            log.warning("job.lost", job_id=job_id, film=shown(self.jobs.pop(job_id).name))
        return lost

    def claim(self, candidate: Candidate, job_id: str, *, now: float, wall: float) -> Job | None:
        """The job that ``candidate`` has become; nothing if it changed, went, or was taken."""
        try:
            if signature_of(candidate.path.lstat()) != candidate.signature:
                return None
        except (FileNotFoundError, PermissionError):
            return None  # the next look tells which
        try:
            job = claims.claim(candidate, self.instance, job_id, wall=wall)
        except OSError:
            self.orphans = True
            raise
        if job is None:
            return None
        self.jobs[job_id] = job
        with job_bound(job_id, self.folder(job) / LOG_FILE):
            log.info("job.claimed", film=shown(job.name), size_bytes=job.size_bytes)
        self.admit(settle_seconds=self._settling.settle_seconds, now=now, wall=wall)
        return self.jobs[job_id]

    def admit(self, *, settle_seconds: float, now: float, wall: float) -> None:
        """Queue the claimed jobs whose senders have finished."""
        self._settling.settle_seconds = settle_seconds
        for job in self.states(JobState.CLAIMED):
            folder = self.folder(job)
            source = folder / job.source
            looks = signature_of(source.lstat())
            still = self._settling.observe(source, looks, now=now)
            untouched = claims.untouched(folder, job)
            ready = job.not_before <= wall if untouched else still and not writer_has(source)
            if not ready:
                continue
            if not untouched:
                _remove_products(folder, job)
            self._settling.forget(source)
            base, inbox = self.config.erase, self.config.folders.inbox
            self.jobs[job.job_id] = claims.admit(folder, job, inbox, base, now=wall)

    # --- attempts ---------------------------------------------------------------------------

    def due(self, *, wall: float) -> list[Job]:
        """The queued jobs that may go: the most urgent first, then the well, the oldest."""
        ready = [job for job in self.states(JobState.QUEUED) if job.not_before <= wall]
        return sorted(
            ready,
            key=lambda job: (-job.settings.priority, yields_to_others(job, wall=wall), job.job_id),
        )

    def due_in(self, *, wall: float) -> float | None:
        """In how many seconds the next job that has to wait may go; nothing if none waits."""
        waits = (job.not_before - wall for job in self.states(JobState.QUEUED))
        return min((seconds for seconds in waits if seconds > 0), default=None)

    def begin(self, job: Job, *, wall: float) -> Start:
        """What the worker is to be told about ``job``, whose attempt is counted from now on."""
        folder = self.folder(job)
        companions = companions_in(folder, mask=bool(job.settings.mask))
        job = begun(replace(job, settings=up_to_date(job.settings, self.config.erase)), now=wall)
        self._keep(job)
        failpoint("attempt.after_begin")
        attempt = job.attempts[-1].number
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info("attempt.started", film=shown(job.name), attempt=attempt)
        return Start(
            job_id=job.job_id,
            attempt=attempt,
            source=str(folder / job.source),
            folder=str(folder),
            shown_as=shown(job.relative.name),
            log=str(folder / LOG_FILE),
            settings=job.settings,
            companions=companions,
            rungs_down=job.rungs_down,
        )

    def finish(self, outcome: Finished, versions: dict[str, str], *, wall: float) -> None:
        """Record that an attempt made a verified result."""
        job = self.jobs[outcome.job_id]
        folder = self.folder(job)
        if self._renew_if_changed(job, wall=wall):
            return
        job = finished(job, outcome.report.result, now=wall)
        with job_bound(job.job_id, folder / LOG_FILE):
            report = outcome.report
            log.info(
                "attempt.finished",
                film=shown(job.name),
                events=len(report.events),
                untouched=report.untouched,
                seconds=round(wall - job.attempts[-1].started_at, 1),
            )
        write_report(folder, job, outcome, versions)
        failpoint("attempt.after_report")
        self._keep(job)
        failpoint("attempt.after_outcome")

    def fail(self, job_id: str, failure: Failure, *, wall: float) -> Decision:
        """Record that an attempt failed; what becomes of the job."""
        job = self.jobs[job_id]
        if self._renew_if_changed(job, wall=wall):
            return Decision(Next.REQUEUE)
        patient = retry_delay(wall - job.unchanged_since, self.config.inbox.young_seconds)
        if patient is None and not _said_before(job, failure):
            patient = MIN_DELAY_SECONDS  # a disk that stumbled makes a film look cut off, too
        if failure.unfinished and patient is not None:
            return self._wait_for_sender(job, failure, patient, wall=wall)
        decision = decide(failure.remedy, job.counted, self.config.retry)
        with job_bound(job_id, self.folder(job) / LOG_FILE):
            self._log_failure(job, failure, decision)
        if decision.next is Next.FAIL:
            job = rejected(job, given_up(failure), now=wall)
        else:
            # A paused queue holds every job back; the job itself need not wait on top of that.
            pause = decision.next is Next.PAUSE
            delay = 0.0 if pause else decision.delay_seconds
            job = requeued(job, failure, now=wall, delay_seconds=delay, counted=not pause)
        self._keep(job)
        failpoint("attempt.after_failure")
        return decision

    def _wait_for_sender(
        self, job: Job, failure: Failure, seconds: float, *, wall: float
    ) -> Decision:
        """Hold a film back that looks as if it were still being copied."""
        folder = self.folder(job)
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info(
                "job.looks_unfinished",
                film=shown(job.name),
                sentence=failure.sentence,
                delay_seconds=round(seconds, 1),
            )
        job = waiting(job, failure, now=wall, delay_seconds=seconds)
        self._keep(job)
        failpoint("attempt.after_doubt")
        return Decision(Next.REQUEUE, seconds)

    def _log_failure(self, job: Job, failure: Failure, decision: Decision) -> None:
        if failure.detail:
            log.debug("attempt.traceback", detail=failure.detail)
        # Only our own faults are errors: the others are for senders and for time to mend.
        say = log.error if failure.remedy is Remedy.FIX_CODE else log.warning
        say(
            "attempt.failed",
            film=shown(job.name),
            attempt=job.attempts[-1].number,
            error=failure.error,
            remedy=failure.remedy.value,
            sentence=failure.sentence,
            next=decision.next.value,
            delay_seconds=decision.delay_seconds,
        )

    def _renew_if_changed(self, job: Job, *, wall: float) -> bool:
        """Whether the source was changed under the attempt, which then was about another film."""
        folder = self.folder(job)
        if claims.untouched(folder, job):
            return False
        with job_bound(job.job_id, folder / LOG_FILE):
            log.info("job.source_changed", film=shown(job.name))
        _remove_products(folder, job)
        failpoint("attempt.after_products")
        self._keep(renewed(job, now=wall))
        failpoint("attempt.after_renewal")
        return True

    def outstanding_bytes(self, free_factor: float) -> int:
        """The space that films which are being worked on are still going to take."""
        return sum(
            max(0, int(free_factor * job.size_bytes) - _made_bytes(self.folder(job), job))
            for job in self.states(JobState.RUNNING)
        )

    def learn_size(self, job_id: str, pixels: int) -> None:
        """Remember how large a film is, for as long as there is a job about it."""
        self._keep(replace(self.jobs[job_id], pixels=pixels))

    def hand_back(self, job_id: str, *, wall: float) -> None:
        """Put a running job back into the queue, through no fault of its film."""
        job = handed_back(self.jobs[job_id], now=wall)
        with job_bound(job_id, self.folder(job) / LOG_FILE):
            log.info("attempt.handed_back", film=shown(job.name))
        self._keep(job)
        failpoint("attempt.after_hand_back")

    def shorten_logs(self) -> None:
        """Keep the logs that are being printed into from growing without end."""
        for job in self.states(JobState.RUNNING):
            shorten_if_we_may(self.folder(job) / LOG_FILE)

    # --- out --------------------------------------------------------------------------------

    def publish_finished(self, *, tick: Tick = no_tick) -> int:
        """Publish what is finished or rejected, and let go of it; how many jobs that were.

        Raises:
            OSError: a folder cannot be written to; the same call may be made again.
        """
        pending = self.states(JobState.FINISHED, JobState.REJECTED, JobState.DONE, JobState.FAILED)
        for job in pending:
            self._publish_job(job, tick)
        return len(pending)

    def _publish_job(self, job: Job, tick: Tick) -> None:
        folder = self.folder(job)
        if job.state in (JobState.FINISHED, JobState.REJECTED):
            folder.stat()  # not there: another daemon, which held us for dead, has it now
            job = load_job(folder)  # where its files go, a try that failed may have decided
            shorten_if_we_may(folder / LOG_FILE)
        if job.state is JobState.FINISHED:
            job = publish(folder, job, self.config.folders, tick=tick)
        elif job.state is JobState.REJECTED:
            if not job.placements:
                write_error(folder, job)
                failpoint("reject.after_explanation")
            job = reject(folder, job, self.config.folders, tick=tick)
        self.jobs[job.job_id] = job
        self._remember(job)
        failpoint("history.after_record")
        claims.discard(folder)
        del self.jobs[job.job_id]
        self.ended.append(job)

    def _remember(self, job: Job) -> None:
        placement = sidecar_of(job)
        if placement is None:
            return
        root: Path = getattr(self.config.folders, placement.place.value)
        self._history.record_published(target(self.config.folders, placement), root)
        film = shown(job.name)
        if job.state is JobState.DONE:
            result = shown(placement.name.removesuffix(REPORT_ENDING))
            log.info("job.done", job_id=job.job_id, film=film, result=result)
        else:
            sentence = job.failure.sentence if job.failure else ""
            log.warning("job.failed", job_id=job.job_id, film=film, sentence=sentence)


def _said_before(job: Job, failure: Failure) -> bool:
    """Whether the attempt before the one that has just ended said the same of its film."""
    before = job.attempts[-2].failure if len(job.attempts) > 1 else None
    return before is not None and before.error == failure.error


def _made_bytes(folder: Path, job: Job) -> int:
    """The space that attempts have taken so far."""
    found = (status_if_there(path) for path in folder.rglob("*") if path.name != job.source)
    return sum(status.st_size for status in found if status is not None)


def yields_to_others(job: Job, *, wall: float) -> bool:
    """Whether a job lets other films pass, since it has failed and was held back; not for ever."""
    last = job.attempts[-1] if job.attempts else None
    held_back = last is not None and last.counted and job.not_before > (last.stopped_at or 0.0)
    return held_back and wall - job.not_before < MAX_DELAY_SECONDS


def _remove_products(folder: Path, job: Job) -> None:
    """Remove what attempts have made of a source that is no more."""
    kept = (job.source, JOB_FILE, LOG_FILE, SETTINGS_FILE, CUES_FILE, MASK_FILE)
    for path in folder.iterdir():
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            remove_tree(path)
        else:
            path.unlink()
