"""``doctor``: is everything there that a film will need, and if not, what is to be done."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ulid import ULID

from daemon.config import Config
from daemon.folders import filesystem_of, free_bytes, is_network, mounts, paths_of, prove
from daemon.machine import look_at_machine
from daemon.owners import WORKER_LOG
from daemon.supervisor import WORKER_COMMAND, Supervisor, WorkerBroken
from daemon.wake import Wake
from daemon.wire import Hello
from daemon.workers import seats_for, works_on_gpu
from erasecore.errors import ConfigError, FolderError


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    well: bool
    sentence: str


def examine(
    config: Config,
    source: str,
    *,
    visible_devices: str | None = None,
    worker_command: Sequence[str] = WORKER_COMMAND,
) -> Iterator[Finding]:
    """What is found, one thing after the other.

    Args:
        config: what is examined.
        source: where the configuration is from.
        visible_devices: ``CUDA_VISIBLE_DEVICES``, if it is set.
        worker_command: how a worker is started.
    """
    yield Finding("config", well=True, sentence=source)
    yield from _folders(config)
    yield _ffmpeg()
    yield _workers(config, visible_devices)
    yield from _worker(config, worker_command)


def _folders(config: Config) -> Iterator[Finding]:
    try:
        prove(config.folders, token=str(ULID()))
    except (ConfigError, FolderError) as error:
        yield Finding("folders", well=False, sentence=str(error))
        return
    table = mounts()
    for role, path in paths_of(config.folders).items():
        kind = filesystem_of(path, table)
        free = free_bytes(path) / (1 << 30)
        network = ", polled" if role == "inbox" and is_network(kind) else ""
        yield Finding(role, well=True, sentence=f"{path} ({kind}{network}, {free:.1f} GB free)")


def _ffmpeg() -> Finding:
    system = shutil.which("ffmpeg")
    if system is not None:
        return Finding("ffmpeg", well=True, sentence=system)
    if find_spec("imageio_ffmpeg") is not None:
        return Finding("ffmpeg", well=True, sentence="the one bundled with imageio-ffmpeg")
    sentence = "none; install the package imageio-ffmpeg or the system's ffmpeg."
    return Finding("ffmpeg", well=False, sentence=sentence)


def _workers(config: Config, visible_devices: str | None) -> Finding:
    """How many films would be worked on at once, and by what."""
    machine = look_at_machine(visible_devices)
    seats = seats_for(config.worker, machine, on_gpu=works_on_gpu(config))
    threads = seats[0].threads or machine.cores
    sentence = (
        f"{len(seats)} (worker.count: {config.worker.count}), {threads} threads each; here are "
        f"{machine.cores} cores, {machine.memory_bytes / (1 << 30):.1f} GB of memory, "
        f"{len(machine.devices)} GPUs"
    )
    return Finding("workers", well=True, sentence=sentence)


def _worker(config: Config, command: Sequence[str]) -> Iterator[Finding]:
    """Start a worker as the daemon does, and let it say what it has."""
    wake = Wake()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / WORKER_LOG
        supervisor = Supervisor(config.worker, config.host(), log, command)
        begun = time.monotonic()
        try:
            supervisor.spawn(now=begun)
            answer = _answer(supervisor, lambda: wake.sleep(0.5, supervisor.fileno()))
        finally:
            supervisor.dismiss()
            wake.close()
        if isinstance(answer, WorkerBroken):
            tail = " ".join(log.read_text("utf-8", "replace").split())[-300:]
            yield Finding("worker", well=False, sentence=f"{answer.sentence} {tail}")
            return
    seconds = time.monotonic() - begun
    yield Finding("worker", well=True, sentence=f"ready after {seconds:.1f} seconds")
    for name, version in answer.versions.items():
        yield Finding(name, well=True, sentence=version)


def _answer(supervisor: Supervisor, wait: Callable[[], None]) -> Hello | WorkerBroken:
    while True:
        wait()
        for report in supervisor.step(now=time.monotonic()):
            if isinstance(report, Hello | WorkerBroken):
                return report
