"""The mount table: which filesystem holds a path, and whether it is a network filesystem.

It imports little, so that ``status`` starts fast.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

NETWORK_TYPES = frozenset(
    (
        *("cifs", "smb3", "smbfs", "nfs", "nfs4", "9p", "afs", "ceph", "glusterfs", "davfs"),
        *("virtiofs", "lustre", "beegfs", "gpfs", "ocfs2", "gfs2", "orangefs", "coda"),
        *("vboxsf", "vmhgfs", "prl_fs"),
    )
)
"""Filesystem types, as in the mount table, that raise no inotify event for changes made by other
machines. The same holds for every FUSE filesystem; see ``is_network``."""


@dataclass(frozen=True, slots=True)
class Mount:
    """One mounted filesystem: a line of the mount table."""

    point: str  # mount point, absolute path
    filesystem: str  # type, e.g. "ext4", "cifs", "fuse.sshfs"
    root: str = "/"  # folder of the filesystem that is seen at ``point``; not "/" for bind mounts
    source: str = ""  # device, share or server


def mounts(table: Path = Path("/proc/self/mountinfo")) -> tuple[Mount, ...]:
    """Return the mount table (proc(5), mountinfo) in order; empty if it cannot be read."""
    try:
        lines = table.read_text("utf-8", "surrogateescape").splitlines()
    except OSError:
        return ()
    return tuple(_parse_mountinfo(lines))


def _parse_mountinfo(lines: Iterable[str]) -> Iterable[Mount]:
    """Yield the mounts of the lines of ``/proc/self/mountinfo``."""
    for line in lines:
        mount_fields, _, filesystem_fields = line.partition(" - ")
        _, _, _, root, point, *_ = mount_fields.split(" ")
        kind, source, *_ = filesystem_fields.split(" ")
        yield Mount(_unescaped(point), kind, _unescaped(root), _unescaped(source))


def _unescaped(text: str) -> str:
    """Return a field of the mount table as plain text.

    The kernel writes space, tab, newline and backslash as three octal digits.
    """
    return re.sub(r"\\([0-7]{3})", lambda digits: chr(int(digits[1], 8)), text)


def filesystem_of(path: Path, table: tuple[Mount, ...]) -> str:
    """Return the type of the filesystem that holds ``path``; empty if unknown."""
    return mount_of(path, table).filesystem


def mount_of(path: Path, table: tuple[Mount, ...]) -> Mount:
    """Return the mount that holds ``path``, links resolved; ``Mount("", "")`` if unknown.

    It is the mount with the longest mount point above ``path``.
    """
    resolved = path.resolve()
    found = Mount("", "")
    for mount in table:  # a later mount hides an earlier one at the same point
        if resolved.is_relative_to(mount.point) and len(mount.point) >= len(found.point):
            found = mount
    return found


def is_network(filesystem: str) -> bool:
    """Return True if files of this filesystem type may change without an inotify event here."""
    return filesystem in NETWORK_TYPES or filesystem.startswith("fuse")
