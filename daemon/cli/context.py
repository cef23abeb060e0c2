"""Arguments common to all commands: configuration, environment, parsed options."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config.environment import Environment
from daemon.config.schema import Config


class WrongUsage(Exception):
    """The command line is not valid (exit code 2); the text says how to correct it."""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """Everything that a command function receives."""

    config: Config
    config_path: Path | None  # ``None``: no file was found, ``config`` has the defaults
    reload: Callable[[], Config]  # reads and checks the configuration file again
    environment: Environment
    options: argparse.Namespace  # options of the command, as ``build_parser`` defines them
