"""Thousands of tiny films through one daemon: memory, handles and threads stay what they are.

``python -m tests.process.soak 2000`` (``make soak N=2000``). The parent and its worker are measured
each time some more films are done. What either holds after the first tenth must hardly grow.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psutil

from tests.process.house import Daemon, House
from tests.process.waiting import comes_true

PENDING = 30
"""Films that wait in the inbox at any time."""
SAMPLES = 100
"""How often the processes are measured, at most."""
WARM_SHARE = 0.1
"""Share of the films after which nothing may grow any more."""
GROWTH = 0.04
"""Growth of memory that is held for noise, as a share."""
NOISE_BYTES = 1 << 20
"""Growth of memory that is held for noise whatever the share."""
FILM_SECONDS = 3.0
"""Time for one film, on a busy machine; in which as many as are sampled together must come."""
SETTLE_SECONDS = 20.0
"""Time for an idle daemon to close what the last film opened."""
COUNTS = ("handles", "threads", "children")
"""Fields of a footprint that may not grow with the films."""
ONCE = 2
"""Handles and the like that may be opened once, late; a leak of one a film is far more."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the daemon and its worker hold."""

    films: int  # done so far
    parent_bytes: int  # resident memory
    worker_bytes: int
    handles: int  # open files of both
    threads: int  # of both
    children: int  # processes below the daemon

    @classmethod
    def of(cls, daemon: Daemon, films: int) -> Footprint | None:
        """Measure a daemon; ``None`` if a process has just ended."""
        parent = psutil.Process(daemon.process.pid)
        try:
            children = parent.children(recursive=True)
            every = [parent, *children]
            return cls(
                films=films,
                parent_bytes=parent.memory_info().rss,
                worker_bytes=sum(one.memory_info().rss for one in children),
                handles=sum(one.num_fds() for one in every),
                threads=sum(one.num_threads() for one in every),
                children=len(children),
            )
        except psutil.NoSuchProcess:
            return None

    def __str__(self) -> str:
        return (
            f"films {self.films:6}   parent {self.parent_bytes / 1e6:6.1f} MB   "
            f"worker {self.worker_bytes / 1e6:6.1f} MB   handles {self.handles:3}   "
            f"threads {self.threads:3}   children {self.children}"
        )


@dataclass(frozen=True, slots=True)
class Soak:
    """What a run has shown."""

    films: int
    done: int
    seconds: float
    samples: tuple[Footprint, ...]
    idle: Footprint  # after the last film
    exit_code: int

    @property
    def warm(self) -> Sequence[Footprint]:
        """Samples after the first tenth."""
        return warm(self.samples, self.films)

    def complaints(self) -> Iterator[str]:
        """Yield what has grown, or gone wrong."""
        if self.done != self.films or self.exit_code != 0:
            yield f"done {self.done} of {self.films}, exit code {self.exit_code}"
        for what in ("parent_bytes", "worker_bytes"):
            first, last = self._ends(what)
            if last > first * (1 + GROWTH) + NOISE_BYTES:
                yield f"{what}: {first / 1e6:.1f} -> {last / 1e6:.1f} MB"
        for what in COUNTS:
            first, last = early_count(self.warm, what), getattr(self.idle, what)
            if last > first + ONCE:
                yield f"{what}: {first:g} -> {last:g}"

    def _ends(self, what: str) -> tuple[float, float]:
        """Return the median of the first and of the last fifth of the warm samples."""
        values = [float(getattr(one, what)) for one in self.warm]
        part = fifth(values)
        return median(values[:part]), median(values[-part:])


def warm(samples: Sequence[Footprint], films: int) -> Sequence[Footprint]:
    """Return the samples after the first tenth of the films."""
    return [one for one in samples if one.films >= WARM_SHARE * films]


def fifth(values: Sequence[object]) -> int:
    """Return the length of a fifth, at least one."""
    return max(1, len(values) // 5)


def early_count(warm: Sequence[Footprint], what: str) -> int:
    """Return the smallest count in the first fifth: a film in work opens some for a moment."""
    counts: list[int] = [getattr(one, what) for one in warm[: fifth(warm)]]
    return min(counts)


def settled(daemon: Daemon, films: int, warm: Sequence[Footprint]) -> Footprint:
    """Measure an idle daemon, as soon as it has closed what the last film opened."""
    found = warm[-1]

    def as_before() -> bool:
        nonlocal found
        found = Footprint.of(daemon, films) or found
        return all(getattr(found, what) <= early_count(warm, what) for what in COUNTS)

    comes_true(as_before, SETTLE_SECONDS)
    return found


def soak(house: House, count: int) -> Soak:
    """Return what a daemon held while ``count`` films went through it."""
    house.configure(log={"level": "info"})
    began = time.monotonic()
    daemon = house.start()
    comes_true(lambda: daemon.said("worker.ready"), 30)
    every = max(1, count // SAMPLES)
    samples: list[Footprint] = []
    dropped = finished = 0

    def going_on() -> bool:
        return _finished(house) >= min(count, finished + every)

    while finished < count:
        room = PENDING - (dropped - finished)
        for number in range(dropped, min(count, dropped + room)):
            house.drop(f"film {number:06}.mp4", f"film {number}\nsegments 1\n")
            dropped = number + 1
        if not comes_true(going_on, FILM_SECONDS * every + 30):
            break
        finished = _finished(house)
        sample = Footprint.of(daemon, finished)
        samples += [sample] if sample else []
    idle = settled(daemon, finished, warm(samples, count))
    code = daemon.stop()
    done = len(house.films("done"))
    return Soak(count, done, time.monotonic() - began, tuple(samples), idle, code)


def _finished(house: House) -> int:
    """Return how many films have gone all their way."""
    with os.scandir(house.originals) as entries:
        return sum(1 for one in entries if one.name.endswith(".mp4"))


def main(arguments: Sequence[str]) -> int:
    """Run, print some of the samples, and judge by the exit code."""
    count = int(arguments[0]) if arguments else 2000
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    house = House(root)
    try:
        result = soak(house, count)
    finally:
        house.close()
    for sample in result.samples[:: max(1, len(result.samples) // 20)]:
        print(sample)
    complaints = list(result.complaints())
    print(f"films {result.done}   {result.seconds:.0f} s   wrong {len(complaints)}")
    for one in complaints:
        print(f"  WRONG: {one}")
    if not complaints:
        shutil.rmtree(root)
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
