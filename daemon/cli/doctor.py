"""Checks of the command ``doctor``: folders, worker, weights, engine. Bad ones say the remedy."""

from __future__ import annotations

import json
import os
import pwd
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
from daemon.folders.checks import free_bytes, paths_of, prove
from daemon.folders.mount_table import filesystem_of, is_network, mounts
from daemon.folders.name_limits import RESULT_ROLES, limits_names
from daemon.folders.state_folder import state_trouble
from daemon.models.inventory import MISSING, WELL, overview
from daemon.runtime.wakeup import Wakeup
from daemon.workers.host_resources import inspect_host
from daemon.workers.messages import Ready
from daemon.workers.pool import WORKER_LOG, slots_for, works_on_gpu
from daemon.workers.process import WORKER_COMMAND, Supervisor, WorkerBroken
from erasecore.errors import ConfigError, EraseError, FolderError, WeightsDamaged
from erasecore.weights.layout import locate

SURVEY_COMMAND = (sys.executable, "-m", "erasecore.engines.probe_device")
"""Command that prints a JSON line on torch, the GPUs and the engine that "auto" stands for."""
SURVEY_SECONDS = 120.0  # timeout of that command, which imports torch; guess
FETCH = "subtitle-eraser models fetch"
SERVICE_USER = "subtitle-eraser"
"""User of the service that ``install.sh`` sets up."""
MAX_QUOTED_CHARACTERS = 300  # of a process's output in a finding: its end; guess


@dataclass(frozen=True, slots=True)
class Finding:
    """Result of one check."""

    what: str  # the thing that was checked
    well: bool  # False: the operator has to do something
    sentence: str  # details, or what is wrong


def examine(
    config: Config,
    source: str,
    *,
    visible_devices: str | None = None,
    worker_command: Sequence[str] = WORKER_COMMAND,
    survey_command: Sequence[str] = SURVEY_COMMAND,
) -> Iterator[Finding]:
    """Run all checks and yield their findings; slow ones (a worker, torch) come last.

    Args:
        config: the configuration to check.
        source: name of the file that it is from, for display.
        visible_devices: value of ``CUDA_VISIBLE_DEVICES``; ``None`` if it is not set.
        worker_command: command line of a worker process.
        survey_command: command line that examines the diffusion engine.
    """
    yield Finding("config", well=True, sentence=source)
    yield Finding("user", well=True, sentence=_whose_rights())
    yield from _folders(config)
    yield _worker_slots(config, visible_devices)
    yield from _trial_worker(config, worker_command)
    yield _weights(config)
    yield from _engine(config, survey_command)


def _whose_rights() -> str:
    """Return the user whose rights the checks have, and how to check with the service's."""
    number = os.geteuid()
    try:
        name = f"{pwd.getpwuid(number).pw_name} ({number})"
    except KeyError:  # a user without an entry, as in containers
        name = str(number)
    try:
        service = pwd.getpwnam(SERVICE_USER).pw_uid
    except KeyError:
        service = number
    if number == service:
        return f"everything is tried with the rights of {name}"
    command = f"runuser -u {SERVICE_USER} -- subtitle-eraser doctor"
    return f"everything is tried with the rights of {name}; with the service's: {command}"


def _missing_folder(role: str, path: Path) -> Finding:
    """Return the finding about a folder that the daemon would have to make."""
    parent = next(parent for parent in path.parents if parent.exists())
    if parent.is_dir() and os.access(parent, os.W_OK | os.X_OK):
        return Finding(role, True, f"{path} is not there yet; the daemon makes it when it starts")
    sentence = f"{path} is not there, and may not be made in {parent}; make it, or give the rights."
    return Finding(role, False, sentence)


def _folders(config: Config) -> Iterator[Finding]:
    """Check the folders as the daemon does at its start, creating none; yield a finding for each.

    Trial files are made in those that exist, and removed.
    """
    try:
        prove(config.folders, token=str(ULID()), create=False)
    except (ConfigError, FolderError) as error:
        yield Finding("folders", well=False, sentence=str(error))
        return
    table = mounts()
    for role, path in paths_of(config.folders).items():
        if not path.exists():
            yield _missing_folder(role, path)
            continue
        if role == "state" and (trouble := state_trouble(path, token=str(ULID()))):
            yield Finding(role, well=False, sentence=trouble)
            continue
        filesystem = filesystem_of(path, table)
        free = free_bytes(path) / (1 << 30)
        polled = ", polled" if role == "inbox" and is_network(filesystem) else ""
        sentence = f"{path} ({filesystem}{polled}, {free:.1f} GB free)"
        if role in RESULT_ROLES and limits_names(path):
            sentence += ", takes only names that Windows allows: results are named accordingly"
        yield Finding(role, well=True, sentence=sentence)


def _worker_slots(config: Config, visible_devices: str | None) -> Finding:
    """Return the number of workers and threads that the daemon would use on this machine."""
    machine = inspect_host(visible_devices)
    slots = slots_for(config.worker, machine, on_gpu=works_on_gpu(config))
    threads = slots[0].threads or machine.cores
    sentence = (
        f"{len(slots)} (worker.count: {config.worker.count}), {threads} threads each; here are "
        f"{machine.cores} cores, {machine.memory_bytes / (1 << 30):.1f} GB of memory, "
        f"{len(machine.devices)} GPUs"
    )
    return Finding("workers", well=True, sentence=sentence)


def _trial_worker(config: Config, command: Sequence[str]) -> Iterator[Finding]:
    """Start a worker as the daemon does; yield its start-up time and the versions it reports."""
    wake = Wakeup()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / WORKER_LOG
        supervisor = Supervisor(config.worker, config.host(), log, command)
        started_at = time.monotonic()
        try:
            supervisor.spawn(now=started_at)
            outcome = _await_ready(supervisor, lambda: wake.sleep(0.5, supervisor.fileno()))
        finally:
            supervisor.dismiss()
            wake.close()
        if isinstance(outcome, WorkerBroken):
            log_end = _quoted_end(log.read_text("utf-8", "replace"))
            yield Finding("worker", well=False, sentence=f"{outcome.sentence} {log_end}")
            return
    seconds = time.monotonic() - started_at
    yield Finding("worker", well=True, sentence=f"ready after {seconds:.1f} seconds")
    for name, version in outcome.versions.items():
        yield Finding(name, well=True, sentence=version)


def _quoted_end(output: str) -> str:
    """Return the end of a process's output on one line."""
    return " ".join(output.split())[-MAX_QUOTED_CHARACTERS:]


def _await_ready(supervisor: Supervisor, wait: Callable[[], None]) -> Ready | WorkerBroken:
    """Return the worker's first report; the supervisor limits the time. ``wait`` sleeps between."""
    while True:
        wait()
        for report in supervisor.step(now=time.monotonic()):
            if isinstance(report, Ready | WorkerBroken):
                return report


def _weights(config: Config) -> Finding:
    """Check that the weights are complete and unchanged.

    Missing weights are bad only if the engine is diffueraser; the propagate engine needs none.
    """
    models, state = config.models_folder.absolute(), config.folders.state.absolute()
    required = config.erase.engine == "diffueraser"
    try:
        views = overview(models, state, now=time.time())
        files = [file for view in views for file in view.files]
        if all(file.state == MISSING for file in files):
            sentence = f"none in {models}; only diffueraser needs them (`{FETCH}`)"
            return Finding("weights", well=not required, sentence=sentence)
        locate(models)
    except EraseError as error:
        return Finding("weights", well=False, sentence=str(error))
    if not all(view.well for view in views):
        damages = {file.name: file.sentence for file in files if file.sentence}
        return Finding("weights", well=False, sentence=str(WeightsDamaged(models, damages)))
    size = sum(view.size_bytes for view in views) / 1e9
    recorded = all(file.state == WELL for file in files)
    by_hand = "" if recorded else ", brought by hand and never adopted (models verify --adopt)"
    return Finding("weights", well=True, sentence=f"{models}: whole, {size:.2f} GB{by_hand}")


def _engine(config: Config, command: Sequence[str]) -> Iterator[Finding]:
    """Run the survey command; yield findings on torch, each GPU and the engine "auto" stands for.

    It is a process of its own: it imports torch, and a driver that hangs or aborts ends only it.
    """
    try:
        process = subprocess.run(
            [*command, as_json(config.host())],
            capture_output=True,
            text=True,
            timeout=SURVEY_SECONDS,
            check=True,
        )
        survey = json.loads(process.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired:
        sentence = f"no answer within {SURVEY_SECONDS:g} seconds; is the graphics driver well?"
        yield Finding("engine", well=False, sentence=sentence)
        return
    except (subprocess.CalledProcessError, ValueError, IndexError) as error:
        detail = _quoted_end(str(getattr(error, "stderr", "") or error))
        yield Finding("engine", well=False, sentence=f"torch or its driver does not work: {detail}")
        return
    yield _torch_finding(survey["torch"], survey["cuda"], config)
    for device in survey["devices"]:
        memory = f"{device['total_bytes'] / 1e9:.1f} GB, {device['free_bytes'] / 1e9:.1f} GB free"
        yield Finding("cuda", well=True, sentence=f"{device['name']}, {memory}")
    sentence = f"auto is {survey['engine'] or 'none'}: {survey['reason']}"
    yield Finding("engine", well=bool(survey["engine"]), sentence=sentence)


def _torch_finding(version: str, cuda: str, config: Config) -> Finding:
    """Return the finding on torch: its version ("": none) and the CUDA version it was built for."""
    if not version:
        well = config.erase.engine != "diffueraser"
        return Finding("torch", well=well, sentence="not installed; only diffueraser needs it")
    built = f", for CUDA {cuda}" if cuda else ", for the CPU alone"
    return Finding("torch", well=True, sentence=version + built)
