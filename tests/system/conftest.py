"""One machine for all tests of the service, with the program's wheels within its reach."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.process.mounts import SickShare
from tests.system.machine import REPOSITORY, Machine, system_python, wheelhouse, why_not

SOURCES = "/opt/sources"
WHEELS = "/opt/wheels-of-the-test"


@pytest.fixture(autouse=True)
def _no_leaks() -> None:
    """No check for processes left: the machine outlives the test that boots it anew."""


SECOND_DISK = "/srv/second"
"""Folder in which the second disk is mounted, as ``share``."""


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted machine with this checkout in ``/opt/sources``; nothing is installed yet.

    With a second disk, if this host has FUSE.
    """
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
        if Path("/dev/fuse").exists():
            machine.second_disk = second_disk(machine)  # a boot takes along what is mounted
        machine.boot()
        yield machine
        machine.power_off()
    finally:
        if machine.second_disk is not None:
            machine.second_disk.close()
        machine.unmount()
        shutil.rmtree(folder, ignore_errors=True)


def second_disk(machine: Machine) -> SickShare:
    """Mount a filesystem of ours in the machine's root, which can be told to be slow."""
    folder = machine.path(SECOND_DISK)
    folder.mkdir(parents=True)
    return SickShare(folder)


@pytest.fixture
def slow_disk(machine: Machine) -> Iterator[SickShare]:
    """The second disk of the machine, well again after the test."""
    if machine.second_disk is None:
        pytest.skip("/dev/fuse is missing")
    yield machine.second_disk
    machine.second_disk.recover()


@pytest.fixture(scope="session")
def python() -> str:
    """The Python that the service is installed with."""
    found = system_python()
    if found is None:
        pytest.skip("this host has no Python for all its users: apt-get install python3-venv")
    return found
