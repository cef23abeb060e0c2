"""Rename that never overwrites a file, on every filesystem, also those without hard links."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from erasecore.system.atomic_files import UNSUPPORTED_ERRNOS
from erasecore.system.failpoints import failpoint
from erasecore.system.safe_open import open_plain

_RENAME_NOREPLACE = 1
"""Flag of ``renameat2``: fail with EEXIST if the target exists (linux/fs.h)."""
_AT_FDCWD = -100
"""Folder handle of ``renameat2``: relative paths start at the working directory (linux/fcntl.h)."""
_SAME_FOR_EACH_WAY = (
    *(errno.EEXIST, errno.EXDEV, errno.ENOENT, errno.ENAMETOOLONG, errno.ENOTDIR, errno.ELOOP),
    *(errno.EROFS, errno.ENOSPC, errno.EDQUOT),
)
"""Errnos of ``link`` that a rename would answer, too. After any other, e.g. EPERM on FAT or EIO on
rclone, which know no hard links, a rename may still work."""


def rename_no_clobber(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` on the same filesystem; never overwrite.

    A second call after a crash in the middle completes the rename. The folders are not synced.

    Raises:
        FileExistsError: another file has the name ``target``; nothing was changed.
        OSError: as from ``os.rename``, e.g. EXDEV for a target on another filesystem.
    """
    try:
        if not _rename_noreplace(source, target):
            _link_and_unlink(source, target)
    except FileExistsError:
        # A crash between link and unlink leaves one file with both names: complete that rename.
        if not same_file(source, target):
            raise
        os.unlink(source)  # noqa: PTH108 - beside os.link


def same_file(first: Path, second: Path) -> bool:
    """Return True if two names, links not followed, are one inode."""
    return os.path.samestat(first.lstat(), second.lstat())


def _rename_noreplace(source: Path, target: Path) -> bool:
    """Call ``renameat2``; return False if the C library or the filesystem does not support it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in UNSUPPORTED_ERRNOS:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def _link_and_unlink(source: Path, target: Path) -> None:
    """Hard-link ``source`` as ``target`` and unlink it, or reserve the name without hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno in _SAME_FOR_EACH_WAY:
            raise
        _reserve_and_rename(source, target)  # FileExistsError if the link was made after all
    else:
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _reserve_and_rename(source: Path, target: Path) -> None:
    """Reserve ``target`` with a placeholder (O_EXCL), then rename ``source`` over it.

    For filesystems with neither RENAME_NOREPLACE nor hard links. The placeholder's content names
    the source, so that a later try recognises one that a crash has left.
    """
    content = _placeholder_content(source)
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if not _is_placeholder(target, content):
            raise
    else:
        _fill_placeholder(handle, target, content)
    failpoint("move.after_reserve")
    try:
        os.rename(source, target)
    except OSError:
        # On a network filesystem the rename may have succeeded and only its reply been lost: the
        # target is then the film itself.
        if _is_placeholder(target, content):
            target.unlink()
        raise


def _fill_placeholder(handle: int, target: Path, content: bytes) -> None:
    """Write the placeholder that was created as ``handle``, and close it; remove it on failure."""
    try:
        os.write(handle, content)
        os.fsync(handle)
    except OSError:
        target.unlink()  # created by us just now
        raise
    finally:
        os.close(handle)


def _placeholder_content(source: Path) -> bytes:
    """Content of the file that reserves a name for ``source``: its inode and size."""
    status = source.lstat()
    return b"reserved for file %d of %d bytes\n" % (status.st_ino, status.st_size)


def _is_placeholder(target: Path, content: bytes) -> bool:
    """Return True if ``target`` is the placeholder with this ``content``."""
    try:
        handle = open_plain(target)
    except OSError:
        return False
    try:
        return os.read(handle, 100) == content
    finally:
        os.close(handle)
