"""Our networks and sampler, as ``check_parity.py`` wants to call them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from numpy.typing import NDArray
from torch import Tensor

from erasecore.engines.diffueraser import denoise as denoising
from erasecore.engines.diffueraser import sampler, temporal
from erasecore.engines.diffueraser import vae as vaes
from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.loading import build_brushnet, build_unet, build_vae
from erasecore.engines.diffueraser.lora import Lora
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.unet import MotionUNet
from erasecore.engines.diffueraser.vae import U8

PLAN = BatchPlan()
SOFT_EDGE_PX = 21
OPTIONS = sampler.SamplingOptions(mask_reduction=sampler.MaskReduction.TOP_LEFT)


def make_brushnet(config: dict[str, object]) -> BrushNet:
    """BrushNet with empty weights."""
    return build_brushnet(config)


def make_unet(config: dict[str, object]) -> MotionUNet:
    """The UNet with empty weights; its positions are the golden data's, to the last bit."""
    unet = build_unet(config)
    for module in unet.modules():
        if isinstance(module, SinusoidalPositionalEmbedding):
            module.pe.copy_(positions(*module.pe.shape[1:]))
    return unet


def make_vae(config: dict[str, object]) -> AutoencoderKL:
    """The autoencoder with empty weights."""
    return build_vae(config)


def positions(frames: int, width: int) -> Tensor:
    """The UNet's table of positions, ``(1, frames, width)``, as the golden data's machine made it.

    torch computes it when the network is made, the checker compares it by a checksum, and in
    float32 some exponentials come out an ulp apart from one kind of processor to another. That
    machine (Intel, AVX-512) rounds them correctly but for the places in ``exponentials.json``,
    which holds all widths that networks can have.
    """
    exponents = torch.arange(0, width, 2) * (-math.log(10000.0) / width)
    frequencies = np.exp(exponents.double().numpy()).astype(np.float32)
    off = json.loads((Path(__file__).parent / "data" / "exponentials.json").read_text())
    for side, towards in (("above", np.inf), ("below", -np.inf)):
        there = off[side].get(str(width), [])
        frequencies[there] = np.nextafter(frequencies[there], np.float32(towards))
    angles = torch.arange(frames)[:, None] * torch.from_numpy(frequencies)
    return torch.stack([angles.sin(), angles.cos()], dim=-1).reshape(1, frames, width)


def brushnet_forward(
    m: BrushNet, sample: Tensor, timestep: Tensor, emb: Tensor, cond5: Tensor
) -> tuple[list[Tensor], Tensor, list[Tensor]]:
    """The 28 residuals: 12 on the way down, 1 in the middle, 15 on the way up."""
    residuals = list(m.residuals(sample, cond5, m.layer_inputs(int(timestep), emb, 1)))
    return residuals[:12], residuals[12], residuals[13:]


def unet_forward(  # noqa: PLR0917  # the checker's interface
    m: MotionUNet,
    sample: Tensor,
    timestep: Tensor,
    emb: Tensor,
    num_frames: int,
    down: list[Tensor] | None,
    mid: Tensor | None,
    up: list[Tensor] | None,
) -> Tensor:
    """The predicted noise, with or without BrushNet's residuals."""
    residuals: Iterator[Tensor] | None = None
    if down is not None and mid is not None and up is not None:
        residuals = iter([*down, mid, *up])
    noise: Tensor = m(sample, m.layer_inputs(int(timestep), emb, 1), num_frames, residuals)
    return noise


def window_starts(total: int, clip: int, step_index: int) -> list[int]:
    """The first frames of a step's windows."""
    return list(temporal.window_starts(total, clip, step_index))


def conditioning(vae: AutoencoderKL, masked_u8: U8, masks_u8: U8) -> Tensor:
    """Latents of the masked pictures, and the known cells."""
    holes = masks_u8 > 0
    latents = vaes.encode(vae, masked_u8, plan=PLAN, tick=_quiet)
    return torch.cat([latents, sampler.known_cells(holes, OPTIONS.mask_reduction)], dim=1)


def denoise(  # noqa: PLR0917  # the checker's interface
    brushnet: BrushNet,
    unet: MotionUNet,
    latents: Tensor,
    cond5: Tensor,
    emb: Tensor,
    clip: int,
    steps: int,
) -> Tensor:
    """The latents without noise."""
    assert clip == temporal.WINDOW
    networks = Components(brushnet, unet, _NO_VAE, emb)
    return denoising.denoise(networks, latents, cond5, steps=steps, plan=PLAN, tick=_quiet)


def decode(vae: AutoencoderKL, latents: Tensor) -> U8:
    """Pictures."""
    return vaes.decode(vae, latents, plan=PLAN, tick=_quiet)


def merge_lora(unet: MotionUNet, kohya_state_dict: dict[str, Tensor]) -> None:
    """The LoRA goes into the weights, in place."""
    lora = Lora.from_tensors(kohya_state_dict, unet, Path("kohya.safetensors"))
    with torch.no_grad():
        for name, weight in unet.named_parameters():
            weight.copy_(lora.fuse(name, weight))


def run_video(  # noqa: PLR0917  # the checker's interface
    brushnet: BrushNet,
    unet: MotionUNet,
    vae: AutoencoderKL,
    frames_u8: U8,
    masks_u8: U8,
    priors_u8: U8,
    noise_pre: Tensor,
    emb: Tensor,
) -> dict[str, Tensor | U8]:
    """The whole way of one clip."""
    networks = Components(brushnet, unet, vae, emb)
    clip = sampler.ClipInput(frames_u8, masks_u8 > 0, priors_u8)
    latents = sampler.sample(networks, clip, noise_pre, OPTIONS, plan=PLAN, tick=_quiet)
    images = decode(vae, latents)
    composed = _composed(images, frames_u8, np.asarray(masks_u8 > 0))
    return {"latents": latents, "images": images, "composed": composed}


def _composed(pictures: U8, frames: U8, holes: NDArray[np.bool_]) -> U8:
    """``pictures`` in the holes, ``frames`` away from them, softly mixed around their borders.

    As the reference does; the product has a way of its own, ``seamless_blend``, and none of this.

    Args:
        pictures: RGB uint8 ``(T, H, W, 3)``.
        frames: same shape.
        holes: bool ``(T, H, W)``; inside them nothing of ``frames`` is left.
    """
    mixed = np.empty_like(frames)
    for index, hole in enumerate(holes):
        mask = hole.astype(np.uint8) * 255
        soft = cv2.GaussianBlur(mask, (SOFT_EDGE_PX, SOFT_EDGE_PX), 0) / 255.0
        levels = ((1.0 - (1.0 - mask / 255.0) * (1.0 - soft)) * 255.0).astype(np.uint8)
        weight = (levels.astype(np.float32) / 255.0)[..., None]
        mixed[index] = (pictures[index] * weight + frames[index] * (1 - weight)).astype(np.uint8)
    return mixed


def _quiet(share: float) -> None:
    pass


_NO_VAE = AutoencoderKL(block_out_channels=(32,))
