"""What was asked for on the command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from daemon.config import Config, Environment, load_config


class WrongUsage(Exception):
    """What was asked for makes no sense; the text says what would."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for."""

    config: Config
    config_path: Path | None
    root: Path | None
    environment: Environment
    options: argparse.Namespace

    def reload(self) -> Config:
        """The configuration as it is now."""
        return load_config(self.config_path, self.root)
