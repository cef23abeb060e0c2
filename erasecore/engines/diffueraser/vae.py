"""Pictures to latents and back, some frames at a time; each frame's result is its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rgb import FINE
from erasecore.engines.diffueraser.vae_tiling import TiledVae

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]

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
    device, at_once = vae.quant_conv.weight.device, plan.vae_batch
    done = []
    for start in range(0, len(frames), at_once):
        tick(start / len(frames))
        part = torch.from_numpy(np.ascontiguousarray(frames[start : start + at_once]))
        done.append(latents_of(vae, part.to(device), plan))
    return torch.cat(done)


@torch.inference_mode()
def decode(vae: AutoencoderKL, latents: Tensor, *, plan: BatchPlan, tick: Tick) -> U8:
    """Pictures of scaled ``latents``, RGB ``(T, H, W, 3)``."""
    parts = _pictures(vae, latents, plan, tick)
    return np.concatenate([part.round().to(torch.uint8).cpu().numpy() for part in parts])


@torch.inference_mode()
def decode_finely(vae: AutoencoderKL, latents: Tensor, *, plan: BatchPlan, tick: Tick) -> U16:
    """The same in steps of ``1 / FINE`` of a level: 65535 is white."""
    frames, _, rows, columns = latents.shape
    done = np.empty((frames, rows * CELL_PX, columns * CELL_PX, 3), np.uint16)
    first = 0
    for part in _pictures(vae, latents, plan, tick):
        done[first : first + len(part)] = (part * FINE).round().to(torch.int32).cpu().numpy()
        first += len(part)
    return done


def _pictures(vae: AutoencoderKL, latents: Tensor, plan: BatchPlan, tick: Tick) -> Iterator[Tensor]:
    for start in range(0, len(latents), plan.vae_batch):
        tick(start / len(latents))
        yield pictures_of(vae, latents[start : start + plan.vae_batch], plan)


def latents_of(vae: AutoencoderKL, frames: Tensor, plan: BatchPlan) -> Tensor:
    """Scaled latents of a few ``frames``, uint8 ``(N, H, W, 3)`` on the device of ``vae``."""
    pixels = frames.permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0
    transitions = _encoded(vae, pixels.to(vae.quant_conv.weight.dtype), plan)
    mean, _spread = torch.chunk(transitions, 2, dim=1)
    scaled: Tensor = mean.float() * vae.config.scaling_factor
    return scaled


def pictures_of(vae: AutoencoderKL, latents: Tensor, plan: BatchPlan) -> Tensor:
    """The pictures of a few scaled ``latents``, float32 ``(N, H, W, 3)`` from 0 to 255."""
    part = latents / vae.config.scaling_factor
    pixels = _decoded(vae, part.to(vae.quant_conv.weight.dtype), plan).float()
    return ((pixels / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).permute(0, 2, 3, 1)


def _encoded(vae: AutoencoderKL, pixels: Tensor, plan: BatchPlan) -> Tensor:
    """Mean and spread of the latents of ``pixels``, side by side."""
    if plan.vae_tile_px is None:
        hidden = vae.encoder(pixels)
    else:
        hidden = TiledVae(plan.vae_tile_px).encode(vae.encoder, pixels)
    transitions: Tensor = vae.quant_conv(hidden)
    return transitions


def _decoded(vae: AutoencoderKL, latents: Tensor, plan: BatchPlan) -> Tensor:
    hidden: Tensor = vae.post_quant_conv(latents)
    if plan.vae_tile_px is None:
        pixels: Tensor = vae.decoder(hidden)
        return pixels
    return TiledVae(plan.vae_tile_px).decode(vae.decoder, hidden)
