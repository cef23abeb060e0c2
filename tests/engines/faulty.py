"""Engines that go wrong, each in its own way, in the real worker: ``tests.engines.faulty:X``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from erasecore.engines.base import Engine, Filled, Strip, Tick, Traits
from erasecore.engines.propagate import PropagateEngine
from erasecore.errors import (
    EngineMissing,
    OutOfMemory,
    VerifyFailed,
)

Fill = Callable[[Strip, Filled | None, Tick], Filled]


class Faulty:
    """An engine with one function for everything."""

    def __init__(self, name: str, fill: Fill) -> None:
        self._name, self._fill = name, fill

    @property
    def traits(self) -> Traits:
        """A second of context, as the real one."""
        return Traits(name=self._name, context_seconds=1.0)

    def fill(self, strip: Strip, prior: Filled | None, tick: Tick) -> Filled:
        """Go wrong."""
        return self._fill(strip, prior, tick)


def _raising(error: Callable[[], Exception]) -> Callable[[], Engine]:
    def fill(_strip: Strip, _prior: Filled | None, _tick: Tick) -> NoReturn:
        raise error()

    return lambda: Faulty("raising", fill)


def _doing(act: Callable[[], object]) -> Callable[[], Engine]:
    def fill(strip: Strip, prior: Filled | None, tick: Tick) -> Filled:
        act()
        return PropagateEngine().fill(strip, prior, tick)

    return lambda: Faulty("doing", fill)


def _short(strip: Strip, prior: Filled | None, tick: Tick) -> Filled:
    filled = PropagateEngine().fill(strip, prior, tick)
    return replace(filled, frames=filled.frames[:-1])


retry = _raising(lambda: OutOfMemory("the engine ran out of memory."))
host = _raising(lambda: EngineMissing("faulty", "its weights are missing; fetch them."))
code = _raising(lambda: VerifyFailed(Path("film"), "it is wrong"))
memory = _raising(MemoryError)
unknown = _raising(lambda: ZeroDivisionError("division by zero"))
killed = _doing(lambda: os.kill(os.getpid(), signal.SIGKILL))
silent = _doing(lambda: os._exit(0))
chatty = _doing(lambda: print("an engine talks", flush=True))  # noqa: T201 - that is the fault
hanging = _doing(lambda: time.sleep(3600))


def wrong_count() -> Engine:
    """An engine that gives back one frame too few."""
    return Faulty("short", _short)
