"""Moves that never overwrite a file, within a filesystem or across two; removal of folders.

A move within a filesystem is one atomic step (``renameat2`` with RENAME_NOREPLACE), or a hard link
and an unlink, or a reserved name and a rename. Across filesystems the file is copied, compared by
SHA-256 and renamed; only then is the source removed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from daemon.storage.failpoints import failpoint
from erasecore.system.atomic_files import named_errors, sync_folder
from erasecore.system.no_clobber import rename_no_clobber, same_file
from erasecore.system.safe_open import open_plain

Tick = Callable[[], None]
"""Callback of a long copy, called after every ``COPY_BYTES``: a heartbeat."""

COPY_BYTES = 8 << 20
"""Bytes read at once when a file is copied or hashed (guess)."""


def no_tick() -> None:
    """Do nothing; the default callback."""


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
    if same_file(file, other):
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
