"""``doctor``: is everything there that a film will need, and if not, what is to be done."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulid import ULID

from daemon.config.parsing import as_json
from daemon.config.schema import Config
from daemon.folders.checks import filesystem_of, free_bytes, is_network, mounts, paths_of, prove
from daemon.models.inventory import MISSING, WELL, overview
from daemon.runtime.wakeup import Wakeup
from daemon.workers.host_resources import inspect_host
from daemon.workers.messages import Ready
from daemon.workers.pool import WORKER_LOG, slots_for, works_on_gpu
from daemon.workers.process import WORKER_COMMAND, Supervisor, WorkerBroken
from erasecore.errors import ConfigError, EraseError, FolderError, WeightsDamaged
from erasecore.weights.layout import locate

SURVEY_COMMAND = (sys.executable, "-m", "erasecore.engines.probe_device")
SURVEY_SECONDS = 120.0
FETCH = "subtitle-eraser models fetch"


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
    survey_command: Sequence[str] = SURVEY_COMMAND,
) -> Iterator[Finding]:
    """What is found, one thing after the other.

    Args:
        config: what is examined.
        source: where the configuration is from.
        visible_devices: ``CUDA_VISIBLE_DEVICES``, if it is set.
        worker_command: how a worker is started.
        survey_command: what is asked for the diffusion engine.
    """
    yield Finding("config", well=True, sentence=source)
    yield from _folders(config)
    yield _workers(config, visible_devices)
    yield from _worker(config, worker_command)
    yield _weights(config)
    yield from _engine(config, survey_command)


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


def _workers(config: Config, visible_devices: str | None) -> Finding:
    """How many films would be worked on at once, and by what."""
    machine = inspect_host(visible_devices)
    slots = slots_for(config.worker, machine, on_gpu=works_on_gpu(config))
    threads = slots[0].threads or machine.cores
    sentence = (
        f"{len(slots)} (worker.count: {config.worker.count}), {threads} threads each; here are "
        f"{machine.cores} cores, {machine.memory_bytes / (1 << 30):.1f} GB of memory, "
        f"{len(machine.devices)} GPUs"
    )
    return Finding("workers", well=True, sentence=sentence)


def _worker(config: Config, command: Sequence[str]) -> Iterator[Finding]:
    """Start a worker as the daemon does, and let it say what it has."""
    wake = Wakeup()
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


def _answer(supervisor: Supervisor, wait: Callable[[], None]) -> Ready | WorkerBroken:
    while True:
        wait()
        for report in supervisor.step(now=time.monotonic()):
            if isinstance(report, Ready | WorkerBroken):
                return report


def _weights(config: Config) -> Finding:
    """Whether the weights are there and what they should be; nobody needs them for propagate."""
    models, state = config.models_folder.absolute(), config.folders.state.absolute()
    wanted = config.erase.engine == "diffueraser"
    try:
        views = overview(models, state, now=time.time())
        if not any(one.state != MISSING for view in views for one in view.files):
            sentence = f"none in {models}; only diffueraser needs them (`{FETCH}`)"
            return Finding("weights", well=not wanted, sentence=sentence)
        locate(models)
    except EraseError as error:
        return Finding("weights", well=False, sentence=str(error))
    if not all(view.well for view in views):
        faults = {one.name: one.sentence for view in views for one in view.files if one.sentence}
        return Finding("weights", well=False, sentence=str(WeightsDamaged(models, faults)))
    size = sum(view.size_bytes for view in views) / 1e9
    known = all(one.state == WELL for view in views for one in view.files)
    by_hand = "" if known else ", brought by hand and never adopted (models verify --adopt)"
    return Finding("weights", well=True, sentence=f"{models}: whole, {size:.2f} GB{by_hand}")


def _engine(config: Config, command: Sequence[str]) -> Iterator[Finding]:
    """What a process of its own finds for the diffusion engine: it loads torch, we do not."""
    try:
        done = subprocess.run(
            [*command, as_json(config.host())],
            capture_output=True,
            text=True,
            timeout=SURVEY_SECONDS,
            check=True,
        )
        found = json.loads(done.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        sentence = f"no answer within {SURVEY_SECONDS:g} seconds; is the graphics driver well?"
        yield Finding("engine", well=False, sentence=sentence)
        return
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        said = " ".join(str(getattr(error, "stderr", "") or error).split())[-300:]
        yield Finding("engine", well=False, sentence=f"torch or its driver does not work: {said}")
        return
    built = f", for CUDA {found['cuda']}" if found["cuda"] else ", for the CPU alone"
    torch = found["torch"] + built if found["torch"] else "not installed; only diffueraser needs it"
    well = bool(found["torch"]) or config.erase.engine != "diffueraser"
    yield Finding("torch", well=well, sentence=torch)
    for one in found["devices"]:
        memory = f"{one['total_bytes'] / 1e9:.1f} GB, {one['free_bytes'] / 1e9:.1f} GB free"
        yield Finding("cuda", well=True, sentence=f"{one['name']}, {memory}")
    stands_for = found["engine"] or "none"
    sentence = f"auto is {stands_for}: {found['reason']}"
    yield Finding("engine", well=bool(found["engine"]), sentence=sentence)
