"""The worker processes of a daemon: how many, each in a seat of its own, started when needed.

A seat is what one worker has of the machine: a GPU where there is one, and so many threads. One
worker's end, whatever it is, concerns no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from daemon.config.schema import Config, WorkerSettings
from daemon.workers.host_resources import CORES_PER_FILM, HostResources
from daemon.workers.process import Report, Supervisor, WorkerSlot, WorkerState
from erasecore.errors import FolderError, WeightsMissing
from erasecore.settings import HostSettings
from erasecore.weights.layout import locate

WORKER_LOG = "worker.log"


def worker_log(number: int) -> str:
    """The name of the file for what a worker says while no film is to blame."""
    return f"worker-{number}.log"


def works_on_gpu(config: Config) -> bool:
    """Whether the usual film is worked on by a GPU, if there is one."""
    if config.erase.engine != "auto":
        return config.erase.engine == "diffueraser"
    if find_spec("torch") is None:
        return False
    try:
        locate(config.models_folder)
    except (WeightsMissing, FolderError):  # for the first film, and the doctor, to say
        return False
    return True


def slots_for(
    settings: WorkerSettings, machine: HostResources, *, on_gpu: bool
) -> tuple[WorkerSlot, ...]:
    """How the machine is divided among workers.

    Args:
        settings: how many are asked for.
        machine: what there is.
        on_gpu: whether films are worked on by a GPU, if there is one.
    """
    count = settings.count
    if not isinstance(count, int):
        by_memory = machine.memory_bytes // (settings.film_mb << 20)
        by_cores = machine.cores // CORES_PER_FILM
        on_cpu = max(1, min(by_cores, by_memory))
        count = len(machine.devices) if on_gpu and machine.devices else on_cpu
    whole = count == 1 and machine.cores == os.cpu_count()
    threads = settings.threads or (0 if whole else max(1, machine.cores // count))
    devices = machine.devices or ("",)
    return tuple(
        WorkerSlot(number + 1, devices[number % len(devices)], threads) for number in range(count)
    )


class WorkerPool:
    """All workers of one daemon, by the numbers of their seats."""

    def __init__(self, folder: Path, command: Sequence[str]) -> None:
        self._folder = folder
        self._command = command
        self._settings, self._host = WorkerSettings(), HostSettings()
        self._seats: dict[int, WorkerSlot] = {}
        self._all: dict[int, Supervisor] = {}

    def __iter__(self) -> Iterator[Supervisor]:
        return iter([self._all[number] for number in sorted(self._all)])

    def configure(
        self, settings: WorkerSettings, host: HostSettings, slots: Sequence[WorkerSlot]
    ) -> None:
        """Go by other settings and seats; a film that is being worked on is finished first."""
        self._settings, self._host = settings, host
        self._seats = {slot.number: slot for slot in slots}
        for worker in self:
            worker.settings = settings
        self._rearrange()

    def _stays(self, worker: Supervisor) -> bool:
        """Whether a worker has what it should have: a seat that there is, the host's folders."""
        slot = self._seats.get(worker.slot.number)
        return (worker.slot, worker.host) == (slot, self._host)

    def _rearrange(self) -> None:
        """Let those go whose seat is no more, and put somebody into every seat that is free."""
        for number, worker in list(self._all.items()):
            if worker.state is not WorkerState.BUSY and not self._stays(worker):
                worker.dismiss()
                del self._all[number]
        for number in self._seats.keys() - self._all.keys():
            log = self._folder / worker_log(number)
            self._all[number] = Supervisor(
                self._settings, self._host, log, self._command, slot=self._seats[number]
            )

    def step(self, *, now: float) -> list[tuple[Supervisor, Report]]:
        """What each worker has told since the last time."""
        told = [(worker, report) for worker in self for report in worker.step(now=now)]
        self._rearrange()
        return told

    def in_state(self, *states: WorkerState) -> list[Supervisor]:
        """The workers in one of ``states``."""
        return [worker for worker in self if worker.state in states]

    def free(self) -> list[Supervisor]:
        """The workers that can be given a film at once."""
        return [one for one in self.in_state(WorkerState.IDLE) if self._stays(one)]

    def able(self, *, now: float) -> bool:
        """Whether there is a worker that is not known to be unfit."""
        return any(worker.backoff_until <= now for worker in self)

    def start_one(self, *, now: float) -> bool:
        """Start a worker that is absent and not unfit; False if there is none."""
        for worker in self.in_state(WorkerState.ABSENT):
            if worker.backoff_until <= now:
                worker.spawn(now=now)
                return True
        return False

    def next_try(self, *, now: float) -> float | None:
        """When the first of the unfit workers is tried again."""
        return min((one.backoff_until for one in self if one.backoff_until > now), default=None)

    def handles(self) -> list[int]:
        """The pipes to be watched."""
        return [handle for worker in self if (handle := worker.fileno()) is not None]

    def kill(self) -> None:
        """End all of them at once."""
        for worker in self:
            worker.kill()

    def dismiss(self) -> None:
        """Let the idle ones end in peace, the busy ones at once."""
        for worker in self:
            worker.hang_up()
        for worker in self:
            worker.dismiss()
