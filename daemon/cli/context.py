"""What was asked for on the command line."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from daemon.config.environment import Environment
from daemon.config.schema import Config


class WrongUsage(Exception):
    """What was asked for makes no sense; the text says what would."""


@dataclass(frozen=True, slots=True)
class CommandContext:
    """What was asked for."""

    config: Config
    config_path: Path | None
    reload: Callable[[], Config]  # the configuration as it is by then
    environment: Environment
    options: argparse.Namespace
