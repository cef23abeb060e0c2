"""Filesystems that do not take every name: NTFS, exFAT, FAT, many SMB shares.

Found out by trying, since the mount options and the server decide, not the type. Where names are
limited, results are named as with ``folders.portable_names``.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.storage.moves import remove_tree
from erasecore.errors import AWAY, NO_ROOM

RESULT_ROLES = ("done", "failed", "originals")
"""Keys of the folders to which films are published under their own names."""
_TRIAL_NAMES = (
    *(b"a:b", b"a?b", b"a*b", b'a"b', b"a<b>", b"a|b", b"a\\b", b"a\x01b", b"a\xffb"),
    *(b"full stop.", b"space ", b"con.tmp"),
)
"""Names that Linux filesystems take and Windows does not; see ``names.portable_name``."""
_TRIAL_TWINS = (b"twin", b"TWIN")
"""Names that are two files unless the filesystem ignores case."""
_MAX_CACHED = 64
"""Folders whose answer is kept: more than one daemon has."""


def limited_roles(folders: FolderSettings) -> list[str]:
    """Return the keys of the result folders whose filesystems do not take every name."""
    return [role for role in RESULT_ROLES if limits_names(getattr(folders, role))]


def with_portable_names(folders: FolderSettings, *roles: str) -> FolderSettings:
    """Return ``folders`` with ``portable_names`` set if one of ``roles`` needs it."""
    if folders.portable_names or not any(limits_names(getattr(folders, role)) for role in roles):
        return folders
    return replace(folders, portable_names=True)


def limits_names(folder: Path) -> bool:
    """Return True if the filesystem of ``folder`` refuses or changes names, or ignores case.

    It is tried once for each filesystem. False if that cannot be found out now.
    """
    try:
        return _limits_names(folder, folder.stat().st_dev)
    except OSError:
        return False


@lru_cache(maxsize=_MAX_CACHED)
def _limits_names(folder: Path, _device: int) -> bool:
    """Return True if names are limited in ``folder``, by trying them in a folder of our own.

    Raises:
        OSError: it cannot be tried, e.g. because the disk is full.
    """
    trial = folder / f".prove-names-{os.urandom(4).hex()}.tmp"
    trial.mkdir()
    try:
        _create(trial, b"plain")
        return not all(_takes(trial, name) for name in (*_TRIAL_NAMES, *_TRIAL_TWINS))
    finally:
        with suppress(OSError):
            remove_tree(trial)


def _takes(trial: Path, name: bytes) -> bool:
    """Return True if a new file in the folder ``trial`` gets exactly this name."""
    try:
        _create(trial, name)
    except OSError as error:
        if error.errno in (*NO_ROOM, *AWAY, errno.EMFILE, errno.ENFILE):
            raise
        return False
    return name in os.listdir(os.fsencode(trial))  # noqa: PTH208 - bytes


def _create(trial: Path, name: bytes) -> None:
    """Create an empty file; raise FileExistsError if there is one of that name."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
    os.close(os.open(os.fsencode(trial) + b"/" + name, flags, 0o600))
