"""The steps both trunks are walked in: a resnet, attention inside a frame, attention along time.

diffusers' layers, called one by one: its blocks neither give nor take what BrushNet adds between
their layers. Types enter here; diffusers has none of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from diffusers.models.unets.unet_motion_model import AnimateDiffTransformer3D
from torch import Tensor

SLICES = 8
# Kernels put the number of sequences into a grid dimension that ends at 65535.
_SEQUENCES_AT_ONCE = 1 << 15


@dataclass(frozen=True, slots=True)
class Setting:
    """What all layers of one pass are told.

    Attributes:
        time: the embedded noise level, ``(1, channels)``.
        prompt: the embedded prompt, ``(1, tokens, channels)``.
        slices: in how many pieces attention is computed.
    """

    time: Tensor
    prompt: Tensor
    slices: int


def embed_time(network: ConfigMixin, level: int, like: Tensor) -> Tensor:
    """The embedding of one noise level by ``network``'s own layers, ``(1, channels)``."""
    sinusoids: Tensor = network.time_proj(torch.tensor([level], device=like.device))
    embedded: Tensor = network.time_embedding(sinusoids.to(like.dtype))
    return embedded


def resnet(layer: ResnetBlock2D, x: Tensor, setting: Setting) -> Tensor:
    """One residual block; the one row of the embedded time serves all frames."""
    out: Tensor = layer(x, setting.time)
    return out


def attend(layer: Transformer2DModel, x: Tensor, setting: Setting) -> Tensor:
    """Attention inside each frame and to the prompt; frames know nothing of each other here."""

    def run(rows: Tensor) -> Tensor:
        prompt = setting.prompt.expand(len(rows), -1, -1)
        out: Tensor = layer(rows, encoder_hidden_states=prompt, return_dict=False)[0]
        return out

    return in_pieces(run, x, -(-len(x) // setting.slices))


def attend_along_time(
    layer: AnimateDiffTransformer3D, x: Tensor, frames: int, setting: Setting
) -> Tensor:
    """The motion module: the same pixel of all frames of a clip attends to itself.

    Its norm is over the whole clip; from there on each pixel is a sequence of its own.

    Args:
        layer: one of the UNet's motion modules.
        x: ``(clips * frames, C, h, w)``, the frames of a clip in a row.
        frames: how many frames a clip has.
        setting: what all layers are told.
    """
    rows, channels, height, width = x.shape
    clips = rows // frames
    volume = x.reshape(clips, frames, channels, height, width).transpose(1, 2)
    normed: Tensor = layer.norm(volume)
    sequences = normed.permute(0, 3, 4, 2, 1).reshape(-1, frames, channels)

    def run(part: Tensor) -> Tensor:
        hidden: Tensor = layer.proj_in(part)
        for block in layer.transformer_blocks:
            hidden = block(hidden)
        out: Tensor = layer.proj_out(hidden)
        return out

    at_once = min(-(-len(sequences) // setting.slices), _SEQUENCES_AT_ONCE)
    moved = in_pieces(run, sequences, at_once)
    moved = moved.reshape(clips, height, width, frames, channels).permute(0, 3, 4, 1, 2)
    return moved.reshape(rows, channels, height, width) + x


def in_pieces(run: Callable[[Tensor], Tensor], x: Tensor, at_once: int) -> Tensor:
    """``run(x)``, computed for ``at_once`` rows at a time."""
    if at_once >= len(x):
        return run(x)
    first = run(x[:at_once])
    out = first.new_empty((len(x), *first.shape[1:]))
    out[:at_once] = first
    for start in range(at_once, len(x), at_once):
        out[start : start + at_once] = run(x[start : start + at_once])
    return out
