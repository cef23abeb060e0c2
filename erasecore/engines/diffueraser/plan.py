"""How much goes to the device at once. A plan changes memory and time, never the result."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """How much of a clip is worked on at once.

    Attributes:
        windows_per_batch: windows that go through the networks together.
        vae_batch: frames that are encoded or decoded together.
        vae_tile_px: the VAE's layers are computed in bands of so many pixels of the picture's
            height; ``None`` computes each whole.
        attention_slice: layers, attention before all, are computed in pieces of their frames or
            pixels, one after the other.
    """

    windows_per_batch: int = 1
    vae_batch: int = 4
    vae_tile_px: int | None = None
    attention_slice: bool = False
