"""Which faults mean that memory ran out, and which that the graphics card is lost to this process.

Every library says it in its own way. Nothing is imported for it: an error can only come from a
library that is loaded, and is told by its type's name and module, its code and its text.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import StrEnum

from erasecore.errors import OutOfMemory


class GpuFailure(StrEnum):
    """What has become of a graphics card, as far as this process is concerned."""

    LOST = "lost"  # a fresh process can use it
    BROKEN = "broken"  # or there is none: the operator must look


_MOST_CHARACTERS = 300
_CV_NO_MEMORY = -4  # cv::Error::StsNoMem
_CUDA_NO_MEMORY = 2  # cudaErrorMemoryAllocation

_SHORT_OF_MEMORY = tuple(
    text.lower()
    for text in (
        # torch on any device
        "CUDA out of memory",
        "HIP out of memory",
        "CUDA error: out of memory",
        "CUDA driver error: out of memory",
        "DefaultCPUAllocator: can't allocate memory",
        "DefaultCPUAllocator: not enough memory",
        # A slice of a card (MIG) cannot ask how much is free, and fails while it writes its error.
        "NVML_SUCCESS == r INTERNAL ASSERT",
        # The libraries below it, which allocate for themselves.
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_NOT_INITIALIZED",  # its handle found no room
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "CUDNN_STATUS_NOT_SUPPORTED",  # no algorithm is left that needs so little workspace
        "CUSOLVER_STATUS_ALLOC_FAILED",
        "CUSPARSE_STATUS_ALLOC_FAILED",
        "CUFFT_ALLOC_FAILED",
        # onnxruntime, C++ and the C library
        "Failed to allocate memory for requested buffer",
        "std::bad_alloc",
        "bad allocation",
        "Cannot allocate memory",
        "can't start new thread",  # there is no room for its stack
    )
)

_CARD_LOST = tuple(
    text.lower()
    for text in (
        "an illegal memory access was encountered",
        "device-side assert triggered",
        "unspecified launch failure",
        "the launch timed out and was terminated",
        "an illegal instruction was encountered",
        "misaligned address",
        "invalid program counter",
        "hardware stack error",
        "operation not supported on global/shared address space",
        "CUDA error: unknown error",
        "driver shutting down",
        "CUBLAS_STATUS_EXECUTION_FAILED",
        "CUBLAS_STATUS_MAPPING_ERROR",
        "CUDNN_STATUS_EXECUTION_FAILED",
        "CUDNN_STATUS_MAPPING_ERROR",
    )
)

_CARD_BROKEN = tuple(
    text.lower()
    for text in (
        "uncorrectable ECC error",
        "uncorrectable NVLink error",
        "fallen off the bus",
        "GPU is lost",
        "NVRM: Xid",
        "no CUDA-capable device is detected",
        "No CUDA GPUs are available",
        "device(s) is/are busy or unavailable",
        "system not yet initialized",
        "system has unsupported display driver / cuda driver combination",
    )
)

_LOST_CODES = frozenset({700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 999})
_BROKEN_CODES = frozenset({46, 100, 214, 220, 802, 803})
"""Values of ``cudaError_t`` that no later call in the same process can get past."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether ``error``, or what it came from, says that memory ran out.

    A card that is lost says so first: what follows from it, a failing allocation included, is no
    shortage.
    """
    chain = list(_chain(error))
    if any(_gpu_failure_in(one) for one in chain):
        return False
    return any(_is_shortage(one) for one in chain)


def gpu_failure(error: BaseException) -> GpuFailure | None:
    """What ``error``, or what it came from, says of the graphics card; nothing: it can be used on.

    After such an error every later call in this process fails too, so the process must end.
    """
    faults = {_gpu_failure_in(one) for one in _chain(error)}
    if GpuFailure.BROKEN in faults:
        return GpuFailure.BROKEN
    return GpuFailure.LOST if GpuFailure.LOST in faults else None


def first_line(error: BaseException) -> str:
    """The error in a line: its type, and how its text begins."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_MOST_CHARACTERS].removesuffix(": ")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error, and those it was raised from or while handling."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)


def _is_shortage(error: BaseException) -> bool:
    """Whether this error, its causes aside, says that the host's or a card's memory ran out."""
    if isinstance(error, OutOfMemory):  # of a ladder within the work
        return error.on_host
    if isinstance(error, MemoryError):  # numpy's and PyAV's are its children
        return True
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return True
    kind, code = type(error), getattr(error, "code", None)
    if kind.__module__.startswith("cv2") and code == _CV_NO_MEMORY:
        return True
    if kind.__module__.startswith("torch") and (
        kind.__name__ == "OutOfMemoryError" or getattr(error, "error_code", None) == _CUDA_NO_MEMORY
    ):
        return True
    return _is_technical(error) and _says(error, _SHORT_OF_MEMORY)


def _gpu_failure_in(error: BaseException) -> GpuFailure | None:
    """What this error, its causes aside, says of the graphics card."""
    if not isinstance(error, RuntimeError):  # torch's are RuntimeErrors, all of them
        return None
    code = getattr(error, "error_code", None)
    if code in _BROKEN_CODES or _says(error, _CARD_BROKEN):
        return GpuFailure.BROKEN
    if code in _LOST_CODES or _says(error, _CARD_LOST):
        return GpuFailure.LOST
    return None


def _is_technical(error: BaseException) -> bool:
    """Whether an error's text is a library's, and cannot be a sender's or one of our sentences."""
    from_onnxruntime = type(error).__module__.startswith("onnxruntime")
    return from_onnxruntime or isinstance(error, RuntimeError | OSError | ImportError)


def _says(error: BaseException, texts: tuple[str, ...]) -> bool:
    said = str(error).lower()
    return any(text in said for text in texts)
