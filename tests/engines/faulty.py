"""Engines that go wrong, each in its own way, in the real worker: ``tests.engines.faulty:X``."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from erasecore.engines.base import (
    Engine,
    Filled,
    FilledFrame,
    Origin,
    Strip,
    Tick,
    Traits,
    reduce_mask,
)
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


def blind() -> Engine:
    """An engine that fills every hole with what the film had there: the text stays."""
    return Faulty("blind", _unchanged)


def careless() -> Engine:
    """An engine that leaves the text in the first strip it gets, and fills well from then on."""
    strips = 0

    def fill(strip: Strip, prior: Filled | None, tick: Tick) -> Filled:
        nonlocal strips
        strips += 1
        if strips == 1:
            return _unchanged(strip, prior, tick)
        return PropagateEngine().fill(strip, prior, tick)

    return Faulty("careless", fill)


def _unchanged(strip: Strip, _prior: Filled | None, _tick: Tick) -> Filled:
    frames = []
    for index in range(strip.fill_start, strip.fill_stop):
        mask = strip.mask(index)
        holes = [mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1)]
        planes = tuple(stack[index][hole] for stack, hole in zip(strip.planes, holes, strict=True))
        count = int(mask.sum())
        origin = np.full(count, Origin.INVENTED, np.uint8)
        frames.append(FilledFrame(planes, origin, np.zeros(count, np.float16)))
    return Filled(tuple(frames))
