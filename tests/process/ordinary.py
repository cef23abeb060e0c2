"""Daemons without the powers of root, who passes every test of rights for nothing."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.process.house import Daemon, House

STRANGER = 65534
"""User and group of whoever else sends films."""
_POWERS = ("dac_override", "dac_read_search", "fowner", "chown")
POWERLESS = (
    *("setpriv", f"--bounding-set={','.join(f'-{power}' for power in _POWERS)}"),
    "--inh-caps=-all",
)
"""Root without the capabilities that rights are passed by: an ordinary user in all but the number.
The interpreter may lie in root's home, where nobody else could start it."""


def start_powerless(house: House) -> Daemon:
    """A daemon that may read only what its user may."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("files of another user take root, and giving up its powers setpriv")
    argv = [*POWERLESS, sys.executable, "-m", "tests.process.quick_daemon", "run"]
    log = house.root / f"daemon-{len(house.daemons)}.log"
    daemon = Daemon([*argv, "--config", str(house.config)], log, {})
    house.daemons.append(daemon)
    return daemon


def close_to_us(file: Path) -> None:
    """Make a file another user's, who lets nobody read it."""
    file.chmod(0o600)
    os.chown(file, STRANGER, STRANGER)
