"""DiffuEraser engine: video diffusion inpainting of the pixels that no frame shows.

The propagate engine fills the strip first (the prior). Frames in which it had to invent much go
through the diffusion model, and only the invented pixels are replaced by the model's output. All
other pixels stay as they are, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Engine, Filled, FilledFrame, Tick, Traits, tick_of_part
from erasecore.engines.diffueraser.conditioning import (
    Conditioning,
    StripContext,
    make_conditioning,
    shot_crop,
)
from erasecore.engines.diffueraser.crops import SURROUNDINGS, Crop
from erasecore.engines.diffueraser.merge_fill import merge_fill
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rungs import InpaintPlan, rungs
from erasecore.engines.diffueraser.selection import Run, Selection, select_runs
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.memory.ladder import Ladders, WorkloadKey
from erasecore.model.inpaint_input import InpaintInput
from erasecore.settings import DiffusionSettings
from erasecore.system.logger import get_logger

log = get_logger(__name__)

NAME = "diffueraser"
"""Name of the engine in settings and reports."""
_PRIOR_SHARE = 0.2  # fraction of a strip's progress that the prior accounts for (guess)
_CELL_PX = 8  # px; sides of the model's input are multiples of a latent cell


class InpaintPipeline(Protocol):
    """Video inpainting pipeline: the models behind the engine."""

    @property
    def device(self) -> str:
        """Device name: "cpu", or "cuda" with the name of the GPU, e.g. "cuda NVIDIA L4"."""
        ...

    def inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """Inpaint a clip and return some of its frames, RGB uint16 ``(n, H, W, 3)``, 0 to 65535.

        16 bits, so that films with more than 8 bits keep their depth.

        Args:
            conditioning: pictures and holes of the clip; not modified.
            wanted: indices of the frames to be returned.
            plan: batch sizes; they change memory use and time only.
            tick: progress callback.
        """
        ...


class DiffuEraser:
    """Fills the hole by propagation, and replaces invented pixels by diffusion.

    Args:
        settings: thresholds and model settings.
        pipeline: the models.
        ladders: memory ladders, which choose the batch sizes that fit.
        prior: engine that fills the hole first; the propagate engine by default.
    """

    def __init__(
        self,
        settings: DiffusionSettings,
        pipeline: InpaintPipeline,
        ladders: Ladders,
        prior: Engine | None = None,
    ) -> None:
        self._settings, self._pipeline, self._ladders = settings, pipeline, ladders
        self._prior = prior or PropagateEngine()

    @property
    def traits(self) -> Traits:
        """Traits: the context that the prior wants, the picture around, the device."""
        return Traits(
            name=NAME,
            context_seconds=self._prior.traits.context_seconds,
            surroundings=SURROUNDINGS,
            device=self._pipeline.device,
        )

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """Return the prior's fill, with diffused pixels where too much of it is doubtful.

        Args:
            strip: frames and holes.
            prior: fill by another engine; ``None``: computed by the prior engine.
            tick: progress callback.
        """
        if prior is None:
            prior = self._prior.fill(strip, None, tick_of_part(tick, 0.0, _PRIOR_SHARE))
        selection = select_runs(strip, prior, self._settings)
        context = StripContext(strip, prior, self._settings)
        frames = list(prior.frames)
        diffused = 0
        for run, crop, run_tick in _schedule(context, selection, tick):
            for frame, filled in self._diffuse(context, run, crop, run_tick).items():
                frames[frame - strip.fill_start] = filled
                diffused += 1
        log.info(
            "strip.filled",
            frames=len(frames),
            windows=selection.windows,
            windows_chosen=selection.chosen,
            frames_diffused=diffused,
        )
        tick(1.0)
        return Filled(tuple(frames))

    def _diffuse(
        self, context: StripContext, run: Run, crop: Crop, tick: Tick
    ) -> dict[int, FilledFrame]:
        """Inpaint one run; returns the frames of ``run.fill`` with the model's pixels merged in.

        Empty if memory does not suffice for any plan and the prior's fill is allowed to stay.
        """
        workload = WorkloadKey(NAME, crop.width, crop.height, self._pipeline.device)
        ladder = self._ladders.ladder(workload, rungs(self._settings))
        conditioning = make_conditioning(context, run, crop)
        wanted = [frame - run.start for frame in run.fill]
        inpainted = ladder.run(lambda plan: self._inpaint(conditioning, wanted, plan, tick))
        if inpainted is None:
            return {}
        return {
            frame: merge_fill(context, frame, picture, crop)
            for frame, picture in zip(run.fill, inpainted, strict=True)
        }

    def _inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: InpaintPlan, tick: Tick
    ) -> NDArray[np.uint16] | None:
        """Run the pipeline under one plan; a reduced result is enlarged to full size.

        Returns:
            RGB uint16 ``(n, H, W, 3)``, 0 to 65535; ``None`` for the plan without diffusion.
        """
        if plan.batch is None:
            return None
        if plan.scale == 1.0:
            return self._pipeline.inpaint(conditioning, wanted, plan.batch, tick)
        small = self._pipeline.inpaint(_resize(conditioning, plan.scale), wanted, plan.batch, tick)
        _, height, width = conditioning.holes.shape
        inpainted = np.empty((len(small), height, width, 3), np.uint16)
        for picture, large in zip(small, inpainted, strict=True):
            cv2.resize(picture, (width, height), large, interpolation=cv2.INTER_CUBIC)
        return inpainted


def _schedule(
    context: StripContext, selection: Selection, tick: Tick
) -> Iterator[tuple[Run, Crop, Tick]]:
    """Generate each run with its crop and a progress callback for its part of the work."""
    total = sum(run.stop - run.start for runs in selection.shots for run in runs)
    done, rest = 0, tick_of_part(tick, _PRIOR_SHARE, 1.0)
    for runs in selection.shots:
        crop = shot_crop(context, runs)
        for run in runs:
            first, done = done, done + run.stop - run.start
            yield run, crop, tick_of_part(rest, first / total, done / total)


def _resize(conditioning: Conditioning, scale: float) -> Conditioning:
    """Reduce pictures and holes to ``scale`` of their size, rounded to whole latent cells.

    A reduced pixel is in a hole if any of its source pixels is.
    """
    frames, height, width = conditioning.holes.shape
    size = tuple(max(1, round(side * scale / _CELL_PX)) * _CELL_PX for side in (width, height))
    small = np.empty((frames, size[1], size[0], 3), np.uint8)
    holes = np.empty((frames, size[1], size[0]), np.bool_)
    for index in range(frames):
        cv2.resize(conditioning.frames[index], size, small[index], interpolation=cv2.INTER_AREA)
        hole = conditioning.holes[index].astype(np.float32)
        holes[index] = cv2.resize(hole, size, interpolation=cv2.INTER_AREA) > 0
    return Conditioning(small, holes)
