"""Memory that is free, given back to the system: a worker lives for months."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress


def give_back_memory() -> None:
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
    give_back_memory()
    torch = sys.modules.get("torch")  # not imported for it: it takes seconds and hundreds of MB
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
