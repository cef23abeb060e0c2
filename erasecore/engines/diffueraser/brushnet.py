"""BrushNet: what is known of each frame, read by a trunk of its own, tapped after every layer.

Names and shapes are those of the published weights. The trunk is Stable Diffusion's UNet without
output layers; each tap is a 1x1 convolution of what the trunk holds there, and nothing flows back.
There is no layer along time, so a frame's taps do not depend on its neighbours.
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

from erasecore.engines.diffueraser.layers import Setting, attend, embed_time, resnet

CONDITIONING_CHANNELS = 5  # the masked picture's latents, and which of its cells are known


class BrushNet(ModelMixin, ConfigMixin):  # type: ignore[misc]  # diffusers' classes are untyped
    """The branch that sees what is known. Arguments are named as in its config.json."""

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
        shared = _layer_options(self.config)  # the arguments, as diffusers keeps them
        self.conv_in_condition = nn.Conv2d(in_channels + conditioning_channels, first, 3, padding=1)
        self.time_proj = Timesteps(first, flip_sin_to_cos, freq_shift)
        self.time_embedding = TimestepEmbedding(first, first * 4, act_fn=act_fn)
        self.down_blocks = _down_blocks(
            down_block_types, block_out_channels, layers_per_block, downsample_padding, shared
        )
        mid = {"in_channels": last, "output_scale_factor": mid_block_scale_factor}
        self.mid_block = get_mid_block(mid_block_type, **mid, **shared)
        self.up_blocks = _up_blocks(up_block_types, block_out_channels, layers_per_block, shared)
        self.brushnet_down_blocks = nn.ModuleList(
            _down_residuals(block_out_channels, layers_per_block)
        )
        self.brushnet_mid_block = nn.Conv2d(last, last, 1)
        self.brushnet_up_blocks = nn.ModuleList(_up_residuals(block_out_channels, layers_per_block))

    def setting(self, level: int, prompt: Tensor, slices: int) -> Setting:
        """What the layers are told at noise level ``level``."""
        return Setting(embed_time(self, level, prompt), prompt, slices)

    def residuals(
        self, latents: Tensor, conditioning: Tensor, setting: Setting
    ) -> Iterator[Tensor]:
        """The taps in the order in which the UNet takes them: down, mid, up.

        They are made as they are asked for, so that only the one in use has to be held.

        Args:
            latents: noisy latents, ``(N, 4, h, w)``.
            conditioning: latents of the masked picture and the known cells, ``(N, 5, h, w)``.
            setting: what the layers are told.
        """
        x: Tensor = self.conv_in_condition(torch.cat([latents, conditioning], dim=1))
        skips: list[Tensor] = []
        for tap, state in zip(self.brushnet_down_blocks, self._down(x, setting), strict=True):
            skips.append(state)
            yield tap(state)
        x = self._middle(skips[-1], setting)
        yield self.brushnet_mid_block(x)
        for tap, state in zip(self.brushnet_up_blocks, self._up(x, skips, setting), strict=True):
            yield tap(state)

    def _down(self, x: Tensor, setting: Setting) -> Iterator[Tensor]:
        """What the trunk holds behind each layer on the way down, in order."""
        yield x
        block: CrossAttnDownBlock2D
        for block in self.down_blocks:
            attentions = getattr(block, "attentions", None)
            for index, layer in enumerate(block.resnets):
                x = resnet(layer, x, setting)
                x = attend(attentions[index], x, setting) if attentions else x
                yield x
            if block.downsamplers:
                x = block.downsamplers[0](x)
                yield x

    def _middle(self, x: Tensor, setting: Setting) -> Tensor:
        first, second = self.mid_block.resnets
        x = resnet(first, x, setting)
        x = attend(self.mid_block.attentions[0], x, setting)
        return resnet(second, x, setting)

    def _up(self, x: Tensor, skips: list[Tensor], setting: Setting) -> Iterator[Tensor]:
        """The same on the way up; takes from ``skips`` what the way down has left there."""
        block: CrossAttnUpBlock2D
        for block in self.up_blocks:
            attentions = getattr(block, "attentions", None)
            for index, layer in enumerate(block.resnets):
                x = resnet(layer, x, setting, skip=skips.pop())
                x = attend(attentions[index], x, setting) if attentions else x
                yield x
            if block.upsamplers:
                x = block.upsamplers[0](x, output_size=skips[-1].shape[-2:])
                yield x


def _layer_options(config: ConfigMixin) -> dict[str, object]:
    """What every block of the trunk is made with."""
    return {
        "temb_channels": config.block_out_channels[0] * 4,
        "resnet_eps": config.norm_eps,
        "resnet_act_fn": config.act_fn,
        "resnet_groups": config.norm_num_groups,
        "transformer_layers_per_block": config.transformer_layers_per_block,
        "cross_attention_dim": config.cross_attention_dim,
        # attention_head_dim is the number of heads; the misnomer is Stable Diffusion's
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
    """The trunk's way down, without taps; all but the last block halve the size."""
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
    """The trunk's way up, without taps; all but the last block double the size."""
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


def _down_residuals(widths: Sequence[int], layers: int) -> list[nn.Conv2d]:
    """One tap behind the first convolution, one behind each layer and each downsampler."""
    residuals = [nn.Conv2d(widths[0], widths[0], 1)]
    for index, width in enumerate(widths):
        behind = layers + (index < len(widths) - 1)
        residuals += [nn.Conv2d(width, width, 1) for _ in range(behind)]
    return residuals


def _up_residuals(widths: Sequence[int], layers: int) -> list[nn.Conv2d]:
    """One tap behind each layer and each upsampler."""
    residuals = []
    for index, width in enumerate(reversed(widths)):
        behind = layers + 1 + (index < len(widths) - 1)
        residuals += [nn.Conv2d(width, width, 1) for _ in range(behind)]
    return residuals
