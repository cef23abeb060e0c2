"""BrushNet: a second UNet that reads the known part of each frame and gives residuals per layer.

Ju et al., "BrushNet: A Plug-and-Play Image Inpainting Model with Decomposed Dual-Branch Diffusion",
2024. Parameter names and shapes are those of the published weights. The branch is Stable
Diffusion's UNet without output layers; each residual is a 1x1 ("zero") convolution of the
activations after one layer, added to those of the main UNet. There are no temporal layers, so a
frame's residuals do not depend on other frames.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.embeddings import TimestepEmbedding, Timesteps
from diffusers.models.modeling_utils import ModelMixin
from diffusers.models.unets.unet_2d_blocks import (
    CrossAttnDownBlock2D,
    CrossAttnUpBlock2D,
    get_down_block,
    get_mid_block,
    get_up_block,
)
from torch import Tensor, nn

from erasecore.engines.diffueraser.layers import (
    LayerInputs,
    resnet,
    spatial_attention,
    time_embedding,
)

CONDITIONING_CHANNELS = 5
"""Channels of the conditioning: 4 of the masked picture's latents, 1 of the mask (1: known)."""


class BrushNet(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' classes are untyped
    """Conditioning branch of the UNet. Arguments are those of the published config.json."""

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(  # noqa: PLR0913  # the published config.json decides
        self,
        *,
        in_channels: int = 4,
        conditioning_channels: int = CONDITIONING_CHANNELS,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        down_block_types: tuple[str, ...] = (*("CrossAttnDownBlock2D",) * 3, "DownBlock2D"),
        mid_block_type: str = "UNetMidBlock2DCrossAttn",
        up_block_types: tuple[str, ...] = ("UpBlock2D", *("CrossAttnUpBlock2D",) * 3),
        block_out_channels: tuple[int, ...] = (320, 640, 1280, 1280),
        layers_per_block: int = 2,
        downsample_padding: int = 1,
        mid_block_scale_factor: float = 1.0,
        act_fn: str = "silu",
        norm_num_groups: int = 32,
        norm_eps: float = 1e-5,
        cross_attention_dim: int = 768,
        transformer_layers_per_block: int = 1,
        attention_head_dim: int = 8,
        num_attention_heads: int | None = None,
        use_linear_projection: bool = False,
        upcast_attention: bool = False,
        resnet_time_scale_shift: str = "default",
    ) -> None:
        super().__init__()
        first, last = block_out_channels[0], block_out_channels[-1]
        shared = _block_options(self.config)  # self.config: the arguments, kept by diffusers
        self.conv_in_condition = nn.Conv2d(in_channels + conditioning_channels, first, 3, padding=1)
        self.time_proj = Timesteps(first, flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(first, first * 4, act_fn=act_fn)
        self.down_blocks = _down_blocks(
            down_block_types, block_out_channels, layers_per_block, downsample_padding, shared
        )
        mid = {"in_channels": last, "output_scale_factor": mid_block_scale_factor}
        self.mid_block = get_mid_block(mid_block_type, **mid, **shared)
        self.up_blocks = _up_blocks(up_block_types, block_out_channels, layers_per_block, shared)
        self.brushnet_down_blocks = _down_convolutions(block_out_channels, layers_per_block)
        self.brushnet_mid_block = nn.Conv2d(last, last, 1)
        self.brushnet_up_blocks = _up_convolutions(block_out_channels, layers_per_block)

    def layer_inputs(self, timestep: int, prompt_embeds: Tensor, slices: int) -> LayerInputs:
        """Return the shared inputs of all layers for one forward pass at ``timestep``."""
        return LayerInputs(time_embedding(self, timestep, prompt_embeds), prompt_embeds, slices)

    def residuals(
        self, latents: Tensor, conditioning: Tensor, inputs: LayerInputs
    ) -> Iterator[Tensor]:
        """Generate the residuals in the order in which the UNet adds them: down, mid, up.

        They are diffusers' ``down_block_res_samples``, ``mid_block_res_sample`` and
        ``up_block_res_samples`` in one sequence, computed lazily, so that only the one in use has
        to be held in memory.

        Args:
            latents: noisy latents, ``(N, 4, h, w)``.
            conditioning: latents of the masked picture and mask of known cells, ``(N, 5, h, w)``.
            inputs: shared inputs of all layers.
        """
        x: Tensor = self.conv_in_condition(torch.cat([latents, conditioning], dim=1))
        skips: list[Tensor] = []
        down = self._down_activations(x, inputs)
        for convolution, hidden in zip(self.brushnet_down_blocks, down, strict=True):
            skips.append(hidden)
            yield convolution(hidden)
        x = self._mid_activation(skips[-1], inputs)
        yield self.brushnet_mid_block(x)
        up = self._up_activations(x, skips, inputs)
        for convolution, hidden in zip(self.brushnet_up_blocks, up, strict=True):
            yield convolution(hidden)

    def _down_activations(self, x: Tensor, inputs: LayerInputs) -> Iterator[Tensor]:
        """Run the down blocks; generate ``x`` and the activations after each layer, in order."""
        yield x
        block: CrossAttnDownBlock2D
        for block in self.down_blocks:
            attentions = getattr(block, "attentions", None)
            for index, layer in enumerate(block.resnets):
                x = resnet(layer, x, inputs)
                x = spatial_attention(attentions[index], x, inputs) if attentions else x
                yield x
            if block.downsamplers:
                x = block.downsamplers[0](x)
                yield x

    def _mid_activation(self, x: Tensor, inputs: LayerInputs) -> Tensor:
        """Run the mid block and return its activations."""
        first, second = self.mid_block.resnets
        x = resnet(first, x, inputs)
        x = spatial_attention(self.mid_block.attentions[0], x, inputs)
        return resnet(second, x, inputs)

    def _up_activations(
        self, x: Tensor, skips: list[Tensor], inputs: LayerInputs
    ) -> Iterator[Tensor]:
        """Run the up blocks; generate the activations after each layer. Empties ``skips``."""
        block: CrossAttnUpBlock2D
        for block in self.up_blocks:
            attentions = getattr(block, "attentions", None)
            for index, layer in enumerate(block.resnets):
                x = resnet(layer, x, inputs, skip=skips.pop())
                x = spatial_attention(attentions[index], x, inputs) if attentions else x
                yield x
            if block.upsamplers:
                x = block.upsamplers[0](x, output_size=skips[-1].shape[-2:])
                yield x


def _block_options(config: ConfigMixin) -> dict[str, object]:
    """Return the constructor arguments that all blocks share."""
    return {
        "temb_channels": config.block_out_channels[0] * 4,
        "resnet_eps": config.norm_eps,
        "resnet_act_fn": config.act_fn,
        "resnet_groups": config.norm_num_groups,
        "transformer_layers_per_block": config.transformer_layers_per_block,
        "cross_attention_dim": config.cross_attention_dim,
        # attention_head_dim is the number of heads: a misnomer of Stable Diffusion's configs
        "num_attention_heads": config.num_attention_heads or config.attention_head_dim,
        "use_linear_projection": config.use_linear_projection,
        "upcast_attention": config.upcast_attention,
        "resnet_time_scale_shift": config.resnet_time_scale_shift,
    }


def _down_blocks(
    types: Sequence[str],
    widths: Sequence[int],
    layers: int,
    padding: int,
    shared: dict[str, object],
) -> nn.ModuleList:
    """Create the down blocks; all but the last halve the resolution.

    Args:
        types: class name of each block.
        widths: channels of each block.
        layers: layers per block.
        padding: padding of the downsampling convolutions.
        shared: arguments that all blocks share.
    """
    blocks = nn.ModuleList()
    for index, kind in enumerate(types):
        blocks.append(
            get_down_block(
                kind,
                num_layers=layers,
                in_channels=widths[max(index - 1, 0)],
                out_channels=widths[index],
                add_downsample=index < len(types) - 1,
                downsample_padding=padding,
                attention_head_dim=shared["num_attention_heads"],
                **shared,
            )
        )
    return blocks


def _up_blocks(
    types: Sequence[str], widths: Sequence[int], layers: int, shared: dict[str, object]
) -> nn.ModuleList:
    """Create the up blocks, mirrored down blocks; all but the last double the resolution."""
    blocks = nn.ModuleList()
    upwards = list(reversed(widths))
    for index, kind in enumerate(types):
        blocks.append(
            get_up_block(
                kind,
                num_layers=layers + 1,
                in_channels=upwards[min(index + 1, len(types) - 1)],
                prev_output_channel=upwards[max(index - 1, 0)],
                out_channels=upwards[index],
                add_upsample=index < len(types) - 1,
                resolution_idx=index,
                attention_head_dim=shared["num_attention_heads"],
                **shared,
            )
        )
    return blocks


def _down_convolutions(widths: Sequence[int], layers: int) -> nn.ModuleList:
    """Create the 1x1 convolutions: for the first layer, each down layer and each downsampler."""
    convolutions = [nn.Conv2d(widths[0], widths[0], 1)]
    for index, width in enumerate(widths):
        count = layers + (index < len(widths) - 1)
        convolutions += [nn.Conv2d(width, width, 1) for _ in range(count)]
    return nn.ModuleList(convolutions)


def _up_convolutions(widths: Sequence[int], layers: int) -> nn.ModuleList:
    """Create the 1x1 convolutions: for each up layer and each upsampler."""
    convolutions = []
    for index, width in enumerate(reversed(widths)):
        count = layers + 1 + (index < len(widths) - 1)
        convolutions += [nn.Conv2d(width, width, 1) for _ in range(count)]
    return nn.ModuleList(convolutions)
