"""A worker process for the commands that work on single films, without inbox, queue or history."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from daemon.config.schema import Config
from daemon.jobs.retry import Next, decide, given_up
from daemon.runtime.wakeup import Wakeup
from daemon.workers.messages import Failed, Failure, Finished, Planned, Ready, Start
from daemon.workers.process import WORKER_COMMAND, Report, Supervisor, WorkerBroken
from erasecore.errors import EraseError, HostError
from erasecore.reports import Progress

Observe = Callable[[Progress | None], None]
"""Progress callback; receives ``None`` as long as the worker has reported no progress."""
POLL_SECONDS = 0.5
"""Longest sleep between two checks of the worker; also the period of ``Observe``. Guess."""


class Stopped(Exception):
    """The user interrupted the command.

    Args:
        number: of the signal, SIGINT or SIGTERM.
    """

    def __init__(self, number: int = signal.SIGINT) -> None:
        self.number = number
        super().__init__(number)


class AttemptFailed(EraseError):
    """The film failed; the text is the worker's sentence."""

    def __init__(self, failure: Failure) -> None:
        self.failure = failure
        super().__init__(failure.sentence)


class FilmWorker:
    """One worker process, which works on one film after another; a context manager.

    Its models stay loaded from film to film. SIGINT and SIGTERM end the work with ``Stopped``.
    """

    def __init__(
        self, config: Config, log: Path, *, worker_command: Sequence[str] = WORKER_COMMAND
    ) -> None:
        """Start no process yet.

        Args:
            config: worker, host and retry settings count.
            log: file for what the worker prints outside of its films.
            worker_command: program of the worker.
        """
        self._retry = config.retry
        self._supervisor = Supervisor(config.worker, config.host(), log, worker_command)
        self._wake = Wakeup()
        self._signals = self._wake.signals()

    def __enter__(self) -> Self:
        self._signals.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._supervisor.dismiss()
        self._signals.__exit__(kind, error, trace)
        self._wake.close()

    def run(self, start: Start, observe: Observe) -> Finished | Planned:
        """Run attempts, as often as the retry settings allow; return the last one's outcome.

        After each attempt whose worker was killed (out of memory) the next one uses smaller pieces.

        Args:
            start: the work; its number and rungs are set for each attempt.
            observe: progress callback.

        Raises:
            AttemptFailed: the last attempt failed.
            HostError: the worker cannot work at all.
            Stopped: the user interrupted it.
        """
        attempt = killed = 0
        while True:
            attempt += 1
            rungs_down = 2**killed - 1
            outcome = self._attempt(replace(start, attempt=attempt, rungs_down=rungs_down), observe)
            if not isinstance(outcome, Failed):
                return outcome
            killed += outcome.failure.killed
            if decide(outcome.failure.remedy, attempt, self._retry).next is not Next.REQUEUE:
                raise AttemptFailed(given_up(outcome.failure))

    def _attempt(self, start: Start, observe: Observe) -> Finished | Planned | Failed:
        """Run one attempt, in a new process if there is none, and return its outcome."""
        supervisor = self._supervisor
        if supervisor.pid is None:
            supervisor.spawn(now=time.monotonic())
            while not any(isinstance(report, Ready) for report in self._next_reports()):
                observe(None)
        supervisor.begin(start, now=time.monotonic())
        while True:
            for report in self._next_reports():
                if isinstance(report, Finished | Planned | Failed):
                    return report
            observe(supervisor.progress)

    def _next_reports(self) -> list[Report]:
        """Wait for the worker, at most ``POLL_SECONDS``, and return what it has reported.

        Raises:
            HostError: the worker cannot work at all.
            Stopped: the user interrupted the command.
        """
        self._wake.sleep(POLL_SECONDS, self._supervisor.fileno())
        if self._wake.stops:
            raise Stopped(self._wake.stop_signal)
        reports = self._supervisor.step(now=time.monotonic())
        for report in reports:
            if isinstance(report, WorkerBroken):
                raise HostError(f"the worker cannot work: {report.sentence}")
        return reports
