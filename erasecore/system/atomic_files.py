"""Atomic, durable file writes: a file is whole or absent, also after a power cut.

Everything that the program writes where others can see it goes through this module: write a
temporary file beside the target, fsync it, rename it onto the target, fsync the folder. Daemon and
pipeline share it; it needs the standard library only.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from erasecore.errors import NO_ROOM, DiskFull

UNSUPPORTED_ERRNOS = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""Errors of a filesystem that does not implement a system call; ENOTSUP is EOPNOTSUPP on Linux."""


# --- fsync --------------------------------------------------------------------------------------


def sync_folder(folder: Path) -> None:
    """Fsync ``folder``, so that files created, renamed or removed in it survive a power cut.

    Does nothing on filesystems that cannot fsync a folder (some SMB, NFS and FUSE mounts): there
    is no other way to make a rename durable on them.

    Raises:
        OSError: the folder cannot be opened, or the fsync failed for any other reason.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sync_handle(handle)
    finally:
        os.close(handle)


def sync_handle(folder: int) -> None:
    """Fsync the open folder with the handle ``folder``; see ``sync_folder``."""
    try:
        os.fsync(folder)
    except OSError as error:
        if error.errno not in UNSUPPORTED_ERRNOS:
            raise


def sync_file(path: Path) -> None:
    """Fsync the content of the file ``path``, whoever has written it."""
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# --- replace ------------------------------------------------------------------------------------


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it onto ``path`` when the block succeeds.

    The file is fsynced before the rename, the folder after it. If the block raises, the temporary
    file is removed and ``path`` stays as it was. One process may write a given path at a time.

    Raises:
        DiskFull: the disk or the quota is full.
    """
    part = path.with_name(f".{path.name}.part")
    # A worker taken for dead may wake up with the old file open: what it writes must go nowhere.
    part.unlink(missing_ok=True)
    try:
        yield part
        name_durably(part, path)
    except BaseException as error:
        with suppress(OSError):  # must not hide why the block failed
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise DiskFull(path.parent) from error
        raise


def write_whole(
    path: Path, content: bytes, *, durable: bool = True, mode: int | None = None
) -> None:
    """Replace the file ``path`` atomically: readers see the old or the new content, never a part.

    Several processes may write the same path at the same time; the last one wins.

    Args:
        path: replaced if it exists; for the program's own files only.
        content: the complete new content.
        durable: fsync, so that the new content survives a power cut.
        mode: permissions of the file; ``None``: those of the umask.

    Raises:
        OSError: the file cannot be written; its ``filename`` is set, nothing is left behind.
    """
    # The process id is for daemons that share a state folder. The unlink is for a frozen daemon
    # that still has a file of this name open.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    try:
        with named_errors(part), part.open("xb") as file:
            file.write(content)
            file.flush()
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            if durable:
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def name_durably(part: Path, path: Path) -> None:
    """Fsync the finished file ``part`` and rename it onto ``path``, durably.

    Args:
        part: lies on the filesystem of ``path``.
        path: replaced if it exists.
    """
    sync_file(part)
    replace_durably(part, path)


def replace_durably(part: Path, path: Path) -> None:
    """Rename ``part``, fsynced by the caller, onto ``path``; then fsync the folder of ``path``."""
    os.replace(part, path)
    sync_folder(path.parent)


# --- folders, errors, status --------------------------------------------------------------------


def make_folder(folder: Path) -> list[Path]:
    """Create ``folder`` and its missing parents, durably.

    Returns:
        The folders that were missing, innermost first.

    Raises:
        NotADirectoryError: one of the names belongs to something else.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path)) from error
        sync_folder(path.parent)
    return missing


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Set ``filename`` of an OSError from the block to ``path``; errors of write(2) have none."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def status_if_there(path: Path) -> os.stat_result | None:
    """Return ``lstat`` of ``path``, or ``None`` if no file has, or can have, that name.

    Raises:
        OSError: any other error, e.g. of a share that does not answer.
    """
    try:
        return path.lstat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise
