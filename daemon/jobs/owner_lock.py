"""Lock on the owner file of an instance folder, held by its daemon for as long as it runs.

The kernel releases it when the process ends, however it ends, and it is the same for all containers
and mount namespaces of a machine. So it tells who lives where ``/proc`` does not: a service under
systemd's ``ProtectProc=`` mounts a ``/proc`` of its own, which in a container (LXC, nspawn) lacks
the boot id that the container's other processes see.

It is an open file description lock (fcntl(2), ``F_OFD_SETLK``) on one byte far beyond the content:
locks of SMB servers are mandatory, and the content must stay readable. NFS and SMB pass it on to
the server, or keep it to themselves (mount options ``nolock``, ``nobrl``); some FUSE filesystems
have none. So on a network filesystem a free lock proves nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from erasecore.system.atomic_files import UNSUPPORTED_ERRNOS, named_errors, sync_folder

LOCKED_OFFSET = 1 << 30
"""Offset in bytes of the byte that is locked; no owner file is that long."""
_FLOCK = "hhqqi0q"
"""``struct flock`` of fcntl(2) on 64-bit Linux: type, whence, start, length, process id."""
_NO_LOCK_ERRNOS = (*UNSUPPORTED_ERRNOS, errno.ENOLCK, errno.EACCES, errno.EAGAIN, errno.EIO)
"""Errors after which a daemon goes on without a lock: its filesystem or server gives none."""


class LockState(StrEnum):
    """State of the lock on an owner file, as another process sees it."""

    HELD = "held"
    FREE = "free"
    UNKNOWN = "unknown"  # it cannot be asked for


def write_locked(path: Path, content: Callable[[bool], bytes]) -> int:
    """Create ``path`` with the lock taken; return the handle that holds the lock.

    The file is locked under another name before it is renamed, so nobody sees it unlocked.

    Args:
        path: the owner file, replaced if it exists.
        content: returns the file's content; its argument is True if the lock could be taken.

    Returns:
        The open handle; closing it releases the lock. Child processes do not inherit it.

    Raises:
        OSError: the file cannot be written; its ``filename`` is set.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    handle = os.open(part, flags, 0o666)
    try:
        with named_errors(part):
            os.write(handle, content(_lock(handle)))
            os.fsync(handle)
        os.replace(part, path)
    except BaseException:
        os.close(handle)
        part.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return handle


def open_locked(path: Path) -> int:
    """Open an owner file and lock it if the filesystem has locks; return the handle.

    Raises:
        OSError: the file cannot be opened.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    handle = os.open(path, flags)
    try:
        _lock(handle)
    except BaseException:
        os.close(handle)
        raise
    return handle


def is_file_of(handle: int, path: Path) -> bool:
    """Return True if ``path`` names the file that is open as ``handle``."""
    found, opened = path.lstat(), os.fstat(handle)
    return (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino)


def _lock(handle: int) -> bool:
    """Take the lock; return False if the filesystem has none."""
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _request(fcntl.F_WRLCK))
    except OSError as error:
        if error.errno in _NO_LOCK_ERRNOS:
            return False
        raise
    return True


def lock_state(path: Path) -> LockState:
    """Return the state of the lock on an owner file; asking does not take it."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return LockState.UNKNOWN
    try:
        answer = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _request(fcntl.F_WRLCK))
    except OSError:
        return LockState.UNKNOWN
    finally:
        os.close(handle)
    kind: int = struct.unpack(_FLOCK, answer)[0]
    return LockState.FREE if kind == fcntl.F_UNLCK else LockState.HELD


def _request(kind: int) -> bytes:
    """Return a ``struct flock`` for the one byte that is locked."""
    return struct.pack(_FLOCK, kind, os.SEEK_SET, LOCKED_OFFSET, 1, 0)
