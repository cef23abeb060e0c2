"""A process that puts a film into the inbox as senders do: slowly, oddly, at our command.

``python -m tests.process.sender PATH`` reads one order a line and answers each with ``done``:
``open``, ``close``, ``write TEXT`` (where the last write ended), ``seek N``, ``reserve N`` (as
copies by Windows do), ``stamp SECONDS`` (the file's time), ``rename PATH``. Texts are literals.

``hold`` opens the file as a server of a network share has it: the file itself is held, but nothing
is open for writing between two writes, so that no lease betrays the sender, wherever the file goes.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]


class Sender:
    """A sender's process; a context manager."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.process.sender", str(path)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate(timeout=90)

    def __call__(self, order: str, value: object = "") -> None:
        """Return once the sender has done it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{order} {value!r}\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == "done\n"


class _File:
    """The file that is being sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.handle = self.held = -1
        self.offset = 0

    def open(self) -> None:
        self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)

    def hold(self) -> None:
        os.close(os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644))
        self.held = os.open(self.path, os.O_PATH)

    def close(self) -> None:
        for handle in (self.handle, self.held):
            if handle >= 0:
                os.close(handle)
        self.handle = self.held = -1

    def write(self, text: str) -> None:
        handle = self.handle
        if self.held >= 0:
            handle = os.open(f"/proc/self/fd/{self.held}", os.O_WRONLY)
        self.offset += os.pwrite(handle, text.encode(), self.offset)
        if self.held >= 0:
            os.close(handle)

    def seek(self, offset: int) -> None:
        self.offset = offset

    def reserve(self, size: int) -> None:
        os.posix_fallocate(self.handle, 0, size)

    def stamp(self, seconds: int) -> None:
        os.utime(self.path, (seconds, seconds))

    def rename(self, name: str) -> None:
        self.path = self.path.rename(self.path.with_name(name))


def main(path: str) -> None:
    """Obey."""
    file = _File(Path(path))
    for line in sys.stdin:
        order, _, value = line.partition(" ")
        argument = ast.literal_eval(value)
        act = getattr(file, order)
        if value == "''\n":
            act()
        else:
            act(argument)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
