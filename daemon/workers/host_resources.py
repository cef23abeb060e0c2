"""Resources of the host: CPU cores, memory and GPUs, within the limits of our control groups.

GPUs are listed by the driver's own tool, ``nvidia-smi``, in a process with a timeout: the daemon
does not load CUDA, and a driver that hangs does not hang it.
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
"""Timeout of ``nvidia-smi``, in seconds (guess)."""
CORES_PER_FILM = 2
"""Cores that one film keeps busy: one recovers a segment, one encodes the segment before."""
_DRIVER_FOLDER = Path("/proc/driver/nvidia/gpus")
"""Folder of NVIDIA's driver with an entry for each GPU."""
_GROUPS = Path("/sys/fs/cgroup")
"""Root of the control groups, version 2 (cgroups(7))."""


@dataclass(frozen=True, slots=True)
class HostResources:
    """Resources of the machine that this process may use."""

    cores: int
    memory_bytes: int
    devices: tuple[str, ...] = ()  # GPUs, as ``CUDA_VISIBLE_DEVICES`` names them


def inspect_host(visible_devices: str | None) -> HostResources:
    """Return the resources that this process may use.

    Args:
        visible_devices: value of ``CUDA_VISIBLE_DEVICES``, which limits the GPUs; None if unset.
    """
    memory = memory_bytes()
    if visible_devices is not None:
        names = [name.strip() for name in visible_devices.split(",")]
        devices = tuple(name for name in names if name not in ("", "-1"))
        return HostResources(cores(), memory, devices)
    return HostResources(cores(), memory, _devices())


def cores() -> int:
    """Return the number of CPU cores for this process, by its affinity and its cgroups' quotas."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return max(1, min([count or 1, *core_quotas(own_cgroups())]))


def memory_bytes() -> int:
    """Return the memory of the machine, or the smallest limit of our cgroups, in bytes."""
    groups = memory_cgroups(own_cgroups())
    return min([_installed_bytes(), *(group.limit for group in groups)])


def available_bytes() -> int:
    """Return the memory that the machine and our cgroups can still give us, in bytes."""
    headrooms = [max(0, group.limit - group.used) for group in memory_cgroups(own_cgroups())]
    return min([_free_bytes(), *headrooms])


def _installed_bytes() -> int:
    """Return the physical memory of the machine, in bytes."""
    try:
        return psutil.virtual_memory().total
    except OSError:  # a hardened unit may hide /proc/meminfo (ProcSubset=pid)
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _free_bytes() -> int:
    """Return the memory that the machine can allocate without swapping, in bytes."""
    try:
        return psutil.virtual_memory().available
    except OSError:  # without /proc/meminfo the page cache does not count: an underestimate
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


# --- GPUs -------------------------------------------------------------------------------------


def _devices() -> tuple[str, ...]:
    """Return the UUIDs of the GPUs, or of their MIG slices, as ``nvidia-smi`` lists them.

    Without ``nvidia-smi`` the indices of the driver's GPUs; empty if it fails or does not answer.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return _devices_of_driver()
    try:
        completed = subprocess.run(
            [tool, "-L"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=DRIVER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    if completed.returncode != 0:
        return ()
    return devices_in(completed.stdout.decode("utf-8", "replace"))


def devices_in(listing: str) -> tuple[str, ...]:
    """Return the UUIDs in the output of ``nvidia-smi -L``.

    A GPU that is divided (MIG) is replaced by its slices, which are indented below it.
    """
    slices_by_gpu: dict[str, list[str]] = {}
    gpu = ""
    for line in listing.splitlines():
        match = re.search(r"UUID: ((?:GPU|MIG)-[\w/-]+)\)", line)
        if match and not line.startswith((" ", "\t")):
            gpu = match[1]
            slices_by_gpu[gpu] = []
        elif match:
            slices_by_gpu.setdefault(gpu, []).append(match[1])
    return tuple(uuid for gpu, slices in slices_by_gpu.items() for uuid in slices or [gpu])


def _devices_of_driver() -> tuple[str, ...]:
    """Return the indices of the driver's GPUs, for systems without ``nvidia-smi``."""
    try:
        count = sum(1 for _ in _DRIVER_FOLDER.iterdir())
    except OSError:
        return ()
    return tuple(map(str, range(count)))


# --- control groups -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MemoryCgroup:
    """Memory limit and use of a control group, in bytes."""

    limit: int
    used: int  # without the page cache, which the kernel reclaims when memory is short


def own_cgroups() -> Iterator[Path]:
    """Yield the folders of our control group and of its ancestors (version 2 only)."""
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
    """Yield limit and use of those control groups in ``folders`` that have a memory limit."""
    for folder in folders:
        # Above memory.high the kernel throttles the group heavily: in effect that is a limit, too.
        limits = [_number(folder / name) for name in ("memory.max", "memory.high")]
        limit = min((value for value in limits if value is not None), default=None)
        used = _number(folder / "memory.current")
        if limit is not None and used is not None:
            yield MemoryCgroup(limit, max(0, used - _page_cache_bytes(folder)))


def _number(file: Path) -> int | None:
    """Return the number in a control group's file; None if there is no file, or it says "max"."""
    try:
        text = file.read_text("ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _page_cache_bytes(folder: Path) -> int:
    """Return the bytes of file pages that a control group holds, from ``memory.stat``."""
    try:
        lines = (folder / "memory.stat").read_text("ascii").splitlines()
    except OSError:
        return 0
    counts = dict(line.split() for line in lines if line.count(" ") == 1)
    return int(counts.get("inactive_file", 0)) + int(counts.get("active_file", 0))


def core_quotas(folders: Iterable[Path]) -> Iterator[int]:
    """Yield the CPU quotas of the groups ``folders``, where set: cores, rounded, at least 1."""
    for folder in folders:
        try:
            quota, period = (folder / "cpu.max").read_text("ascii").split()
        except (OSError, ValueError):
            continue
        if quota.isdigit():
            yield max(1, round(int(quota) / int(period)))
