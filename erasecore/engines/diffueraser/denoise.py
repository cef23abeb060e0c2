"""The denoising loop: windows of each step in batches, BrushNet once per frame, arithmetic in fp32.

All windows of a step read the latents as they were at its beginning, and their results are merged
in order; how many of them go through the networks together changes nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.brushnet_residuals import Batch, SharedResiduals, batches
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.layers import SLICES, Setting
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.schedule import levels, step
from erasecore.engines.diffueraser.temporal import WINDOW, merge_window, window_starts


@torch.inference_mode()
def denoise(
    networks: Components,
    latents: Tensor,
    conditioning: Tensor,
    *,
    steps: int,
    plan: BatchPlan,
    tick: Tick,
) -> Tensor:
    """The clip's latents without noise, float32 ``(T, 4, h, w)``.

    Args:
        networks: on the device that ``latents`` and ``conditioning`` are on.
        latents: at the first noise level, float32 ``(T, 4, h, w)``; not modified.
        conditioning: what is known, float32 ``(T, 5, h, w)``.
        steps: how many denoising steps.
        plan: how much goes to the device at once.
        tick: told the share that is done.
    """
    for index, (begin, end) in enumerate(levels(steps)):
        window = min(WINDOW, len(latents))
        starts = window_starts(len(latents), window, index)
        merged, covered, shared = torch.empty_like(latents), 0, SharedResiduals()
        pass_ = _Pass(networks, begin, plan)
        for batch in batches(starts, window, frames=len(latents), at_once=plan.windows_per_batch):
            tick((index + batch.starts[0] / len(latents)) / steps)
            clips, noise = pass_.noise(latents, conditioning, batch, shared)
            results = torch.split(step(clips, noise, begin=begin, end=end), window)
            for start, result in zip(batch.starts, results, strict=True):
                covered = merge_window(merged, covered, result, start)
        latents = merged
    tick(1.0)
    return latents


class _Pass:
    """One noise level of both networks."""

    def __init__(self, networks: Components, level: int, plan: BatchPlan) -> None:
        slices = SLICES if plan.attention_slice else 1
        self._networks = networks
        self._brushnet = networks.brushnet.setting(level, networks.prompt, slices)
        self._unet: Setting = networks.unet.setting(level, networks.prompt, slices)

    def noise(
        self, latents: Tensor, conditioning: Tensor, batch: Batch, shared: SharedResiduals
    ) -> tuple[Tensor, Tensor]:
        """The batch's latents and the noise in them, float32 ``(windows * frames, 4, h, w)``."""
        networks, precision = self._networks, self._networks.precision
        fresh = shared.fresh(batch)
        computed = networks.brushnet.residuals(
            latents[fresh].to(precision), conditioning[fresh].to(precision), self._brushnet
        )
        residuals = shared.serve(batch, computed)
        clips = latents[batch.rows().to(latents.device)]
        noise = networks.unet(clips.to(precision), self._unet, batch.window, residuals)
        return clips, noise.float()
