"""Engines that go wrong, each in its own way, in the real worker: ``tests.engines.faulty:X``."""

from __future__ import annotations

import importlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import numpy as np

from erasecore.engines.base import Engine, Filled, FilledFrame, Origin, Tick, Traits
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.engines.registry import EngineContext
from erasecore.errors import EngineMissing, OutOfMemory, VerifyFailed
from erasecore.memory.ladder import Rung, WorkloadKey
from erasecore.model.inpaint_input import InpaintInput, reduce_mask

Fill = Callable[[InpaintInput, Filled | None, Tick], Filled]


class Faulty:
    """An engine with one function for everything."""

    def __init__(self, name: str, fill: Fill) -> None:
        self._name, self._fill = name, fill

    @property
    def traits(self) -> Traits:
        """A second of context, as the real one."""
        return Traits(name=self._name, context_seconds=1.0)

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """Go wrong."""
        return self._fill(strip, prior, tick)


def _raising(error: Callable[[], Exception]) -> Callable[[], Engine]:
    def fill(_strip: InpaintInput, _prior: Filled | None, _tick: Tick) -> NoReturn:
        raise error()

    return lambda: Faulty("raising", fill)


def _doing(act: Callable[[], object]) -> Callable[[], Engine]:
    def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        act()
        return PropagateEngine().fill(strip, prior, tick)

    return lambda: Faulty("doing", fill)


def _short(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
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


LOST = (
    "CUDA error: an illegal memory access was encountered\n"
    "CUDA kernel errors might be asynchronously reported at some other API call."
)
BLOCK_BYTES = 32 << 20
AT_ONCE = (24, 2)
"""Blocks that the hungry engine holds at once, by rung."""


def hungry(means: EngineContext) -> Engine:
    """An engine that fills well and needs a lot of memory for it, less of it one rung lower.

    It writes to all that it takes, so that the kernel has to find it.
    """

    def hold(count: int) -> int:
        blocks = [np.full(BLOCK_BYTES, number, np.uint8) for number in range(count)]
        return sum(int(block[-1]) for block in blocks)

    return _climbing("hungry", means, hold)


def gluttonous(means: EngineContext) -> Engine:
    """An engine that asks for more than any machine has, in arrays, and little one rung lower."""
    return _climbing("gluttonous", means, lambda count: np.empty(1 << (50 if count > 2 else 1)))


def mortal(means: EngineContext) -> Engine:
    """An engine that is killed as the kernel would kill it, unless it works one rung lower."""

    def die(count: int) -> None:
        if count > AT_ONCE[1]:
            os.kill(os.getpid(), signal.SIGKILL)

    return _climbing("mortal", means, die)


def _climbing(name: str, means: EngineContext, need: Callable[[int], object]) -> Engine:
    rungs = [Rung(f"{count} at once", count) for count in AT_ONCE]

    def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        height, width = strip.masks.shape[1:]
        means.ladders.ladder(WorkloadKey(name, width, height), rungs).run(need)
        return PropagateEngine().fill(strip, prior, tick)

    return Faulty(name, fill)


def card_lost_once(means: EngineContext) -> Engine:
    """An engine that loses its graphics card, once for each state folder."""
    return _once(means, lambda: RuntimeError(LOST))


def short_once(means: EngineContext) -> Engine:
    """An engine that runs out of memory with no ladder of its own, once for each state folder."""
    return _once(means, MemoryError)


def assert_once(means: EngineContext) -> Engine:
    """An engine that really loses its graphics card, once; afterwards it proves that it has it."""
    torch = importlib.import_module("torch")
    three = torch.arange(3, device="cuda")

    def lose() -> Exception:
        try:
            three[torch.tensor([5], device="cuda")].sum().item()
        except RuntimeError as error:
            return error
        raise AssertionError("the card minds nothing")

    return _once(means, lose, lambda: three.sum().item())


def _once(
    means: EngineContext, error: Callable[[], Exception], well: Callable[[], object] = lambda: None
) -> Engine:
    done = Path(means.host.state) / "gone-wrong"

    def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        if not done.exists():
            done.touch()
            raise error()
        well()
        return PropagateEngine().fill(strip, prior, tick)

    return Faulty("once", fill)


def wrong_count() -> Engine:
    """An engine that gives back one frame too few."""
    return Faulty("short", _short)


def blind() -> Engine:
    """An engine that fills every hole with what the film had there: the text stays."""
    return Faulty("blind", _unchanged)


def careless() -> Engine:
    """An engine that leaves the text in the first strip it gets, and fills well from then on."""
    strips = 0

    def fill(strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        nonlocal strips
        strips += 1
        if strips == 1:
            return _unchanged(strip, prior, tick)
        return PropagateEngine().fill(strip, prior, tick)

    return Faulty("careless", fill)


def _unchanged(strip: InpaintInput, _prior: Filled | None, _tick: Tick) -> Filled:
    frames = []
    for index in range(strip.fill_start, strip.fill_stop):
        mask = strip.mask(index)
        holes = [mask, *[reduce_mask(mask, strip.layout)] * (len(strip.planes) - 1)]
        planes = tuple(stack[index][hole] for stack, hole in zip(strip.planes, holes, strict=True))
        count = int(mask.sum())
        origin = np.full(count, Origin.INVENTED, np.uint8)
        frames.append(FilledFrame(planes, origin, np.zeros(count, np.float16)))
    return Filled(tuple(frames))
