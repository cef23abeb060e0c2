"""What a command costs: wall and CPU seconds, and the memory of its whole process tree."""

from __future__ import annotations

import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.media import BenchError

LOOK_EVERY_SECONDS = 0.2
MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Cost:
    """The cost of one finished command, its children included."""

    wall_seconds: float
    cpu_seconds: float  # user and system; hardly disturbed by what else the machine does
    peak_mib: float  # largest sum of resident memory seen; pages shared by two count twice


def measure(argv: Sequence[str | Path], log: Path) -> Cost:
    """The cost of running ``argv`` to its end; what it prints goes to ``log``."""
    cpu_before = _children_cpu_seconds()
    start = time.monotonic()
    with log.open("wb") as sink:
        process = psutil.Popen(list(map(str, argv)), stdout=sink, stderr=subprocess.STDOUT)
        peak_bytes = _watch(process)
    wall_seconds = time.monotonic() - start
    if process.returncode:
        tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
        raise BenchError(f"{' '.join(map(str, argv))} ended with {process.returncode}: {tail}")
    return Cost(wall_seconds, _children_cpu_seconds() - cpu_before, peak_bytes / MIB)


def _watch(process: psutil.Popen) -> int:
    """The largest memory of the tree, in bytes, seen until it ends."""
    peak_bytes = 0
    while True:
        peak_bytes = max(peak_bytes, _tree_bytes(process))
        try:
            process.wait(timeout=LOOK_EVERY_SECONDS)
        except psutil.TimeoutExpired:
            continue
        return peak_bytes


def _tree_bytes(process: psutil.Popen) -> int:
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0
    return sum(_resident_bytes(member) for member in family)


def _resident_bytes(member: psutil.Process) -> int:
    try:
        return int(member.memory_info().rss)
    except psutil.NoSuchProcess:  # it has ended since it was listed
        return 0


def _children_cpu_seconds() -> float:
    """CPU time of every descendant that has ended and was waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
