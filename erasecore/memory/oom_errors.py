"""Classification of exceptions: out of memory (host or GPU), and lost or broken GPU.

Libraries report these in different ways. None is imported here: an error is recognised by the name
and module of its type, its code and its text.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from enum import StrEnum

from erasecore.errors import InputError, OutOfMemory


class GpuFailure(StrEnum):
    """State of the GPU after an error that this process cannot recover from."""

    LOST = "lost"  # the CUDA context is lost; a new process can use the GPU
    BROKEN = "broken"  # broken or absent; the operator must act


_MAX_LINE_CHARACTERS = 300  # of an error's text in logs and reports; guess
_CV_NO_MEMORY = -4  # cv::Error::StsNoMem
_CUDA_NO_MEMORY = 2  # cudaErrorMemoryAllocation

# Parts of error texts, lower case, that mean out of memory.
_OUT_OF_MEMORY_TEXTS = tuple(
    text.lower()
    for text in (
        # torch on any device
        "CUDA out of memory",
        "HIP out of memory",
        "CUDA error: out of memory",
        "CUDA driver error: out of memory",
        "DefaultCPUAllocator: can't allocate memory",
        "DefaultCPUAllocator: not enough memory",
        # On a MIG slice torch cannot query the free memory and fails while it writes the OOM error.
        "NVML_SUCCESS == r INTERNAL ASSERT",
        # CUDA libraries below torch, which allocate for themselves
        "CUBLAS_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_NOT_INITIALIZED",  # no memory for its handle
        "CUDNN_STATUS_ALLOC_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED",
        "CUDNN_STATUS_INTERNAL_ERROR_HOST_ALLOCATION_FAILED",
        "CUDNN_STATUS_NOT_SUPPORTED",  # no algorithm whose workspace fits into the free memory
        "CUSOLVER_STATUS_ALLOC_FAILED",
        "CUSPARSE_STATUS_ALLOC_FAILED",
        "CUFFT_ALLOC_FAILED",
        # onnxruntime, C++ and the C library
        "Failed to allocate memory for requested buffer",
        "std::bad_alloc",
        "bad allocation",
        "Cannot allocate memory",
        "can't start new thread",  # no memory for its stack
    )
)

# Parts of error texts, lower case, after which the process's CUDA context is unusable.
_GPU_LOST_TEXTS = tuple(
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

# Parts of error texts, lower case, of a GPU that no process can use.
_GPU_BROKEN_TEXTS = tuple(
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

# Values of ``cudaError_t`` with the same meanings; sticky: every later call in the process fails.
_GPU_LOST_CODES = frozenset({700, 702, 710, 714, 715, 716, 717, 718, 719, 721, 999})
_GPU_BROKEN_CODES = frozenset({46, 100, 214, 220, 802, 803})


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if ``error``, or an error in its cause chain, means out of memory.

    False if the chain reports a lost GPU: failing allocations are a consequence then. False also
    for an ``InputError``, whose raiser has found out that the film asked for too much.
    """
    if isinstance(error, InputError):
        return False
    chain = list(_error_chain(error))
    if any(_own_gpu_failure(link) for link in chain):
        return False
    return any(_says_out_of_memory(link) for link in chain)


def gpu_failure(error: BaseException) -> GpuFailure | None:
    """Return the GPU failure in the cause chain of ``error``, ``None`` if the GPU is still usable.

    After a failure every later CUDA call in this process fails too, so the process must end.
    """
    failures = {_own_gpu_failure(link) for link in _error_chain(error)}
    if GpuFailure.BROKEN in failures:
        return GpuFailure.BROKEN
    return GpuFailure.LOST if GpuFailure.LOST in failures else None


def first_line(error: BaseException) -> str:
    """Return the error's type and the first line of its text, at most 300 characters."""
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:_MAX_LINE_CHARACTERS].removesuffix(": ")


def _error_chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error, its cause or context, and so on (``__cause__``, ``__context__``)."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )


def _says_out_of_memory(error: BaseException) -> bool:
    """Return True if this error alone, without its causes, means that RAM or GPU memory ran out.

    Our own ``OutOfMemory``, raised by a nested ladder, counts only if it is about the host's RAM.
    """
    if isinstance(error, OutOfMemory):  # raised by a nested ladder
        return error.on_host
    if isinstance(error, MemoryError):  # also those of numpy and PyAV, which are subclasses
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
    return _is_library_error(error) and _text_contains(error, _OUT_OF_MEMORY_TEXTS)


def _own_gpu_failure(error: BaseException) -> GpuFailure | None:
    """Return the GPU failure that this error alone, without its causes, reports."""
    if not isinstance(error, RuntimeError):  # all of torch's errors are
        return None
    code = getattr(error, "error_code", None)
    if code in _GPU_BROKEN_CODES or _text_contains(error, _GPU_BROKEN_TEXTS):
        return GpuFailure.BROKEN
    if code in _GPU_LOST_CODES or _text_contains(error, _GPU_LOST_TEXTS):
        return GpuFailure.LOST
    return None


def _is_library_error(error: BaseException) -> bool:
    """Return True if the error is of a type whose text libraries write, not senders or our code.

    These are all errors of onnxruntime, RuntimeError, OSError and ImportError.
    """
    from_onnxruntime = type(error).__module__.startswith("onnxruntime")
    return from_onnxruntime or isinstance(error, RuntimeError | OSError | ImportError)


def _text_contains(error: BaseException, texts: tuple[str, ...]) -> bool:
    """Return True if the error's text contains one of ``texts``, which are lower case."""
    message = str(error).lower()
    return any(text in message for text in texts)
