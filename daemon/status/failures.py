"""Failed films that still lie in failed/, from a bounded scan; imports little."""

from __future__ import annotations

import os
from dataclasses import dataclass
from heapq import nlargest
from pathlib import Path

from daemon.jobs.history_view import ERROR_ENDING

MAX_ENTRIES = 2000
"""Directory entries that one scan visits, at most; guess: 20 ms on a local disk."""
MAX_NEWEST = 3
"""Names of failed films that are shown; guess."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Films in failed/ that have an explanation beside them."""

    count: int = 0
    complete: bool = True  # False: there are more; the scan was ended, or a folder is unreadable
    newest: tuple[str, ...] = ()  # paths below failed/, the latest failure first


NO_FAILURES = Failures()


def scan_failures(failed: Path, max_entries: int = MAX_ENTRIES) -> Failures:
    """Return the films in failed/; of the entries at most ``max_entries`` are visited."""
    found: list[tuple[int, str]] = []  # modification time of the explanation, path of the film
    pending, left, complete = [str(failed)], max_entries, True
    while pending and left > 0:
        try:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    left -= 1
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    elif entry.name.endswith(ERROR_ENDING):
                        film = os.path.relpath(entry.path, failed).removesuffix(ERROR_ENDING)
                        found.append((entry.stat(follow_symlinks=False).st_mtime_ns, film))
                    if left <= 0:
                        break
        except OSError:
            complete = False
    newest = tuple(name for _, name in nlargest(MAX_NEWEST, found))
    return Failures(len(found), complete and left > 0, newest)
