"""Memory that is free, given back to the system: a worker lives for months."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # glibc's names for what it may be told
_LARGE_BYTES = 4 << 20  # a frame that an encoder looks ahead at, a clip's planes: no single array
_KEPT_BYTES = 64 << 20  # at the end of the heap, as glibc itself would keep by then


def map_large_blocks() -> None:
    """Have the C library give large pieces back the moment they are freed, in this process.

    Left alone, glibc puts pieces of up to 32 MB among the small ones as soon as one such piece was
    freed. What is large comes and goes with each clip and segment, what is small stays, and the
    holes between fit the next clip less and less.
    """
    with suppress(OSError, AttributeError):  # no glibc
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def trim_heap() -> None:
    """Have the C library return what it keeps in reserve.

    A few objects that refer to each other can hold hundreds of megabytes of pixels, and Python
    counts objects, not bytes, before it looks for such cycles. glibc in turn holds on to freed
    pages between other allocations.
    """
    gc.collect()
    with suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def free_memory() -> None:
    """Give back all that nothing refers to, on the host and on the graphics card."""
    trim_heap()
    torch = sys.modules.get("torch")  # not imported for it: it takes seconds and hundreds of MB
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
