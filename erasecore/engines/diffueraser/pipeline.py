"""The networks behind the engine: loaded when first needed, kept while the worker lives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import structlog
import torch
from numpy.typing import NDArray

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.loading import Placement, load_components
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.sampler import Recipe, Scene, inpaint
from erasecore.settings import DiffusionSettings, Precision
from erasecore.weights.layout import Weights

log = structlog.get_logger(__name__)

Made = TypeVar("Made")

_TICK_SECONDS = 1.0
_PRECISIONS = {
    Precision.FLOAT32: torch.float32,
    Precision.FLOAT16: torch.float16,
    Precision.BFLOAT16: torch.bfloat16,
}


def cuda_device() -> str | None:
    """The GPU that torch would use, by its name; ``None`` if there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _while_ticking(work: Callable[[Tick], Made], tick: Tick) -> Made:
    """What ``work`` makes in another thread; meanwhile its last tick is repeated every second."""
    told = 0.0

    def note(share: float) -> None:
        nonlocal told
        told = share

    with ThreadPoolExecutor(1, thread_name_prefix="networks") as thread:
        working = thread.submit(work, note)
        while not wait([working], timeout=_TICK_SECONDS).done:
            tick(told)
    return working.result()


class DiffusionPipeline:
    """Paints with the DiffuEraser networks; see ``engine.Painter``.

    Args:
        weights: where they lie.
        settings: steps, seed, precision.
        state: a folder in which the embedding of the empty prompt is kept; ``None``: nowhere.
        threads: how many the CPU may use.
    """

    def __init__(
        self, weights: Weights, settings: DiffusionSettings, state: Path | None, *, threads: int
    ) -> None:
        self._weights, self._settings, self._state = weights, settings, state
        self._threads = threads
        self._networks: Components | None = None

    @cached_property
    def device(self) -> str:
        """The device, with the name of the card."""
        gpu = cuda_device()
        return "cpu" if gpu is None else f"cuda {gpu}"

    @property
    def precision(self) -> torch.dtype:
        """What the networks compute in."""
        wanted = self._settings.precision
        if wanted is Precision.AUTO:
            wanted = Precision.FLOAT32 if self.device == "cpu" else Precision.FLOAT16
        return _PRECISIONS[wanted]

    def paint(
        self, scene: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """The ``wanted`` pictures of the scene as the networks see them."""
        recipe = Recipe(steps=self._settings.steps, seed=self._settings.seed)
        shown = Scene(frames=scene.frames, holes=scene.holes, prior=scene.frames)
        if self._networks is None:  # takes minutes on a slow disk
            torch.set_num_threads(self._threads)
            self._networks = _while_ticking(lambda _: self._load(), tick)
        networks = self._networks

        def paint(told: Tick) -> NDArray[np.uint16]:
            return inpaint(networks, shown, recipe, plan=plan, wanted=wanted, tick=told)

        # A batch of windows takes minutes on a CPU, and so does the first one that is compiled. On
        # a GPU it takes seconds; there, silence means that something hangs.
        slow = self.device == "cpu" or self._settings.compile
        return _while_ticking(paint, tick) if slow else paint(tick)

    def _load(self) -> Components:
        """The networks, on the device and in the precision that are wanted."""
        placement = Placement(
            device=self.device.partition(" ")[0],
            precision=self.precision,
            channels_last=self._settings.channels_last,
            compiled=self._settings.compile,
        )
        networks = load_components(self._weights, placement, state=self._state)
        log.info("networks.loaded", device=self.device, precision=str(self.precision))
        return networks
