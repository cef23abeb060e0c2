"""Files that are whole or absent: written beside their name, synced, then renamed onto it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from erasecore.errors import NO_ROOM, DiskFull


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A temporary name beside ``path`` to write to; it becomes ``path`` when the block ends well.

    When the block raises, nothing is left behind.

    Raises:
        DiskFull: there was no room left for it.
    """
    part = path.with_name(f".{path.name}.part")
    # A worker held for dead may wake up with the old one open: what it writes is to go nowhere.
    part.unlink(missing_ok=True)
    try:
        yield part
        name_durably(part, path)
    except BaseException as error:
        part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            raise DiskFull(path.parent) from error
        raise


def name_durably(part: Path, path: Path) -> None:
    """Give the finished file ``part`` the name ``path``, to last through a power cut."""
    _sync(part)
    os.replace(part, path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
