"""Exchanges folders for links as fast as it can: ``python -m tests.process.racer STOP PAIR ...``.

A ``PAIR`` is ``FOLDER=LINK``: both names exist and are swapped in one step, until there is a file
``STOP``. Then each folder has its name again, and the number of swaps is printed.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import sys
from pathlib import Path

AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange(first: Path, second: Path) -> None:
    """Swap two names."""
    renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    names = os.fsencode(first), os.fsencode(second)
    if renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) != 0:
        raise OSError(ctypes.get_errno(), "exchange")


def main(arguments: list[str]) -> None:
    """Race."""
    stop = Path(arguments[0])
    pairs = [tuple(map(Path, one.split("="))) for one in arguments[1:]]
    swaps = 0
    for folder, link in itertools.cycle(pairs):
        if stop.exists():
            break
        exchange(folder, link)
        swaps += 1
    for folder, link in pairs:
        if folder.is_symlink():
            exchange(folder, link)
    print(swaps)  # noqa: T201 - the answer


if __name__ == "__main__":
    main(sys.argv[1:])
