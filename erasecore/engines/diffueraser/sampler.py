"""Sampling of one clip: from pictures with holes to inpainted pictures.

Encodes the prior, adds noise, gives BrushNet the known part, denoises and decodes. Clips of more
than 44 frames get a pre-inference first, as in the DiffuEraser reference: 22 frames sampled evenly
are inpainted together, and their result then counts as known in the full pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from erasecore.engines.base import Tick, tick_of_part
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.schedule import add_noise, draw_noise, tile_noise
from erasecore.engines.diffueraser.temporal import PRE_INFERENCE_ABOVE, WINDOW
from erasecore.engines.diffueraser.vae import (
    U8,
    U16,
    VAE_SCALE_FACTOR,
    decode,
    decode_16bit,
    encode,
)
from erasecore.model.inpaint_input import Bools

DEFAULT_SEED = 20260101
"""Seed of the noise unless another is given; an arbitrary fixed number."""


class MaskReduction(StrEnum):
    """Rule by which a latent cell of 8x8 pixels counts as a hole."""

    TOUCHED = "touched"  # any of its pixels is in a hole: for tight masks like ours
    TOP_LEFT = "top-left"  # its first pixel is: nearest-neighbour, as in the reference


@dataclass(frozen=True, slots=True)
class SamplingOptions:
    """Options that change the result, unlike `BatchPlan`.

    Attributes:
        steps: denoising steps; the LoRA was distilled for 2.
        seed: seed of the noise.
        mask_reduction: rule for reducing the holes to latent cells.
    """

    steps: int = 2
    seed: int = DEFAULT_SEED
    mask_reduction: MaskReduction = MaskReduction.TOUCHED


@dataclass(frozen=True, slots=True)
class ClipInput:
    """Consecutive frames of one shot with holes and a prior: the input of the sampler.

    Attributes:
        frames: RGB uint8 ``(T, H, W, 3)``; sides are multiples of 8; values in holes are ignored.
        holes: bool ``(T, H, W)``; pixels to be inpainted.
        prior: RGB uint8 ``(T, H, W, 3)``; ``frames`` with the holes prefilled.
    """

    frames: U8
    holes: Bools
    prior: U8

    def __post_init__(self) -> None:
        frames, height, width, _ = self.frames.shape
        if self.holes.shape != (frames, height, width) or self.prior.shape != self.frames.shape:
            raise ValueError(f"{self.frames.shape}, {self.holes.shape}, {self.prior.shape} differ")
        if not frames or height % VAE_SCALE_FACTOR or width % VAE_SCALE_FACTOR:
            raise ValueError(f"{self.frames.shape}: no frames, or sides not multiples of 8")

    @property
    def masked(self) -> U8:
        """Frames with black holes."""
        return np.where(self.holes[..., None], np.uint8(0), self.frames)


def inpaint(
    components: Components,
    clip: ClipInput,
    options: SamplingOptions,
    *,
    plan: BatchPlan,
    wanted: Sequence[int],
    tick: Tick,
) -> U16:
    """Inpaint a clip and return some of its frames, RGB uint16 ``(n, H, W, 3)``, 0 to 65535.

    Pixels outside the holes are the model's own, too; the caller composites.

    Args:
        components: loaded models.
        clip: pictures, holes and prior.
        options: steps, seed and mask reduction.
        plan: batch sizes.
        wanted: indices of the frames to be decoded, in this order; at least one.
        tick: progress callback.
    """
    noise = clip_noise(clip, options.seed)
    latents = sample(
        components, clip, noise, options, plan=plan, tick=tick_of_part(tick, 0.0, 0.85)
    )
    rows = torch.tensor(list(wanted), device=latents.device)
    pictures = decode_16bit(
        components.vae, latents[rows], plan=plan, tick=tick_of_part(tick, 0.85, 1.0)
    )
    tick(1.0)
    return pictures


def clip_noise(clip: ClipInput, seed: int) -> Tensor:
    """Draw the noise of a clip's first 22 frames: float32 ``(22, 4, H / 8, W / 8)``, on the CPU.

    Later frames repeat it.
    """
    _, height, width, _ = clip.frames.shape
    return draw_noise(WINDOW, height // VAE_SCALE_FACTOR, width // VAE_SCALE_FACTOR, seed=seed)


def sample(
    components: Components,
    clip: ClipInput,
    noise: Tensor,
    options: SamplingOptions,
    *,
    plan: BatchPlan,
    tick: Tick,
) -> Tensor:
    """Sample the clip's inpainted latents, float32 ``(T, 4, H / 8, W / 8)``.

    Args:
        components: loaded models.
        clip: pictures, holes and prior.
        noise: float32 ``(22, 4, H / 8, W / 8)``.
        options: steps and mask reduction.
        plan: batch sizes.
        tick: progress callback.
    """
    encoded = encode_clip(
        components, clip, options.mask_reduction, plan=plan, tick=tick_of_part(tick, 0.0, 0.2)
    )
    if len(clip.frames) > PRE_INFERENCE_ABOVE:
        encoded = _pre_inference(
            components, encoded, noise, options, plan=plan, tick=tick_of_part(tick, 0.2, 0.4)
        )
    noised = add_noise(
        encoded.clean, tile_noise(noise, len(encoded.clean)).to(encoded.clean.device)
    )
    return denoise(
        components,
        noised,
        encoded.conditioning,
        steps=options.steps,
        plan=plan,
        tick=tick_of_part(tick, 0.4, 1.0),
    )


@dataclass(frozen=True, slots=True)
class EncodedClip:
    """Latents from which sampling starts.

    Attributes:
        clean: latents of the prior, float32 ``(T, 4, h, w)``.
        conditioning: latents of the masked pictures and mask of known cells (1: known), float32
            ``(T, 5, h, w)``.
    """

    clean: Tensor
    conditioning: Tensor


@torch.inference_mode()
def encode_clip(
    components: Components,
    clip: ClipInput,
    reduction: MaskReduction,
    *,
    plan: BatchPlan,
    tick: Tick,
) -> EncodedClip:
    """Encode a clip to latents; frames whose prior equals the masked picture are encoded once.

    Args:
        components: loaded models.
        clip: pictures, holes and prior.
        reduction: rule for reducing the holes to latent cells.
        plan: batch sizes.
        tick: progress callback.
    """
    masked = clip.masked
    masked_latents = encode(components.vae, masked, plan=plan, tick=tick_of_part(tick, 0.0, 0.5))
    clean = masked_latents.clone()
    if differs := [
        frame for frame, prior in enumerate(clip.prior) if not np.array_equal(prior, masked[frame])
    ]:
        rows = torch.tensor(differs, device=clean.device)
        clean[rows] = encode(
            components.vae, clip.prior[differs], plan=plan, tick=tick_of_part(tick, 0.5, 1.0)
        )
    known = known_cells(clip.holes, reduction).to(masked_latents.device)
    return EncodedClip(clean, torch.cat([masked_latents, known], dim=1))


def known_cells(holes: Bools, reduction: MaskReduction) -> Tensor:
    """Reduce holes ``(T, H, W)`` to the mask of known latent cells, float32 ``(T, 1, H/8, W/8)``.

    1 is known, 0 is a hole.
    """
    frames, height, width = holes.shape
    cell = VAE_SCALE_FACTOR
    blocks = holes.reshape(frames, height // cell, cell, width // cell, cell)
    touched = reduction is MaskReduction.TOUCHED
    hidden = blocks.any(axis=(2, 4)) if touched else blocks[:, :, 0, :, 0]
    return torch.from_numpy(~hidden).float()[:, None]


def pre_inference_frames(frames: int) -> list[int]:
    """Return the 22 frames of a clip that are inpainted in the pre-inference, evenly spread."""
    return [int(index * (frames / WINDOW)) for index in range(WINDOW)]


@torch.inference_mode()
def _pre_inference(
    components: Components,
    encoded: EncodedClip,
    noise: Tensor,
    options: SamplingOptions,
    *,
    plan: BatchPlan,
    tick: Tick,
) -> EncodedClip:
    """Inpaint a sample of the clip's frames and return ``encoded`` with these frames as known.

    BrushNet gets the result decoded and encoded again, as in the reference.
    """
    rows = torch.tensor(pre_inference_frames(len(encoded.clean)), device=encoded.clean.device)
    noised = add_noise(encoded.clean[rows], noise.to(encoded.clean.device))
    inpainted = denoise(
        components,
        noised,
        encoded.conditioning[rows],
        steps=options.steps,
        plan=plan,
        tick=tick_of_part(tick, 0.0, 0.7),
    )
    pictures = decode(components.vae, inpainted, plan=plan, tick=tick_of_part(tick, 0.7, 0.9))
    latents = encode(components.vae, pictures, plan=plan, tick=tick_of_part(tick, 0.9, 1.0))
    clean, conditioning = encoded.clean.clone(), encoded.conditioning.clone()
    clean[rows] = inpainted
    conditioning[rows] = torch.cat([latents, torch.ones_like(latents[:, :1])], dim=1)
    return EncodedClip(clean, conditioning)
