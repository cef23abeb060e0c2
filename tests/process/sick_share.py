"""A filesystem that shows a folder, and answers as a share in trouble does when told to.

``python -m tests.process.sick_share FOLDER POINT ORDERS`` shows ``FOLDER`` at ``POINT`` until it is
unmounted. While there is a file ``ORDERS``, calls fail as it says: ``Orders`` as JSON. Nothing is
cached by the kernel, so each call is heard.
"""

from __future__ import annotations

import errno
import json
import os
import random
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

from mfusepy import FUSE, FuseOSError, Operations

from erasecore.system.atomic_files import sync_folder
from tests.process.orders import Orders

Answer = TypeVar("Answer")
STATUS_FIELDS = (
    *("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks"),
    *("st_blksize",),
)
SPACE_FIELDS = (
    *("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail"),
    "f_namemax",
)


class SickShare(Operations):  # type: ignore[misc] # it ships no types that mypy could use
    """Passes a folder through, or an error."""

    use_ns = True

    def __init__(self, folder: str, orders: Path) -> None:
        self._folder = folder
        self._orders = orders
        self._random = random.Random(1)

    def _answer(self, call: str, path: str, act: Callable[[str], Answer]) -> Answer:
        """What ``act`` says about the real path, unless there are orders against it."""
        orders = self._orders_against(call, path)
        if orders is not None:
            time.sleep(orders.seconds)
        if orders is None or not orders.error:
            return act(self._folder + path)
        if self._random.random() < orders.late:
            act(self._folder + path)
        raise FuseOSError(getattr(errno, orders.error))

    def _orders_against(self, call: str, path: str) -> Orders | None:
        try:
            orders = Orders(**json.loads(self._orders.read_bytes()))
        except FileNotFoundError:
            return None
        about = path.startswith(orders.below) and (not orders.calls or call in orders.calls)
        return orders if about and self._random.random() < orders.share else None

    def getattr(self, path: str, fh: int | None = None) -> dict[str, int]:
        """Lstat."""
        found = self._answer("getattr", path, os.lstat)
        times = {f"st_{one}time": getattr(found, f"st_{one}time_ns") for one in "amc"}
        return times | {name: getattr(found, name) for name in STATUS_FIELDS}

    def readdir(self, path: str, fh: int) -> Iterable[tuple[str, None, int]]:
        """Names, and nothing about what bears them."""
        names = [".", "..", *self._answer("readdir", path, os.listdir)]
        return [(name, None, 0) for name in names]

    def statfs(self, path: str) -> dict[str, int]:
        """Space."""
        found = self._answer("statfs", path, os.statvfs)
        return {name: getattr(found, name) for name in SPACE_FIELDS}

    def readlink(self, path: str) -> str:
        """Where a link points to."""
        return self._answer("readlink", path, os.readlink)

    def open(self, path: str, flags: int) -> int:
        """A handle."""
        return self._answer("open", path, lambda real: os.open(real, flags & ~os.O_APPEND))

    def create(self, path: str, mode: int, fi: object = None) -> int:
        """A handle on a new file."""
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        return self._answer("create", path, lambda real: os.open(real, flags, mode))

    def read(self, path: str, size: int, offset: int, fh: int) -> bytes:
        """Bytes."""
        return self._answer("read", path, lambda _: os.pread(fh, size, offset))

    def write(self, path: str, data: bytes, offset: int, fh: int) -> int:
        """How many bytes were written."""
        return self._answer("write", path, lambda _: os.pwrite(fh, data, offset))

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """Cut."""
        self._answer("truncate", path, lambda real: os.truncate(real, length))
        return 0

    def fsync(self, path: str, datasync: int, fh: int) -> int:
        """Sync."""
        self._answer("fsync", path, lambda _: os.fsync(fh))
        return 0

    def fsyncdir(self, path: str, datasync: int, fh: int) -> int:
        """Sync a folder; Linux itself turns ENOSYS into success."""
        self._answer("fsyncdir", path, lambda real: sync_folder(Path(real)))
        return 0

    def release(self, path: str, fh: int) -> int:
        """Close; nobody hears of errors here."""
        os.close(fh)
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a folder."""
        self._answer("mkdir", path, lambda real: Path(real).mkdir(mode))
        return 0

    def rmdir(self, path: str) -> int:
        """Remove a folder."""
        self._answer("rmdir", path, os.rmdir)
        return 0

    def unlink(self, path: str) -> int:
        """Remove a name."""
        self._answer("unlink", path, os.unlink)
        return 0

    def rename(self, old: str, new: str) -> int:
        """Rename."""
        self._answer("rename", old, lambda real: os.rename(real, self._folder + new))
        return 0

    def link(self, target: str, source: str) -> int:
        """Give ``source`` a second name."""
        self._answer("link", source, lambda real: os.link(real, self._folder + target))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """Change the mode."""
        self._answer("chmod", path, lambda real: Path(real).chmod(mode))
        return 0

    def chown(self, path: str, uid: int, gid: int) -> int:
        """Change the owner."""
        self._answer("chown", path, lambda real: os.lchown(real, uid, gid))
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """Change times."""
        now = time.time_ns()
        self._answer("utimens", path, lambda real: os.utime(real, ns=times or (now, now)))
        return 0


def main(arguments: list[str]) -> None:
    """Show the folder until it is unmounted."""
    folder, point, orders = arguments
    FUSE(
        SickShare(folder, Path(orders)),
        point,
        foreground=True,
        nothreads=True,
        direct_io=True,
        use_ino=True,
        allow_other=os.geteuid() == 0,
        attr_timeout=0,
        entry_timeout=0,
        fsname="sick-share",
    )


if __name__ == "__main__":
    main(sys.argv[1:])
