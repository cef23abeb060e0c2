"""Assignment of films to workers.

A worker process is started only when there is a film for it, and memory for that film.
"""

from __future__ import annotations

from datetime import datetime

from daemon.config.schedule import AtClosing, closed_sentence
from daemon.config.schema import Config
from daemon.dispatch.selection import FilmSelection
from daemon.dispatch.worker_control import WorkerControl
from daemon.jobs.attempts import AttemptRecorder
from daemon.jobs.pause_switch import PauseSwitch
from daemon.storage.failpoints import failpoint
from daemon.workers.messages import Start
from daemon.workers.pool import WorkerPool
from daemon.workers.process import Supervisor, WorkerState


class Dispatcher:
    """Gives the selected films to free workers, within the working hours."""

    def __init__(
        self,
        attempts: AttemptRecorder,
        workers: WorkerPool,
        selection: FilmSelection,
        control: WorkerControl,
        pauses: PauseSwitch,
        config: Config,
    ) -> None:
        self._attempts = attempts
        self._workers = workers
        self._selection = selection
        self._control = control
        self._pauses = pauses
        self._paused = ""  # sentence: a person has paused the queue
        self._closed = ""  # sentence: outside the working hours
        self.reconfigure(config)

    def reconfigure(self, config: Config) -> None:
        """Keep the working hours of ``config`` from now on."""
        self._schedule = config.schedule

    @property
    def closed(self) -> bool:
        """True outside the working hours."""
        return bool(self._closed)

    @property
    def idle_reason(self) -> str:
        """Sentence: why no film is begun although nothing is wrong; "" if there is no reason."""
        return self._paused or self._closed or self._selection.shortage

    def assign(self, *, now: float, wall: float) -> None:
        """Give every free worker a film, and start workers for the films that are left.

        Outside the working hours no film is begun; films at work are finished or handed back, as
        ``schedule.at_closing`` says. During a pause none is begun either; what is at work is
        finished, unless the request interrupted it.

        Args:
            now: monotonic time in seconds.
            wall: seconds since 1970.

        Raises:
            OSError: no process can be made, or free space not be read; the call may be repeated.
        """
        self._selection.reset_shortage()
        self._closed = closed_sentence(self._schedule.hours, datetime.fromtimestamp(wall))
        pause = self._pauses.current(wall=wall)
        self._paused = pause.sentence() if pause is not None else ""
        if not self._closed:
            if not self._paused and self._assign_films(now, wall):
                self._start_workers(now, wall)
        elif self._schedule.at_closing is AtClosing.HAND_BACK:
            for worker in self._workers.in_state(WorkerState.BUSY):
                self._control.hand_back(worker, now=now, wall=wall)
        self._workers.preload(now=now)

    def _assign_films(self, now: float, wall: float) -> bool:
        """Give films to the idle workers; return False if there was none for one of them."""
        for worker in self._workers.free():
            start = self._next_start(worker, now, wall)
            if start is None:
                return False
            worker.begin(start, now=now)
            failpoint("attempt.after_start")
        return True

    def _next_start(self, worker: Supervisor, now: float, wall: float) -> Start | None:
        """Return the attempt that goes next; None if there is none. Jobs that fail are passed."""
        while (job := self._selection.next_job(worker, now=now, wall=wall)) is not None:
            start = self._attempts.begin(job, now=now, wall=wall)
            if start is not None:
                return start
        return None

    def _start_workers(self, now: float, wall: float) -> None:
        """Start a worker for each film that is left, as far as memory and slots allow."""
        loading = len(self._workers.in_state(WorkerState.LOADING))
        for _ in range(self._selection.waiting(now=now, wall=wall) - loading):
            if not self._selection.fits_new_worker(now=now, wall=wall):
                return
            if not self._workers.start_one(now=now):
                return
