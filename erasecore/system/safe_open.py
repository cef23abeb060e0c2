"""Safe opening of untrusted files: symbolic links are not followed, FIFOs do not block."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from erasecore.errors import AWAY

_SPECIAL_FILE_ERRNOS = (errno.ENXIO, errno.ENODEV)
"""Results of opening a socket or a device; a lost share may answer the same."""


def blames_host(error: OSError) -> bool:
    """Return True if reading a sender's file failed because its disk or share is unavailable."""
    return error.errno in AWAY and error.errno not in _SPECIAL_FILE_ERRNOS


def open_plain(path: Path) -> int:
    """Return a read-only file descriptor; links are refused, a FIFO does not block.

    The file may still be a folder or a device: check its type by ``fstat``.

    Raises:
        OSError: the file cannot be opened, or is a symbolic link.
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def read_plain(path: Path, max_bytes: int) -> bytes:
    """Return at most the first ``max_bytes`` of a regular file.

    Raises:
        OSError: it cannot be read, or is a link, a folder, a FIFO or a device.
    """
    return read_regular(open_plain(path), max_bytes)


def read_regular(handle: int, max_bytes: int) -> bytes:
    """Return at most the first ``max_bytes`` of an open file, and close it.

    Raises:
        OSError: it cannot be read, or is a folder, a FIFO or a device.
    """
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file")
        content = b""
        while len(content) < max_bytes:
            block = os.read(handle, max_bytes - len(content))
            if not block:
                break
            content += block
        return content
    finally:
        os.close(handle)
