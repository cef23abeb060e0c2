"""The write discipline: a file is whole or absent, and nothing is ever overwritten.

Everything the daemon does to a folder that others can see goes through these few functions and
those of ``daemon.moves``. Each ends with the folder itself synced, so that what it did survives a
power cut.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOT_HERE = (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)
"""What filesystems answer that do not know how to do it."""


def sync_folder(folder: Path) -> None:
    """Return once the folder's entries are on the disk."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some network and FUSE filesystems cannot sync a folder; there is nothing more to do.
        if error.errno not in NOT_HERE:
            raise
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Give ``path`` new content at once: a reader finds the old or the new, never a part.

    Args:
        path: replaced if it is there; our own files only.
        content: all of it.
        durable: whether it must survive a power cut, too.
    """
    # Two daemons may share a state folder; and one that is frozen in the middle of this may have
    # the file open still: each process has a name, and each time a file, of its own.
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.unlink(missing_ok=True)
    with named_errors(part), part.open("xb") as file:
        file.write(content)
        file.flush()
        if durable:
            os.fsync(file.fileno())
    os.replace(part, path)
    if durable:
        sync_folder(path.parent)


def make_folder(folder: Path) -> list[Path]:
    """Make ``folder`` and the folders above it that are missing, durably; those that were made.

    Raises:
        NotADirectoryError: something else has one of the names.
    """
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for one in reversed(missing):
        try:
            one.mkdir(exist_ok=True)
        except FileExistsError as error:
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(one)) from error
        sync_folder(one.parent)
    return missing


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Errors of writing say where: the system tells it of opening only."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            error.filename = str(path)
        raise


def status_if_there(path: Path) -> os.stat_result | None:
    """``lstat`` of what has that name, a link as such; ``None`` if nothing has, or can have it.

    Raises:
        OSError: one cannot know.
    """
    try:
        return path.lstat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise
