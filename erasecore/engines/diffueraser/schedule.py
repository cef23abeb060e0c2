"""Noise schedule and sampler step (TCD with ``eta = 0``) as pure functions in float32.

The UNet was distilled for TCD sampling (Zheng et al., "Trajectory Consistency Distillation", 2024).
With ``eta = 0`` no noise is drawn between steps: a step is the DDIM formula between two timesteps,
and the last one ends at timestep 0, not at zero noise. The first step divides by the square root of
``alphas_cumprod[999]`` = 0.0047, which amplifies rounding errors fifteenfold; therefore nothing
here is computed in half precision. Equivalent to diffusers' ``TCDScheduler``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np
import torch
from torch import Tensor

NUM_TRAIN_TIMESTEPS = 1000
"""Number of timesteps, 0 (cleanest) to 999 (noisiest); from Stable Diffusion 1.5."""
FIRST_TIMESTEP = NUM_TRAIN_TIMESTEPS - 1
"""Timestep at which sampling starts."""
_BETA_START = 0.00085  # noise variance added at timestep 0; from Stable Diffusion 1.5
_BETA_END = 0.012  # and at timestep 999
_ORIGINAL_STEPS = 50  # evenly spaced timesteps that TCD selects from (its original_inference_steps)
_TRAINED_WITH = {
    "beta_schedule": "scaled_linear",
    "beta_start": _BETA_START,
    "beta_end": _BETA_END,
    "num_train_timesteps": NUM_TRAIN_TIMESTEPS,
}
"""Entries that a published scheduler_config.json must have."""
_DEFAULTS = {
    "prediction_type": "epsilon",
    "trained_betas": None,
    "rescale_betas_zero_snr": False,
}
"""Entries that it may leave out, with the values that they must have otherwise."""


def schedule_mismatch(config: Mapping[str, object]) -> str:
    """Return the first difference of a published schedule from this module's; empty if none.

    Entries that concern the sampler (steps, spacing, clipping) are ignored: they are for other
    samplers.

    Args:
        config: content of a scheduler_config.json.
    """
    wanted = {**_TRAINED_WITH, **_DEFAULTS}
    found = {**_DEFAULTS, **config}
    return next(
        (
            f"{key} is {found.get(key, 'missing')}, the networks were trained with {value}"
            for key, value in wanted.items()
            if found.get(key, "missing") != value
        ),
        "",
    )


@cache
def _alphas_cumprod() -> Tensor:
    """Share of the signal's variance left at each timestep, float32 ``(1000,)``, 0 to 1."""
    root_betas = torch.linspace(
        _BETA_START**0.5, _BETA_END**0.5, NUM_TRAIN_TIMESTEPS, dtype=torch.float32
    )
    return torch.cumprod(1.0 - root_betas**2, dim=0)


def timestep_pairs(steps: int) -> tuple[tuple[int, int], ...]:
    """Return the timesteps at which each of ``steps`` denoising steps begins and ends.

    Raises:
        ValueError: ``steps`` is not between 1 and 50.
    """
    if not 1 <= steps <= _ORIGINAL_STEPS:
        raise ValueError(f"steps is {steps}, must be 1 to {_ORIGINAL_STEPS}")
    spacing = NUM_TRAIN_TIMESTEPS // _ORIGINAL_STEPS
    taken = np.floor(np.linspace(0, _ORIGINAL_STEPS, num=steps, endpoint=False)).astype(int)
    begins = [FIRST_TIMESTEP - int(index) * spacing for index in taken]
    return tuple(zip(begins, [*begins[1:], 0], strict=True))


def add_noise(clean: Tensor, noise: Tensor) -> Tensor:
    """Return ``clean`` latents noised to the first timestep (7 % signal amplitude), float32."""
    alpha = _alphas_cumprod()[FIRST_TIMESTEP].to(clean.device)
    return alpha.sqrt() * clean + (1.0 - alpha).sqrt() * noise


def step(latents: Tensor, noise: Tensor, *, begin: int, end: int) -> Tensor:
    """Return the latents at timestep ``end`` by one DDIM step.

    Args:
        latents: at timestep ``begin``, float32.
        noise: noise predicted in them, same shape.
        begin: timestep of ``latents``.
        end: timestep of the result, smaller than ``begin``.
    """
    alphas = _alphas_cumprod().to(latents.device)
    clean = (latents - (1.0 - alphas[begin]).sqrt() * noise) / alphas[begin].sqrt()
    return alphas[end].sqrt() * clean + (1.0 - alphas[end]).sqrt() * noise


def draw_noise(frames: int, height: int, width: int, *, seed: int, channels: int = 4) -> Tensor:
    """Draw Gaussian noise, float32 ``(frames, channels, height, width)``, on the CPU.

    Each frame has its own generator, so that its noise depends on the seed and its index only; the
    CPU draws it, so that all devices start from the same noise.
    """
    drawn = []
    for frame in range(frames):
        generator = torch.Generator().manual_seed(seed * 1_000_003 + frame)
        drawn.append(torch.randn((channels, height, width), generator=generator))
    return torch.stack(drawn)


def tile_noise(noise: Tensor, frames: int) -> Tensor:
    """Repeat ``noise`` ``(t, ...)`` along time to ``(frames, ...)``: frame k gets k modulo t."""
    return noise[torch.arange(frames) % len(noise)]
