"""Pool of the worker processes of a daemon: one per slot, started when needed.

A slot is one worker's share of the machine: a GPU, if there is one, and a number of threads. The
end of a worker does not affect the others.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from daemon.config.schema import Config, WorkerSettings
from daemon.workers.host_resources import CORES_PER_FILM, HostResources
from daemon.workers.messages import Ready
from daemon.workers.process import Report, Supervisor, WorkerSlot, WorkerState
from erasecore.errors import FolderError, WeightsMissing
from erasecore.settings import HostSettings
from erasecore.weights.layout import locate

WORKER_LOG = "worker.log"
"""Name of the log file of the single worker of a command, e.g. ``doctor``."""


def worker_log(number: int) -> str:
    """Return the name of the file for a worker's output outside attempts."""
    return f"worker-{number}.log"


def works_on_gpu(config: Config) -> bool:
    """Return True if the configured engine uses a GPU, and for ``auto`` its weights are there."""
    if config.erase.engine != "auto":
        return config.erase.engine == "diffueraser"
    if find_spec("torch") is None:
        return False
    try:
        locate(config.models_folder)
    except (WeightsMissing, FolderError):  # reported by the first film that needs them, and doctor
        return False
    return True


def slots_for(
    settings: WorkerSettings, machine: HostResources, *, on_gpu: bool
) -> tuple[WorkerSlot, ...]:
    """Return one slot for each worker: the machine divided among them.

    ``worker.count: auto`` means a worker per GPU, or on the CPU as many as cores and memory allow.
    With more workers than GPUs several share one.

    Args:
        settings: number of workers and threads, memory per film.
        machine: resources to divide.
        on_gpu: True if films are processed by a GPU, should there be one.
    """
    count = settings.count
    if not isinstance(count, int):
        by_memory = machine.memory_bytes // (settings.film_mb << 20)
        by_cores = machine.cores // CORES_PER_FILM
        on_cpu = max(1, min(by_cores, by_memory))
        count = len(machine.devices) if on_gpu and machine.devices else on_cpu
    has_all_cores = count == 1 and machine.cores == os.cpu_count()
    threads = settings.threads or (0 if has_all_cores else max(1, machine.cores // count))
    devices = machine.devices or ("",)
    return tuple(
        WorkerSlot(number + 1, devices[number % len(devices)], threads) for number in range(count)
    )


class WorkerPool:
    """All workers of one daemon, by the numbers of their slots.

    A worker whose slot was changed or removed finishes its film first.
    """

    def __init__(self, folder: Path, command: Sequence[str], *, preload: bool = False) -> None:
        """Make an empty pool.

        Args:
            folder: folder of the workers' log files.
            command: command line that starts a worker process.
            preload: start one worker before there is a film.
        """
        self._folder = folder
        self._command = command
        self._preload = preload  # start one worker before there is a film
        self._settings, self._host = WorkerSettings(), HostSettings()
        self._slots: dict[int, WorkerSlot] = {}
        self._workers: dict[int, Supervisor] = {}

    def __iter__(self) -> Iterator[Supervisor]:
        return iter([self._workers[number] for number in sorted(self._workers)])

    def configure(
        self, settings: WorkerSettings, host: HostSettings, slots: Sequence[WorkerSlot]
    ) -> None:
        """Set the slots and settings; replace the workers that no longer match them.

        A worker that is at a film is replaced once that is finished.
        """
        self._settings, self._host = settings, host
        self._slots = {slot.number: slot for slot in slots}
        for worker in self:
            worker.reconfigure(settings)
        self._replace_outdated()

    def _is_current(self, worker: Supervisor) -> bool:
        """Return True if a worker has its slot and host settings as configured."""
        slot = self._slots.get(worker.slot.number)
        return (worker.slot, worker.host) == (slot, self._host)

    def _replace_outdated(self) -> None:
        """Dismiss the outdated workers that are not busy; fill each free slot (starts nothing)."""
        for number, worker in list(self._workers.items()):
            if worker.state is not WorkerState.BUSY and not self._is_current(worker):
                worker.dismiss()
                del self._workers[number]
        for number in self._slots.keys() - self._workers.keys():
            log = self._folder / worker_log(number)
            self._workers[number] = Supervisor(
                self._settings, self._host, log, self._command, slot=self._slots[number]
            )

    def step(self, *, now: float) -> list[tuple[Supervisor, Report]]:
        """Return the reports of all workers since the last call, each with its worker."""
        reports = [(worker, report) for worker in self for report in worker.step(now=now)]
        if any(isinstance(report, Ready) for _, report in reports):
            self._preload = False
        self._replace_outdated()
        return reports

    def in_state(self, *states: WorkerState) -> list[Supervisor]:
        """Return the workers in one of ``states``, by slot number."""
        return [worker for worker in self if worker.state in states]

    def free(self) -> list[Supervisor]:
        """Return the workers that can begin a film at once: idle, and not outdated."""
        return [worker for worker in self.in_state(WorkerState.IDLE) if self._is_current(worker)]

    def able(self, *, now: float) -> bool:
        """Return True if there is a worker whose backoff is over."""
        return any(worker.backoff_until <= now for worker in self)

    def start_one(self, *, now: float) -> bool:
        """Start the first absent worker whose backoff is over; return False if there is none."""
        for worker in self.in_state(WorkerState.ABSENT):
            if worker.backoff_until <= now:
                worker.spawn(now=now)
                return True
        return False

    def end_backoff(self) -> None:
        """Let every worker be tried again at once, e.g. after a change of the configuration."""
        for worker in self:
            worker.end_backoff()

    def preload(self, *, now: float) -> None:
        """Start one worker before there is a film, until one has been ready once.

        So a daemon that was asked to preload shows at its start whether it can work at all.
        """
        if self._preload and not self.handles():
            self.start_one(now=now)

    def next_try(self, *, now: float) -> float | None:
        """Return the next time at which a worker's backoff ends; None without a backoff."""
        backoffs = (worker.backoff_until for worker in self)
        return min((until for until in backoffs if until > now), default=None)

    def handles(self) -> list[int]:
        """Return the file descriptors that become readable when a worker reports."""
        return [handle for worker in self if (handle := worker.fileno()) is not None]

    def kill(self) -> None:
        """Kill all workers and the processes that they started."""
        for worker in self:
            worker.kill()

    def dismiss(self) -> None:
        """End all workers: idle ones in order, the others by a kill."""
        for worker in self:  # first tell all, so that they end at the same time
            worker.hang_up()
        for worker in self:
            worker.dismiss()
