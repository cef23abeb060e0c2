"""Parts that belong to one instance folder: its jobs, its workers and the dispatch between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from daemon.config.locations import DuplicateMode, ReadyMode
from daemon.config.schema import Config
from daemon.control.controller import Controller
from daemon.control.reach import Reach
from daemon.dispatch.admission import MemoryAdmission, SpaceAdmission
from daemon.dispatch.dispatcher import Dispatcher
from daemon.dispatch.reports import ReportHandler
from daemon.dispatch.selection import FilmSelection
from daemon.dispatch.worker_control import WorkerControl
from daemon.folders.proofs import FolderProofs
from daemon.inbox.candidate_queue import CandidateQueue
from daemon.inbox.left_films import LeftFilms, left_file
from daemon.jobs.history import History
from daemon.jobs.instances import this_process
from daemon.jobs.job import JobState
from daemon.jobs.job_parts import JobParts
from daemon.jobs.pause_switch import PauseSwitch, pause_file
from daemon.runtime.host_problems import HostProblems
from daemon.runtime.threads import thread_starter
from daemon.storage.os_errors import hint_for
from daemon.workers.host_resources import HostResources
from daemon.workers.pool import WorkerPool, slots_for, works_on_gpu
from daemon.workers.process import WorkerState

BUSY_SLEEP_SECONDS = 1.0
"""Longest sleep while a worker or a publication is busy: a stall has to be noticed, a speed to be
measured. A guess."""
CLAIMED_SLEEP_SECONDS = 0.5
"""Longest sleep while a claimed job waits for its sender. A guess."""


def host_of(config: Config) -> str:
    """Return the name of this host, or ``claims.instance``, under which the daemon is known."""
    return this_process(config.claims.instance).host


@dataclass(frozen=True, slots=True)
class SteeringParts:
    """Parts for requests that outlive the instance folder."""

    wake: Callable[[], None]  # ends the main loop's sleep; thread-safe
    pauses: PauseSwitch
    left: LeftFilms


def steering_parts(config: Config, wake: Callable[[], None], *, lasting: bool) -> SteeringParts:
    """Return the parts for a process, with what was asked before it was started.

    Args:
        config: the configuration.
        wake: ends the main loop's sleep.
        lasting: a pause is kept over restarts; not for ``once``, which is started to do films now.
    """
    work, host = config.folders.work, host_of(config)
    pauses = PauseSwitch(pause_file(work, host) if lasting else None)
    return SteeringParts(wake, pauses, LeftFilms(left_file(work, host)))


@dataclass(frozen=True, slots=True)
class SharedParts:
    """Parts that live as long as the process, and are used by those of each instance folder."""

    queue: CandidateQueue
    problems: HostProblems
    proofs: FolderProofs
    history: History
    host: HostResources
    worker_command: Sequence[str]
    steering: SteeringParts


@dataclass(frozen=True, slots=True)
class InstanceParts:
    """One value with every part of an instance folder; a new folder gets new parts."""

    jobs: JobParts
    workers: WorkerPool
    memory: MemoryAdmission
    space: SpaceAdmission
    selection: FilmSelection
    control: WorkerControl
    reports: ReportHandler
    dispatcher: Dispatcher
    controller: Controller
    shared: SharedParts

    @classmethod
    def build(
        cls, instance: Path, config: Config, shared: SharedParts, *, preload: bool
    ) -> InstanceParts:
        """Build the parts for the folder ``instance``; no job is held and no process started.

        Args:
            instance: our instance folder.
            config: the configuration.
            shared: parts that outlive the folder.
            preload: start a worker before there is a film.
        """
        history, problems, steering = shared.history, shared.problems, shared.steering
        jobs = JobParts.build(
            instance, config, history, problems, shared.proofs, thread_starter(steering.wake)
        )
        workers = WorkerPool(instance, shared.worker_command, preload=preload)
        memory = MemoryAdmission(jobs.store, workers, config)
        control = WorkerControl(jobs.attempts, workers, shared.problems, config)
        space = SpaceAdmission(jobs.attempts, config)
        selection = FilmSelection(jobs, shared.queue, memory, space, shared.problems)
        reach = _reach(jobs, selection, control, shared, config)
        parts = cls(
            jobs=jobs,
            workers=workers,
            memory=memory,
            space=space,
            selection=selection,
            control=control,
            reports=ReportHandler(jobs, workers, memory, control, shared.problems),
            dispatcher=Dispatcher(
                jobs.attempts, workers, selection, control, steering.pauses, config
            ),
            controller=Controller(instance, reach, steering.wake),
            shared=shared,
        )
        parts._arrange_workers(config)
        return parts

    def reconfigure(self, config: Config) -> None:
        """Pass a new configuration to every part, and let every worker be tried again."""
        parts = (self.jobs, self.memory, self.space, self.control, self.dispatcher)
        for part in (*parts, self.controller):
            part.reconfigure(config)
        self.workers.end_backoff()
        for worker in self.workers:
            self.shared.problems.clear(worker.slot.name)
        self._arrange_workers(config)

    def _arrange_workers(self, config: Config) -> None:
        """Divide the machine into worker slots as ``config`` says."""
        slots = slots_for(config.worker, self.shared.host, on_gpu=works_on_gpu(config))
        self.workers.configure(config.worker, config.host(), slots)

    def kill_workers_of(self, job_ids: set[str]) -> None:
        """Kill the workers that work on jobs which another daemon has taken over."""
        for worker in self.workers:
            if worker.job_id in job_ids:
                worker.kill()

    def scan_inbox(
        self, clock: Callable[[], float], processor: Callable[[], float], *, now: float
    ) -> None:
        """Scan the inbox if that is due; an error of it is a host problem.

        Args:
            clock: our monotonic clock, in seconds.
            processor: processor time of this thread, in seconds.
            now: monotonic time in seconds.
        """
        queue, problems = self.shared.queue, self.shared.problems
        try:
            scanned = queue.scan_if_due(clock, processor)
        except OSError as error:
            sentence = f"folders.inbox: {queue.inbox.folder} {hint_for(error)}"
            problems.report("inbox", sentence, now=now)
            return
        if scanned:
            problems.clear("inbox")
            failed = queue.inbox.skipped.failed
            self.jobs.isolation.blame.of_scan(failed.values(), now=now)

    def due_times(self, *, now: float, wall: float) -> Iterator[float]:
        """Yield the monotonic times at which one of the parts has something to do.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.
        """
        yield self.controller.next_look_at(now=now, wall=wall)
        if (retry_at := self.shared.problems.until(now=now)) is not None:
            yield retry_at
        if (due_in := self.jobs.store.due_in(wall=wall)) is not None:
            yield now + due_in
        if (next_try := self.workers.next_try(now=now)) is not None:
            yield next_try
        working = self.workers.in_state(WorkerState.BUSY, WorkerState.LOADING)
        if working or self.jobs.publisher.busy:
            yield now + BUSY_SLEEP_SECONDS
        if self.jobs.store.states(JobState.CLAIMED):
            yield now + CLAIMED_SLEEP_SECONDS


def _reach(
    jobs: JobParts,
    selection: FilmSelection,
    control: WorkerControl,
    shared: SharedParts,
    config: Config,
) -> Reach:
    """Return the parts that requests of people may touch."""
    return Reach(
        jobs=jobs,
        inbox=shared.queue,
        claim=selection.claim,
        interrupt=control.interrupt,
        start_thread=thread_starter(shared.steering.wake),
        pauses=shared.steering.pauses,
        left=shared.steering.left,
        folders=config.folders,
        erase_defaults=config.erase,
        marked=config.inbox.ready is ReadyMode.MARKER,
        skips_duplicates=config.inbox.duplicates is DuplicateMode.SKIP,
        host=host_of(config),
    )
