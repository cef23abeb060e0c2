"""Mode and group of published files and folders, as configured (``folders.mode``, ``.group``)."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path

import structlog

from daemon.config.locations import FolderSettings
from erasecore.errors import printable
from erasecore.system.safe_open import open_plain

log = structlog.get_logger(__name__)

_READ_BITS = 0o444
"""Read permission of owner, group and others; shifted right by 2 it is execute permission."""


def apply_mode(path: Path, folders: FolderSettings) -> None:
    """Apply the configured mode and group to a file or folder that is published (chmod, chown).

    Failures are logged and ignored, e.g. for an original that belongs to its sender. A file with
    several hard links stays as it is: the mode would change for the other names too.
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
            os.fchmod(handle, _new_mode(handle, before, folders.mode_bits))
        finally:
            os.close(handle)
    except (OSError, KeyError) as error:
        log.debug("publish.not_dressed", file=printable(str(path)), reason=str(error))


def _new_mode(handle: int, before: int, mode: int | None) -> int:
    """Return the permission bits to set.

    Without a configured ``mode`` they are those from ``before`` the change of group, which may
    have cleared the set-group-id bit. A folder gets execute permission wherever ``mode`` has read
    permission, and keeps its set-group-id bit.
    """
    if mode is None or not stat.S_ISDIR(os.fstat(handle).st_mode):
        return before if mode is None else mode
    return mode | (mode & _READ_BITS) >> 2 | (before & stat.S_ISGID)
