"""Companion files of a film: cues and plan beside it are moved, the mask named for it is copied.

``film.srt`` belongs to one film and moves with it: left behind, it could be taken for another
film's. A mask may serve every film of a folder, so it stays in the inbox. Each job gets a copy,
which nobody can change or remove while the film is being worked on.
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
from daemon.plans.files import PLAN_FILE
from daemon.storage.below import (
    GONE_ERRNOS,
    LINK_ERRNOS,
    folder_below,
    open_below,
    open_in,
    status_in,
)
from daemon.storage.copy_progress import CopyProgress
from daemon.storage.names import CUES_SUFFIX, MARKER_SUFFIX, PLAN_SUFFIX
from daemon.storage.os_errors import hint_for
from erasecore.errors import BadSidecar, printable
from erasecore.settings import Companions
from erasecore.system.atomic_files import (
    replace_durably,
    status_if_there,
    sync_folder,
    sync_handle,
)

log = structlog.get_logger(__name__)

MAX_MASK_BYTES = 256 << 20
"""Largest mask that is copied, in bytes; a guess."""
COPY_BYTES = 1 << 20
"""Bytes read and written at once while copying."""
_BEHIND_LINK = "is a link, or lies behind one"
_MASK_PROBLEMS = {
    **dict.fromkeys(LINK_ERRNOS, _BEHIND_LINK),
    **dict.fromkeys((errno.ENAMETOOLONG, errno.EILSEQ), "has a name that no file can have"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "may not be read by user {user}; chmod a+r it"),
    errno.ENOENT: "is not there",
}
"""Problems of a mask that its sender can mend, by the error of opening it."""


def cues_beside(film: Path) -> Path:
    """Return the path of the subtitle file that limits when ``film`` may have text."""
    return film.with_suffix(CUES_SUFFIX)


def plan_beside(film: Path) -> Path:
    """Return the path of the plan for ``film``; it need not exist."""
    return film.with_name(film.name + PLAN_SUFFIX)


def marker_beside(film: Path) -> Path:
    """Return the path of the marker with which a sender says that ``film`` is complete."""
    return film.with_name(film.name + MARKER_SUFFIX)


def move_companion(origin: int, beside: Path, goal: Path) -> None:
    """Move a companion file of a film into its job folder, if there is one and not moved yet.

    A file that must not be moved, e.g. another user's in a sticky folder, is copied instead: the
    film does not wait for it.

    Args:
        origin: handle of the open folder in which the film and its companions lay.
        beside: path of the companion in that folder; anything but a regular file is left alone.
        goal: its path in the job folder.

    Raises:
        OSError: the file can be neither moved nor copied, e.g. because the disk is full.
    """
    status = status_in(origin, beside.name)
    if status is None or not stat.S_ISREG(status.st_mode) or status_if_there(goal) is not None:
        return
    try:
        os.rename(beside.name, goal, src_dir_fd=origin)
    except FileNotFoundError:  # its sender has removed it just now
        return
    except OSError as error:
        if error.errno not in BLOCKING_ERRNOS:
            raise
        _copy_along(origin, beside, goal)
    else:
        sync_handle(origin)
    sync_folder(goal.parent)


def _copy_along(origin: int, beside: Path, goal: Path) -> None:
    """Copy a file that must not be moved; log that it stays behind, or cannot be read at all."""
    try:
        handle = open_in(origin, beside.name)
    except OSError as error:
        if error.errno not in (*BLOCKING_ERRNOS, errno.ENOENT):
            raise
        log.warning("companion.ignored", file=printable(str(beside)), reason=hint_for(error))
        return
    try:
        part = goal.with_name(f".{goal.name}.part")
        _copy(handle, part, min(os.fstat(handle).st_size, MAX_MASK_BYTES))
    finally:
        os.close(handle)
    replace_durably(part, goal)
    log.warning("companion.left_behind", file=printable(str(beside)))


def check_companions(inbox: Path, film: Path) -> None:
    """Check that the subtitle file and the plan beside a film, if they exist, are regular files.

    Args:
        inbox: the inbox.
        film: path that the film had in it.

    Raises:
        BadSidecar: it is a link, a folder or something else. It must not be ignored silently: its
            sender expects it to have an effect.
        OSError: its folder cannot be read.
    """
    for beside in (cues_beside(film), plan_beside(film)):
        try:
            with folder_below(inbox, PurePosixPath(film.relative_to(inbox).parent)) as origin:
                status = status_in(origin, beside.name)
        except OSError as error:
            if error.errno not in GONE_ERRNOS:
                raise
            return
        if status is not None and not stat.S_ISREG(status.st_mode):
            raise BadSidecar(beside, f"it is {kind_of(status.st_mode)}, not a regular file")


def mask_bytes(inbox: Path, name: PurePosixPath) -> int:
    """Return the size of a mask of the inbox in bytes; 0 if it cannot be opened."""
    try:
        handle = open_below(inbox, name)
    except OSError:
        return 0
    try:
        return os.fstat(handle).st_size
    finally:
        os.close(handle)


def copy_mask(
    inbox: Path,
    name: PurePosixPath,
    folder: Path,
    *,
    named_in: Path,
    progress: CopyProgress | None = None,
) -> None:
    """Copy a mask into a job folder, atomically; follow no symbolic link below the inbox.

    Args:
        inbox: the inbox.
        name: path of the mask below ``inbox``.
        folder: the job folder.
        named_in: settings file that names the mask, for error messages.
        progress: it may stop the copy.

    Raises:
        CopyStopped: the copy was stopped; the call may be repeated.
        BadSidecar: the mask is missing, too large, behind a link, or no regular file.
        OSError: the mask cannot be read, or the copy cannot be written.
    """
    shown_as = f"mask: {name.name}"
    try:
        handle = _open_mask(inbox, name)
    except OSError as error:
        if error.errno not in _MASK_PROBLEMS:
            raise
        problem = _MASK_PROBLEMS[error.errno].format(user=os.getuid())
        raise BadSidecar(named_in, f"{shown_as} {problem}") from error
    try:
        status = os.fstat(handle)
        if problem := _mask_problem(status):
            raise BadSidecar(named_in, f"{shown_as} {problem}")
        part = folder / f".{MASK_FILE}.part"
        _copy(handle, part, status.st_size, progress)
    finally:
        os.close(handle)
    replace_durably(part, folder / MASK_FILE)


def _mask_problem(status: os.stat_result) -> str:
    """Return the end of a sentence that says why a file cannot be a mask; empty if it can."""
    if not stat.S_ISREG(status.st_mode):
        return f"is {kind_of(status.st_mode)}, not a regular file"
    if status.st_size > MAX_MASK_BYTES:
        return f"is larger than {MAX_MASK_BYTES >> 20} MB"
    return ""


def _open_mask(inbox: Path, name: PurePosixPath) -> int:
    """Open a mask; an error that would be blamed on its sender has to be met twice."""
    try:
        return open_below(inbox, name)
    except OSError:
        return open_below(inbox, name)


def _copy(handle: int, part: Path, size: int, progress: CopyProgress | None = None) -> None:
    """Copy the first ``size`` bytes of the open file ``handle`` to ``part``, with fsync."""
    progress = progress or CopyProgress()
    with part.open("wb") as writer:
        while size > 0 and (block := os.read(handle, min(COPY_BYTES, size))):
            progress.check()
            writer.write(block)
            size -= len(block)
        writer.flush()
        os.fsync(writer.fileno())


def companions_in(folder: Path, *, mask: bool) -> Companions:
    """Return the companions in a job folder; ``mask``: the settings name one, so it is there."""
    cues, plan = folder / CUES_FILE, folder / PLAN_FILE
    return Companions(
        cues=str(cues) if status_if_there(cues) is not None else "",
        mask=str(folder / MASK_FILE) if mask else "",
        plan=str(plan) if status_if_there(plan) is not None else "",
    )
