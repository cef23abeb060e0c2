"""The motion UNet: diffusers' own parts and names, walked our way, with BrushNet's taps let in.

Two things look like accidents and are what the weights were trained with: the first skip does not
have BrushNet's tap, and the middle block's second resnet runs twice.
"""

from __future__ import annotations

from collections.abc import Iterator

from diffusers.models.unets.unet_motion_model import UNetMotionModel
from torch import Tensor

from erasecore.engines.diffueraser.layers import (
    Setting,
    attend,
    attend_along_time,
    embed_time,
    resnet,
)


class MotionUNet(UNetMotionModel):  # type: ignore[misc]  # diffusers' classes are untyped
    """Predicts the noise in the latents of whole clips."""

    def setting(self, level: int, prompt: Tensor, slices: int) -> Setting:
        """What the layers are told at noise level ``level``."""
        return Setting(embed_time(self, level, prompt), prompt, slices)

    def forward(
        self, latents: Tensor, setting: Setting, frames: int, residuals: Iterator[Tensor] | None
    ) -> Tensor:
        """The noise in ``latents``, of the same shape.

        Args:
            latents: ``(clips * frames, 4, h, w)``, the frames of a clip in a row.
            setting: what the layers are told.
            frames: how many frames each clip has.
            residuals: BrushNet's, in its order; ``None`` leaves them all out.
        """
        walk = _ForwardPass(self, setting, frames, residuals)
        x: Tensor = self.conv_in(latents)
        skips = [x]
        x = walk.tapped(x)
        for block in self.down_blocks:
            x = walk.down(block, x, skips)
        x = walk.middle(x)
        for block in self.up_blocks:
            x = walk.up(block, x, skips)
        x = self.conv_act(self.conv_norm_out(x))
        noise: Tensor = self.conv_out(x)
        return noise


class _ForwardPass:
    """One pass through the blocks, and what stays the same on it."""

    def __init__(
        self, unet: MotionUNet, setting: Setting, frames: int, residuals: Iterator[Tensor] | None
    ) -> None:
        self._middle = unet.mid_block
        self._setting = setting
        self._frames = frames
        self._taps = residuals

    def tapped(self, x: Tensor) -> Tensor:
        """``x`` with BrushNet's next tap."""
        return x if self._taps is None else x + next(self._taps)

    def down(self, block: UNetMotionModel, x: Tensor, skips: list[Tensor]) -> Tensor:
        """``x`` behind a down block, the activations for its mirror image put onto ``skips``."""
        for index in range(len(block.resnets)):
            x = self._layer(block, index, x)
            skips.append(x)
        if block.downsamplers:
            x = self.tapped(block.downsamplers[0](x))
            skips.append(x)
        return x

    def middle(self, x: Tensor) -> Tensor:
        """``x`` behind the middle block, its second resnet before and after the motion module."""
        block = self._middle
        x = resnet(block.resnets[0], x, self._setting)
        x = attend(block.attentions[0], x, self._setting)
        x = self.tapped(resnet(block.resnets[1], x, self._setting))
        x = attend_along_time(block.motion_modules[0], x, self._frames, self._setting)
        return resnet(block.resnets[1], x, self._setting)

    def up(self, block: UNetMotionModel, x: Tensor, skips: list[Tensor]) -> Tensor:
        """``x`` behind an up block, with what its mirror image left on ``skips``."""
        for index in range(len(block.resnets)):
            x = self._layer(block, index, x, skip=skips.pop())
        if block.upsamplers:
            # always told the size: a side may be odd
            x = self.tapped(block.upsamplers[0](x, output_size=skips[-1].shape[-2:]))
        return x

    def _layer(
        self, block: UNetMotionModel, index: int, x: Tensor, skip: Tensor | None = None
    ) -> Tensor:
        """``x`` behind one layer: resnet, attention, tap, attention along time."""
        x = resnet(block.resnets[index], x, self._setting, skip=skip)
        attentions = getattr(block, "attentions", None)
        if attentions:
            x = attend(attentions[index], x, self._setting)
        x = self.tapped(x)
        return attend_along_time(block.motion_modules[index], x, self._frames, self._setting)
