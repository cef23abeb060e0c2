"""Memory ladder of the engine: batch plans from the fastest to the one that needs least memory."""

from __future__ import annotations

from dataclasses import dataclass

from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.memory.ladder import Rung
from erasecore.settings import DiffusionSettings


@dataclass(frozen=True, slots=True)
class InpaintPlan:
    """Plan of one rung.

    Attributes:
        batch: batch sizes and tiling; ``None``: no diffusion, the prior's fill stays.
        scale: size of the pictures that the model sees, relative to the film; below 1 the result
            has less detail.
    """

    batch: BatchPlan | None
    scale: float = 1.0


_LEAST = BatchPlan(windows_per_batch=1, vae_batch=1, vae_tile_px=64, attention_slice=True)
# Ordered by estimated peak memory (bench/footprint.py): on wide crops the UNet needs more memory
# than the VAE, so attention is sliced first.
_EXACT = (
    Rung("4 windows", InpaintPlan(BatchPlan(windows_per_batch=4, vae_batch=8))),
    Rung("2 windows", InpaintPlan(BatchPlan(windows_per_batch=2, vae_batch=4))),
    Rung("1 window", InpaintPlan(BatchPlan(windows_per_batch=1, vae_batch=4))),
    Rung(
        "attention slices",
        InpaintPlan(BatchPlan(windows_per_batch=1, vae_batch=2, attention_slice=True)),
    ),
    Rung(
        "vae slices",
        InpaintPlan(BatchPlan(windows_per_batch=1, vae_batch=1, attention_slice=True)),
    ),
    Rung("vae tiles", InpaintPlan(_LEAST)),
)
"""Rungs with the same result."""
_REDUCED = (
    Rung("3/4 size", InpaintPlan(_LEAST, scale=0.75)),
    Rung("1/2 size", InpaintPlan(_LEAST, scale=0.5)),
)
"""Rungs with less detail."""
_NO_DIFFUSION = (Rung("propagate", InpaintPlan(None)),)
"""Last rung: the prior's fill."""


def rungs(settings: DiffusionSettings) -> tuple[Rung[InpaintPlan], ...]:
    """Return the rungs of the memory ladder, largest memory first."""
    return (*_EXACT, *_REDUCED, *(_NO_DIFFUSION if settings.allow_propagate else ()))
