"""Pictures to latents and back, some frames at a time; each frame's result is its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from erasecore.engines.diffueraser.plan import BatchPlan

U8: TypeAlias = NDArray[np.uint8]
Tick: TypeAlias = Callable[[float], None]

CELL_PX = 8  # a latent's side in pixels


@torch.inference_mode()
def encode(vae: AutoencoderKL, frames: U8, *, plan: BatchPlan, tick: Tick) -> Tensor:
    """Scaled latents of ``frames``: the posterior's mean, which needs no random numbers.

    Args:
        vae: the autoencoder.
        frames: RGB, ``(T, H, W, 3)``; sides are multiples of 8.
        plan: how much goes through at once.
        tick: told the share that is done.

    Returns:
        float32 ``(T, 4, H / 8, W / 8)`` on the device of ``vae``.
    """
    weight, at_once = vae.quant_conv.weight, plan.vae_batch
    done = []
    for start in range(0, len(frames), at_once):
        tick(start / len(frames))
        pixels = torch.from_numpy(np.ascontiguousarray(frames[start : start + at_once]))
        pixels = pixels.to(weight.device).permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0
        mean = vae.encode(pixels.to(weight.dtype), return_dict=False)[0].mode()
        done.append(mean.float() * vae.config.scaling_factor)
    return torch.cat(done)


@torch.inference_mode()
def decode(vae: AutoencoderKL, latents: Tensor, *, plan: BatchPlan, tick: Tick) -> U8:
    """Pictures of scaled ``latents``, RGB ``(T, H, W, 3)``."""
    done: list[U8] = []
    at_once = plan.vae_batch
    for start in range(0, len(latents), at_once):
        tick(start / len(latents))
        part = latents[start : start + at_once] / vae.config.scaling_factor
        pixels = vae.decode(part.to(vae.quant_conv.weight.dtype), return_dict=False)[0].float()
        levels = ((pixels / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).round().to(torch.uint8)
        done.append(levels.permute(0, 2, 3, 1).cpu().numpy())
    return np.concatenate(done)
