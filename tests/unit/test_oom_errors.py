"""Which faults are a shortage of memory, which mean that a card is lost, and who ended a worker."""

from __future__ import annotations

import errno
from dataclasses import replace
from pathlib import Path

import av.error
import cv2
import numpy as np
import pytest

from daemon.config.schema import RetrySettings
from daemon.jobs.job import Attempt, Job
from daemon.jobs.retry import Next, decide, given_up
from daemon.workers.messages import Failure, Start
from daemon.workers.oom_kills import OomKillCount, count_oom_kills
from daemon.workers.worker_loop import failure_of
from erasecore.errors import OutOfMemory, Remedy
from erasecore.memory.oom_errors import GpuFailure, gpu_failure, is_out_of_memory
from erasecore.settings import EraseSettings

START = Start("id", 1, "/films/source.mp4", "/jobs/id", "film.mp4", "", EraseSettings())
ILLEGAL = (
    "CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be "
    "asynchronously reported at some other API call"
)
MIG = (
    "NVML_SUCCESS == r INTERNAL ASSERT FAILED at "
    '"../c10/cuda/CUDACachingAllocator.cpp":1131, please report a bug to PyTorch.'
)


class OutOfMemoryError(RuntimeError):
    """Named and placed as torch's; torch itself is not loaded for it."""


class AcceleratorError(RuntimeError):
    """The same for any other fault of a card, which torch gives the card's own number."""

    def __init__(self, text: str, error_code: int) -> None:
        super().__init__(text)
        self.error_code = error_code


class RuntimeException(Exception):
    """Named and placed as onnxruntime's."""


OutOfMemoryError.__module__ = AcceleratorError.__module__ = "torch"
RuntimeException.__module__ = "onnxruntime.capi.onnxruntime_pybind11_state"


def raised_by_cv2() -> Exception:
    """What OpenCV raises for a picture beyond all measure."""
    try:
        cv2.copyMakeBorder(np.zeros((1, 1), np.uint8), 0, 1 << 23, 0, 1 << 30, cv2.BORDER_CONSTANT)
    except cv2.error as error:
        return error
    raise AssertionError("there was room for it")


def raised_by_numpy() -> Exception:
    """What numpy raises for an array beyond all measure."""
    try:
        np.empty(1 << 62, np.uint8)
    except MemoryError as error:
        return error
    raise AssertionError("there was room for it")


SHORTAGES: list[Exception] = [
    MemoryError(),
    raised_by_numpy(),
    raised_by_cv2(),
    av.error.MemoryError(errno.ENOMEM, "Cannot allocate memory"),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total ..."),
    AcceleratorError("CUDA error: out of memory", 2),
    RuntimeError(MIG),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if ..."),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: "
        "you tried to allocate 21474836480 bytes. Error code 12 (Cannot allocate memory)"
    ),
    RuntimeError("std::bad_alloc"),
    RuntimeError("can't start new thread"),
    ImportError("libfoo.so: cannot allocate memory in static TLS block"),
    RuntimeException(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running "
        "Conv node. Failed to allocate memory for requested buffer of size 1073741824"
    ),
    OutOfMemory("memory ran out even in the smallest pieces"),
]
OTHERS: list[Exception] = [
    ValueError("CUDA out of memory"),  # the words may be a sender's: a file's name, say
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    OSError(errno.ENOSPC, "No space left on device"),
    KeyError("std::bad_alloc"),
    OutOfMemory("the card is full", on_host=False),  # no smaller piece of the film helps it
]


@pytest.mark.parametrize("error", SHORTAGES, ids=repr)
def test_shortages(error: Exception) -> None:
    """Each library's words for it, raised by the library itself where that can be had here."""
    assert is_out_of_memory(error)
    assert gpu_failure(error) is None
    assert failure_of(error, START).error == "OutOfMemory"
    assert failure_of(error, START).remedy is Remedy.RETRY
    assert failure_of(error, START).sentence.startswith("film.mp4: memory ran out")


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_no_shortages(error: Exception) -> None:
    """What only looks like it."""
    assert not is_out_of_memory(error)
    assert gpu_failure(error) is None


@pytest.mark.parametrize(
    ("error", "fault", "name", "remedy"),
    [
        (RuntimeError(ILLEGAL), GpuFailure.LOST, "DeviceLost", Remedy.RETRY),
        (AcceleratorError("CUDA error: ...", 700), GpuFailure.LOST, "DeviceLost", Remedy.RETRY),
        (
            RuntimeError("CUDA error: device-side assert triggered"),
            GpuFailure.LOST,
            "DeviceLost",
            Remedy.RETRY,
        ),
        (
            RuntimeError("CUDA error: the launch timed out and was terminated"),
            GpuFailure.LOST,
            "DeviceLost",
            Remedy.RETRY,
        ),
        (
            RuntimeError("CUDA error: uncorrectable ECC error encountered"),
            GpuFailure.BROKEN,
            "DeviceBroken",
            Remedy.FIX_HOST,
        ),
        (
            AcceleratorError("CUDA error: no CUDA-capable device is detected", 100),
            GpuFailure.BROKEN,
            "DeviceBroken",
            Remedy.FIX_HOST,
        ),
    ],
)
def test_lost_cards(error: Exception, fault: GpuFailure, name: str, remedy: Remedy) -> None:
    """A card that is lost to the process is no shortage; a broken one pauses the queue."""
    assert gpu_failure(error) is fault
    assert not is_out_of_memory(error)
    said = failure_of(error, START)
    assert (said.error, said.remedy) == (name, remedy)
    assert said.sentence.startswith("film.mp4: ")


def test_what_an_error_came_from_counts() -> None:
    """Wrapped or raised while tidying up it is the same fault; a lost card comes first."""
    wrapped = ValueError("the strip cannot be filled")
    wrapped.__cause__ = MemoryError()
    assert is_out_of_memory(wrapped)
    while_tidying = RuntimeError("CUDA error: out of memory")
    while_tidying.__context__ = RuntimeError(ILLEGAL)
    assert gpu_failure(while_tidying) is GpuFailure.LOST
    assert not is_out_of_memory(while_tidying)
    unrelated = ValueError("wrong shape")
    unrelated.__context__, unrelated.__suppress_context__ = MemoryError(), True
    assert not is_out_of_memory(unrelated)


def counts(folder: Path, files: dict[str, str]) -> OomKillCount:
    """The counts that a system with these files gives."""
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return count_oom_kills(folder / "cgroup", folder / "membership", folder / "vmstat")


@pytest.mark.parametrize(
    ("files", "kills"),
    [
        (  # version 2
            {
                "membership": "0::/system.slice/subtitle-eraser.service\n",
                "cgroup/system.slice/subtitle-eraser.service/memory.events": "oom 4\noom_kill 3\n",
                "vmstat": "nr_free_pages 1\noom_kill 7\n",
            },
            OomKillCount(3, 7),
        ),
        (  # version 1, both mounted
            {
                "membership": "4:memory:/docker/abc\n3:cpuset:/\n0::/\n",
                "cgroup/memory/docker/abc/memory.oom_control": "under_oom 0\noom_kill 2\n",
            },
            OomKillCount(2, None),
        ),
        ({"membership": "0::/\n"}, OomKillCount(None, None)),  # a system that does not count
        ({"vmstat": "oom_kill many\n"}, OomKillCount(None, None)),
    ],
)
def test_counts_of_kills(tmp_path: Path, files: dict[str, str], kills: OomKillCount) -> None:
    """Where the kernel says how often memory was the reason, it is found, on either version."""
    assert counts(tmp_path, files) == kills


@pytest.mark.parametrize(
    ("before", "after", "cause"),
    [
        (OomKillCount(3, 7), OomKillCount(4, 8), "memory ran out"),
        (OomKillCount(3, 7), OomKillCount(3, 8), "memory ran out"),  # of a group above ours
        (OomKillCount(3, 7), OomKillCount(3, 7), "the kernel has counted no kill"),
        (OomKillCount(None, None), OomKillCount(None, None), "as the system does"),
    ],
)
def test_causes_of_a_kill(before: OomKillCount, after: OomKillCount, cause: str) -> None:
    """A count that has grown tells the cause; one that has not, that it was something else."""
    assert cause in after.cause(before)


KILLED = Failure("WorkerLost", Remedy.RETRY, "the worker was killed by SIGKILL.", killed=True)
LOST = replace(KILLED, killed=False)


@pytest.mark.parametrize(
    ("faults", "rungs_down"),
    [
        ([], 0),
        ([LOST, None], 0),
        ([KILLED], 1),
        ([KILLED, LOST], 1),
        ([KILLED, KILLED], 3),  # the third attempt is the usual last one: to the ladder's end
        ([KILLED, KILLED, KILLED], 7),
    ],
)
def test_rungs_down(faults: list[Failure | None], rungs_down: int) -> None:
    """Every attempt that was killed makes the next one's pieces smaller, by steps that grow."""
    attempts = tuple(Attempt(number, 0.0, failure=one) for number, one in enumerate(faults, 1))
    job = Job("id", "film.mp4", "source.mp4", 1, 1, 1.0, attempts=attempts)
    assert job.rungs_down == rungs_down


def test_a_film_too_large_for_the_memory() -> None:
    """It is tried again, then given up so that others can go; the operator is who can mend it."""
    short = Failure("OutOfMemory", Remedy.RETRY, "film.mp4: memory ran out.")
    settings = RetrySettings(max_attempts=3)
    assert decide(short.remedy, 2, settings).next is Next.REQUEUE
    assert decide(short.remedy, 3, settings).next is Next.FAIL
    assert given_up(short).remedy is Remedy.FIX_HOST
    assert given_up(KILLED).remedy is Remedy.FIX_HOST
    assert "smaller pieces" in given_up(KILLED).sentence
    assert given_up(LOST) == LOST
