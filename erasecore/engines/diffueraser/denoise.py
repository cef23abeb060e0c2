"""Denoising loop: overlapping temporal windows in batches, BrushNet once per frame and step.

Similar to MultiDiffusion, along time: all windows of a step read the latents of the step before,
and their results are merged in order, so the batch size does not change the result. Arithmetic of
the sampler is float32, whatever the precision of the models.
"""

from __future__ import annotations

import torch
from torch import Tensor

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.brushnet_residuals import (
    ResidualCache,
    WindowBatch,
    window_batches,
)
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.layers import SLICES, LayerInputs
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.schedule import step, timestep_pairs
from erasecore.engines.diffueraser.temporal import WINDOW, merge_window, window_starts


@torch.inference_mode()
def denoise(
    components: Components,
    latents: Tensor,
    conditioning: Tensor,
    *,
    steps: int,
    plan: BatchPlan,
    tick: Tick,
) -> Tensor:
    """Denoise the latents of a clip, float32 ``(T, 4, h, w)``.

    Args:
        components: models on the device of ``latents`` and ``conditioning``.
        latents: noised to the first timestep, float32 ``(T, 4, h, w)``; not modified.
        conditioning: latents of the masked pictures and mask of known cells, float32
            ``(T, 5, h, w)``.
        steps: number of denoising steps.
        plan: batch sizes.
        tick: progress callback.
    """
    for index, (begin, end) in enumerate(timestep_pairs(steps)):
        window = min(WINDOW, len(latents))
        starts = window_starts(len(latents), window, index)
        merged, covered, cache = torch.empty_like(latents), 0, ResidualCache()
        predictor = _NoisePredictor(components, begin, plan)
        batches = window_batches(
            starts, window, frames=len(latents), at_once=plan.windows_per_batch
        )
        for batch in batches:
            tick((index + batch.starts[0] / len(latents)) / steps)
            clips, noise = predictor.predict(latents, conditioning, batch, cache)
            results = torch.split(step(clips, noise, begin=begin, end=end), window)
            for start, result in zip(batch.starts, results, strict=True):
                covered = merge_window(merged, covered, result, start)
        latents = merged
    tick(1.0)
    return latents


class _NoisePredictor:
    """BrushNet and UNet at one timestep."""

    def __init__(self, components: Components, timestep: int, plan: BatchPlan) -> None:
        slices = SLICES if plan.attention_slice else 1
        prompt_embeds = components.prompt_embeds
        self._components = components
        self._brushnet_inputs = components.brushnet.layer_inputs(timestep, prompt_embeds, slices)
        self._unet_inputs: LayerInputs = components.unet.layer_inputs(
            timestep, prompt_embeds, slices
        )

    def predict(
        self, latents: Tensor, conditioning: Tensor, batch: WindowBatch, cache: ResidualCache
    ) -> tuple[Tensor, Tensor]:
        """Return the latents of a batch and the noise predicted in them.

        Args:
            latents: of the whole clip, ``(T, 4, h, w)``.
            conditioning: of the whole clip, ``(T, 5, h, w)``.
            batch: the windows.
            cache: residuals that earlier batches of this step have computed.

        Returns:
            Float32 ``(windows * frames, 4, h, w)`` each.
        """
        components, precision = self._components, self._components.precision
        missing = cache.missing_frames(batch)
        computed = components.brushnet.residuals(
            latents[missing].to(precision),
            conditioning[missing].to(precision),
            self._brushnet_inputs,
        )
        residuals = cache.residuals(batch, computed)
        clips = latents[batch.rows().to(latents.device)]
        noise = components.unet(clips.to(precision), self._unet_inputs, batch.window, residuals)
        return clips, noise.float()
