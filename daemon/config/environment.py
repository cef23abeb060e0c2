"""What the environment says. This is the only module of the daemon that reads it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from erasecore.errors import ConfigError


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


TOKENS = {"huggingface": "HF_TOKEN", "modelscope": "MODELSCOPE_API_TOKEN"}
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
