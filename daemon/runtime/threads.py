"""Threads for steps that take long; each wakes the main loop when it has ended."""

from __future__ import annotations

import errno
from collections.abc import Callable
from threading import Thread

Work = Callable[[], None]
Starter = Callable[[Work], None]
"""Runs a piece of work: in a thread, or, in tests, at once."""


def thread_starter(wake: Callable[[], None]) -> Starter:
    """Return a starter of threads that do not keep the process from ending.

    The starter raises OSError if no thread can be made; the call may be repeated.

    Args:
        wake: called in the thread once the work is done; thread-safe.
    """

    def run(work: Work) -> None:
        work()
        wake()

    def start(work: Work) -> None:
        try:
            Thread(target=run, args=(work,), name="publication", daemon=True).start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no thread can be made") from error

    return start
