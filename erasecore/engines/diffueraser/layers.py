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
        slices: in how many pieces layers are computed.
    """

    time: Tensor
    prompt: Tensor
    slices: int

    def rows_at_once(self, rows: int) -> int:
        """How many of so many rows are computed together."""
        return -(-rows // self.slices)


def embed_time(network: ConfigMixin, level: int, like: Tensor) -> Tensor:
    """The embedding of one noise level by ``network``'s own layers, ``(1, channels)``."""
    sinusoids: Tensor = network.time_proj(torch.tensor([level], device=like.device))
    embedded: Tensor = network.time_embedding(sinusoids.to(like.dtype))
    return embedded


def resnet(
    layer: ResnetBlock2D, x: Tensor, setting: Setting, *, skip: Tensor | None = None
) -> Tensor:
    """One residual block of ``x``, beside ``skip`` where there is one; each frame by itself.

    The one row of the embedded time serves all frames.
    """

    def run(start: int, stop: int) -> Tensor:
        rows = x[start:stop]
        if skip is not None:
            rows = torch.cat([rows, skip[start:stop]], dim=1)
        out: Tensor = layer(rows, setting.time)
        return out

    return in_pieces(run, len(x), setting.rows_at_once(len(x)))


def attend(layer: Transformer2DModel, x: Tensor, setting: Setting) -> Tensor:
    """Attention inside each frame and to the prompt; frames know nothing of each other here."""

    def run(start: int, stop: int) -> Tensor:
        rows = x[start:stop]
        prompt = setting.prompt.expand(len(rows), -1, -1)
        out: Tensor = layer(rows, encoder_hidden_states=prompt, return_dict=False)[0]
        return out

    return in_pieces(run, len(x), setting.rows_at_once(len(x)))


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
    # unnamed in between: at full size each of these tensors is a share of the card
    sequences: Tensor = layer.norm(volume).permute(0, 3, 4, 2, 1).reshape(-1, frames, channels)

    def run(start: int, stop: int) -> Tensor:
        hidden: Tensor = layer.proj_in(sequences[start:stop])
        for block in layer.transformer_blocks:
            hidden = block(hidden)
        out: Tensor = layer.proj_out(hidden)
        return out

    at_once = min(setting.rows_at_once(len(sequences)), _SEQUENCES_AT_ONCE)
    moved = in_pieces(run, len(sequences), at_once)
    moved = moved.reshape(clips, height, width, frames, channels).permute(0, 3, 4, 1, 2)
    return moved.reshape(rows, channels, height, width) + x


def in_pieces(run: Callable[[int, int], Tensor], rows: int, at_once: int) -> Tensor:
    """``run(0, rows)``, computed for ``at_once`` rows at a time."""
    first = run(0, min(at_once, rows))
    if at_once >= rows:
        return first
    out = first.new_empty((rows, *first.shape[1:]))
    out[:at_once] = first
    for start in range(at_once, rows, at_once):
        stop = min(start + at_once, rows)
        out[start:stop] = run(start, stop)
    return out
