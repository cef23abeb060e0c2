"""Noise levels and the sampler's step: pure functions in float32, without a scheduler object.

The networks were trained for TCD sampling with ``eta = 0``, which draws no noise on the way: a
step is then the DDIM formula between two levels, and the last one ends at level 0, not without
noise. The division by a root of 0.0047 at the first level amplifies rounding fifteenfold, so
nothing here is ever computed in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

LEVELS = 1000
FIRST_LEVEL = LEVELS - 1
_BETA_FIRST, _BETA_LAST = 0.00085, 0.012
_DISTILLED_STEPS = 50  # TCD picks its levels out of so many evenly spaced ones
_TRAINED_WITH = {
    "beta_schedule": "scaled_linear",
    "beta_start": _BETA_FIRST,
    "beta_end": _BETA_LAST,
    "num_train_timesteps": LEVELS,
}
_UNLESS_TOLD = {
    "prediction_type": "epsilon",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
}


def difference(config: Mapping[str, object]) -> str:
    """Where a published schedule differs from the one that is computed here; empty if nowhere.

    What a scheduler's class makes of it besides (steps, spacing, clipping) is for other samplers.
    """
    wanted = {**_TRAINED_WITH, **_UNLESS_TOLD}
    found = {**_UNLESS_TOLD, **config}
    return next(
        (
            f"{key} is {found.get(key, 'missing')}, the networks were trained with {value}"
            for key, value in wanted.items()
            if found.get(key, "missing") != value
        ),
        "",
    )


@cache
def _signal_shares() -> Tensor:
    """The share of the signal's variance left at each level, float32 ``(LEVELS,)``."""
    root_betas = torch.linspace(_BETA_FIRST**0.5, _BETA_LAST**0.5, LEVELS, dtype=torch.float32)
    return torch.cumprod(1.0 - root_betas**2, dim=0)


def levels(steps: int) -> tuple[tuple[int, int], ...]:
    """The noise levels of ``steps`` denoising steps: of each, where it begins and where it ends."""
    if not 1 <= steps <= _DISTILLED_STEPS:
        raise ValueError(f"steps is {steps}, must be 1 to {_DISTILLED_STEPS}")
    spacing = LEVELS // _DISTILLED_STEPS
    taken = np.floor(np.linspace(0, _DISTILLED_STEPS, num=steps, endpoint=False)).astype(int)
    begins = [FIRST_LEVEL - int(index) * spacing for index in taken]
    return tuple(zip(begins, [*begins[1:], 0], strict=True))


def add_noise(clean: Tensor, noise: Tensor) -> Tensor:
    """``clean`` latents under the noise of the first level: 7 % signal; all float32."""
    share = _signal_shares()[FIRST_LEVEL].to(clean.device)
    return share.sqrt() * clean + (1.0 - share).sqrt() * noise


def step(latents: Tensor, noise: Tensor, *, begin: int, end: int) -> Tensor:
    """The latents at level ``end``, given those at ``begin`` and the noise predicted in them."""
    shares = _signal_shares().to(latents.device)
    clean = (latents - (1.0 - shares[begin]).sqrt() * noise) / shares[begin].sqrt()
    return shares[end].sqrt() * clean + (1.0 - shares[end]).sqrt() * noise


def draw_noise(frames: int, height: int, width: int, *, seed: int, channels: int = 4) -> Tensor:
    """Noise for ``frames`` frames, float32 ``(frames, channels, height, width)`` on the CPU.

    Each frame has a generator of its own, so that a frame's noise depends on nothing but the seed
    and its place; and the CPU draws it, so that every device starts from the same.
    """
    drawn = []
    for frame in range(frames):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + frame)
        drawn.append(torch.randn((channels, height, width), generator=generator))
    return torch.stack(drawn)


def tile_noise(noise: Tensor, frames: int) -> Tensor:
    """``noise`` repeated along time: frame ``t`` has that of ``t`` modulo its length."""
    return noise[torch.arange(frames) % len(noise)]
