"""Motion UNet: diffusers' ``UNetMotionModel`` with a forward pass that adds BrushNet residuals.

Two things look like mistakes and are how the weights were trained: the first skip connection is
taken before BrushNet's residual is added, and the mid block's second resnet runs twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch import Tensor

from erasecore.engines.diffueraser.layers import (
    LayerInputs,
    resnet,
    spatial_attention,
    temporal_attention,
    time_embedding,
)


class MotionUNet(UNetMotionModel):  # type: ignore[misc]  # diffusers' classes are untyped
    """Predicts the noise in the latents of whole clips (prediction type "epsilon")."""

    def layer_inputs(self, timestep: int, prompt_embeds: Tensor, slices: int) -> LayerInputs:
        """Return the shared inputs of all layers for one forward pass at ``timestep``."""
        return LayerInputs(time_embedding(self, timestep, prompt_embeds), prompt_embeds, slices)

    def forward(
        self, latents: Tensor, inputs: LayerInputs, frames: int, residuals: Iterator[Tensor] | None
    ) -> Tensor:
        """Return the predicted noise, of the same shape as ``latents``.

        Args:
            latents: ``(clips * frames, 4, h, w)``, the frames of each clip consecutive.
            inputs: shared inputs of all layers.
            frames: number of frames per clip.
            residuals: of BrushNet, in the order of `BrushNet.residuals`; ``None``: not added.
        """
        layers = _ForwardPass(self, inputs, frames, residuals)
        x: Tensor = self.conv_in(latents)
        skips = [x]
        x = layers.add_residual(x)
        for block in self.down_blocks:
            x = layers.down_block(block, x, skips)
        x = layers.mid_block(x)
        for block in self.up_blocks:
            x = layers.up_block(block, x, skips)
        x = self.conv_act(self.conv_norm_out(x))
        noise: Tensor = self.conv_out(x)
        return noise


class _ForwardPass:
    """One forward pass: applies the blocks with the same inputs, consuming the residuals."""

    def __init__(
        self, unet: MotionUNet, inputs: LayerInputs, frames: int, residuals: Iterator[Tensor] | None
    ) -> None:
        self._mid_block = unet.mid_block
        self._inputs = inputs
        self._frames = frames
        self._residuals = residuals

    def add_residual(self, x: Tensor) -> Tensor:
        """Return ``x`` plus BrushNet's next residual."""
        return x if self._residuals is None else x + next(self._residuals)

    def down_block(self, block: UNetMotionModel, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Apply a down block; appends its activations to ``skips`` for the mirrored up block."""
        for index in range(len(block.resnets)):
            x = self._layer(block, index, x)
            skips.append(x)
        if block.downsamplers:
            x = self.add_residual(block.downsamplers[0](x))
            skips.append(x)
        return x

    def mid_block(self, x: Tensor) -> Tensor:
        """Apply the mid block, its second resnet both before and after the motion module."""
        block = self._mid_block
        x = resnet(block.resnets[0], x, self._inputs)
        x = spatial_attention(block.attentions[0], x, self._inputs)
        x = self.add_residual(resnet(block.resnets[1], x, self._inputs))
        x = temporal_attention(block.motion_modules[0], x, self._frames, self._inputs)
        return resnet(block.resnets[1], x, self._inputs)

    def up_block(self, block: UNetMotionModel, x: Tensor, skips: list[Tensor]) -> Tensor:
        """Apply an up block; pops the activations of the mirrored down block from ``skips``."""
        for index in range(len(block.resnets)):
            x = self._layer(block, index, x, skip=skips.pop())
        if block.upsamplers:
            # The size is always given, since a side may be odd.
            x = self.add_residual(block.upsamplers[0](x, output_size=skips[-1].shape[-2:]))
        return x

    def _layer(
        self, block: UNetMotionModel, index: int, x: Tensor, skip: Tensor | None = None
    ) -> Tensor:
        """Apply one layer: resnet, spatial attention if any, residual, temporal attention."""
        x = resnet(block.resnets[index], x, self._inputs, skip=skip)
        attentions = getattr(block, "attentions", None)
        if attentions:
            x = spatial_attention(attentions[index], x, self._inputs)
        x = self.add_residual(x)
        return temporal_attention(block.motion_modules[index], x, self._frames, self._inputs)
