"""Real filesystems in image files, mounted by loop devices or FUSE; that takes root."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.process.mounts import run

MAKERS = {
    "ext4": ("mkfs.ext4", "-q"),
    "xfs": ("mkfs.xfs", "-q"),
    "exfat": ("mkfs.exfat",),
    "ntfs": ("mkntfs", "-F", "-q", "-Q"),
    "vfat": ("mkfs.vfat",),
}
"""Command that makes a filesystem."""
MOUNTERS = {
    "exfat": ("mount.exfat-fuse",),
    "ntfs": ("ntfs-3g", "-o", "windows_names"),
    "vfat": ("fusefat", "-o", "rw+"),
}
"""Command that mounts one, where it is not ``mount``. FAT goes through FUSE on every machine: few
kernels of containers know it, and this driver refuses more, e.g. changing a mode or a size."""
SIZE_MB = {"xfs": 320}
"""Smallest image of a filesystem; for others 64 MB."""


@contextmanager
def mounted(kind: str, point: Path) -> Iterator[Path]:
    """``point``, within the block a filesystem of this kind; skips the test where there is none."""
    programs = [MAKERS[kind][0], *MOUNTERS.get(kind, ())[:1], "losetup"]
    if missing := [one for one in programs if shutil.which(one) is None]:
        pytest.skip(f"{missing[0]} is not installed")
    image = point.with_name(f"{point.name}.{kind}")
    with image.open("wb") as file:
        file.truncate(SIZE_MB.get(kind, 64) << 20)
    tried = subprocess.run(
        ["losetup", "--find", "--show", image], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"no loop device: {tried.stderr.strip()}")
    device = tried.stdout.strip()
    try:
        run(*MAKERS[kind], device)
        point.mkdir(exist_ok=True)
        mount = MOUNTERS.get(kind, ("mount", "-t", kind))
        done = subprocess.run([*mount, device, point], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this system mounts no {kind}: {done.stderr.strip()}")
        try:
            yield point
        finally:
            run("umount", "--lazy", point)
    finally:
        run("losetup", "--detach", device)
