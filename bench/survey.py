"""What the diffusion engine would do with the cases, without networks: sizes, frames, windows.

The product itself goes through each case, up to the point where an engine has its prior and chooses
what to diffuse; there the choice is written down, the prior given back.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from bench.cases import Case
from bench.diffusion import FlopsRow
from bench.flops import Clip, ours, published
from erasecore.engines.base import Filled, Origin, Tick, Traits
from erasecore.engines.diffueraser.conditioning import StripContext, shot_crop
from erasecore.engines.diffueraser.crops import SURROUNDINGS
from erasecore.engines.diffueraser.selection import select_runs
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.model.inpaint_input import InpaintInput
from erasecore.pipeline import erase
from erasecore.resources import ModelCache
from erasecore.settings import DiffusionSettings, EncodeSettings, EraseSettings

_NAME = "survey"
_PEAK = 255  # levels


class Surveyor:
    """An engine that chooses what to diffuse as ours does, and only writes it down."""

    def __init__(self) -> None:
        self.chosen: list[Clip] = []
        self.everything: list[Clip] = []
        self._prior = PropagateEngine()

    @property
    def traits(self) -> Traits:
        """As the diffusion engine's."""
        return Traits(
            name=_NAME,
            context_seconds=self._prior.traits.context_seconds,
            surroundings=SURROUNDINGS,
        )

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """The prior's pixels."""
        filled = prior or self._prior.fill(strip, None, tick)
        self.chosen += _clips(strip, filled)
        self.everything += _clips(strip, _hopeless(filled))
        return filled


def _clips(strip: InpaintInput, prior: Filled) -> Iterator[Clip]:
    """What our engine would send through the networks of one strip."""
    surrounded = StripContext(strip, prior, DiffusionSettings())
    for runs in select_runs(strip, prior, surrounded.settings).shots:
        crop = shot_crop(surrounded, runs)
        for run in runs:
            frames = range(run.start, run.stop)
            holes = sum(f in run.fill or bool(surrounded.unknown_mask(f).any()) for f in frames)
            encoded = len(frames) + holes
            yield Clip(crop.width, crop.height, len(frames), encoded, len(run.fill))


def _hopeless(prior: Filled) -> Filled:
    """``prior`` as if nothing could have been recovered."""
    return Filled(
        tuple(
            replace(
                frame,
                origin=np.full_like(frame.origin, Origin.INVENTED),
                error=np.full_like(frame.error, _PEAK),
            )
            for frame in prior.frames
        )
    )


def run_survey(case: Case) -> FlopsRow:
    """One case's row."""
    surveyor = Surveyor()
    tools = ModelCache.load(threads=1)
    settings = EraseSettings(engine=_NAME, srt=False, encode=EncodeSettings(preset="ultrafast"))
    tools.diffusion, tools.engines[_NAME] = settings.diffusion, surveyor
    with tempfile.TemporaryDirectory() as folder:
        erase(case.hardsub, Path(folder), settings, models=tools, observe=lambda _: None)
    frames = case.frames
    sizes = {f"{clip.width}x{clip.height}" for clip in surveyor.everything}
    return FlopsRow(
        case=case.name,
        frames=frames,
        inked_frames=sum(clip.decoded for clip in surveyor.everything),
        diffused_frames=sum(clip.decoded for clip in surveyor.chosen),
        sizes=", ".join(sorted(sizes)),
        published_tflop=published(frames),
        strip_tflop=ours(surveyor.everything),
        selective_tflop=ours(surveyor.chosen),
    )
