"""Files under new names that nothing else has, on this filesystem or another; folders removed."""

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
"""Called every few megabytes of a long copy: a sign of life."""

COPY_BYTES = 8 << 20
_RENAME_NOREPLACE = 1
_AT_FDCWD = -100
_NO_LINKS = (*NOT_HERE, errno.EPERM, errno.EMLINK, errno.EACCES)


def no_tick() -> None:
    """Nothing; for copies that nobody waits for."""


def rename_no_clobber(source: Path, target: Path) -> None:
    """Give ``source`` the name ``target``, which nothing else may have, on one filesystem.

    Raises:
        FileExistsError: ``target`` is there; nothing was changed.
        OSError: as from ``os.rename``.
    """
    try:
        if not _rename_noreplace(source, target):
            _link_and_unlink(source, target)
    except FileExistsError:
        # Link and unlink may have been torn apart at an earlier try: go on with it.
        if not _same_file(source, target):
            raise
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _rename_noreplace(source: Path, target: Path) -> bool:
    """Whether it was done; False where system or filesystem do not know how."""
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
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        _reserve_and_rename(source, target)
    else:
        os.unlink(source)  # noqa: PTH108 - beside os.link


def _reserve_and_rename(source: Path, target: Path) -> None:
    """For filesystems that know neither RENAME_NOREPLACE nor links: a file of our own first.

    It bears a mark, so that one left by a crash is known for ours.
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
    status = source.lstat()
    return b"reserved for file %d of %d bytes\n" % (status.st_ino, status.st_size)


def _reserved(source: Path, target: Path) -> bool:
    """Whether ``target`` is what a crash in the middle of a reservation has left."""
    try:
        handle = open_plain(target)
    except OSError:
        return False
    try:
        return os.read(handle, 100) == _mark(source)
    finally:
        os.close(handle)


def _same_file(one: Path, other: Path) -> bool:
    return os.path.samestat(one.lstat(), other.lstat())


def move_no_clobber(source: Path, target: Path, *, part: str, tick: Tick = no_tick) -> None:
    """Move ``source`` to ``target``, which nothing else may have, to wherever that lies.

    Doing it again after a crash in the middle ends well: a target that is already our file, or on
    another filesystem a copy of it, is kept.

    Args:
        source: a file of ours.
        target: its new name; the folder exists.
        part: how the name of a copy begins while it is being written beside ``target``; nobody
            else's names begin like that, and copies left by a crash are removed.
        tick: called now and then while bytes are copied.

    Raises:
        FileExistsError: something else has the name ``target``.
    """
    try:
        rename_no_clobber(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_new(source, target, part, tick)
    sync_folder(target.parent)
    sync_folder(source.parent)


def _copy_new(source: Path, target: Path, prefix: str, tick: Tick) -> None:
    for left in target.parent.glob(f"{prefix}-*.part"):
        left.unlink(missing_ok=True)
    # Never a name used before: a daemon held for dead that wakes up may be at the same copy.
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
    """The SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with os.fdopen(open_plain(path), "rb") as reader:
        while block := reader.read(COPY_BYTES):
            digest.update(block)
            tick()
    return digest.hexdigest()


def same_content(one: Path, other: Path, tick: Tick = no_tick) -> bool:
    """Whether two regular files are the same file, or hold the same bytes."""
    if other.is_symlink() or not other.is_file():
        return False
    if _same_file(one, other):
        return True
    if one.stat().st_size != other.stat().st_size:
        return False
    return digest_of(one, tick) == digest_of(other, tick)


def remove_tree(folder: Path) -> None:
    """Remove a folder of ours and all that is in it; one that is gone already is as good."""
    while folder.is_dir():
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:  # somebody removes it, too
            continue
