"""The five folders: proved before they are used, and what their filesystems can do."""

from __future__ import annotations

import errno
import grp
import os
import shutil
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from daemon.config.locations import FolderSettings
from daemon.storage.atomic import sync_folder
from daemon.storage.os_errors import hint_for
from erasecore.errors import AWAY, NO_ROOM, ConfigError, FolderError

NETWORK_TYPES = frozenset(
    {"cifs", "smb3", "smbfs", "nfs", "nfs4", "9p", "afs", "ceph", "glusterfs", "davfs", "virtiofs"}
    | {
        "lustre",
        "beegfs",
        "gpfs",
        "ocfs2",
        "gfs2",
        "orangefs",
        "coda",
        "vboxsf",
        "vmhgfs",
        "prl_fs",
    }
)
"""Filesystems on which changes made elsewhere raise no events; so do all of FUSE."""

ROLES = ("inbox", "work", "done", "failed", "originals", "state")


def paths_of(folders: FolderSettings) -> dict[str, Path]:
    """Each folder under its key."""
    return {role: getattr(folders, role) for role in ROLES}


def prove(folders: FolderSettings, *, token: str) -> None:
    """Return only if every folder can do what will be asked of it.

    Args:
        folders: missing ones are made, except the inbox's parent.
        token: something unique, for the names of the files that are tried out.

    Raises:
        ConfigError: the text names the key and says what to change.
        FolderError: one is on a disk or a share that is full, or does not answer as it should.
    """
    refuse_overlap(folders)
    _prove_group(folders.group)
    for role, path in paths_of(folders).items():
        _prove_one(f"folders.{role}", path, token)
    _prove_claim(folders, token)
    for role in ("work", "done"):
        path = getattr(folders, role)
        if free_bytes(path) < folders.min_free_mb << 20:
            raise FolderError(
                path,
                f"folders.{role} has less than folders.min_free_mb = {folders.min_free_mb} MB "
                "free; free some space or lower that key.",
            )


def refuse_overlap(folders: FolderSettings) -> None:
    """Raise if one folder is, or lies in, another.

    Raises:
        ConfigError: the text names both keys.
    """
    resolved = {role: path.resolve() for role, path in paths_of(folders).items()}
    for role, path in resolved.items():
        if not paths_of(folders)[role].is_absolute():
            raise ConfigError(f"folders.{role}: {paths_of(folders)[role]} must begin with '/'.")
        for other, place in resolved.items():
            if other != role and path.is_relative_to(place):
                raise ConfigError(
                    f"folders.{role}: {path} lies in folders.{other} ({place}); "
                    "give each its own folder, side by side."
                )


def _prove_group(group: str) -> None:
    """Raise unless files can be given to ``group``."""
    if not group:
        return
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        raise ConfigError(
            f"folders.group: there is no group {group}; make it or name another."
        ) from None
    if os.geteuid() != 0 and number not in (os.getegid(), *os.getgroups()):
        raise ConfigError(
            f"folders.group: user {os.geteuid()} is not in the group {group}; "
            f"usermod -aG {group} adds it, then restart."
        )


def _prove_one(key: str, path: Path, token: str) -> None:
    """Create, rename, sync and delete a file in a folder."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tried, renamed = path / f".prove-{token}.tmp", path / f".prove-{token}-renamed.tmp"
        with tried.open("xb") as file:
            file.write(b"subtitle-eraser tries this folder out")
            file.flush()
            os.fsync(file.fileno())
        tried.rename(renamed)
        sync_folder(path)
        renamed.unlink()
    except OSError as error:
        raise _unusable(key, path, error) from error


def _prove_claim(folders: FolderSettings, token: str) -> None:
    """Rename a file from the inbox into work, as a claim does."""
    tried, there = folders.inbox / f".prove-{token}.tmp", folders.work / f".prove-{token}.tmp"
    try:
        tried.touch()
        tried.rename(there)
        there.unlink()
    except OSError as error:
        with suppress(OSError):
            tried.unlink()
        if error.errno != errno.EXDEV:
            raise _unusable("folders.work", folders.work, error) from error
        raise ConfigError(
            f"folders.work: {folders.work} lies on another filesystem than folders.inbox "
            f"({folders.inbox}); put both on the same one, since a film is taken by a rename."
        ) from error


def _unusable(key: str, path: Path, error: OSError) -> ConfigError | FolderError:
    """What a folder that fails its trial is: one to be waited for, or a wrong one."""
    if error.errno in (*AWAY, *NO_ROOM) and error.errno != errno.EROFS:
        return FolderError(path, f"{key} {hint_for(error)}")
    return ConfigError(f"{key}: {path} {hint_for(error)}")


def free_bytes(path: Path) -> int:
    """What is free for us on the filesystem of ``path``.

    Raises:
        FolderError: the folder cannot be reached.
    """
    try:
        return shutil.disk_usage(path).free
    except OSError as error:
        raise FolderError(path, hint_for(error)) from error


@dataclass(frozen=True, slots=True)
class Mount:
    """A line of the mount table."""

    point: str
    filesystem: str

    def __str__(self) -> str:
        return f"{self.point} ({self.filesystem})"


def mounts(table: Path = Path("/proc/self/mountinfo")) -> tuple[Mount, ...]:
    """The mount table, in order; empty where the system has none."""
    try:
        lines = table.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ()
    return tuple(_mounts_of(lines))


def _mounts_of(lines: Iterable[str]) -> Iterable[Mount]:
    for line in lines:
        before, _, after = line.partition(" - ")
        point = before.split(" ")[4]
        # The kernel writes space, tab, newline and backslash of a path as three octal digits.
        point = point.encode("latin-1", "surrogateescape").decode("unicode_escape")
        yield Mount(point, after.split(" ")[0])


def filesystem_of(path: Path, table: tuple[Mount, ...]) -> str:
    """The type of the filesystem that ``path`` lies on; empty if unknown."""
    return mount_of(path, table).filesystem


def mount_of(path: Path, table: tuple[Mount, ...]) -> Mount:
    """The mount that ``path`` lies on; an empty one if unknown."""
    there = path.resolve()
    found = Mount("", "")
    for mount in table:  # a later mount hides an earlier one at the same point
        if there.is_relative_to(mount.point) and len(mount.point) >= len(found.point):
            found = mount
    return found


def is_network(filesystem: str) -> bool:
    """Whether files may change there without our kernel knowing."""
    return filesystem in NETWORK_TYPES or filesystem.startswith("fuse")
