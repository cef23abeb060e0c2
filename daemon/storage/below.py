"""Access below a folder that strangers write to: no symbolic link below it is followed.

A path is resolved again at each call, so a folder that was checked may have been exchanged for a
link before it is used. Here each folder is opened relative to the one above it (``dir_fd``,
O_NOFOLLOW; or ``openat2``, which does that in one call), and the handle is used from then on: it
stays the same folder, whatever happens to its name. The root itself may be a link, it is the
operator's.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path, PurePosixPath

from erasecore.system.atomic_files import sync_handle
from erasecore.system.safe_open import read_regular

LINK_ERRNOS = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)
"""Errnos of open() with O_NOFOLLOW on a symbolic link, by operating system and filesystem."""
GONE_ERRNOS = (errno.ENOENT, *LINK_ERRNOS)
"""Errnos of a folder or file that is no longer there, or has a link in its place."""

MAX_PATH_BYTES = 4095
"""Longest path that the kernel takes, in bytes (PATH_MAX without the final zero)."""
_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SYS_OPENAT2 = 437
"""Number of the system call openat2(2), the same on every architecture; since Linux 5.6."""
_RESOLVE = 0x04 | 0x08
"""RESOLVE_NO_SYMLINKS and RESOLVE_BENEATH (linux/openat2.h)."""


def _openat2(folder: int, path: str) -> int:
    """Return a handle of a folder below an open one, by one call that follows no link.

    A walk by ``_open_in`` takes a call for each level: seconds for each folder that is nested a
    thousand levels deep.
    """
    import ctypes  # slow to load, and ``status`` imports this module

    how = struct.pack("=QQQ", _FOLDER_FLAGS | os.O_NOFOLLOW, 0, _RESOLVE)
    syscall = ctypes.CDLL(None, use_errno=True).syscall
    size = ctypes.c_size_t(len(how))
    while True:
        handle: int = syscall(_SYS_OPENAT2, folder, os.fsencode(path), how, size)
        if handle >= 0:
            return handle
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise OSError(code, os.strerror(code))


@cache
def _has_openat2() -> bool:
    """Return True if the kernel knows ``openat2`` and no filter of system calls forbids it."""
    root = os.open("/", _FOLDER_FLAGS)
    try:
        os.close(_openat2(root, "."))
    except OSError:
        return False
    finally:
        os.close(root)
    return True


def _open_in(folder: int, name: str) -> int:
    """Return a handle of the folder ``name`` in the folder with the handle ``folder``."""
    if name in ("", ".", ".."):
        raise OSError(errno.EXDEV, "leads out of its folder", name)  # as openat2, RESOLVE_BENEATH
    return os.open(name, _FOLDER_FLAGS | os.O_NOFOLLOW, dir_fd=folder)


def _step(root: Path, parts: Sequence[str], folder: int, *, make: bool = False) -> int:
    """Open the last of ``parts`` in ``folder``, the handle of the one before, and close that."""
    try:
        if make:
            _make_in(folder, parts[-1])
        return _open_in(folder, parts[-1])
    except OSError as error:
        error.filename = str(root.joinpath(*parts))
        raise
    finally:
        os.close(folder)


def _make_in(folder: int, name: str) -> None:
    """Create the folder ``name`` in ``folder`` if nothing has that name, durably."""
    with suppress(FileExistsError):
        os.mkdir(name, dir_fd=folder)
        sync_handle(folder)


def folders_down(root: Path, relative: PurePosixPath) -> Iterator[int]:
    """Yield a handle of ``root`` and of each folder on the path down to ``relative``.

    A handle is closed when the next one is asked for. Ends early at a folder that is missing or a
    link.

    Raises:
        OSError: a folder cannot be opened for another reason, e.g. no permission.
    """
    folder = os.open(root, _FOLDER_FLAGS)
    parts = relative.parts
    try:
        yield folder
        for depth in range(1, len(parts) + 1):
            folder, above = -1, folder
            folder = _step(root, parts[:depth], above)
            yield folder
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            raise
    finally:
        if folder >= 0:
            os.close(folder)


def _open_folder(root: Path, relative: PurePosixPath, *, make: bool) -> int:
    """Return a handle of the folder ``relative`` below ``root``; ``make`` creates missing ones."""
    folder = os.open(root, _FOLDER_FLAGS)
    parts = relative.parts
    if make or not parts or not _has_openat2():
        for depth in range(1, len(parts) + 1):
            folder = _step(root, parts[:depth], folder, make=make)
        return folder
    try:
        return _openat2(folder, str(relative))
    except OSError as error:
        error.filename = str(root / relative)
        raise
    finally:
        os.close(folder)


@contextmanager
def folder_below(root: Path, relative: PurePosixPath, *, make: bool = False) -> Iterator[int]:
    """Open the folder ``relative`` below ``root`` and yield its handle.

    Args:
        root: the folder that strangers write to.
        relative: path below it; ``.`` for the root itself.
        make: create missing folders, durably.

    Raises:
        OSError: an errno of ``GONE_ERRNOS`` if a folder is missing, a link or no folder.
    """
    handle = _open_folder(root, relative, make=make)
    try:
        yield handle
    finally:
        os.close(handle)


def status_in(folder: int, name: str) -> os.stat_result | None:
    """Return ``lstat`` of the entry ``name`` of an open folder; None if there is none.

    Raises:
        OSError: the folder cannot be read.
    """
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise


def open_in(folder: int, name: str) -> int:
    """Open the file ``name`` of an open folder; a link is refused, a FIFO does not block.

    The file may still be a folder or a device: check its type by ``fstat``.
    """
    return os.open(name, _FILE_FLAGS, dir_fd=folder)


def open_below(root: Path, relative: PurePosixPath) -> int:
    """Open a file below ``root`` for reading, without following a link in any part of its path."""
    with folder_below(root, relative.parent) as folder:
        return open_in(folder, relative.name)


def read_in(folder: int, name: str, max_bytes: int) -> bytes:
    """Return at most the first ``max_bytes`` of the regular file ``name`` of an open folder.

    Raises:
        OSError: it cannot be read, or is a link, a folder, a FIFO or a device.
    """
    return read_regular(open_in(folder, name), max_bytes)


def pinned(folder: int) -> Path:
    """Return a path that leads into an open folder, even if its name is taken by another one.

    For functions that take paths only. Valid in this process, until the handle is closed.
    """
    return Path(f"/proc/self/fd/{folder}")
