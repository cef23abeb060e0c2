"""Sleeping until something happens: a signal, a hint from another thread, a message, a time."""

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
    """Ends the loop's sleep; remembers what for."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        os.set_blocking(self._out, False)
        os.set_blocking(self._in, False)
        self.hinted = False
        self.stops = 0  # how often we were asked to leave
        self.reload = False

    def hint(self) -> None:
        """Something may have changed in the inbox; may be called from any thread."""
        self.hinted = True
        self._wake()

    def _wake(self) -> None:
        with suppress(BlockingIOError, OSError):  # full: the sleeper is awake already
            os.write(self._in, b".")

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self.stops += 1
        self._wake()

    def _on_reload(self, _number: int, _frame: FrameType | None) -> None:
        self.reload = True
        self._wake()

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Within it SIGTERM and SIGINT ask us to leave, SIGHUP to read the configuration."""
        handlers: dict[signal.Signals, Handler] = {
            signal.SIGTERM: self._on_stop,
            signal.SIGINT: self._on_stop,
            signal.SIGHUP: self._on_reload,
            # Taking a read lease on a file would else end us when somebody opens it to write.
            signal.SIGIO: signal.SIG_IGN,
        }
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def sleep(self, seconds: float, *handles: int | None) -> None:
        """Return after ``seconds``, or as soon as anything happens, on ``handles`` too."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            for handle in handles:
                if handle is not None:
                    selector.register(handle, selectors.EVENT_READ)
            selector.select(max(0.0, seconds))
        with suppress(BlockingIOError):
            os.read(self._out, 4096)

    def close(self) -> None:
        """Give the pipe back."""
        os.close(self._in)
        os.close(self._out)
