"""Filesystems that tests mount and unmount, well ones and sick ones; for that they must be root."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.conftest import wait_for
from tests.process.house import REPOSITORY
from tests.process.orders import Orders


def run(*command: str | Path) -> None:
    """Run a program of the system; fails the test with its words."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}"


class Mounts:
    """Filesystems that are unmounted after the test."""

    def __init__(self) -> None:
        self._points: list[Path] = []

    def disk(self, point: Path, size_kb: int = 8192) -> Path:
        """``point``, now a small disk of its own."""
        point.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={size_kb}k", "tmpfs", point)
        self._points.append(point)
        return point

    def bind(self, disk: Path, point: Path) -> None:
        """Show ``disk`` at ``point``, as a share is mounted."""
        point.mkdir(exist_ok=True)
        run("mount", "--bind", disk, point)
        self._points.append(point)

    def fuse(self, disk: Path, point: Path) -> None:
        """Show ``disk`` at ``point`` through a process of its own, which may die."""
        point.mkdir(exist_ok=True)
        run("bindfs", disk, point)
        self._points.append(point)

    def unmount(self, point: Path) -> None:
        """Take away what was mounted last at ``point``."""
        run("umount", "--lazy", point)
        self._points.remove(point)

    def close(self) -> None:
        """Unmount all."""
        for point in reversed(self._points):
            subprocess.run(["umount", "--lazy", point], check=False, capture_output=True)


def able_mounts(tmp_path: Path) -> Mounts:
    """Something that makes mounts; the test is skipped where the system does not let us."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    trial = tmp_path / "trial"
    trial.mkdir()
    tried = subprocess.run(["mount", "-t", "tmpfs", "tmpfs", trial], check=False)
    if tried.returncode != 0:
        pytest.skip("this system lets nobody mount")
    run("umount", trial)
    return Mounts()


class SickShare:
    """A folder shown by a process of its own, which answers with errors when told to."""

    def __init__(self, root: Path) -> None:
        if not Path("/dev/fuse").exists():
            pytest.skip("/dev/fuse is missing")
        self.disk, self.point = root / "disk", root / "share"
        self._orders, self._log = root / "orders", root / "sick-share.log"
        for path in (self.disk, self.point):
            path.mkdir()
        argv = [sys.executable, "-m", "tests.process.sick_share"]
        argv += [str(one) for one in (self.disk, self.point, self._orders)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(argv, cwd=REPOSITORY, stdout=log, stderr=log)
        wait_for(lambda: self.point.is_mount() or self._process.poll() is not None)
        if not self.point.is_mount():
            pytest.skip(f"no FUSE here: {self._log.read_text().strip().splitlines()[-1]}")

    def fall_ill(self, orders: Orders) -> None:
        """From now on calls fail as ``orders`` say."""
        part = self._orders.with_suffix(".part")
        part.write_text(json.dumps(asdict(orders)))
        part.rename(self._orders)

    def recover(self) -> None:
        """From now on all is well."""
        self._orders.unlink(missing_ok=True)

    def close(self) -> None:
        """Unmount it."""
        run("umount", "--lazy", self.point)
        self._process.wait(timeout=30)
