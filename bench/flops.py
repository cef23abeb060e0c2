"""What diffusion costs in arithmetic: the networks at full size on the meta device, counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.temporal import PRE_INFERENCE_ABOVE, WINDOW, unet_frames
from erasecore.engines.diffueraser.unet import MotionUNet
from erasecore.engines.diffueraser.vae import VAE_SCALE_FACTOR, decode_batch, encode_batch

STEPS = 2
PUBLISHED_WIDTH_PX, PUBLISHED_HEIGHT_PX = 960, 536
PROMPT_TOKENS, PROMPT_CHANNELS = 77, 768
_WIDTHS = (128, 256, 512, 512)  # of the VAE that is published


@dataclass(frozen=True, slots=True)
class Clip:
    """A run of frames that goes through the networks at one size.

    ``encoded`` counts pictures: masked ones, and priors where they differ from these.
    """

    width: int
    height: int
    frames: int
    encoded: int
    decoded: int


@dataclass(frozen=True, slots=True)
class Costs:
    """TFLOP of one frame through each network, a multiplication and its addition being two."""

    brushnet: float
    unet: float
    encode: float
    decode: float


@cache
def full_size() -> Components:
    """The networks as published, in float16, without weights."""
    with torch.device("meta"):
        brushnet = BrushNet()
        unet = MotionUNet(num_attention_heads=8, cross_attention_dim=PROMPT_CHANNELS)
        vae = AutoencoderKL(
            block_out_channels=_WIDTHS,
            down_block_types=("DownEncoderBlock2D",) * len(_WIDTHS),
            up_block_types=("UpDecoderBlock2D",) * len(_WIDTHS),
            layers_per_block=2,
        )
        prompt = torch.empty((1, PROMPT_TOKENS, PROMPT_CHANNELS), dtype=torch.float16)
    return Components(brushnet.half(), unet.half(), vae.half(), prompt)


@cache
def costs_of(width: int, height: int) -> Costs:
    """What a frame of this size costs; of the UNet's, its share of a whole window."""
    networks, cells = full_size(), (height // VAE_SCALE_FACTOR, width // VAE_SCALE_FACTOR)
    latents = torch.empty((WINDOW, 4, *cells), dtype=torch.float16, device="meta")
    known = torch.empty((1, 5, *cells), dtype=torch.float16, device="meta")
    frame = torch.empty((1, height, width, 3), dtype=torch.uint8, device="meta")
    brushnet, unet, vae = networks.brushnet, networks.unet, networks.vae
    level = brushnet.layer_inputs(999, networks.prompt_embeds, 1)
    of_unet = unet.layer_inputs(999, networks.prompt_embeds, 1)
    return Costs(
        brushnet=_tflop(lambda: list(brushnet.residuals(latents[:1], known, level))),
        unet=_tflop(lambda: unet(latents, of_unet, WINDOW, None)) / WINDOW,
        encode=_tflop(lambda: encode_batch(vae, frame, BatchPlan())),
        decode=_tflop(lambda: decode_batch(vae, latents[:1].float(), BatchPlan())),
    )


def ours(clips: Iterable[Clip]) -> float:
    """TFLOP of all clips, as the sampler takes them: BrushNet once for each frame and step."""
    return sum(_clip_tflop(clip, shared=True) for clip in clips)


def published(frames: int) -> float:
    """TFLOP of a clip of so many frames as the published pipeline takes it: whole, 960 wide."""
    size = (PUBLISHED_WIDTH_PX, PUBLISHED_HEIGHT_PX)
    return _clip_tflop(Clip(*size, frames, 2 * frames, frames), shared=False)


def _clip_tflop(clip: Clip, *, shared: bool) -> float:
    costs = costs_of(clip.width, clip.height)
    led = WINDOW if clip.frames > PRE_INFERENCE_ABOVE else 0
    in_windows = unet_frames(clip.frames, STEPS)
    in_brushnet = (clip.frames + led) * STEPS if shared else in_windows
    return (
        in_brushnet * costs.brushnet
        + in_windows * costs.unet
        + (clip.encoded + led) * costs.encode
        + (clip.decoded + led) * costs.decode
    )


def _tflop(run: Callable[[], list[Tensor] | Tensor]) -> float:
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        run()
    return float(counter.get_total_flops()) / 1e12
