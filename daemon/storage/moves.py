"""Moves that never overwrite a file, within a filesystem or across two; removal of folders.

A move within a filesystem is one atomic step (``renameat2`` with RENAME_NOREPLACE), or a hard link
and an unlink, or a reserved name and a rename. Across filesystems the file is copied, compared by
SHA-256 and renamed; only then is the source removed.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from daemon.storage.atomic import NOT_HERE, named_errors, sync_folder
from daemon.storage.failpoints import failpoint
from erasecore.system.safe_open import open_plain

Tick = Callable[[], None]
"""Callback of a long copy, called after every ``COPY_BYTES``: a heartbeat."""

COPY_BYTES = 8 << 20
"""Bytes read at once when a file is copied or hashed (guess)."""
_RENAME_NOREPLACE = 1
"""Flag of ``renameat2``: fail with EEXIST if the target exists (linux/fs.h)."""
_AT_FDCWD = -100
"""Folder handle of ``renameat2``: relative paths start at the working directory (linux/fcntl.h)."""
_NO_LINKS = (*NOT_HERE, errno.EPERM, errno.EMLINK, errno.EACCES)
"""Errnos of ``link`` where a rename may still work, e.g. EPERM on FAT: no hard links there."""


def no_tick() -> None:
    """Do nothing; the default callback."""


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
        if not _same_file(source, target):
            raise
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _rename_noreplace(source: Path, target: Path) -> bool:
    """Call ``renameat2``; return False if the C library or the filesystem does not support it."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    names = os.fsencode(source), os.fsencode(target)
    if renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_NOREPLACE) == 0:
        return True
    code = ctypes.get_errno()
    if code in NOT_HERE:
        return False
    raise OSError(code, os.strerror(code), str(source), None, str(target))


def _link_and_unlink(source: Path, target: Path) -> None:
    """Hard-link ``source`` as ``target`` and unlink it, or reserve the name without hard links."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _reserve_and_rename(source, target)
    else:
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _reserve_and_rename(source: Path, target: Path) -> None:
    """Reserve ``target`` with a placeholder (O_EXCL), then rename ``source`` over it.

    For filesystems with neither RENAME_NOREPLACE nor hard links. The placeholder's content names
    the source, so that a later try recognises one that a crash has left.
    """
    try:
        handle = os.open(target, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        if not _is_placeholder(target, source):
            raise
    else:
        os.write(handle, _placeholder_content(source))
        os.fsync(handle)
        os.close(handle)
    failpoint("move.after_reserve")
    try:
        os.rename(source, target)
    except OSError:
        # On a network filesystem the rename may have succeeded and only its reply been lost: the
        # target is then the film itself.
        if _is_placeholder(target, source):
            target.unlink()
        raise


def _placeholder_content(source: Path) -> bytes:
    """Content of the file that reserves a name for ``source``: its inode and size."""
    status = source.lstat()
    return b"reserved for file %d of %d bytes\n" % (status.st_ino, status.st_size)


def _is_placeholder(target: Path, source: Path) -> bool:
    """Return True if ``target`` is a file that reserves the name for ``source``."""
    try:
        handle = open_plain(target)
    except OSError:
        return False
    try:
        return os.read(handle, 100) == _placeholder_content(source)
    finally:
        os.close(handle)


def _same_file(first: Path, second: Path) -> bool:
    """Return True if two names, links not followed, are one inode."""
    return os.path.samestat(first.lstat(), second.lstat())


def move_no_clobber(source: Path, target: Path, *, part: str, tick: Tick = no_tick) -> None:
    """Move ``source`` to ``target``, also to another filesystem; never overwrite. Durable.

    Idempotent: called again after a crash in the middle, it completes the move. A ``target`` that
    is already this file, or a copy with the same bytes, is kept. Both folders are synced.

    Args:
        source: a file that only we change.
        target: its new name; the folder exists.
        part: prefix of the temporary copy beside ``target``. It must be unique to this move: other
            files ``{part}-*.part`` are taken for leftovers of a crash and removed.
        tick: callback for every ``COPY_BYTES`` that are copied or hashed.

    Raises:
        FileExistsError: another file has the name ``target``.
        OSError: as from the file operations; EIO if the copy reads back with other bytes.
    """
    try:
        rename_no_clobber(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_by_copy(source, target, part, tick)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _move_by_copy(source: Path, target: Path, prefix: str, tick: Tick) -> None:
    """Copy ``source`` beside ``target``, verify and rename the copy, then remove ``source``."""
    for leftover in target.parent.glob(f"{prefix}-*.part"):
        leftover.unlink(missing_ok=True)
    # A random name: a daemon that was taken for dead may wake up and write the same copy.
    part = target.with_name(f"{prefix}-{os.urandom(4).hex()}.part")
    try:
        digest = _copy(source, part, tick)
        if digest_of(part, tick) != digest:
            raise OSError(errno.EIO, "the copy differs from the file", str(part))
        shutil.copystat(source, part, follow_symlinks=False)
        failpoint("move.after_copy")
        try:
            rename_no_clobber(part, target)
        except FileExistsError:
            if not same_content(source, target, tick):
                raise
    finally:
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
    failpoint("move.after_rename")
    source.unlink()
    failpoint("move.after_unlink")


def _copy(source: Path, part: Path, tick: Tick) -> str:
    """Copy the bytes of ``source`` to ``part``, synced; return their SHA-256 in hexadecimal."""
    digest = hashlib.sha256()
    reading = os.fdopen(open_plain(source), "rb")
    with reading as reader, named_errors(part), part.open("wb") as writer:
        while block := reader.read(COPY_BYTES):
            digest.update(block)
            writer.write(block)
            tick()
        writer.flush()
        os.fsync(writer.fileno())
    return digest.hexdigest()


def digest_of(path: Path, tick: Tick = no_tick) -> str:
    """Return the SHA-256 of a regular file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with os.fdopen(open_plain(path), "rb") as reader:
        while block := reader.read(COPY_BYTES):
            digest.update(block)
            tick()
    return digest.hexdigest()


def same_content(file: Path, other: Path, tick: Tick = no_tick) -> bool:
    """Return True if ``other`` is the regular file ``file`` itself, or one with the same bytes."""
    if other.is_symlink() or not other.is_file():
        return False
    if _same_file(file, other):
        return True
    if file.stat().st_size != other.stat().st_size:
        return False
    return digest_of(file, tick) == digest_of(other, tick)


def remove_tree(folder: Path) -> None:
    """Remove a folder and its content; do nothing if there is no such folder."""
    while folder.is_dir():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:  # another process removes it at the same time
            continue
