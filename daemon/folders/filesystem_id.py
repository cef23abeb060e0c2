"""Identity of the filesystem that a folder lies on, and of the folder's place in it.

It is the same in every mount namespace: a service whose unit has ``ReadWritePaths=`` sees that
folder as a mount of its own, everybody else sees a part of the disk. Mount points are therefore not
part of it. Device numbers are not either: they may change with a restart.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from uuid import UUID

from daemon.folders.mount_table import Mount, mount_of

_SAME_KINDS = {"nfs4": "nfs", "smb3": "cifs", "smbfs": "cifs", "ext2": "ext4", "ext3": "ext4"}
"""Types that one filesystem may have by turns, e.g. by the version agreed with its server."""
_VOLATILE_KINDS = ("tmpfs", "ramfs")
"""Types whose UUID and id are drawn anew at each mount."""
_FS_IOC_GETFSUUID = 0x80111500
"""ioctl(2) request of Linux 6.9 and later: length and UUID of a filesystem (linux/fs.h)."""
_UDEV_DATA = Path("/run/udev/data")
"""Folder with what udev knows of devices; it has UUIDs on older kernels, too."""


@dataclass(frozen=True, slots=True)
class FilesystemId:
    """Place of a folder: its filesystem, and its path below the root of that."""

    kind: str  # type, as in the mount table; empty: that cannot be read
    location: str  # path within the filesystem, or within the server's export
    source: str = ""  # device, share or server, as mounted; empty: unknown
    uuid: str = ""  # empty: unknown
    fsid: int = 0  # as statvfs(3) tells it; 0: unknown

    def __str__(self) -> str:
        return f"{self.location} of {self.source or 'a filesystem'} ({self.kind})"

    def is_same(self, other: FilesystemId) -> bool:
        """Return True unless this is another folder than ``other``, or on another filesystem.

        UUIDs decide where both are known. Else one of source and id has to agree: a disk may be
        named anew, and not every filesystem has a stable id. Without a mount table nothing else is
        known, and nothing can be said against it.
        """
        if not (self.kind and other.kind):
            return not (self.uuid and other.uuid) or self.uuid == other.uuid
        if (self.kind, self.location) != (other.kind, other.location):
            return False
        if self.uuid and other.uuid:
            return self.uuid == other.uuid
        same_fsid = self.fsid != 0 and self.fsid == other.fsid
        return same_fsid or self.source == other.source


def filesystem_id(path: Path, table: tuple[Mount, ...]) -> FilesystemId:
    """Return the identity of the filesystem and place of the folder ``path``, links resolved.

    Args:
        path: a folder; if it is missing, UUID and id are unknown.
        table: the mount table.
    """
    mount = mount_of(path, table)
    kind = _SAME_KINDS.get(mount.filesystem, mount.filesystem)
    inside = PurePosixPath(path.resolve()).relative_to(mount.point or "/")
    location, source = PurePosixPath(mount.root or "/") / inside, mount.source
    if kind == "nfs":  # here the source is that of the mount point: server:/export/below
        source, _, export = source.partition(":/")
        location = PurePosixPath("/", export) / inside
    uuid, fsid = ("", 0) if kind in _VOLATILE_KINDS else (_uuid_of(path), _fsid_of(path))
    return FilesystemId(kind, str(location), source, uuid, fsid)


def _fsid_of(path: Path) -> int:
    """Return the filesystem id of statvfs(3); 0 if it has none, or is not known."""
    try:
        return os.statvfs(path).f_fsid
    except OSError:
        return 0


def _uuid_of(path: Path) -> str:
    """Return the UUID of the filesystem of ``path`` in canonical form; empty if it is unknown."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        answer: bytes = fcntl.ioctl(handle, _FS_IOC_GETFSUUID, bytes(17))
        if answer[0] == 16 and any(answer[1:]):  # nil: made without one, as images of machines are
            return str(UUID(bytes=answer[1:]))
    except OSError:
        pass
    finally:
        os.close(handle)
    return _uuid_by_udev(path)


def _uuid_by_udev(path: Path) -> str:
    """Return the UUID that udev has read from the block device of ``path``; empty if there is none.

    The file is world-readable lines such as ``E:ID_FS_UUID=...``; its format is udev's own.
    """
    with suppress(OSError):
        device = path.stat().st_dev
        file = _UDEV_DATA / f"b{os.major(device)}:{os.minor(device)}"
        for line in file.read_text("utf-8", "replace").splitlines():
            if line.startswith("E:ID_FS_UUID="):
                return line.partition("=")[2].lower()
    return ""
