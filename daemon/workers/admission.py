"""Memory admission: estimates if one more film fits into the memory of this machine."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from daemon.workers.process import Supervisor

USUAL_PIXELS = 1920 * 1080
"""Largest picture, in pixels, for which the configured ``worker.film_mb`` holds."""
MAX_MEMORY_SHARE = 0.8
"""Most that a film is assumed to need, as a share of the machine's memory. A larger film is tried
all the same, once nearly all memory is free (docs/decisions.md, 45)."""


@dataclass(frozen=True, slots=True)
class Demand:
    """Memory of one film: the estimate of its need, and the part its worker holds already."""

    needed_bytes: int
    held_bytes: int

    @property
    def outstanding_bytes(self) -> int:
        """Bytes that the film will still allocate."""
        return max(0, self.needed_bytes - self.held_bytes)


def needed_bytes(pixels: int, film_mb: int, memory_bytes: int) -> int:
    """Return the estimate of the memory for one film, in bytes.

    Args:
        pixels: width x height of the picture; 0 if unknown.
        film_mb: need in MiB of a film up to ``USUAL_PIXELS``; a larger film's is in proportion.
        memory_bytes: memory of the machine. An estimate above ``film_mb`` is limited to
            ``MAX_MEMORY_SHARE`` of it.
    """
    usual = film_mb << 20
    by_size = usual * max(1.0, pixels / USUAL_PIXELS)
    return max(usual, int(min(by_size, MAX_MEMORY_SHARE * memory_bytes)))


def lacking_bytes(film: Demand, others: Iterable[Demand], available_bytes: int) -> int:
    """Return the bytes missing to run ``film`` together with ``others``; 0 if all fit.

    Args:
        film: demand of the film that may be started.
        others: demands of the films at work.
        available_bytes: memory that can be allocated now.
    """
    wanted = film.outstanding_bytes + sum(other.outstanding_bytes for other in others)
    return max(0, wanted - available_bytes)


def held_bytes(worker: Supervisor) -> int:
    """Return the resident memory of a worker and its children, in bytes; 0 without a process."""
    if worker.pid is None:
        return 0
    try:
        root = psutil.Process(worker.pid)
        processes = (root, *root.children(recursive=True))
        return sum(process.memory_info().rss for process in processes)
    except psutil.Error:
        return 0  # it has just ended
