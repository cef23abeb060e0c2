"""One machine for all tests of the service, with the program's wheels within its reach."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.machine import REPOSITORY, Machine, system_python, wheelhouse, why_not

SOURCES = "/opt/sources"
WHEELS = "/opt/wheels-of-the-test"


@pytest.fixture(autouse=True)
def _no_leaks() -> None:
    """No check for processes left: the machine outlives the test that boots it anew."""


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine with this checkout in ``/opt/sources``; nothing is installed yet."""
    if reason := why_not():
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="subtitle-eraser-machine-"))
    machine = Machine(folder / "machine")
    try:
        try:
            machine.mount()
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this host mounts no overlay: {error.stderr.decode().strip()}")
        shutil.copytree(
            REPOSITORY,
            machine.path(SOURCES),
            ignore=shutil.ignore_patterns(".git", ".venv", "build", ".*_cache", ".hypothesis"),
        )
        wheelhouse(machine.path(WHEELS))
        machine.boot()
        yield machine
        machine.power_off()
    finally:
        machine.unmount()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def python() -> str:
    """The Python that the service is installed with."""
    found = system_python()
    if found is None:
        pytest.skip("this host has no Python for all its users: apt-get install python3-venv")
    return found
