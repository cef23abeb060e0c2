"""A real control group that limits memory, where the machine lets us make one."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

ROOT = Path("/sys/fs/cgroup")
_BUSY_SECONDS = 5.0


@contextmanager
def memory_group(limit_bytes: int) -> Iterator[Path]:
    """A group below our own whose processes share ``limit_bytes``; skips where it cannot be."""
    folder, limit = _ours()
    group = folder / f"subtitle-eraser-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(limit_bytes))
        swap = group / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
    except OSError as error:
        with suppress(OSError):
            group.rmdir()
        pytest.skip(f"no memory group can be made here: {error}")
    try:
        yield group
    finally:
        _remove(group)


def _ours() -> tuple[Path, str]:
    """The folder of the group that we are in, and the name of the limit in it."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        number, controllers, path = line.split(":", 2)
        if "memory" in controllers.split(","):
            return ROOT / "memory" / path.lstrip("/"), "memory.limit_in_bytes"
        if number == "0" and (ROOT / "cgroup.controllers").exists():
            return ROOT / path.lstrip("/"), "memory.max"
    pytest.skip("the kernel has no memory groups")


def _remove(group: Path) -> None:
    """Its processes have ended, but the kernel may take a moment to notice."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
