"""VAE encoding and decoding, some frames per batch; frames do not influence each other."""

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
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL
from erasecore.engines.diffueraser.vae_tiling import TiledVae

U8: TypeAlias = NDArray[np.uint8]
U16: TypeAlias = NDArray[np.uint16]

VAE_SCALE_FACTOR = 8
"""Side of a latent cell in pixels (diffusers: ``vae_scale_factor``)."""


@torch.inference_mode()
def encode(vae: AutoencoderKL, frames: U8, *, plan: BatchPlan, tick: Tick) -> Tensor:
    """Encode frames to scaled latents: the posterior's mean, which needs no random numbers.

    Args:
        vae: the autoencoder.
        frames: RGB uint8 ``(T, H, W, 3)``; sides are multiples of 8.
        plan: batch size and tiling.
        tick: progress callback.

    Returns:
        float32 ``(T, 4, H / 8, W / 8)`` on the device of ``vae``.
    """
    device, at_once = vae.quant_conv.weight.device, plan.vae_batch
    batches = []
    for start in range(0, len(frames), at_once):
        tick(start / len(frames))
        batch = torch.from_numpy(np.ascontiguousarray(frames[start : start + at_once]))
        batches.append(encode_batch(vae, batch.to(device), plan))
    return torch.cat(batches)


@torch.inference_mode()
def decode(vae: AutoencoderKL, latents: Tensor, *, plan: BatchPlan, tick: Tick) -> U8:
    """Decode scaled latents ``(T, 4, h, w)`` to RGB uint8 ``(T, 8 h, 8 w, 3)``."""
    batches = _decode_batches(vae, latents, plan, tick)
    return np.concatenate([batch.round().to(torch.uint8).cpu().numpy() for batch in batches])


@torch.inference_mode()
def decode_16bit(vae: AutoencoderKL, latents: Tensor, *, plan: BatchPlan, tick: Tick) -> U16:
    """Decode scaled latents to RGB uint16 ``(T, 8 h, 8 w, 3)``, 0 to 65535."""
    frames, _, rows, columns = latents.shape
    pictures = np.empty((frames, rows * VAE_SCALE_FACTOR, columns * VAE_SCALE_FACTOR, 3), np.uint16)
    first = 0
    for batch in _decode_batches(vae, latents, plan, tick):
        pictures[first : first + len(batch)] = (
            (batch * U16_PER_LEVEL).round().to(torch.int32).cpu().numpy()
        )
        first += len(batch)
    return pictures


def _decode_batches(
    vae: AutoencoderKL, latents: Tensor, plan: BatchPlan, tick: Tick
) -> Iterator[Tensor]:
    """Decode latents batch by batch; float32 ``(n, H, W, 3)``, 0 to 255, not rounded."""
    for start in range(0, len(latents), plan.vae_batch):
        tick(start / len(latents))
        yield decode_batch(vae, latents[start : start + plan.vae_batch], plan)


def encode_batch(vae: AutoencoderKL, frames: Tensor, plan: BatchPlan) -> Tensor:
    """Encode one batch: uint8 ``(N, H, W, 3)`` on the VAE's device to scaled latents, float32."""
    pixels = frames.permute(0, 3, 1, 2).float() / 255.0 * 2.0 - 1.0
    moments = _encoder_moments(vae, pixels.to(vae.quant_conv.weight.dtype), plan)
    mean, _log_variance = torch.chunk(moments, 2, dim=1)
    scaled: Tensor = mean.float() * vae.config.scaling_factor
    return scaled


def decode_batch(vae: AutoencoderKL, latents: Tensor, plan: BatchPlan) -> Tensor:
    """Decode one batch of scaled latents ``(N, 4, h, w)``: float32 ``(N, H, W, 3)``, 0 to 255."""
    unscaled = latents / vae.config.scaling_factor
    pixels = _decoder_output(vae, unscaled.to(vae.quant_conv.weight.dtype), plan).float()
    return ((pixels / 2.0 + 0.5).clamp(0.0, 1.0) * 255.0).permute(0, 2, 3, 1)


def _encoder_moments(vae: AutoencoderKL, pixels: Tensor, plan: BatchPlan) -> Tensor:
    """Return mean and log-variance of the posterior, joined along the channels (as diffusers)."""
    if plan.vae_tile_px is None:
        hidden = vae.encoder(pixels)
    else:
        hidden = TiledVae(plan.vae_tile_px).encode(vae.encoder, pixels)
    moments: Tensor = vae.quant_conv(hidden)
    return moments


def _decoder_output(vae: AutoencoderKL, latents: Tensor, plan: BatchPlan) -> Tensor:
    """Return the decoder's output for unscaled latents: ``(N, 3, H, W)``, -1 to 1."""
    hidden: Tensor = vae.post_quant_conv(latents)
    if plan.vae_tile_px is None:
        pixels: Tensor = vae.decoder(hidden)
        return pixels
    return TiledVae(plan.vae_tile_px).decode(vae.decoder, hidden)
