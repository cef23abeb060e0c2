"""Return of freed memory to the operating system: glibc malloc and CUDA cache, for long runs."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

_M_TRIM_THRESHOLD = -1  # parameter number of mallopt(3)
_M_MMAP_THRESHOLD = -3  # parameter number of mallopt(3)
_MMAP_THRESHOLD_BYTES = 4 << 20
"""Blocks from 4 MiB are mapped: an encoder's lookahead frames, a clip's planes, not small arrays.

About 100 MB less at the peak of a 1080p film; at 1 MiB it costs 2 % CPU (docs/decisions.md, 81).
"""
_TRIM_THRESHOLD_BYTES = 64 << 20
"""Free bytes kept at the end of the heap, 64 MiB: twice glibc's largest mmap threshold."""


def map_large_blocks() -> None:
    """Make glibc allocate large blocks of this process by mmap, so that free() unmaps them at once.

    By default glibc raises its mmap threshold up to 32 MB after such a block was freed, and then
    puts large blocks among the small ones on the heap. Large blocks last for a clip or a segment,
    small ones stay: the heap becomes fragmented and grows.
    """
    with suppress(OSError, AttributeError):  # no glibc
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _TRIM_THRESHOLD_BYTES)


def trim_heap() -> None:
    """Collect reference cycles, and make glibc return free heap pages to the system (malloc_trim).

    A cycle of a few objects can hold hundreds of megabytes of pixels, but Python triggers its
    garbage collector by the number of objects, not by bytes.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def free_memory() -> None:
    """Release unreferenced memory on the host and, if torch uses CUDA, its cache on the GPU."""
    trim_heap()
    torch = sys.modules.get("torch")  # never imported here: takes seconds and hundreds of MB
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
