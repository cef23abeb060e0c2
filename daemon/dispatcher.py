"""Which film goes to which worker, and what is heard of it.

A film is claimed only when a worker is free for it: until then it lies in the inbox, for other
daemons too. A worker process is started only when there is a film for it, and memory for that film.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime

import structlog
from ulid import ULID

from daemon.config.schedule import AtClosing, closed_sentence
from daemon.config.schema import Config
from daemon.folders.checks import free_bytes
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.inbox.settling import Candidate
from daemon.jobs.job import Job, JobState
from daemon.jobs.retry import Next
from daemon.jobs.store import JobStore, yields_to_others
from daemon.runtime.host_problems import HostProblems
from daemon.storage.failpoints import failpoint
from daemon.storage.names import shown
from daemon.storage.os_errors import hint_for
from daemon.workers.admission import Demand, held_bytes, lacking_bytes, needed_bytes
from daemon.workers.host_resources import available_bytes, memory_bytes
from daemon.workers.messages import Failed, Finished, ProgressUpdate, Ready
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Report, Supervisor, WorkerBroken, WorkerState
from erasecore.errors import ClaimRefused, DeviceBroken

log = structlog.get_logger(__name__)

MAX_OVERTAKING_SECONDS = 600.0
"""For so long smaller films may pass one that waits for memory; then none is begun before it."""


class Dispatcher:
    """Brings films and workers together."""

    def __init__(
        self,
        config: Config,
        store: JobStore,
        workers: WorkerPool,
        queue: CandidateQueue,
        problems: HostProblems,
    ) -> None:
        self.config = config
        self.queue = queue
        self._store = store
        self._workers = workers
        self._problems = problems
        self._unheard: deque[tuple[Supervisor, Report]] = deque()
        self.eager = False  # whether a worker is started before there is a film, to see if it can
        self.scheduled = True  # whether working hours count
        self.idle_reason = ""  # why no film is begun, if nothing is wrong
        self._waits_since: dict[str, float] = {}  # of jobs that there is not enough memory for

    # --- what workers tell --------------------------------------------------------------------

    def process_reports(self, *, now: float, wall: float) -> None:
        """Take in what the workers have told since the last time.

        Raises:
            OSError: it cannot be put down, for want of room perhaps; the next call tries again.
        """
        self._reattach_orphans(now, wall)
        self._store.shorten_logs()
        self._unheard.extend(self._workers.step(now=now))
        while self._unheard:
            worker, report = self._unheard[0]
            if not isinstance(report, Finished | Failed) or report.job_id in self._store.jobs:
                self._process_report(worker, report, now, wall)
            self._unheard.popleft()  # else another daemon has the job now
        at_work = {worker.job_id for worker in self._workers}
        for job in self._store.states(JobState.RUNNING):
            if job.job_id not in at_work:  # an error came between the two halves of a step
                self._store.hand_back(job.job_id, wall=wall)

    def _reattach_orphans(self, now: float, wall: float) -> None:
        """Take up again what a step that failed half-way has left, as soon as that can be done."""
        if not self._store.orphans or self._problems.until_of("strays") > now:
            return
        try:
            self._store.reattach_orphans(wall=wall)
        except OSError as error:
            place = error.filename or self._store.instance
            self._report_problem("strays", f"{place} {hint_for(error)}", now, pauses=False)
        else:
            self._problems.clear("strays")

    def _process_report(self, worker: Supervisor, report: Report, now: float, wall: float) -> None:
        if isinstance(report, ProgressUpdate):
            self._on_size_known(worker, report, wall)
        elif isinstance(report, Ready):
            log.info("worker.ready", worker=worker.slot.number, pid=worker.pid)
            self.eager = False
            self._problems.clear(worker.slot.name)
        elif isinstance(report, WorkerBroken):
            self._on_worker_broken(worker, report, now)
        elif isinstance(report, Finished):
            self._store.finish(report, worker.versions, wall=wall)
            self._problems.clear("film")
        elif isinstance(report, Failed):
            self._on_attempt_failed(worker, report, now, wall)

    def _on_attempt_failed(
        self, worker: Supervisor, report: Failed, now: float, wall: float
    ) -> None:
        failure = report.failure
        decision = self._store.fail(report.job_id, failure, wall=wall)
        if decision.next is not Next.PAUSE:
            self._problems.clear("film")
        elif failure.error == DeviceBroken.__name__:
            # Its card is this worker's alone: the others go on, and do its film.
            self._back_off(worker, f"{worker.slot.name}: {failure.sentence}", now)
        else:
            self._report_problem("film", failure.sentence, now)

    def _back_off(self, worker: Supervisor, sentence: str, now: float) -> None:
        """Leave a worker alone for a while; if all are left alone, the queue waits."""
        worker.backoff_until = now + self.config.retry.pause_seconds
        self._report_problem(worker.slot.name, sentence, now, pauses=False)

    def _on_worker_broken(self, worker: Supervisor, report: WorkerBroken, now: float) -> None:
        """A worker that cannot start is left alone for a while; the others go on."""
        number = worker.slot.number
        if report.loaded:
            log.warning("worker.lost", worker=number, sentence=report.sentence)
            return
        self._back_off(worker, f"worker {number} cannot start: {report.sentence}", now)

    def _on_size_known(self, worker: Supervisor, report: ProgressUpdate, wall: float) -> None:
        """A film turns out to be large: if there is no memory for that, it waits until there is."""
        pixels = report.progress.pixels if report.progress else 0
        job = self._store.jobs.get(report.job_id)
        if job is None or worker.job_id != job.job_id or pixels in (0, job.pixels):
            return
        self._store.learn_size(job.job_id, pixels)
        lacking = self._lacking(pixels, worker)
        if lacking and self._needed(pixels) > self._needed(0):
            log.info("memory.lacking", film=shown(job.name), lacking_mb=lacking >> 20)
            self.hand_back(worker, wall=wall)

    # --- what workers are given ---------------------------------------------------------------

    def assign(self, *, now: float, wall: float) -> None:
        """Give every free worker a film; start workers for the films that are left."""
        moment = datetime.fromtimestamp(wall)
        self.idle_reason = (
            closed_sentence(self.config.schedule.hours, moment) if self.scheduled else ""
        )
        if not self.idle_reason:
            self._assign_films(now, wall)
        elif self.config.schedule.at_closing is AtClosing.HAND_BACK:
            for worker in self._workers.in_state(WorkerState.BUSY):
                self.hand_back(worker, wall=wall)
        if self.eager and not self._workers.handles():
            self._workers.start_one(now=now)

    def hand_back(self, worker: Supervisor, *, wall: float) -> None:
        """End a worker in the middle of its film, which goes on later with what is finished."""
        job_id = worker.job_id
        worker.kill()
        self._store.hand_back(job_id, wall=wall)

    def _assign_films(self, now: float, wall: float) -> None:
        for worker in self._workers.free():
            job = self._next(worker, now, wall)
            if job is None:
                return
            self._waits_since.pop(job.job_id, None)
            worker.begin(self._store.begin(job, wall=wall), now=now)
            failpoint("attempt.after_start")
        waiting = len(self._store.due(wall=wall)) + len(self.queue.candidates)
        for _ in range(waiting - len(self._workers.in_state(WorkerState.LOADING))):
            if self._first_that_fits(None, now, wall) is None:
                return
            if not self._workers.start_one(now=now):
                return

    def _next(self, worker: Supervisor, now: float, wall: float) -> Job | None:
        """The job that goes next; if it is a film in the inbox still, it is claimed now."""
        while (film := self._first_that_fits(worker, now, wall)) is not None:
            if isinstance(film, Job):
                return film
            if not self._room_for(film, now):
                return None
            self._claim(film, now, wall)
        return None

    def _in_order(self, wall: float) -> Iterator[Job | Candidate]:
        """What may go next, in this order: the most urgent first, then what was claimed first.

        What has failed before lets others pass.
        """
        candidate = self.queue.best()
        urgency = self.queue.priority(candidate) if candidate else 0
        for job in self._store.due(wall=wall):
            urgency_here = job.settings.priority
            passes = urgency == urgency_here and yields_to_others(job, wall=wall)
            if candidate is not None and (urgency > urgency_here or passes):
                yield candidate
                candidate = None
            yield job
        if candidate is not None:
            yield candidate

    def _claim(self, candidate: Candidate, now: float, wall: float) -> None:
        """Take a film out of the inbox; if it may not be, the others need not wait for that."""
        self.queue.take(candidate)
        job_id = str(ULID()).lower()
        try:
            job = self._store.claim(candidate, job_id, now=now, wall=wall)
        except ClaimRefused as error:
            log.debug("claim.put_off", film=shown(candidate.name), sentence=str(error))
            self.queue.refused(candidate, error, now=now)
            return
        if job is None:
            self.queue.request_rescan()
        else:
            self.queue.taken(candidate)

    # --- memory and space ---------------------------------------------------------------------

    def _first_that_fits(
        self, worker: Supervisor | None, now: float, wall: float
    ) -> Job | Candidate | None:
        """The first film for which there is memory; for a while it may pass larger ones.

        Args:
            worker: which is to have it; none: one that is still to be started.
            now: on our monotonic clock.
            wall: seconds since 1970.
        """
        for film in self._in_order(wall):
            lacking = self._lacking(film.pixels if isinstance(film, Job) else 0, worker)
            if not lacking:
                self._problems.clear("memory")
                return film
            self._report_lack(lacking, now)
            if isinstance(film, Candidate):
                return None  # what comes after it is no smaller, as far as we know
            if now - self._waits_since.setdefault(film.job_id, now) > MAX_OVERTAKING_SECONDS:
                return None
        return None

    def _needed(self, pixels: int) -> int:
        return needed_bytes(pixels, self.config.worker.film_mb, memory_bytes())

    def _lacking(self, pixels: int, worker: Supervisor | None) -> int:
        """How much memory is lacking for a film, bytes; what others will still take is taken."""
        others = [
            Demand(self._needed(job.pixels if job else 0), held_bytes(one))
            for one in self._workers.in_state(WorkerState.LOADING, WorkerState.BUSY)
            if one is not worker
            for job in [self._store.jobs.get(one.job_id)]
        ]
        film = Demand(self._needed(pixels), held_bytes(worker) if worker else 0)
        return lacking_bytes(film, others, available_bytes())

    def _report_lack(self, lacking: int, now: float) -> None:
        """While films are worked on, one more waits for them; else it is for the operator."""
        if self._workers.in_state(WorkerState.LOADING, WorkerState.BUSY):
            self.idle_reason = f"the next film waits for {lacking >> 20} MB of memory"
            return
        sentence = (
            f"memory: {lacking >> 20} MB more must be free before a film is begun; end something "
            "else or lower worker.film_mb, the queue goes on by itself."
        )
        self._report_problem("memory", sentence, now)

    def _room_for(self, candidate: Candidate, now: float) -> bool:
        """Whether there is space for what will be made of a film; if not, the queue waits."""
        folders = self.config.folders
        needed = (folders.min_free_mb << 20) + int(
            folders.free_factor * candidate.signature.size_bytes
        )
        reserved = self._store.outstanding_bytes(folders.free_factor)
        for role, path in (("work", folders.work), ("done", folders.done)):
            free = free_bytes(path)
            if free < needed:
                sentence = (
                    f"folders.{role}: {path} has {free >> 20} MB free, the next film needs "
                    f"{needed >> 20} MB; free some space, the queue goes on by itself."
                )
                self._report_problem("space", sentence, now)
                return False
            if free < needed + reserved:
                lacking = needed + reserved - free
                self.idle_reason = (
                    f"the next film waits for {lacking >> 20} MB of space on folders.{role}"
                )
                return False
        self._problems.clear("space")
        return True

    def _report_problem(self, what: str, sentence: str, now: float, *, pauses: bool = True) -> None:
        seconds = self.config.retry.pause_seconds
        self._problems.report(what, sentence, now=now, pause_seconds=seconds, pauses=pauses)
