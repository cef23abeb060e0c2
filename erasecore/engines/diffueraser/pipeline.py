"""Diffusion pipeline: components loaded at first use, kept for the life of the worker."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.loading import Placement, load_components
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.sampler import ClipInput, SamplingOptions, inpaint
from erasecore.settings import DiffusionSettings, Precision
from erasecore.system.logger import get_logger
from erasecore.weights.layout import Weights

log = get_logger(__name__)

Result = TypeVar("Result")

_TICK_SECONDS = 1.0  # s; interval of repeated progress calls, well below any stall timeout
_DTYPES = {
    Precision.FLOAT32: torch.float32,
    Precision.FLOAT16: torch.float16,
    Precision.BFLOAT16: torch.bfloat16,
}


def cuda_device() -> str | None:
    """Return the name of the GPU that torch would use; ``None`` if there is none."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def _run_with_heartbeat(work: Callable[[Tick], Result], tick: Tick) -> Result:
    """Run ``work`` in a thread and repeat its last progress value every second: a heartbeat.

    Args:
        work: receives a progress callback; its result or exception is passed on.
        tick: progress callback, called from the calling thread.
    """
    progress = 0.0

    def note(fraction: float) -> None:
        nonlocal progress
        progress = fraction

    with ThreadPoolExecutor(1, thread_name_prefix="networks") as executor:
        future = executor.submit(work, note)
        while not wait([future], timeout=_TICK_SECONDS).done:
            tick(progress)
    return future.result()


class DiffusionPipeline:
    """Video inpainting with the DiffuEraser model; implements `engine.InpaintPipeline`.

    Args:
        weights: locations of the weight files.
        settings: steps, seed, precision, compilation.
        state: folder that caches the embedding of the empty prompt; ``None``: no cache.
        threads: CPU threads for torch.
    """

    def __init__(
        self, weights: Weights, settings: DiffusionSettings, state: Path | None, *, threads: int
    ) -> None:
        self._weights, self._settings, self._state = weights, settings, state
        self._threads = threads
        self._components: Components | None = None

    @cached_property
    def device(self) -> str:
        """Device name: "cpu", or "cuda" with the name of the GPU."""
        gpu = cuda_device()
        return "cpu" if gpu is None else f"cuda {gpu}"

    @property
    def precision(self) -> torch.dtype:
        """Dtype of the models; automatic: float32 on a CPU, float16 on a GPU."""
        wanted = self._settings.precision
        if wanted is Precision.AUTO:
            wanted = Precision.FLOAT32 if self.device == "cpu" else Precision.FLOAT16
        return _DTYPES[wanted]

    def inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """Inpaint a clip; see `engine.InpaintPipeline.inpaint`. Loads the models at first use."""
        options = SamplingOptions(steps=self._settings.steps, seed=self._settings.seed)
        clip = ClipInput(
            frames=conditioning.frames, holes=conditioning.holes, prior=conditioning.frames
        )
        if self._components is None:  # takes minutes on a slow disk
            torch.set_num_threads(self._threads)
            self._components = _run_with_heartbeat(lambda _: self._load(), tick)
        components = self._components

        def run(run_tick: Tick) -> NDArray[np.uint16]:
            return inpaint(components, clip, options, plan=plan, wanted=wanted, tick=run_tick)

        # A batch of windows takes minutes on a CPU, and so does compilation. On a GPU it takes
        # seconds; a heartbeat there would hide a hang.
        slow = self.device == "cpu" or self._settings.compile
        return _run_with_heartbeat(run, tick) if slow else run(tick)

    def _load(self) -> Components:
        """Load the models onto the device, in the configured precision."""
        placement = Placement(
            device=self.device.partition(" ")[0],
            precision=self.precision,
            channels_last=self._settings.channels_last,
            compiled=self._settings.compile,
        )
        components = load_components(self._weights, placement, state=self._state)
        log.info("networks.loaded", device=self.device, precision=str(self.precision))
        return components
