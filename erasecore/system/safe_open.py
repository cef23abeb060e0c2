"""Opening files that anybody may have put there: regular ones only, links not followed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from erasecore.errors import AWAY

_NOT_OPENED = (errno.ENXIO, errno.ENODEV)
"""What sockets and devices answer to being opened; a share may answer the same."""


def blames_host(error: OSError) -> bool:
    """Whether a file of somebody's could not be read because its disk, or its share, is away."""
    return error.errno in AWAY and error.errno not in _NOT_OPENED


def open_plain(path: Path) -> int:
    """A handle to read what has that name: no link is followed, and no pipe makes us wait.

    Raises:
        OSError: it cannot be opened, or is a link.
    """
    return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)


def read_plain(path: Path, most_bytes: int) -> bytes:
    """The first ``most_bytes`` of a regular file; a pipe does not make us wait.

    Raises:
        OSError: it cannot be read, or is a link, a folder, a pipe, a device.
    """
    handle = open_plain(path)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "it is not a regular file", str(path))
        content = b""
        while len(content) < most_bytes:
            block = os.read(handle, most_bytes - len(content))
            if not block:
                break
            content += block
        return content
    finally:
        os.close(handle)
