"""Moves that never overwrite a file, within a filesystem or across two; removal of folders.

A move within a filesystem is one atomic step (``renameat2`` with RENAME_NOREPLACE), or a hard link
and an unlink, or a reserved name and a rename. Across filesystems the file is copied, compared by
SHA-256 and renamed; only then is the source removed. Its holes (sparse files) stay holes; times,
mode and extended attributes are carried over as far as the other filesystem takes them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath

import structlog

from daemon.storage.below import GONE_ERRNOS, folder_below, pinned
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.failpoints import failpoint
from daemon.storage.names import numbered
from erasecore.errors import printable
from erasecore.system.atomic_files import named_errors, sync_folder
from erasecore.system.no_clobber import rename_no_clobber, same_file
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)

Tick = Callable[[int], None]
"""Callback of a long read, called with the position in the file after each block."""

COPY_BYTES = 1 << 20
"""Bytes read at once when a file is copied or hashed. Small, since a stop is noticed between two
blocks and several copies may run at a time (guess)."""
HASH_BYTES = 8 << 20
"""Bytes read at once by ``digest_of``, whose callback is a heartbeat (guess)."""
SYNC_BYTES = 32 << 20
"""Bytes of a copy that may wait in memory for the disk. A stop is not noticed during a sync: this
is 3 s at 10 MB/s (guess). The progress that is shown cannot be further ahead of the disk."""
REMOVAL_TRIES = 20
"""Times that a folder's removal is begun again because a file in it had just gone (guess)."""


def no_tick(_position: int) -> None:
    """Do nothing; the default callback."""


def move_no_clobber(
    source: Path, target: Path, *, part: str, progress: CopyProgress | None = None
) -> None:
    """Move ``source`` to ``target``, also to another filesystem; never overwrite. Durable.

    Idempotent: called again after a crash in the middle, it completes the move. A ``target`` that
    is already this file, or a copy with the same bytes, is kept. Both folders are synced.

    Args:
        source: a file that only we change.
        target: its new name; the folder exists.
        part: prefix of the temporary copy beside ``target``. It must be unique to this move: other
            files ``{part}-*.part`` are taken for leftovers of a crash and removed.
        progress: progress of the copy, if there is one; it may stop it.

    Raises:
        CopyStopped: the copy was stopped; what it had written is removed.
        FileExistsError: another file has the name ``target``.
        OSError: as from the file operations; EIO if the copy reads back with other bytes.
    """
    try:
        rename_no_clobber(source, target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_by_copy(source, target, part, progress or CopyProgress())
    sync_folder(target.parent)
    sync_folder(source.parent)


def move_below(root: Path, relative: PurePosixPath, source: Path) -> None:
    """Move ``source`` to ``relative`` below ``root``, or to the first free number of that name.

    Folders that are missing are made. If something else has the name of one, ``root`` itself
    serves. No link below ``root`` is followed.

    Args:
        root: a folder that strangers write to, on the filesystem of ``source``.
        relative: path below it.
        source: a file or folder of any kind.

    Raises:
        OSError: it cannot be moved.
    """
    try:
        with folder_below(root, relative.parent, make=True) as folder:
            _move_numbered(source, pinned(folder), relative.name)
    except OSError as error:
        if error.errno not in GONE_ERRNOS:
            raise
        _move_numbered(source, root, relative.name)


def _move_numbered(source: Path, folder: Path, name: str) -> None:
    for number in count(1):
        with suppress(FileExistsError):
            rename_no_clobber(source, folder / numbered(PurePosixPath(name), number))
            return


def _move_by_copy(source: Path, target: Path, prefix: str, progress: CopyProgress) -> None:
    """Copy ``source`` beside ``target``, verify and rename the copy, then remove ``source``."""
    for leftover in target.parent.glob(f"{prefix}-*.part"):
        leftover.unlink(missing_ok=True)
    # A random name: a daemon that was taken for dead may wake up and write the same copy.
    part = target.with_name(f"{prefix}-{os.urandom(4).hex()}.part")
    progress.begin(target, source.lstat().st_size)
    try:
        digest = _copy(source, part, progress.copied)
        if _content_digest(part, progress.checked) != digest:
            raise OSError(errno.EIO, "the copy differs from the file", str(part))
        _copy_attributes(source, part)
        failpoint("move.after_copy")
        try:
            rename_no_clobber(part, target)
        except FileExistsError:
            if not same_content(source, target, progress.checked):
                raise
    finally:
        progress.end()
        part.unlink(missing_ok=True)
    sync_folder(target.parent)
    failpoint("move.after_rename")
    source.unlink()
    failpoint("move.after_unlink")


def _copy(source: Path, part: Path, tick: Tick) -> bytes:
    """Copy ``source`` to ``part``, synced, holes as holes; return its ``_content_digest``."""
    digest = hashlib.sha256()
    reading = os.fdopen(open_plain(source), "rb", buffering=0)
    with reading as reader, named_errors(part), part.open("wb") as writer:
        unsynced_bytes = 0
        for offset, block in _data_blocks(reader.fileno(), tick):
            digest.update(b"%d " % offset)
            digest.update(block)
            writer.seek(offset)
            writer.write(block)
            failpoint("move.after_block")
            unsynced_bytes += len(block)
            if unsynced_bytes >= SYNC_BYTES:
                writer.flush()
                os.fdatasync(writer.fileno())
                unsynced_bytes = 0
        size_bytes = os.fstat(reader.fileno()).st_size
        if writer.tell() < size_bytes:  # by a byte, since FUSE drivers of FAT know no truncation
            writer.seek(size_bytes - 1)
            writer.write(b"\0")
        writer.flush()
        os.fsync(writer.fileno())
    digest.update(b"%d" % size_bytes)
    return digest.digest()


def _content_digest(path: Path, tick: Tick) -> bytes:
    """Return a digest of a regular file's content that takes no time for its holes.

    SHA-256 of the size and of the ``_data_blocks``, each with its offset. Two files
    with the same bytes have the same digest, wherever their holes are.
    """
    digest = hashlib.sha256()
    with os.fdopen(open_plain(path), "rb", buffering=0) as reader:
        for offset, block in _data_blocks(reader.fileno(), tick):
            digest.update(b"%d " % offset)
            digest.update(block)
        digest.update(b"%d" % os.fstat(reader.fileno()).st_size)
    return digest.digest()


def _data_blocks(handle: int, tick: Tick) -> Iterator[tuple[int, bytes]]:
    """Yield offset and content of each block of ``COPY_BYTES``, without the zeros at its end.

    Blocks of zeros alone are left out.
    """
    offset = 0
    while (found := _next_data(handle, offset)) is not None:
        offset = found // COPY_BYTES * COPY_BYTES
        block = _read_block(handle, offset)
        if not block:
            return
        if data := block.rstrip(b"\0"):
            yield offset, data
        offset += len(block)
        tick(offset)


def _read_block(handle: int, offset: int) -> bytes:
    """Return ``COPY_BYTES`` of a file, fewer only at its end."""
    block = b""
    while len(block) < COPY_BYTES:
        piece = os.pread(handle, COPY_BYTES - len(block), offset + len(block))
        if not piece:
            break
        block = block + piece if block else piece
    return block


def _next_data(handle: int, offset: int) -> int | None:
    """Return the next offset that is in no hole (lseek(2), SEEK_DATA); None if there is none."""
    try:
        return os.lseek(handle, offset, os.SEEK_DATA)
    except OSError as error:
        if error.errno == errno.ENXIO:
            return None
        return offset  # this filesystem knows no holes


def _copy_attributes(source: Path, part: Path) -> None:
    """Give a copy the times, mode and extended attributes of its source, as far as possible.

    A filesystem may refuse any of them, e.g. ext4 an attribute of 60 kB (a resource fork from a
    Mac): the film itself is worth more than those.
    """
    lost = []
    status = source.lstat()
    for name, carry in (
        ("times", lambda: os.utime(part, ns=(status.st_atime_ns, status.st_mtime_ns))),
        ("mode", lambda: part.chmod(stat.S_IMODE(status.st_mode))),
    ):
        if not _carried(carry):
            lost.append(name)
    for name in _attribute_names(source):
        if not _carried(partial(_copy_attribute, source, part, name)):
            lost.append(name)
    if lost:
        log.warning("move.attributes_lost", file=printable(str(source)), lost=lost)


def _carried(carry: Callable[[], object]) -> bool:
    """Return False if the system refuses to ``carry`` something over to the copy."""
    try:
        carry()
    except OSError:
        return False
    return True


def _attribute_names(source: Path) -> list[str]:
    """Return the names of a file's extended attributes; empty if they cannot be had."""
    try:
        return os.listxattr(source, follow_symlinks=False)
    except OSError:
        return []


def _copy_attribute(source: Path, part: Path, name: str) -> None:
    """Copy one extended attribute."""
    value = os.getxattr(source, name, follow_symlinks=False)
    os.setxattr(part, name, value, follow_symlinks=False)


def digest_of(path: Path, tick: Tick = no_tick) -> str:
    """Return the SHA-256 of a regular file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with os.fdopen(open_plain(path), "rb") as reader:
        while block := reader.read(HASH_BYTES):
            digest.update(block)
            tick(reader.tell())
    return digest.hexdigest()


def same_content(file: Path, other: Path, tick: Tick = no_tick) -> bool:
    """Return True if ``other`` is the regular file ``file`` itself, or one with the same bytes."""
    if other.is_symlink() or not other.is_file():
        return False
    if same_file(file, other):
        return True
    if file.stat().st_size != other.stat().st_size:
        return False
    return _content_digest(file, tick) == _content_digest(other, tick)


def remove_tree(folder: Path) -> None:
    """Remove a folder and its content; do nothing if there is no such folder."""
    for tries_left in reversed(range(REMOVAL_TRIES)):
        if not folder.is_dir():
            return
        try:
            shutil.rmtree(folder)
        except FileNotFoundError:  # another process removes it at the same time
            if not tries_left:
                raise
