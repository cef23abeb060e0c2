"""Components of the pipeline (models and prompt embedding), loaded once per worker."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.unet import MotionUNet


@dataclass(frozen=True, slots=True)
class Components:
    """Loaded models of the pipeline, all on one device and in one precision.

    Attributes:
        brushnet: computes residuals from the known part of each frame.
        unet: predicts the noise in the latents.
        vae: encodes pictures to latents and decodes latents to pictures.
        prompt_embeds: embedding of the empty prompt, ``(1, tokens, channels)``.
    """

    brushnet: BrushNet
    unet: MotionUNet
    vae: AutoencoderKL
    prompt_embeds: Tensor

    @property
    def device(self) -> torch.device:
        """Device of the models."""
        device: torch.device = self.unet.conv_in.weight.device
        return device

    @property
    def precision(self) -> torch.dtype:
        """Dtype in which BrushNet and the UNet compute."""
        precision: torch.dtype = self.unet.conv_in.weight.dtype
        return precision
