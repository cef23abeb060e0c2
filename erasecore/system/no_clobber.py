"""Rename that never overwrites, on every filesystem, including those without hard links."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

from erasecore.system.atomic_files import UNSUPPORTED_ERRNOS
from erasecore.system.failpoints import failpoint
from erasecore.system.safe_open import open_plain

_RENAME_NOREPLACE = 1  # flag of renameat2(2): fail with EEXIST instead of replacing the target
_AT_FDCWD = -100  # renameat2(2): paths are relative to the current folder
_NO_LINKS = (*UNSUPPORTED_ERRNOS, errno.EPERM, errno.EMLINK, errno.EACCES)


def rename_no_clobber(source: Path, target: Path) -> None:
    """Rename ``source`` to ``target`` on one filesystem, unless ``target`` exists.

    Uses renameat2 with RENAME_NOREPLACE; where the filesystem lacks it, a hard link; where it lacks
    these too, an O_EXCL placeholder that is renamed over. Repeating the call after a crash in the
    middle completes it.

    Raises:
        FileExistsError: ``target`` exists; nothing was changed.
        OSError: as from ``os.rename``.
    """
    try:
        if not _rename_noreplace(source, target):
            _link_and_unlink(source, target)
    except FileExistsError:
        # A crash between link and unlink leaves both names: finish it.
        if not same_file(source, target):
            raise
        os.unlink(source)  # noqa: PTH108 - beside os.link


def same_file(one: Path, other: Path) -> bool:
    """Return True if both paths are names of one file; links are not followed."""
    return os.path.samestat(one.lstat(), other.lstat())


def _rename_noreplace(source: Path, target: Path) -> bool:
    """Rename by renameat2; return False if the C library or the filesystem does not have it."""
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
    """Hard-link ``source`` to ``target``, then remove the old name."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _reserve_and_rename(source, target)
    else:
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _reserve_and_rename(source: Path, target: Path) -> None:
    """Create ``target`` exclusively as a placeholder, then rename ``source`` over it.

    For filesystems with neither RENAME_NOREPLACE nor hard links. The placeholder holds a mark that
    identifies ``source``, so that one left by a crash is recognised as ours.
    """
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if not _reserved(source, target):
            raise
    else:
        os.write(handle, _mark(source))
        os.fsync(handle)
        os.close(handle)
    failpoint("move.after_reserve")
    try:
        os.rename(source, target)
    except OSError:
        if _reserved(source, target):  # else it was done, and only the answer was lost
            target.unlink()
        raise


def _mark(source: Path) -> bytes:
    """Content of the placeholder for ``source``: its inode and size."""
    status = source.lstat()
    return b"reserved for file %d of %d bytes\n" % (status.st_ino, status.st_size)


def _reserved(source: Path, target: Path) -> bool:
    """Return True if ``target`` is the placeholder that an earlier call made for ``source``."""
    try:
        handle = open_plain(target)
    except OSError:
        return False
    try:
        return os.read(handle, 100) == _mark(source)
    finally:
        os.close(handle)
