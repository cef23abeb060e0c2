"""Whether there is memory for one more film: before it is begun, and once its size is known."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from daemon.workers.process import Supervisor

USUAL_PIXELS = 1920 * 1080
MAX_MEMORY_SHARE = 0.8
"""A film larger than the machine is tried all the same, once nearly all memory is free."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a film will need, and what its worker holds of it already."""

    needed_bytes: int
    held_bytes: int

    @property
    def outstanding_bytes(self) -> int:
        """What it will still take."""
        return max(0, self.needed_bytes - self.held_bytes)


def needed_bytes(pixels: int, film_mb: int, memory_bytes: int) -> int:
    """What a film of ``pixels`` (0: unknown) is taken to need.

    Args:
        pixels: width x height.
        film_mb: what one needs up to 1920x1080; larger ones in proportion.
        memory_bytes: what the machine has.
    """
    usual = film_mb << 20
    by_size = usual * max(1.0, pixels / USUAL_PIXELS)
    return max(usual, int(min(by_size, MAX_MEMORY_SHARE * memory_bytes)))


def lacking_bytes(film: Demand, others: Iterable[Demand], available_bytes: int) -> int:
    """How much memory is lacking for ``film``, when ``others`` take what they still need."""
    wanted = film.outstanding_bytes + sum(one.outstanding_bytes for one in others)
    return max(0, wanted - available_bytes)


def held_bytes(worker: Supervisor) -> int:
    """How much memory a worker and its children hold."""
    if worker.pid is None:
        return 0
    try:
        process = psutil.Process(worker.pid)
        return sum(one.memory_info().rss for one in (process, *process.children(recursive=True)))
    except psutil.Error:
        return 0  # it has just ended
