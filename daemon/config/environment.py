"""Environment variables, read once into a record. No other module of the daemon reads them."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from daemon.config.config_file import TOP_KEYS
from daemon.config.yaml_files import read_yaml
from erasecore.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Environment:
    """Values of the environment variables that the daemon knows."""

    config: Path | None = None  # SUBTITLE_ERASER_CONFIG, the configuration file
    # Both only with the switch SUBTITLE_ERASER_TEST=1, which the service's unit clears.
    fault_at: str = ""  # SUBTITLE_ERASER_FAULT_AT, the failpoint that tests arm; empty: none
    fault_does: str = ""  # SUBTITLE_ERASER_FAULT_DOES, the action at the failpoint
    notify_socket: str = ""  # NOTIFY_SOCKET of systemd; empty: not started by systemd
    runtime_folder: Path | None = None  # first of RUNTIME_DIRECTORY of systemd; ``None``: not set
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)  # by the names in TOKENS
    credentials: Path | None = None  # CREDENTIALS_DIRECTORY of systemd; ``None``: not set
    watchdog_seconds: float | None = None  # WATCHDOG_USEC of systemd; ``None``: no watchdog
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)  # all, for programs
    visible_devices: str | None = None  # CUDA_VISIBLE_DEVICES; ``None``: not set


def read_environment(variables: Mapping[str, str] = os.environ) -> Environment:
    """Return the known variables among ``variables``, with hub tokens from systemd credentials."""
    config = variables.get("SUBTITLE_ERASER_CONFIG", "")
    runtime = variables.get("RUNTIME_DIRECTORY", "")
    watchdog = variables.get("WATCHDOG_USEC", "")
    credentials = variables.get("CREDENTIALS_DIRECTORY", "")
    faults = variables if variables.get("SUBTITLE_ERASER_TEST") == "1" else {}
    return Environment(
        config=Path(config) if config else None,
        fault_at=faults.get("SUBTITLE_ERASER_FAULT_AT", ""),
        fault_does=faults.get("SUBTITLE_ERASER_FAULT_DOES", ""),
        notify_socket=variables.get("NOTIFY_SOCKET", ""),
        runtime_folder=Path(runtime.partition(":")[0]) if runtime else None,
        tokens={name: _secret(name, variables) for name in TOKENS.values()},
        credentials=Path(credentials) if credentials else None,
        watchdog_seconds=int(watchdog) / 1e6 if watchdog.isdigit() else None,
        variables=variables,
        visible_devices=variables.get("CUDA_VISIBLE_DEVICES"),
    )


TOKENS = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
"""Access token of each model source: name of its variable, and of its systemd credential."""


def _secret(name: str, variables: Mapping[str, str]) -> str:
    """Return the variable ``name``, else the systemd credential of that name, else ""."""
    credentials = variables.get("CREDENTIALS_DIRECTORY", "")
    file = Path(credentials, name)
    if not variables.get(name) and credentials and file.is_file():
        return file.read_text(encoding="utf-8").strip()
    return variables.get(name, "").strip()


CONFIG_PLACE = Path("/etc/subtitle-eraser/config.yaml")
"""Default path of the configuration file."""
LOCAL_CONFIG = Path("config.yaml")
"""File of the working folder that is read if there is none at ``CONFIG_PLACE``, and it is ours."""


def find_config(asked: Path | None, environment: Environment) -> Path | None:
    """Return the configuration file to read; ``None`` if there is none.

    Args:
        asked: path of the option --config; it wins over the environment's, which wins over
            the default places.
        environment: may name a file, too.

    Raises:
        ConfigError: the option or the environment names a file that does not exist.
    """
    named = asked or environment.config
    if named is not None:
        if not _may_be_file(named):
            origin = "--config" if asked else "SUBTITLE_ERASER_CONFIG"
            raise ConfigError(f"{origin}: there is no file {named}; correct the path.")
        return named
    if _may_be_file(CONFIG_PLACE):
        return CONFIG_PLACE
    return LOCAL_CONFIG if _may_be_file(LOCAL_CONFIG) and not foreign_reason() else None


def foreign_reason() -> str:
    """Return the reason why ``LOCAL_CONFIG`` is not read; "" if it is ours, or not there.

    Many programs have a file of that name, and whoever may write it names the code that is run
    (a plug-in of ``erase.engine``).
    """
    try:
        status = LOCAL_CONFIG.stat()
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & stat.S_IWOTH:
            return "it belongs to another user, or everybody may write to it"
        keys = read_yaml(LOCAL_CONFIG.resolve(), error=ConfigError).values
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    except ConfigError:
        return "it is no configuration of ours"
    foreign = [str(key) for key in keys if key not in TOP_KEYS]
    if "schema" in keys or not foreign:
        return ""
    return f"it has the key {foreign[0]}, which is none of ours"


def _may_be_file(path: Path) -> bool:
    """Return True if ``path`` is a file, or if this user may not know; reading it tells then."""
    try:
        return path.is_file()
    except PermissionError:
        return True
