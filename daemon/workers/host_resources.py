"""What this machine has for us: cores, memory, GPUs. Limits of our control group count.

Told without loading anything heavy: GPUs come from the driver's own tool, as a process that may
hang without hanging us.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

DRIVER_SECONDS = 30.0
CORES_PER_FILM = 2
"""What one film keeps busy on the CPU: one core recovers a segment, one encodes the one before."""
_DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True, slots=True)
class HostResources:
    """What may be used."""

    cores: int
    memory_bytes: int
    devices: tuple[str, ...] = ()  # GPUs, as ``CUDA_VISIBLE_DEVICES`` names them


def inspect_host(visible_devices: str | None) -> HostResources:
    """What this process may use; ``visible_devices`` is ``CUDA_VISIBLE_DEVICES`` if it is set."""
    memory = memory_bytes()
    if visible_devices is not None:
        named = [one.strip() for one in visible_devices.split(",")]
        return HostResources(cores(), memory, tuple(one for one in named if one not in ("", "-1")))
    return HostResources(cores(), memory, _devices())


def cores() -> int:
    """How many cores this process may run on, a quota of its control group included."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([count or 1, *core_quotas(own_cgroups())]))


def memory_bytes() -> int:
    """How much memory we may use at most."""
    groups = memory_cgroups(own_cgroups())
    return min([_built_in_bytes(), *(group.limit for group in groups)])


def available_bytes() -> int:
    """How much memory can still be had, by the system and by every control group above us."""
    rooms = [max(0, one.limit - one.used) for one in memory_cgroups(own_cgroups())]
    return min([_free_bytes(), *rooms])


def _built_in_bytes() -> int:
    try:
        return psutil.virtual_memory().total
    except OSError:  # a hardened unit may hide /proc/meminfo (ProcSubset=pid)
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_bytes() -> int:
    try:
        return psutil.virtual_memory().available
    except OSError:  # pages of files are not counted then: too little rather than too much
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# --- GPUs -------------------------------------------------------------------------------------


def _devices() -> tuple[str, ...]:
    """The GPUs (or the slices of them) that a worker each can have."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _devices_of_driver()
    try:
        done = subprocess.run(
            [tool, "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DRIVER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return devices_in(done.stdout.decode("utf-8", "replace")) if done.returncode == 0 else ()


def devices_in(listing: str) -> tuple[str, ...]:
    """The devices that ``nvidia-smi -L`` names: each GPU, or its slices if it is divided (MIG)."""
    found: dict[str, list[str]] = {}
    gpu = ""
    for line in listing.splitlines():
        match = re.search(r"UUID: ((?:GPU|MIG)-[\w/-]+)\)", line)
        if match and not line.startswith((" ", "\t")):
            gpu = match[1]
            found[gpu] = []
        elif match:
            found.setdefault(gpu, []).append(match[1])
    return tuple(one for gpu, slices in found.items() for one in slices or [gpu])


def _devices_of_driver() -> tuple[str, ...]:
    try:
        count = sum(1 for _ in _DRIVER_FOLDER.iterdir())
    except OSError:
        return ()
    return tuple(map(str, range(count)))


# --- control groups -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """What a control group may have of memory, in bytes."""

    limit: int
    used: int  # without what the kernel gives back when asked: pages of files


def own_cgroups() -> Iterator[Path]:
    """Our control group and those above it (version 2); none where there are none."""
    try:
        lines = Path("/proc/self/cgroup").read_text("utf-8", "replace").splitlines()
    except OSError:
        return
    own = next((line[3:] for line in lines if line.startswith("0::/")), None)
    if own is None:
        return
    folder = _GROUPS / own.lstrip("/")
    while folder.is_relative_to(_GROUPS):
        yield folder
        folder = folder.parent


def memory_cgroups(folders: Iterable[Path]) -> Iterator[MemoryCgroup]:
    """Those of the control groups ``folders`` that have a limit of memory."""
    for folder in folders:
        # Above "high" everything in the group is slowed down until it crawls: that is a limit, too.
        limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
        limit = min((one for one in limits if one is not None), default=None)
        used = _number(folder / "memory.current")
        if limit is not None and used is not None:
            yield MemoryCgroup(limit, max(0, used - _file_pages(folder)))


def _number(file: Path) -> int | None:
    """What a control group's file says; nothing where there is none, or no limit."""
    try:
        text = file.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _file_pages(folder: Path) -> int:
    try:
        lines = (folder / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines if line.count(" ") == 1)
    return int(counts.get("inactive_file", 0)) + int(counts.get("active_file", 0))


def core_quotas(folders: Iterable[Path]) -> Iterator[int]:
    """How many cores each of the control groups ``folders`` lets us use, where it says so."""
    for folder in folders:
        try:
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        except (OSError, ValueError):
            continue
        if quota.isdigit():
            yield max(1, round(int(quota) / int(period)))
