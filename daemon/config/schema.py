"""The configuration: YAML in, frozen records out; every complaint names the key."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path

from daemon.config.film_settings import check_erase
from daemon.config.locations import (
    ClaimSettings,
    FolderSettings,
    InboxSettings,
    check_claims,
    check_folders,
    folders_below,
    naming,
    read_sections,
)
from daemon.config.parsing import read_record
from daemon.config.schedule import ScheduleSettings, check_schedule
from erasecore.errors import ConfigError
from erasecore.settings import EraseSettings, HostSettings


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"  # console on a terminal, else JSON
    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """The least important line that is still written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Count(StrEnum):
    """How many, where the machine is to decide."""

    AUTO = "auto"


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """How many worker processes there are, and how they are looked after."""

    count: int | Count = Count.AUTO
    threads: int = 0
    film_mb: int = 1500
    start_seconds: float = 300.0
    stall_seconds: float = 300.0
    drain_seconds: float = 30.0
    nice: int = 5


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """What happens after a failed attempt."""

    max_attempts: int = 3
    delay_seconds: float = 30.0
    pause_seconds: float = 60.0


class ModelSource(StrEnum):
    """Where weights are fetched from."""

    HUGGINGFACE = "huggingface"
    MODELSCOPE = "modelscope"


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """One repository of weights; empty: the usual one of the source, and its main branch."""

    source: ModelSource | None = None  # none: as for all
    repository: str = ""
    revision: str = ""


@dataclass(frozen=True, slots=True)
class ModelSettings:
    """Where the weights of the diffusion engine lie, and where they are fetched from."""

    folder: str = ""
    source: ModelSource = ModelSource.HUGGINGFACE
    huggingface_endpoint: str = ""
    modelscope_endpoint: str = ""
    diffueraser: RepositorySettings = field(default_factory=RepositorySettings)
    stable_diffusion: RepositorySettings = field(default_factory=RepositorySettings)
    vae: RepositorySettings = field(default_factory=RepositorySettings)
    pcm: RepositorySettings = field(default_factory=RepositorySettings)


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What is logged, and how."""

    level: LogLevel = LogLevel.INFO
    format: LogFormat = LogFormat.AUTO


@dataclass(frozen=True, slots=True)
class Config:
    """Everything the operator may set."""

    folders: FolderSettings = field(default_factory=FolderSettings)
    inbox: InboxSettings = field(default_factory=InboxSettings)
    worker: WorkerSettings = field(default_factory=WorkerSettings)
    retry: RetrySettings = field(default_factory=RetrySettings)
    claims: ClaimSettings = field(default_factory=ClaimSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    models: ModelSettings = field(default_factory=ModelSettings)
    log: LogSettings = field(default_factory=LogSettings)
    erase: EraseSettings = field(default_factory=EraseSettings)

    @property
    def models_folder(self) -> Path:
        """Where weights lie."""
        return Path(self.models.folder or self.folders.state / "models")

    def host(self) -> HostSettings:
        """What a worker is told of this machine."""
        models, state = self.models_folder.absolute(), self.folders.state.absolute()
        return HostSettings(models=str(models), state=str(state))


def load_config(path: Path | None, root: Path | None = None) -> Config:
    """The configuration in ``path`` (none: the defaults), its folders below ``root`` if given.

    Raises:
        ConfigError: the text names the file, the key and what to do.
    """
    raw = read_sections(path)
    with naming(path):
        config = read_record(Config, raw, error=ConfigError)
        if root is not None:
            config = replace(config, folders=folders_below(root, config.folders))
        check_config(config)
    return config


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
    ("retry.max_attempts", 1),
    ("retry.delay_seconds", 0),
    ("retry.pause_seconds", 0.05),
    ("claims.heartbeat_seconds", 0.05),
    ("claims.lease_seconds", 0.1),
)


def check_config(config: Config) -> None:
    """Raise unless every value makes sense by itself and beside the others.

    Raises:
        ConfigError: the text names the key.
    """
    check_folders(config.folders)
    for key, least in AT_LEAST:
        section, name = key.split(".")
        found = getattr(getattr(config, section), name)
        if not found >= least:
            raise ConfigError(f"{key}: is {found:g}, must be at least {least:g}.")
    _check_workers(config.worker)
    check_claims(config.claims)
    check_schedule(config.schedule)
    check_models(config.models)
    check_erase(config.erase, prefix="erase.", error=ConfigError)
    if config.erase.mask:
        raise ConfigError(
            "erase.mask: belongs into a settings file beside the mask: .erase.yaml in a folder of "
            "the inbox, or film.mp4.erase.yaml."
        )


_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
_REVISION = re.compile(r"[\w.-]+(/[\w.-]+)*")


def check_models(models: ModelSettings) -> None:
    """Raise unless the names and addresses can be those of repositories.

    Raises:
        ConfigError: the text names the key.
    """
    if "\0" in models.folder:
        raise ConfigError("models.folder: has a NUL character; write a plain path.")
    for key in ("huggingface_endpoint", "modelscope_endpoint"):
        address: str = getattr(models, key)
        if address and not re.fullmatch(r"https?://[^\s/]+.*", address):
            raise ConfigError(f"models.{key}: must be an address such as https://hub.example.org.")
    for item in fields(models):
        one = getattr(models, item.name)
        if isinstance(one, RepositorySettings):
            _check_repository(item.name, one)


def _check_repository(key: str, one: RepositorySettings) -> None:
    if one.repository and not _REPOSITORY.fullmatch(one.repository):
        raise ConfigError(f"models.{key}.repository: must be of the form owner/name.")
    if one.revision and not _REVISION.fullmatch(one.revision):
        raise ConfigError(f"models.{key}.revision: must be a branch, a tag or a commit.")


def _check_workers(worker: WorkerSettings) -> None:
    if isinstance(worker.count, int) and worker.count < 1:
        raise ConfigError(f"worker.count: is {worker.count}, must be at least 1, or auto.")
