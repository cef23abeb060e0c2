"""Files that come with a film: its subtitle file is taken along, the mask named for it is copied.

``film.srt`` is the film's own: it moves where the film moves, so that none is left behind to be
taken for another film's. A mask may serve every film of a folder: it stays, and each job has a
copy, which nobody can change or take away while the film is being done.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path, PurePosixPath

import structlog

from daemon.inbox.blocked_paths import BLOCKING_ERRNOS
from daemon.inbox.scanner import kind_of
from daemon.jobs.job import CUES_FILE, MASK_FILE
from daemon.storage.atomic import status_if_there, sync_folder
from daemon.storage.names import CUES_SUFFIX, shown
from daemon.storage.os_errors import hint_for
from erasecore.errors import BadSidecar
from erasecore.settings import Companions
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)

MAX_MASK_BYTES = 256 << 20
COPY_BYTES = 1 << 20
_NOT_INSIDE = (errno.ELOOP, errno.ENOTDIR, errno.EMLINK)


def cues_beside(film: Path) -> Path:
    """Where a subtitle file that says when ``film`` has text would lie."""
    return film.with_suffix(CUES_SUFFIX)


def move_cues(beside: Path, goal: Path) -> None:
    """Move what lies beside a film into its job's folder, if it is there and not yet moved.

    What may not be moved, though the film could be, is copied: nothing else is to wait for it.

    Raises:
        OSError: it cannot be moved, for want of room say.
    """
    status = status_if_there(beside)
    if status is None or not stat.S_ISREG(status.st_mode) or status_if_there(goal) is not None:
        return
    try:
        os.rename(beside, goal)
    except FileNotFoundError:  # its sender has taken it back just now
        return
    except OSError as error:
        if error.errno not in BLOCKING_ERRNOS:
            raise
        _copy_along(beside, goal)
    else:
        sync_folder(beside.parent)
    sync_folder(goal.parent)


def _copy_along(beside: Path, goal: Path) -> None:
    """Copy what may not be moved, and say that it stays behind, or cannot even be read."""
    try:
        handle = open_plain(beside)
    except OSError as error:
        if error.errno not in (*BLOCKING_ERRNOS, errno.ENOENT):
            raise
        log.warning("companion.ignored", file=shown(str(beside)), reason=hint_for(error))
        return
    try:
        part = goal.with_name(f".{goal.name}.part")
        _copy(handle, part, min(os.fstat(handle).st_size, MAX_MASK_BYTES))
    finally:
        os.close(handle)
    os.replace(part, goal)
    log.warning("companion.left_behind", file=shown(str(beside)))


def check_cues(beside: Path) -> None:
    """Nothing, unless something that is no file has the name of a subtitle file.

    Raises:
        BadSidecar: it does; whoever put it there meant it to count.
    """
    status = status_if_there(beside)
    if status is not None and not stat.S_ISREG(status.st_mode):
        raise BadSidecar(beside, f"it is {kind_of(status.st_mode)}, not a regular file")


def copy_mask(inbox: Path, name: PurePosixPath, folder: Path, *, named_in: Path) -> None:
    """Copy the mask ``name``, a path below ``inbox``, into a job's folder, whole.

    No part of the way below the inbox may be a link, at no moment.

    Args:
        inbox: the inbox.
        name: the mask's path below it.
        folder: the job's folder.
        named_in: the settings file that complaints are about.

    Raises:
        BadSidecar: it is not there, or not what it must be.
        OSError: it cannot be read, or there is no room for it.
    """
    shown_as = f"mask: {name.name}"
    try:
        handle = _open_below(inbox, name)
    except FileNotFoundError as error:
        raise BadSidecar(named_in, f"{shown_as} is not there") from error
    except OSError as error:
        if error.errno not in _NOT_INSIDE:
            raise
        raise BadSidecar(named_in, f"{shown_as} is a link, or lies behind one") from error
    try:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            kind = kind_of(status.st_mode)
            raise BadSidecar(named_in, f"{shown_as} is {kind}, not a regular file")
        if status.st_size > MAX_MASK_BYTES:
            raise BadSidecar(named_in, f"{shown_as} is larger than {MAX_MASK_BYTES >> 20} MB")
        part = folder / f".{MASK_FILE}.part"
        _copy(handle, part, status.st_size)
    finally:
        os.close(handle)
    os.replace(part, folder / MASK_FILE)
    sync_folder(folder)


def _copy(handle: int, part: Path, size: int) -> None:
    """Write ``size`` bytes of an open file to ``part``, durably; what is added later is left."""
    with part.open("wb") as writer:
        while size > 0 and (block := os.read(handle, min(COPY_BYTES, size))):
            writer.write(block)
            size -= len(block)
        writer.flush()
        os.fsync(writer.fileno())


def companions_in(folder: Path, *, mask: bool) -> Companions:
    """What lies beside the source in a job's folder; ``mask``: whether there has to be one."""
    cues = folder / CUES_FILE
    return Companions(
        cues=str(cues) if status_if_there(cues) is not None else "",
        mask=str(folder / MASK_FILE) if mask else "",
    )


def _open_below(root: Path, relative: PurePosixPath) -> int:
    """A handle on a file below ``root``, reached without following any link."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in relative.parts[:-1]:
            inner = os.open(part, flags | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
        return os.open(relative.name, flags, dir_fd=folder)
    finally:
        os.close(folder)
