"""Batch sizes and tiling; they change memory use and time, never the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """Batch sizes, VAE tiling and attention slicing of one run.

    Attributes:
        windows_per_batch: windows that go through BrushNet and the UNet together.
        vae_batch: frames that the VAE encodes or decodes together.
        vae_tile_px: height of the row tiles in which the VAE's layers are computed, in rows of the
            layer's own resolution; ``None`` computes each layer whole.
        attention_slice: if True, UNet and BrushNet layers are computed in slices of their frames
            or pixels, one after the other (as diffusers' attention slicing, for all layers).
    """

    windows_per_batch: int = 1
    vae_batch: int = 4
    vae_tile_px: int | None = None
    attention_slice: bool = False
