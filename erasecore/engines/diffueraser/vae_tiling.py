"""The autoencoder in bands: the same pictures from a fraction of the memory, without seams.

Tiles that are encoded on their own differ at their borders, and in every pixel, since norms are
over the whole picture. Here each layer is computed for the whole picture before the next, only in
bands of its rows: norms know the whole, convolutions are given the rows beside their band, and what
lies between two layers of a band never exists for more than one of them.
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

Rows = Callable[[int, int], Tensor]
"""The rows ``[start, stop)`` of a picture, as a convolution is to see them."""


@dataclass(frozen=True, slots=True)
class TiledVae:
    """A walk through the autoencoder with at most ``band_px`` rows of a layer at a time."""

    band_px: int

    def encode(self, encoder: Encoder, pixels: Tensor) -> Tensor:
        """What ``encoder`` gives for ``pixels``, ``(N, 3, H, W)``."""
        x = self._convolved(encoder.conv_in, pixels)
        for block in encoder.down_blocks:
            for layer in block.resnets:
                x = self._resnet(layer, x)
            if block.downsamplers:
                x = self._halved(block.downsamplers[0].conv, x)
        return self._ended(encoder, self._middle(encoder.mid_block, x))

    def decode(self, decoder: Decoder, latents: Tensor) -> Tensor:
        """What ``decoder`` gives for ``latents``, ``(N, 4, h, w)``."""
        x = self._middle(decoder.mid_block, self._convolved(decoder.conv_in, latents))
        for block in decoder.up_blocks:
            for layer in block.resnets:
                x = self._resnet(layer, x)
            if block.upsamplers:
                x = self._doubled(block.upsamplers[0].conv, x)
        return self._ended(decoder, x)

    def _middle(self, block: UNetMidBlock2D, x: Tensor) -> Tensor:
        x = self._resnet(block.resnets[0], x)
        if block.attentions[0] is not None:
            x = block.attentions[0](x)
        return self._resnet(block.resnets[1], x)

    def _ended(self, network: Encoder | Decoder, x: Tensor) -> Tensor:
        return self._convolved(network.conv_out, x, norm=network.conv_norm_out)

    def _resnet(self, layer: ResnetBlock2D, x: Tensor) -> Tensor:
        """One residual block of ``x``; the shortcut is added band by band."""
        hidden = self._convolved(layer.conv1, x, norm=layer.norm1)
        hidden = self._convolved(layer.conv2, hidden, norm=layer.norm2)
        for start in range(0, x.shape[2], self.band_px):
            rows = x[:, :, start : start + self.band_px]
            hidden[:, :, start : start + self.band_px] += (
                rows if layer.conv_shortcut is None else layer.conv_shortcut(rows)
            )
        return hidden

    def _convolved(self, conv: nn.Conv2d, x: Tensor, *, norm: nn.GroupNorm | None = None) -> Tensor:
        """A 3x3 convolution of ``x``, or of its normed and activated form, which is never whole."""
        if norm is None:
            return self._by_bands(conv, x.shape[2], lambda start, stop: x[:, :, start:stop])
        scale, shift = self._norm_factors(norm, x)

        def see(start: int, stop: int) -> Tensor:
            normed = x[:, :, start:stop].float() * scale + shift
            return functional.silu(normed.to(x.dtype), inplace=True)

        return self._by_bands(conv, x.shape[2], see)

    def _halved(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Every second row and column, seen with the one before and the one after it."""
        return self._by_bands(
            conv, x.shape[2], lambda start, stop: x[:, :, start:stop], stride=2, before=0
        )

    def _doubled(self, conv: nn.Conv2d, x: Tensor) -> Tensor:
        """Each pixel made four, then smoothed."""

        def see(start: int, stop: int) -> Tensor:
            rows = x[:, :, start // 2 : (stop + 1) // 2]
            twice = functional.interpolate(rows, scale_factor=2.0, mode="nearest")
            return twice[:, :, start % 2 : start % 2 + stop - start]

        return self._by_bands(conv, x.shape[2] * 2, see)

    def _by_bands(
        self, conv: nn.Conv2d, height: int, see: Rows, *, stride: int = 1, before: int = 1
    ) -> Tensor:
        """A 3x3 convolution of a picture of ``height`` rows, of which ``see`` gives any."""
        out_height = (height + before + 1 - 3) // stride + 1
        out: Tensor | None = None
        for start in range(0, out_height, self.band_px):
            stop = min(start + self.band_px, out_height)
            first, last = start * stride - before, (stop - 1) * stride - before + 3
            rows = see(max(first, 0), min(last, height))
            padding = (before, 1, max(-first, 0), max(last - height, 0))
            band = functional.conv2d(
                functional.pad(rows, padding), conv.weight, conv.bias, stride=stride
            )
            if out is None:
                out = band.new_empty((*band.shape[:2], out_height, band.shape[3]))
            out[:, :, start:stop] = band
        assert out is not None
        return out

    def _norm_factors(self, norm: nn.GroupNorm, x: Tensor) -> tuple[Tensor, Tensor]:
        """What each channel is multiplied by and what is then added, over all of the picture."""
        count = x[0].numel() // norm.num_groups
        mean = self._group_sums(x, norm.num_groups, None) / count
        variance = self._group_sums(x, norm.num_groups, mean) / count
        repeats = x.shape[1] // norm.num_groups
        scale = (variance + norm.eps).rsqrt().repeat_interleave(repeats, dim=1) * norm.weight
        shift = norm.bias - mean.repeat_interleave(repeats, dim=1) * scale
        return scale[:, :, None, None].float(), shift[:, :, None, None].float()

    def _group_sums(self, x: Tensor, groups: int, mean: Tensor | None) -> Tensor:
        """For each picture and group its sum, or that of squares about ``mean``: float64."""
        sums = torch.zeros((len(x), groups), dtype=torch.float64, device=x.device)
        for start in range(0, x.shape[2], self.band_px):
            rows = x[:, :, start : start + self.band_px].float().reshape(len(x), groups, -1)
            if mean is not None:
                rows = (rows - mean[:, :, None].float()).square()
            sums += rows.sum(dim=2, dtype=torch.float64)
        return sums
