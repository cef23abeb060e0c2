"""Progress of copies to another filesystem: written by the copying thread, read by another one.

The same object stops them: the other thread calls ``stop``, and the next block raises CopyStopped.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path


class CopyStopped(Exception):
    """Work that was stopped on request, e.g. because the daemon ends. It may be done again."""


@dataclass(frozen=True, slots=True)
class FileCopy:
    """Progress of the copy of one file."""

    target: Path  # path that the copy gets
    size_bytes: int  # of the file; holes of a sparse file are included
    copied_bytes: int = 0
    checked_bytes: int = 0  # of the copy, read back and hashed


class CopyProgress:
    """Progress of a series of copies, one file at a time, and the request to stop them."""

    def __init__(self) -> None:
        self.file: FileCopy | None = None  # the file that is being copied; replaced as a whole
        self.stopped = False

    def begin(self, target: Path, size_bytes: int) -> None:
        """Note that the copy of a file begins."""
        self.check()
        self.file = FileCopy(target, size_bytes)

    def copied(self, position: int) -> None:
        """Note that the first ``position`` bytes of the file are copied.

        Raises:
            CopyStopped: the copy is to be stopped.
        """
        self.check()
        if self.file is not None:
            self.file = replace(self.file, copied_bytes=position)

    def checked(self, position: int) -> None:
        """Note that the first ``position`` bytes of the copy are read back.

        Raises:
            CopyStopped: the copy is to be stopped.
        """
        self.check()
        if self.file is not None:
            self.file = replace(self.file, checked_bytes=position)

    def end(self) -> None:
        """Note that no file is being copied now."""
        self.file = None

    def stop(self) -> None:
        """Ask the copying thread to stop."""
        self.stopped = True

    def check(self) -> None:
        """Raise if the work is to be stopped.

        Raises:
            CopyStopped: ``stop`` was called.
        """
        if self.stopped:
            raise CopyStopped
