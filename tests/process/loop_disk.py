"""A filesystem in an image file, of which a copy can be taken at once while it is at work.

Such a copy holds what has reached the disk so far, in the order in which it did: what a power cut
leaves. The image lies on an XFS of its own, which shares blocks between files (reflink), so that
the copy takes no time.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.process.mounts import run
from tests.process.waiting import comes_true

FICLONE = 0x40049409
"""Request of ioctl_ficlone(2): share all blocks of another file."""
HOST_BYTES = 8 << 30
"""Size of the outer filesystem; the file is sparse."""
DISK_BYTES = 320 << 20
"""Size of the inner one; XFS wants 300 MB at least."""
MAKE = {"xfs": ("mkfs.xfs", "-q"), "ext4": ("mkfs.ext4", "-q", "-F")}
OPTIONS = {"xfs": "loop,nouuid", "ext4": "loop"}


class LoopDisk:
    """A disk of the kind ``kind``, mounted at ``point``."""

    def __init__(self, root: Path, kind: str) -> None:
        self._kind = kind
        self._host, self.point = root / "host", root / "disk"
        self._image = self._host / "disk.img"
        self._cuts = 0
        self._host.mkdir()
        self.point.mkdir()
        _make(root / "host.img", HOST_BYTES, "xfs")
        run("mount", "-o", "loop", root / "host.img", self._host)
        try:
            _make(self._image, DISK_BYTES, kind)
            self.mount(self._image)
        except BaseException:
            run("umount", self._host)
            raise

    def mount(self, image: Path) -> None:
        """Show ``image`` at ``point``; its journal is replayed if it was cut off."""
        run("mount", "-o", OPTIONS[self._kind], image, self.point)

    def cut(self) -> Path:
        """Return an image of the disk as a power cut at this moment would leave it."""
        self._cuts += 1
        image = self._host / f"cut-{self._cuts}.img"
        with self._image.open("rb") as source, image.open("wb") as copy:
            fcntl.ioctl(copy, FICLONE, source.fileno())
        return image

    def unmount(self) -> None:
        """Take the disk away, once no process uses it any more."""
        assert comes_true(lambda: _unmounted(self.point), 60), f"{self.point} is in use"

    def close(self) -> None:
        """Leave nothing mounted."""
        if self.point.is_mount():
            self.unmount()
        # The loop device of the inner disk lets go of its image a moment later; a namespace of
        # another service that was started meanwhile may hold it for as long as it likes.
        if not comes_true(lambda: _unmounted(self._host), 20):
            run("umount", "--lazy", self._host)


def _unmounted(point: Path) -> bool:
    """Unmount ``point``; return False if it is in use."""
    return subprocess.run(["umount", point], capture_output=True, check=False).returncode == 0


def _make(image: Path, size: int, kind: str) -> None:
    """Write a new, sparse image with an empty filesystem."""
    with image.open("wb") as file:
        os.truncate(file.fileno(), size)
    run(*MAKE[kind], image)


def need_loop_disks(root: Path) -> None:
    """Skip the test where there can be no such disks."""
    if os.geteuid() != 0:
        pytest.skip("mounting takes root")
    missing = [one for one in ("mkfs.xfs", "mkfs.ext4") if shutil.which(one) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} (xfsprogs, e2fsprogs) are not installed")
    image, point = root / "trial.img", root / "trial"
    point.mkdir()
    _make(image, DISK_BYTES, "xfs")
    tried = subprocess.run(
        ["mount", "-o", "loop", image, point], capture_output=True, text=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"no loop mounts of XFS here: {tried.stderr.strip()}")
    run("umount", point)
    image.unlink()
