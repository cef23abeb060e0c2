"""What a machine has, and how it is divided among workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from daemon.config.schema import WorkerSettings, load_config
from daemon.workers.host_resources import (
    HostResources,
    available_bytes,
    core_quotas,
    devices_in,
    inspect_host,
    memory_bytes,
    memory_cgroups,
)
from daemon.workers.pool import slots_for, works_on_gpu
from tests.unit.test_weights import lay_out

TWO_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-5c7b1bd6-0f0c-4a1c-9a0e-a6e5b45d7d49)
GPU 1: NVIDIA RTX 6000 Ada Generation (UUID: GPU-8e1c1cdd-8b1e-6f34-7a9c-0d3ff26f8a1b)
"""
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c7b1bd6-0f0c-4a1c-9a0e-a6e5b45d7d49)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-8e1c1cdd-8b1e-6f34-7a9c-0d3ff26f8a1b)
"""
GB = 1 << 30


def test_gpus_of_the_drivers_list() -> None:
    """Each GPU is one device; one that is divided is as many as it has slices."""
    assert devices_in(TWO_GPUS) == (
        "GPU-5c7b1bd6-0f0c-4a1c-9a0e-a6e5b45d7d49",
        "GPU-8e1c1cdd-8b1e-6f34-7a9c-0d3ff26f8a1b",
    )
    assert devices_in(DIVIDED) == (
        "MIG-c7384736-a75d-5afc-978f-d2f1294409fd",
        "MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d",
        "GPU-8e1c1cdd-8b1e-6f34-7a9c-0d3ff26f8a1b",
    )
    assert devices_in("No devices found.\n") == ()


@pytest.mark.parametrize(
    ("variable", "devices"),
    [("", ()), ("-1", ()), ("0", ("0",)), ("GPU-1, GPU-2", ("GPU-1", "GPU-2"))],
)
def test_gpus_that_the_environment_names(variable: str, devices: tuple[str, ...]) -> None:
    """Whoever hides a GPU from the daemon hides it from its workers."""
    assert inspect_host(variable).devices == devices


def test_this_machine() -> None:
    """There is at least one core, and no more memory than is built in."""
    machine = inspect_host("")
    assert 1 <= machine.cores <= (os.cpu_count() or 1)
    assert 0 < available_bytes() <= machine.memory_bytes <= psutil.virtual_memory().total


def test_limits_of_control_groups(tmp_path: Path) -> None:
    """Memory counts without pages of files, which the kernel gives back; no limit is none."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    for folder, most, quota in ((inner, "max", "max 100000"), (outer, str(GB), "150000 100000")):
        folder.mkdir()
        (folder / "memory.max").write_text(most + "\n")
        (folder / "memory.current").write_text(f"{GB // 2}\n")
        (folder / "memory.stat").write_text(f"anon 7\ninactive_file {GB // 8}\nactive_file 0\n")
        (folder / "cpu.max").write_text(quota + "\n")
    folders = (inner, outer, tmp_path / "none")
    used = GB // 2 - GB // 8
    assert [(one.limit, one.used) for one in memory_cgroups(folders)] == [(GB, used)]
    (outer / "memory.high").write_text(f"{GB // 4 * 3}\n")
    (inner / "memory.high").write_text("max\n")
    assert [(one.limit, one.used) for one in memory_cgroups(folders)] == [(GB // 4 * 3, used)]
    assert list(core_quotas(folders)) == [2]


GPUS = ("a", "b")
COUNTS = [
    # asked for, machine, on a GPU -> devices, threads of each
    (WorkerSettings(), HostResources(16, 64 * GB), True, [""] * 8, 2),
    (WorkerSettings(), HostResources(16, 4 * GB), True, ["", ""], 8),  # memory bears two films
    (WorkerSettings(), HostResources(16, GB), True, [""], 16),  # one there is in any case
    (WorkerSettings(), HostResources(1, 64 * GB), True, [""], 1),
    (WorkerSettings(), HostResources(16, 64 * GB, GPUS), True, ["a", "b"], 8),
    (WorkerSettings(), HostResources(8, 64 * GB, GPUS), False, ["a", "b", "a", "b"], 2),
    (WorkerSettings(count=3), HostResources(16, 64 * GB, GPUS), True, ["a", "b", "a"], 5),
    (WorkerSettings(count=1, threads=4), HostResources(16, 64 * GB, GPUS), True, ["a"], 4),
]


@pytest.mark.parametrize(("settings", "machine", "on_gpu", "devices", "threads"), COUNTS)
def test_seats(
    settings: WorkerSettings, machine: HostResources, on_gpu: bool, devices: list[str], threads: int
) -> None:
    """One for each GPU, or as many as cores and memory bear, or as many as are asked for."""
    slots = slots_for(settings, machine, on_gpu=on_gpu)
    assert [slot.device for slot in slots] == devices
    assert [slot.number for slot in slots] == list(range(1, len(devices) + 1))
    whole = len(slots) == 1 and machine.cores == os.cpu_count() and not settings.threads
    assert {slot.threads for slot in slots} == ({0} if whole else {threads})


@pytest.mark.parametrize(
    ("engine", "weights", "on_gpu"),
    [
        ("propagate", True, False),
        ("diffueraser", False, True),  # they are missed when it is loaded, not here
        ("auto", False, False),
        ("auto", True, True),
        ("tests.engines.faulty:hang", True, False),
    ],
)
def test_what_is_worked_on_by_a_gpu(
    tmp_path: Path, engine: str, weights: bool, on_gpu: bool
) -> None:
    """The number of workers goes by the GPUs where films do, else by the cores."""
    (tmp_path / "config.yaml").write_text(f"erase: {{engine: '{engine}'}}")
    config = load_config(tmp_path / "config.yaml", tmp_path)
    if weights:
        lay_out(config.models_folder)
    assert works_on_gpu(config) is on_gpu


def test_memory_where_proc_shows_processes_only() -> None:
    """A hardened unit (ProcSubset=pid) has no /proc/meminfo; the daemon starts all the same."""
    argv = ["unshare", "--mount", "--pid", "--fork", "sh", "-c"]
    possible = [*argv, "mount -t proc -o subset=pid proc /proc && test ! -e /proc/meminfo"]
    if subprocess.run(possible, capture_output=True, check=False).returncode:
        pytest.skip("mounting /proc anew needs rights that we lack here")
    code = "from daemon.workers.host_resources import *; print(memory_bytes(), available_bytes())"
    asked = [*argv, f"{possible[-1]} && {sys.executable} -c '{code}'"]
    done = subprocess.run(asked, capture_output=True, check=True)
    total, available = map(int, done.stdout.split())
    assert 0 < available < total == memory_bytes()
