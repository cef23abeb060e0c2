"""The engine's ladder: how much goes to the device at once, from everything to next to nothing."""

from __future__ import annotations

from dataclasses import dataclass

from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.memory.ladder import Rung
from erasecore.settings import DiffusionSettings


@dataclass(frozen=True, slots=True)
class PaintPlan:
    """What one rung stands for.

    Attributes:
        batch: how much is done at once; ``None``: nothing is diffused.
        scale: of the pictures that the networks see; below 1 the result is a coarser one.
    """

    batch: BatchPlan | None
    scale: float = 1.0


_LEAST = BatchPlan(windows_per_batch=1, vae_batch=1, vae_tile_px=64, attention_slice=True)
# By what each phase takes, estimated: on a strip the networks outgrow the autoencoder.
_EXACT = (
    Rung("4 windows", PaintPlan(BatchPlan(windows_per_batch=4, vae_batch=8))),
    Rung("2 windows", PaintPlan(BatchPlan(windows_per_batch=2, vae_batch=4))),
    Rung("1 window", PaintPlan(BatchPlan(windows_per_batch=1, vae_batch=4))),
    Rung(
        "attention slices",
        PaintPlan(BatchPlan(windows_per_batch=1, vae_batch=2, attention_slice=True)),
    ),
    Rung(
        "vae slices",
        PaintPlan(BatchPlan(windows_per_batch=1, vae_batch=1, attention_slice=True)),
    ),
    Rung("vae tiles", PaintPlan(_LEAST)),
)
_COARSER = (
    Rung("3/4 size", PaintPlan(_LEAST, scale=0.75)),
    Rung("1/2 size", PaintPlan(_LEAST, scale=0.5)),
)
_NOT_AT_ALL = (Rung("propagate", PaintPlan(None)),)


def rungs(settings: DiffusionSettings) -> tuple[Rung[PaintPlan], ...]:
    """The rungs, the hungriest first."""
    return (*_EXACT, *_COARSER, *(_NOT_AT_ALL if settings.allow_propagate else ()))
