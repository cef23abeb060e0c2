"""Mode and group of what is published, as the operator wants them."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from daemon.storage.names import shown
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)

_READ_BITS = 0o444


def apply_mode(path: Path, folders: FolderSettings) -> None:
    """Give a file or folder of ours the configured mode and group, as far as we may.

    A folder can be entered by whoever may read it, and keeps its set-group-id bit. What is not ours
    alone (an original that belongs to its sender, or has another name elsewhere) stays as it is;
    nothing fails for it.
    """
    if not folders.group and folders.mode_bits is None:
        return
    try:
        handle = open_plain(path)
        try:
            status = os.fstat(handle)
            if stat.S_ISREG(status.st_mode) and status.st_nlink > 1:
                return
            before = stat.S_IMODE(status.st_mode)
            if folders.group:
                os.fchown(handle, -1, grp.getgrnam(folders.group).gr_gid)
            os.fchmod(handle, _bits(handle, before, folders.mode_bits))
        finally:
            os.close(handle)
    except (OSError, KeyError) as error:
        log.debug("publish.not_dressed", file=shown(str(path)), reason=str(error))


def _bits(handle: int, before: int, mode: int | None) -> int:
    """The permissions to be set; a change of group takes the set-group-id bit away."""
    if mode is None or not stat.S_ISDIR(os.fstat(handle).st_mode):
        return before if mode is None else mode
    return mode | (mode & _READ_BITS) >> 2 | (before & stat.S_ISGID)
