"""Single layers of BrushNet and the UNet: resnet, spatial attention, temporal attention.

diffusers' layers are called one by one, since its blocks have no place for the BrushNet residuals
that are added between their layers. Types begin here: diffusers is untyped.
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
"""Number of slices in which layers are computed if ``BatchPlan.attention_slice`` is set (guess)."""

_SEQUENCES_AT_ONCE = 1 << 15
"""Most sequences per attention call: CUDA kernels use a grid dimension limited to 65535."""


@dataclass(frozen=True, slots=True)
class LayerInputs:
    """Inputs that all layers share in one forward pass.

    Attributes:
        temb: time embedding of the timestep, ``(1, channels)``; serves all frames.
        prompt_embeds: embedding of the prompt (diffusers: ``encoder_hidden_states``),
            ``(1, tokens, channels)``.
        slices: number of slices in which layers are computed.
    """

    temb: Tensor
    prompt_embeds: Tensor
    slices: int

    def rows_at_once(self, rows: int) -> int:
        """Return the size of a slice of a batch of ``rows``."""
        return -(-rows // self.slices)


def time_embedding(model: ConfigMixin, timestep: int, like: Tensor) -> Tensor:
    """Return the time embedding of ``timestep`` by ``model``'s own layers, ``(1, channels)``.

    Args:
        model: BrushNet or the UNet.
        timestep: 0 (clean) to 999 (noise).
        like: a tensor whose device and dtype the result gets.
    """
    sinusoids: Tensor = model.time_proj(torch.tensor([timestep], device=like.device))
    embedded: Tensor = model.time_embedding(sinusoids.to(like.dtype))
    return embedded


def resnet(
    layer: ResnetBlock2D, x: Tensor, inputs: LayerInputs, *, skip: Tensor | None = None
) -> Tensor:
    """Apply a residual block to each frame: ``(N, C, h, w)`` to ``(N, C', h, w)``.

    Args:
        layer: the residual block.
        x: activations, ``(N, C, h, w)``.
        inputs: shared inputs of all layers.
        skip: activations of the mirrored down block, concatenated to ``x`` along the channels.
    """

    def run(start: int, stop: int) -> Tensor:
        rows = x[start:stop]
        if skip is not None:
            rows = torch.cat([rows, skip[start:stop]], dim=1)
        out: Tensor = layer(rows, inputs.temb)
        return out

    return in_slices(run, len(x), inputs.rows_at_once(len(x)))


def spatial_attention(layer: Transformer2DModel, x: Tensor, inputs: LayerInputs) -> Tensor:
    """Apply self-attention within each frame and cross-attention to the prompt."""

    def run(start: int, stop: int) -> Tensor:
        rows = x[start:stop]
        prompt_embeds = inputs.prompt_embeds.expand(len(rows), -1, -1)
        out: Tensor = layer(rows, encoder_hidden_states=prompt_embeds, return_dict=False)[0]
        return out

    return in_slices(run, len(x), inputs.rows_at_once(len(x)))


def temporal_attention(
    layer: AnimateDiffTransformer3D, x: Tensor, frames: int, inputs: LayerInputs
) -> Tensor:
    """Apply a motion module (AnimateDiff): each pixel attends to itself in all frames of its clip.

    Its group norm is computed over the whole clip; after it each pixel is a separate sequence.

    Args:
        layer: a motion module of the UNet.
        x: ``(clips * frames, C, h, w)``, the frames of each clip consecutive.
        frames: number of frames per clip.
        inputs: shared inputs of all layers.
    """
    rows, channels, height, width = x.shape
    clips = rows // frames
    volume = x.reshape(clips, frames, channels, height, width).transpose(1, 2)
    # One expression, so that the intermediates are freed: at full size they are a notable part of
    # the GPU's memory.
    sequences: Tensor = layer.norm(volume).permute(0, 3, 4, 2, 1).reshape(-1, frames, channels)

    def run(start: int, stop: int) -> Tensor:
        hidden: Tensor = layer.proj_in(sequences[start:stop])
        for block in layer.transformer_blocks:
            hidden = block(hidden)
        out: Tensor = layer.proj_out(hidden)
        return out

    at_once = min(inputs.rows_at_once(len(sequences)), _SEQUENCES_AT_ONCE)
    attended = in_slices(run, len(sequences), at_once)
    attended = attended.reshape(clips, height, width, frames, channels).permute(0, 3, 4, 1, 2)
    return attended.reshape(rows, channels, height, width) + x


def in_slices(run: Callable[[int, int], Tensor], rows: int, at_once: int) -> Tensor:
    """Return ``run(0, rows)``, computed in slices of ``at_once`` rows.

    Args:
        run: computes the rows ``[start, stop)`` of the result.
        rows: number of rows.
        at_once: rows per slice, at least 1.
    """
    first = run(0, min(at_once, rows))
    if at_once >= rows:
        return first
    out = first.new_empty((rows, *first.shape[1:]))
    out[:at_once] = first
    for start in range(at_once, rows, at_once):
        stop = min(start + at_once, rows)
        out[start:stop] = run(start, stop)
    return out
