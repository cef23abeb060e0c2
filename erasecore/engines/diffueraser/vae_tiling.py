"""Seamless VAE tiling: each layer is computed in row tiles, with the result of the whole picture.

Tiles that are encoded or decoded separately (as diffusers' VAE tiling) differ at their borders and
in every pixel, since group norms are over the whole picture. Here each layer is computed for the
whole picture before the next one, but in row tiles: norms use statistics of the whole picture,
convolutions get the rows next to their tile, and intermediates between the norm and convolution of
a layer exist for one tile at a time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from diffusers.models.autoencoders.vae import Decoder, Encoder
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.unets.unet_2d_blocks import UNetMidBlock2D
from torch import Tensor, nn
from torch.nn import functional

ReadRows = Callable[[int, int], Tensor]
"""Callback: returns the rows ``[start, stop)`` of a convolution's input, ``(N, C, rows, W)``."""


@dataclass(frozen=True, slots=True)
class TiledVae:
    """Forward pass through the VAE in tiles of at most ``tile_rows`` rows of each layer."""

    tile_rows: int

    def encode(self, encoder: Encoder, pixels: Tensor) -> Tensor:
        """Return ``encoder(pixels)`` for pixels ``(N, 3, H, W)``, -1 to 1."""
        x = self._conv(encoder.conv_in, pixels)
        for block in encoder.down_blocks:
            for layer in block.resnets:
                x = self._resnet(layer, x)
            if block.downsamplers:
                x = self._downsample(block.downsamplers[0].conv, x)
        return self._conv_out(encoder, self._mid_block(encoder.mid_block, x))

    def decode(self, decoder: Decoder, latents: Tensor) -> Tensor:
        """Return ``decoder(latents)`` for latents ``(N, 4, h, w)``."""
        x = self._mid_block(decoder.mid_block, self._conv(decoder.conv_in, latents))
        for block in decoder.up_blocks:
            for layer in block.resnets:
                x = self._resnet(layer, x)
            if block.upsamplers:
                x = self._upsample(block.upsamplers[0].conv, x)
        return self._conv_out(decoder, x)

    def _mid_block(self, block: UNetMidBlock2D, x: Tensor) -> Tensor:
        """Apply the mid block; its attention is not tiled, the resolution is lowest there."""
        x = self._resnet(block.resnets[0], x)
        if block.attentions[0] is not None:
            x = block.attentions[0](x)
        return self._resnet(block.resnets[1], x)

    def _conv_out(self, model: Encoder | Decoder, x: Tensor) -> Tensor:
        """Apply the output layers: norm, activation, convolution."""
        return self._conv(model.conv_out, x, norm=model.conv_norm_out)

    def _resnet(self, layer: ResnetBlock2D, x: Tensor) -> Tensor:
        """Apply a residual block; the shortcut is added tile by tile."""
        hidden = self._conv(layer.conv1, x, norm=layer.norm1)
        hidden = self._conv(layer.conv2, hidden, norm=layer.norm2)
        for start in range(0, x.shape[2], self.tile_rows):
            rows = x[:, :, start : start + self.tile_rows]
            hidden[:, :, start : start + self.tile_rows] += (
                rows if layer.conv_shortcut is None else layer.conv_shortcut(rows)
            )
        return hidden

    def _conv(self, conv: nn.Conv2d, x: Tensor, *, norm: nn.GroupNorm | None = None) -> Tensor:
        """Apply group norm and SiLU, if ``norm`` is given, and a 3x3 convolution.

        The normalised input exists for one tile at a time.
        """
        if norm is None:
            return self._conv_tiled(conv, x.shape[2], lambda start, stop: x[:, :, start:stop])
        scale, shift = self._norm_factors(norm, x)

        def read_rows(start: int, stop: int) -> Tensor:
            normed = x[:, :, start:stop].float() * scale + shift
            return functional.silu(normed.to(x.dtype), inplace=True)

        return self._conv_tiled(conv, x.shape[2], read_rows)

    def _downsample(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Halve the resolution by a 3x3 convolution of stride 2, padded on the right and below."""
        return self._conv_tiled(
            conv, x.shape[2], lambda start, stop: x[:, :, start:stop], stride=2, before=0
        )

    def _upsample(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Double the resolution by nearest neighbour, then convolve."""

        def read_rows(start: int, stop: int) -> Tensor:
            rows = x[:, :, start // 2 : (stop + 1) // 2]
            doubled = functional.interpolate(rows, scale_factor=2.0, mode="nearest")
            return doubled[:, :, start % 2 : start % 2 + stop - start]

        return self._conv_tiled(conv, x.shape[2] * 2, read_rows)

    def _conv_tiled(
        self, conv: nn.Conv2d, height: int, read_rows: ReadRows, *, stride: int = 1, before: int = 1
    ) -> Tensor:
        """Apply a 3x3 convolution tile by tile.

        Args:
            conv: the convolution; its weights are used, not its padding.
            height: rows of the input.
            read_rows: returns rows of the input.
            stride: 1 or 2.
            before: zero padding on the left and above, in pixels; right and below it is 1.
        """
        out_height = (height + before + 1 - 3) // stride + 1
        out: Tensor | None = None
        for start in range(0, out_height, self.tile_rows):
            stop = min(start + self.tile_rows, out_height)
            first, last = start * stride - before, (stop - 1) * stride - before + 3
            rows = read_rows(max(first, 0), min(last, height))
            padding = (before, 1, max(-first, 0), max(last - height, 0))
            tile = functional.conv2d(
                functional.pad(rows, padding), conv.weight, conv.bias, stride=stride
            )
            if out is None:
                out = tile.new_empty((*tile.shape[:2], out_height, tile.shape[3]))
            out[:, :, start:stop] = tile
        assert out is not None
        return out

    def _norm_factors(self, norm: nn.GroupNorm, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return scale and shift per channel that apply ``norm`` with statistics of all of ``x``.

        Float32 ``(N, C, 1, 1)`` each.
        """
        count = x[0].numel() // norm.num_groups
        mean = self._group_sums(x, norm.num_groups, None) / count
        variance = self._group_sums(x, norm.num_groups, mean) / count
        repeats = x.shape[1] // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(repeats, dim=1) * norm.weight
        shift = norm.bias - mean.repeat_interleave(repeats, dim=1) * scale
        return scale[:, :, None, None].float(), shift[:, :, None, None].float()

    def _group_sums(self, x: Tensor, groups: int, mean: Tensor | None) -> Tensor:
        """Return the sum of each group, or of its squared deviations from ``mean``.

        Float64 ``(N, groups)``, accumulated tile by tile.
        """
        sums = torch.zeros((len(x), groups), dtype=torch.float64, device=x.device)
        for start in range(0, x.shape[2], self.tile_rows):
            rows = x[:, :, start : start + self.tile_rows].float().reshape(len(x), groups, -1)
            if mean is not None:
                rows = (rows - mean[:, :, None].float()).square()
            sums += rows.sum(dim=2, dtype=torch.float64)
        return sums
