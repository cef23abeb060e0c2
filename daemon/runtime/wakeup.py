"""Interruptible sleep of the main loop (self-pipe): ended by a signal, thread, pipe or timeout."""

from __future__ import annotations

import os
import selectors
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import TypeAlias

Handler: TypeAlias = Callable[[int, FrameType | None], None] | signal.Handlers


class Wakeup:
    """Ends the sleep of the main loop and records the reasons, through a self-pipe.

    The main loop resets ``hinted`` and ``reload`` itself once it has acted on them.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)
        self.hinted = False  # the inbox may have changed
        self.stops = 0  # SIGTERM and SIGINT received so far
        self.stop_signal = 0  # number of the last of them
        self.reload = False  # SIGHUP was received

    def hint(self) -> None:
        """Report that the inbox may have changed, and end the sleep. Thread-safe."""
        self.hinted = True
        self.wake()

    def wake(self) -> None:
        """End the sleep by a byte in the pipe; safe in signal handlers and other threads."""
        # A full pipe ends the sleep as well; a closed one belongs to a loop that has ended.
        with suppress(BlockingIOError, OSError):
            os.write(self._write_end, b".")

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        self.stops += 1
        self.stop_signal = number
        self.wake()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True
        self.wake()

    def note_hint(self) -> None:
        """Note that the inbox may have changed, without ending the sleep."""
        self.hinted = True

    def clear_hint(self) -> None:
        """Forget the hints up to now; call it just before the inbox is scanned."""
        self.hinted = False

    def take_reload(self) -> bool:
        """Return True if SIGHUP was received since the last call."""
        if not self.reload:
            return False
        self.reload = False
        return True

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Handle signals within the block: SIGTERM and SIGINT ask to stop, SIGHUP to reload.

        SIGIO is ignored. The previous handlers are restored at the end.
        """
        handlers: dict[signal.Signals, Handler] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGHUP: self._on_reload,
            # A file lease (F_SETLEASE) is broken by SIGIO, whose default action ends the process.
            signal.SIGIO: signal.SIG_IGN,
        }
        previous = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    def sleep(self, seconds: float, *handles: int | None) -> None:
        """Return after ``seconds``, or earlier on a signal, a hint or input on one of ``handles``.

        Args:
            seconds: longest sleep; negative counts as 0.
            handles: file descriptors to watch for input; ``None`` is skipped.
        """
        with selectors.DefaultSelector() as selector:
            selector.register(self._read_end, selectors.EVENT_READ)
            for handle in handles:
                if handle is not None:
                    selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        with suppress(BlockingIOError):
            os.read(self._read_end, 4096)

    def close(self) -> None:
        """Close the pipe; a thread that wakes us later does nothing."""
        write_end, self._write_end = self._write_end, -1
        os.close(write_end)
        os.close(self._read_end)
