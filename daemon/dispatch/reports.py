"""Processing of the workers' reports: each is recorded in its job or as a host problem."""

from __future__ import annotations

from functools import partial

import structlog

from daemon.dispatch.admission import MemoryAdmission
from daemon.dispatch.worker_control import WorkerControl
from daemon.jobs.isolation import ATTEMPT
from daemon.jobs.job import JobState
from daemon.jobs.job_parts import JobParts
from daemon.jobs.retry import FOLDER_FAILURES, Next
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.io_problems import io_problem
from daemon.workers.messages import Failed, Finished, ProgressUpdate, Ready
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Report, Supervisor, WorkerBroken
from erasecore.errors import DeviceBroken, printable

log = structlog.get_logger(__name__)


class ReportHandler:
    """Reads the reports of all workers and processes each of them once."""

    def __init__(
        self,
        jobs: JobParts,
        workers: WorkerPool,
        memory: MemoryAdmission,
        control: WorkerControl,
        problems: HostProblems,
    ) -> None:
        self._store = jobs.store
        self._isolation = jobs.isolation
        self._adopter = jobs.adopter
        self._attempts = jobs.attempts
        self._workers = workers
        self._memory = memory
        self._control = control
        self._problems = problems
        self._unprocessed: list[tuple[Supervisor, Report]] = []

    def process_reports(self, *, now: float, wall: float) -> None:
        """Process what the workers have reported since the last call.

        An outcome that cannot be saved is kept, and tried again later; the others do not wait.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        self._reattach_orphans(now, wall)
        self._attempts.shorten_logs()
        reports, self._unprocessed = [*self._unprocessed, *self._workers.step(now=now)], []
        for worker, report in reports:
            if self._is_ours(report) and not self._process_report(worker, report, now, wall):
                self._unprocessed.append((worker, report))
        self._hand_back_unattended(now, wall)

    def _is_ours(self, report: Report) -> bool:
        """Return False for the outcome of a job that is not being worked on any more.

        Another daemon has taken it over, or it was given up because its outcome cannot be saved.
        """
        if not isinstance(report, Finished | Failed):
            return True
        job = self._store.jobs.get(report.job_id)
        return job is not None and job.state is JobState.RUNNING

    def _hand_back_unattended(self, now: float, wall: float) -> None:
        """Requeue running jobs without a worker: an error came between two parts of one step."""
        attended = {worker.job_id for worker in self._workers}
        attended |= {
            report.job_id
            for _, report in self._unprocessed
            if isinstance(report, Finished | Failed)
        }
        for job in self._store.states(JobState.RUNNING):
            if job.job_id not in attended:
                self._attempts.hand_back(job.job_id, now=now, wall=wall)

    def _reattach_orphans(self, now: float, wall: float) -> None:
        """Hold the orphans that a failed step has left, with backoff while that fails."""
        if not self._store.has_orphans or self._problems.until_of("strays") > now:
            return
        place = self._store.instance
        with io_problem(self._problems, "strays", place=place, now=now, pauses=False):
            self._adopter.reattach_orphans(now=now, wall=wall)

    # --- one report -------------------------------------------------------------------------

    def _process_report(self, worker: Supervisor, report: Report, now: float, wall: float) -> bool:
        """Process one report; return False if it has to be tried again."""
        if isinstance(report, ProgressUpdate):
            self._on_progress(worker, report, now, wall)
        elif isinstance(report, Ready):
            log.info("worker.ready", worker=worker.slot.number, pid=worker.pid)
            self._problems.clear(worker.slot.name)
        elif isinstance(report, WorkerBroken):
            self._on_worker_broken(worker, report, now)
        elif isinstance(report, Finished | Failed):
            job = self._store.jobs[report.job_id]
            record = partial(self._record_outcome, worker, report, now, wall)
            return self._isolation.run(job, ATTEMPT, record, now=now, wall=wall)
        return True

    def _record_outcome(
        self, worker: Supervisor, report: Finished | Failed, now: float, wall: float
    ) -> None:
        if isinstance(report, Finished):
            self._attempts.finish(report, worker.versions, wall=wall)
            self._problems.clear("film")
        else:
            self._on_attempt_failed(worker, report, now, wall)

    def _on_progress(
        self, worker: Supervisor, report: ProgressUpdate, now: float, wall: float
    ) -> None:
        """Save a newly known frame size; hand the film back if there is no memory for it."""
        pixels = report.progress.pixels if report.progress else 0
        job = self._store.jobs.get(report.job_id)
        if job is None or worker.job_id != job.job_id or pixels in (0, job.pixels):
            return
        self._attempts.learn_size(job.job_id, pixels)
        lacking = self._memory.lacking_bytes(pixels, worker)
        if lacking and self._memory.exceeds_usual(pixels):
            log.info("memory.lacking", film=printable(job.name), lacking_mb=lacking >> 20)
            self._control.hand_back(worker, now=now, wall=wall)

    def _on_worker_broken(self, worker: Supervisor, report: WorkerBroken, now: float) -> None:
        """Put a worker that cannot start into backoff; one that was idle is just restarted."""
        number = worker.slot.number
        if report.loaded:
            log.warning("worker.lost", worker=number, sentence=report.sentence)
            return
        sentence = f"worker {number} cannot start: {report.sentence}"
        self._control.back_off(worker, sentence, now=now)

    def _on_attempt_failed(
        self, worker: Supervisor, report: Failed, now: float, wall: float
    ) -> None:
        failure = report.failure
        decision = self._attempts.fail(report.job_id, failure, now=now, wall=wall)
        if decision.next is not Next.PAUSE or failure.error in FOLDER_FAILURES:
            # A broken folder is a problem of its own, which its proof has reported.
            self._problems.clear("film")
        elif failure.error == DeviceBroken.__name__:
            # No other worker uses this device, so the others can go on, and take the film.
            self._control.back_off(worker, f"{worker.slot.name}: {failure.sentence}", now=now)
        else:
            self._problems.report("film", failure.sentence, now=now)
