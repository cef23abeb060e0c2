"""The diffusion engine: where nothing shows the background, networks make it up.

It fills a strip as the propagate engine does, looks where that had to make much up, shows those
frames to the networks, and takes from what they paint the made-up pixels alone. All others stay as
they are, bit for bit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import cv2
import numpy as np
import structlog
from numpy.typing import NDArray

from erasecore.engines.base import Engine, Filled, FilledFrame, Tick, Traits, tick_of_part
from erasecore.engines.diffueraser.conditioning import (
    Conditioning,
    StripContext,
    crop_of_shot,
    make_conditioning,
)
from erasecore.engines.diffueraser.crops import SURROUNDINGS, Crop
from erasecore.engines.diffueraser.merge_fill import merge_fill
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rungs import PaintPlan, rungs
from erasecore.engines.diffueraser.selection import Choice, Run, choose
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.memory.ladder import Ladders, WorkloadKey
from erasecore.model.inpaint_input import InpaintInput
from erasecore.settings import DiffusionSettings

log = structlog.get_logger(__name__)

NAME = "diffueraser"
_PRIOR_SHARE = 0.2  # of a strip's time
_CELL_PX = 8  # of which the sides that the networks see are multiples


class InpaintPipeline(Protocol):
    """Paints what is not known of a run of pictures."""

    @property
    def device(self) -> str:
        """Where it does so: "cpu", else the card's name, such as "cuda NVIDIA L4"."""
        ...

    def paint(
        self, scene: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """The ``wanted`` frames, RGB ``(n, H, W, 3)``; white is 65535, so that depth is kept.

        Args:
            scene: the pictures and their holes; not modified.
            wanted: numbers of frames.
            plan: how much is done at once; changes memory and time alone.
            tick: told the share that is done.
        """
        ...


class DiffuEraser:
    """Fills the hole as the propagate engine does, and what that made up by diffusion.

    Args:
        settings: when, and how much.
        pipeline: the networks.
        ladders: how much of a run they bear at once.
        prior: fills the hole first; the propagate engine unless there is a better one.
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
        """As much context as the prior likes, and the picture around."""
        return Traits(
            name=NAME,
            context_seconds=self._prior.traits.context_seconds,
            surroundings=SURROUNDINGS,
            device=self._pipeline.device,
        )

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """The hole's pixels: ``prior``'s, and diffused ones where it had to make too much up."""
        if prior is None:
            prior = self._prior.fill(strip, None, tick_of_part(tick, 0.0, _PRIOR_SHARE))
        choice = choose(strip, prior, self._settings)
        surrounded = StripContext(strip, prior, self._settings)
        frames = list(prior.frames)
        diffused = 0
        for run, crop, part in _planned(surrounded, choice, tick):
            for frame, filled in self._diffuse(surrounded, run, crop, part).items():
                frames[frame - strip.fill_start] = filled
                diffused += 1
        log.info(
            "strip.filled",
            frames=len(frames),
            windows=choice.windows,
            windows_chosen=choice.chosen,
            frames_diffused=diffused,
        )
        tick(1.0)
        return Filled(tuple(frames))

    def _diffuse(
        self, surrounded: StripContext, run: Run, crop: Crop, tick: Tick
    ) -> dict[int, FilledFrame]:
        """The frames of ``run`` that get pixels from the networks."""
        site = WorkloadKey(NAME, crop.width, crop.height, self._pipeline.device)
        ladder = self._ladders.ladder(site, rungs(self._settings))
        scene = make_conditioning(surrounded, run, crop)
        numbers = [frame - run.start for frame in run.fill]
        painted = ladder.run(lambda plan: self._painted(scene, numbers, plan, tick))
        if painted is None:
            return {}
        return {
            frame: merge_fill(surrounded, frame, picture, crop)
            for frame, picture in zip(run.fill, painted, strict=True)
        }

    def _painted(
        self, scene: Conditioning, wanted: Sequence[int], plan: PaintPlan, tick: Tick
    ) -> NDArray[np.uint16] | None:
        """What the networks make of ``scene``, at its size; ``None`` if they are not asked."""
        if plan.batch is None:
            return None
        if plan.scale == 1.0:
            return self._pipeline.paint(scene, wanted, plan.batch, tick)
        small = self._pipeline.paint(_scaled(scene, plan.scale), wanted, plan.batch, tick)
        _, height, width = scene.holes.shape
        painted = np.empty((len(small), height, width, 3), np.uint16)
        for picture, large in zip(small, painted, strict=True):
            cv2.resize(picture, (width, height), large, interpolation=cv2.INTER_CUBIC)
        return painted


def _planned(
    surrounded: StripContext, choice: Choice, tick: Tick
) -> Iterator[tuple[Run, Crop, Tick]]:
    """Each run with its crop, and the tick for its part of the work."""
    total = sum(run.stop - run.start for runs in choice.shots for run in runs)
    done, rest = 0, tick_of_part(tick, _PRIOR_SHARE, 1.0)
    for runs in choice.shots:
        crop = crop_of_shot(surrounded, runs)
        for run in runs:
            first, done = done, done + run.stop - run.start
            yield run, crop, tick_of_part(rest, first / total, done / total)


def _scaled(scene: Conditioning, scale: float) -> Conditioning:
    """``scene`` at about ``scale`` of its size; what touches a hole is one."""
    frames, height, width = scene.holes.shape
    size = tuple(max(1, round(side * scale / _CELL_PX)) * _CELL_PX for side in (width, height))
    small = np.empty((frames, size[1], size[0], 3), np.uint8)
    holes = np.empty((frames, size[1], size[0]), np.bool_)
    for index in range(frames):
        cv2.resize(scene.frames[index], size, small[index], interpolation=cv2.INTER_AREA)
        part = scene.holes[index].astype(np.float32)
        holes[index] = cv2.resize(part, size, interpolation=cv2.INTER_AREA) > 0
    return Conditioning(small, holes)
