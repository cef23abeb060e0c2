"""The configuration: YAML in, frozen records out; every complaint names the key.

This is the only module of the daemon that reads the environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from daemon.jobsettings import check_erase
from daemon.records import read_record, read_yaml
from daemon.schedule import ScheduleSettings, check_schedule
from erasecore.errors import ConfigError
from erasecore.settings import EraseSettings, HostSettings
from erasecore.weights import REPOSITORIES


class WatchMode(StrEnum):
    """How the inbox is watched."""

    AUTO = "auto"  # events on local filesystems, polling on network ones
    EVENTS = "events"
    POLLING = "polling"


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
class FolderSettings:
    """Where everything lies."""

    inbox: Path = Path("/srv/subtitle-eraser/inbox")
    work: Path = Path("/srv/subtitle-eraser/work")
    done: Path = Path("/srv/subtitle-eraser/done")
    failed: Path = Path("/srv/subtitle-eraser/failed")
    originals: Path = Path("/srv/subtitle-eraser/originals")
    state: Path = Path("/var/lib/subtitle-eraser")
    keep_originals: bool = True
    min_free_mb: int = 500
    free_factor: float = 3.0
    mode: str = ""
    group: str = ""
    portable_names: bool = False

    @property
    def mode_bits(self) -> int | None:
        """The permissions of published files; none: as the umask has it."""
        return int(self.mode, 8) if self.mode else None


@dataclass(frozen=True, slots=True)
class InboxSettings:
    """What is taken out of the inbox, and when."""

    watch: WatchMode = WatchMode.AUTO
    settle_local_seconds: float = 5.0
    settle_network_seconds: float = 60.0
    young_seconds: float = 120.0
    rescan_seconds: float = 60.0
    poll_seconds: float = 10.0
    extensions: tuple[str, ...] = (
        *("3gp", "avi", "flv", "m2ts", "m4v", "mkv", "mov", "mp4", "mpeg", "mpg", "mts", "mxf"),
        *("ogv", "ts", "vob", "webm", "wmv"),
    )
    ignore: tuple[str, ...] = (
        *(".*", "~$*", "*~", "*.part", "*.partial", "*.crdownload", "*.download", "*.filepart"),
        *("*.tmp", "Thumbs.db", "desktop.ini", "@eaDir", "#recycle", "__MACOSX", "lost+found"),
    )


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


@dataclass(frozen=True, slots=True)
class ClaimSettings:
    """How several daemons share one inbox."""

    instance: str = ""
    heartbeat_seconds: float = 10.0
    lease_seconds: float = 120.0


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


@dataclass(frozen=True, slots=True)
class Environment:
    """What the environment says, read once."""

    config: Path | None = None
    fault_at: str = ""
    fault_does: str = ""
    notify_socket: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)
    watchdog_seconds: float | None = None
    visible_devices: str | None = None  # GPUs that we may use; none: not set


def read_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """The environment's few words to us."""
    config = variables.get("SUBTITLE_ERASER_CONFIG", "")
    watchdog = variables.get("WATCHDOG_USEC", "")
    return Environment(
        config=Path(config) if config else None,
        fault_at=variables.get("FAULT_AT", ""),
        fault_does=variables.get("FAULT_DOES", ""),
        notify_socket=variables.get("NOTIFY_SOCKET", ""),
        tokens={name: _secret(name, variables) for name in TOKENS.values()},
        watchdog_seconds=int(watchdog) / 1e6 if watchdog.isdigit() else None,
        visible_devices=variables.get("CUDA_VISIBLE_DEVICES"),
    )


TOKENS = {ModelSource.HUGGINGFACE: "HF_TOKEN", ModelSource.MODELSCOPE: "MODELSCOPE_API_TOKEN"}
"""The variable, or the credential of systemd, that holds the token of each source."""


def _secret(name: str, variables: Mapping[str, str]) -> str:
    """A variable, or else the file of that name among systemd's credentials; empty: neither."""
    credentials = variables.get("CREDENTIALS_DIRECTORY", "")
    file = Path(credentials, name)
    if not variables.get(name) and credentials and file.is_file():
        return file.read_text(encoding="utf-8").strip()
    return variables.get(name, "").strip()


CONFIG_PLACES = (Path("/etc/subtitle-eraser/config.yaml"), Path("config.yaml"))


def find_config(asked: Path | None, environment: Environment) -> Path | None:
    """The configuration file to read: asked for, named by the environment, or in a usual place.

    Raises:
        ConfigError: one was asked for by name and is not there.
    """
    named = asked or environment.config
    if named is not None:
        if not named.is_file():
            origin = "--config" if asked else "SUBTITLE_ERASER_CONFIG"
            raise ConfigError(f"{origin}: there is no file {named}; correct the path.")
        return named
    return next((place for place in CONFIG_PLACES if place.is_file()), None)


def load_config(path: Path | None, root: Path | None = None) -> Config:
    """The configuration in ``path`` (none: the defaults), its folders below ``root`` if given.

    Raises:
        ConfigError: the text names the file, the key and what to do.
    """
    if path is None:
        return _checked({}, root)
    try:
        raw = read_yaml(path, error=ConfigError)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); mend its disk.") from error
    try:
        return _checked(raw, root)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _checked(raw: Mapping[str, Any], root: Path | None) -> Config:
    config = read_record(Config, raw, error=ConfigError)
    if root is not None:
        config = replace(config, folders=folders_below(root.absolute(), config.folders))
    check_config(config)
    return config


def folders_below(root: Path, like: FolderSettings) -> FolderSettings:
    """The usual five folders and the state below one root; everything else as in ``like``."""
    return replace(
        like,
        inbox=root / "inbox",
        work=root / "work",
        done=root / "done",
        failed=root / "failed",
        originals=root / "originals",
        state=root / "state",
    )


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
    for item in fields(config.folders):
        if "\0" in str(getattr(config.folders, item.name)):
            raise ConfigError(f"folders.{item.name}: has a NUL character; write a plain path.")
    if not re.fullmatch(r"(0?[0-7]{3})?", config.folders.mode):
        raise ConfigError(
            f'folders.mode: is {config.folders.mode!r}, must be three octal digits, as in "0640".'
        )
    for key, least in AT_LEAST:
        section, name = key.split(".")
        found = getattr(getattr(config, section), name)
        if not found >= least:
            raise ConfigError(f"{key}: is {found:g}, must be at least {least:g}.")
    _check_workers(config.worker)
    _check_claims(config.claims)
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
    for key in REPOSITORIES:
        one: RepositorySettings = getattr(models, key)
        if one.repository and not _REPOSITORY.fullmatch(one.repository):
            raise ConfigError(f"models.{key}.repository: must be of the form owner/name.")
        if one.revision and not _REVISION.fullmatch(one.revision):
            raise ConfigError(f"models.{key}.revision: must be a branch, a tag or a commit.")


def _check_workers(worker: WorkerSettings) -> None:
    if isinstance(worker.count, int) and worker.count < 1:
        raise ConfigError(f"worker.count: is {worker.count}, must be at least 1, or auto.")


def _check_claims(claims: ClaimSettings) -> None:
    if claims.lease_seconds < 3 * claims.heartbeat_seconds:
        raise ConfigError(
            "claims.lease_seconds: must be at least three times claims.heartbeat_seconds, "
            "so that one late heartbeat costs nobody a job."
        )
    if claims.instance.strip(".") != claims.instance or "/" in claims.instance:
        raise ConfigError("claims.instance: a plain name, without '/' or dots at its ends.")
