"""The configuration file as frozen records: all sections, their defaults and their checks.

``config.example.yaml`` explains every key to the operator.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path

from daemon.config.config_file import read_config_file
from daemon.config.locations import (
    ClaimSettings,
    FolderSettings,
    InboxSettings,
    StatusSettings,
    checked,
    claim_problems,
    folder_problems,
    folders_below,
    status_problems,
)
from daemon.config.migration import SCHEMA
from daemon.config.notify_settings import NotifySettings, notify_problems
from daemon.config.parsing import Problem
from daemon.config.schedule import ScheduleSettings, schedule_problems
from erasecore.settings import EraseSettings, HostSettings
from erasecore.settings_check import problems_of_erase


class LogFormat(StrEnum):
    """Format of log lines."""

    AUTO = "auto"  # console on a terminal, else JSON
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """Lowest severity of the log lines that are written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Count(StrEnum):
    """Value of a count that is derived from the machine's resources."""

    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """Section ``worker``: number, resources and time limits of worker processes.

    The times are guesses.
    """

    count: int | Count = Count.AUTO  # worker processes; auto: by GPUs, or by cores and memory
    threads: int = 0  # of one worker; 0: the cores are divided among the workers
    film_mb: int = 1500  # MiB of memory that a film up to 1080p needs
    start_seconds: float = 300.0  # for a worker process to load its models, at most
    stall_seconds: float = 300.0  # without a heartbeat until an attempt is killed
    drain_seconds: float = 30.0  # that a stop waits for the running jobs
    nice: int = 5  # niceness of the worker process, 0 to 19


@dataclass(frozen=True, slots=True)
class PublishSettings:
    """Section ``publish``: copies of results to other disks than that of ``work``."""

    copies_per_disk: int = 1  # films at a time that are copied to one disk; guess


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """Section ``retry``: attempts and backoff. The values are guesses."""

    max_attempts: int = 3  # of a job whose error has the remedy ``retry``
    delay_seconds: float = 30.0  # before the second attempt; doubles each time
    pause_seconds: float = 60.0  # first pause after a host problem


class ModelSource(StrEnum):
    """Hub that weights are fetched from."""

    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """One repository of weights on a hub."""

    source: ModelSource | None = None  # ``None``: that of ``ModelSettings``
    repository: str = ""  # owner/name; empty: the usual one of the source
    revision: str = ""  # branch, tag or commit; empty: the main branch


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Section ``models``: the models folder, and the hubs that weights are fetched from."""

    folder: str = ""  # empty: models, below folders.state
    source: ModelSource = ModelSource.HUGGINGFACE
    huggingface_endpoint: str = ""  # URL of a mirror; empty: $HF_ENDPOINT or the hub itself
    modelscope_endpoint: str = ""  # URL of a mirror; empty: the hub itself
    diffueraser: RepositorySettings = field(default_factory=RepositorySettings)
    stable_diffusion: RepositorySettings = field(default_factory=RepositorySettings)
    vae: RepositorySettings = field(default_factory=RepositorySettings)
    pcm: RepositorySettings = field(default_factory=RepositorySettings)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """Section ``log``."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; each field but the first is a section of the file."""

    schema: int = SCHEMA  # version of the file's format; older files are converted when read
    folders: FolderSettings = field(default_factory=FolderSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    publish: PublishSettings = field(default_factory=PublishSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    claims: ClaimSettings = field(default_factory=ClaimSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    log: LogSettings = field(default_factory=LogSettings)
    status: StatusSettings = field(default_factory=StatusSettings)
    notify: NotifySettings = field(default_factory=NotifySettings)
    erase: EraseSettings = field(default_factory=EraseSettings)

    @property
    def models_folder(self) -> Path:
        """Path of the models folder, where the weights are."""
        return Path(self.models.folder or self.folders.state / "models")

    def host(self) -> HostSettings:
        """Return the settings of this machine for workers, with absolute paths."""
        models, state = self.models_folder.absolute(), self.folders.state.absolute()
        return HostSettings(models=str(models), state=str(state))


@dataclass(frozen=True, slots=True)
class LoadedConfig:
    """A configuration, and what its file should say differently."""

    config: Config
    warnings: tuple[str, ...] = ()  # sentences on old spellings, with file and line


def read_config(path: Path | None, root: Path | None = None) -> LoadedConfig:
    """Return the checked configuration, with warnings.

    Args:
        path: the configuration file; ``None``: the defaults.
        root: if given, the folders have their usual names below it, whatever the file says.

    Raises:
        ConfigError: one line for each mistake; it names the file, the line, the key and what is
            allowed.
    """
    file = read_config_file(path)
    config = checked(file, Config, file.raw, config_problems)
    if root is not None:
        config = replace(config, folders=folders_below(root, config.folders))
    return LoadedConfig(config, file.warnings)


def load_config(path: Path | None, root: Path | None = None) -> Config:
    """Return the checked configuration alone, as ``read_config`` reads it."""
    return read_config(path, root).config


AT_LEAST: tuple[tuple[str, float], ...] = (
    ("folders.min_free_mb", 0),
    ("folders.free_factor", 0),
    ("inbox.settle_local_seconds", 0),
    ("inbox.settle_network_seconds", 0),
    ("inbox.young_seconds", 0),
    ("inbox.rescan_seconds", 0.05),
    ("inbox.poll_seconds", 0.05),
    ("worker.threads", 0),
    ("worker.film_mb", 1),
    ("worker.start_seconds", 1),
    ("worker.stall_seconds", 0.5),
    ("worker.drain_seconds", 0),
    ("publish.copies_per_disk", 1),
    ("retry.max_attempts", 1),
    ("retry.delay_seconds", 0),
    ("retry.pause_seconds", 0.05),
    ("claims.heartbeat_seconds", 0.05),
    ("claims.lease_seconds", 0.1),
)
"""Smallest allowed value of each number outside of ``erase``, in the unit of the key. Guesses."""


def config_problems(config: Config) -> Iterator[Problem]:
    """Yield the values that are not allowed, by themselves or together with others."""
    yield from folder_problems(config.folders)
    for key, least in AT_LEAST:
        section, name = key.split(".")
        value = getattr(getattr(config, section), name)
        if not value >= least:  # NaN is refused, too
            yield Problem(key, f"is {value:g}, must be at least {least:g}.")
    if isinstance(config.worker.count, int) and config.worker.count < 1:
        yield Problem("worker.count", f"is {config.worker.count}, must be at least 1, or auto.")
    yield from claim_problems(config.claims)
    yield from status_problems(config.status)
    yield from notify_problems(config.notify)
    yield from schedule_problems(config.schedule)
    yield from model_problems(config.models)
    for key, sentence in problems_of_erase(config.erase):
        yield Problem(f"erase.{key}", sentence)
    if config.erase.mask:
        yield Problem(
            "erase.mask",
            "belongs into a settings file beside the mask: .erase.yaml in a folder of the inbox, "
            "or film.mp4.erase.yaml.",
        )


_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")  # owner/name
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")


def model_problems(models: ModelSettings) -> Iterator[Problem]:
    """Yield endpoints, repository names and revisions that are not well-formed."""
    if "\0" in models.folder:
        yield Problem("models.folder", "has a NUL character; write a plain path.")
    for key in ("huggingface_endpoint", "modelscope_endpoint"):
        address: str = getattr(models, key)
        if address and not re.fullmatch(r"https?://[^\s/]+.*", address):
            sentence = "must be an address such as https://hub.example.org."
            yield Problem(f"models.{key}", sentence)
    for item in fields(models):
        value = getattr(models, item.name)
        if isinstance(value, RepositorySettings):
            yield from _repository_problems(f"models.{item.name}", value)


def _repository_problems(key: str, settings: RepositorySettings) -> Iterator[Problem]:
    if settings.repository and not _REPOSITORY.fullmatch(settings.repository):
        yield Problem(f"{key}.repository", "must be of the form owner/name.")
    if settings.revision and not _REVISION.fullmatch(settings.revision):
        yield Problem(f"{key}.revision", "must be a branch, a tag or a commit.")
