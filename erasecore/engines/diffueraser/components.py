"""The networks of one worker, together with what is the same for every film."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor

from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.unet import MotionUNet


@dataclass(frozen=True, slots=True)
class Components:
    """Loaded networks, all on one device and of one precision.

    Attributes:
        brushnet: reads what is known of each frame.
        unet: predicts noise.
        vae: pictures to latents and back.
        prompt: the embedding of the empty prompt, ``(1, tokens, channels)``.
    """

    brushnet: BrushNet
    unet: MotionUNet
    vae: AutoencoderKL
    prompt: Tensor

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        device: torch.device = self.unet.conv_in.weight.device
        return device

    @property
    def precision(self) -> torch.dtype:
        """The type that BrushNet and the UNet compute in."""
        precision: torch.dtype = self.unet.conv_in.weight.dtype
        return precision
