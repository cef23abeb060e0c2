"""The sampler's schedule: the one the networks were trained with, and no other."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from diffusers import TCDScheduler

from erasecore.engines.diffueraser.loading import Placement, load_components
from erasecore.engines.diffueraser.schedule import (
    NUM_TRAIN_TIMESTEPS,
    add_noise,
    schedule_mismatch,
    step,
    timestep_pairs,
)
from erasecore.errors import BadWeights
from erasecore.weights.layout import locate
from tests.tinyweights import write_tiny_weights

PUBLISHED: dict[str, object] = {
    "_class_name": "PNDMScheduler",
    "_diffusers_version": "0.6.0",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "num_train_timesteps": 1000,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
    "clip_sample": False,
}
"""As it lies beside Stable Diffusion 1.5."""


def tcd() -> TCDScheduler:
    """The scheduler that the reference samples with, made of the published file."""
    return TCDScheduler.from_config({**PUBLISHED, "_class_name": "TCDScheduler"})


@pytest.mark.parametrize("steps", [1, 2, 4, 8])
def test_levels_and_steps_are_the_schedulers(steps: int) -> None:
    """The same levels as diffusers', the same noise at the first, the same step between two."""
    scheduler = tcd()
    scheduler.set_timesteps(steps)
    assert [begin for begin, _ in timestep_pairs(steps)] == scheduler.timesteps.tolist()
    drawn = torch.Generator().manual_seed(1)
    clean, noise, latents = (torch.randn((2, 4, 8, 8), generator=drawn) for _ in range(3))
    first = torch.tensor([NUM_TRAIN_TIMESTEPS - 1])
    torch.testing.assert_close(
        add_noise(clean, noise), scheduler.add_noise(clean, noise, first), rtol=1e-5, atol=1e-5
    )
    for begin, end in timestep_pairs(steps):
        ours = step(latents, noise, begin=begin, end=end)
        theirs = scheduler.step(noise, begin, latents, eta=0.0).prev_sample
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_the_published_schedule_is_ours() -> None:
    """What lies beside Stable Diffusion 1.5 is what is computed, with or without what is usual."""
    assert schedule_mismatch(PUBLISHED) == ""
    assert schedule_mismatch({**PUBLISHED, "prediction_type": "epsilon"}) == ""


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("beta_schedule", "linear"),
        ("beta_start", 0.0001),
        ("beta_end", 0.02),
        ("num_train_timesteps", 500),
        ("prediction_type", "v_prediction"),
        ("trained_betas", [0.1, 0.2]),
        ("rescale_betas_zero_snr", True),
    ],
)
def test_another_schedule_is_refused(tmp_path: Path, key: str, value: object) -> None:
    """A file for other networks is named with what it says and what it should, and so is a gap."""
    models = write_tiny_weights(tmp_path)
    file = models / "stable-diffusion-v1-5/scheduler/scheduler_config.json"
    file.write_text(json.dumps({**PUBLISHED, key: value}))
    told = f"scheduler_config.json: {key} is {value}, the networks were trained with".replace(
        "[", r"\["
    )
    with pytest.raises(BadWeights, match=told):
        load_components(locate(models), Placement(), state=None)


@pytest.mark.parametrize("content", ["", "[]", "{}"])
def test_a_schedule_that_says_nothing(tmp_path: Path, content: str) -> None:
    """A file that was cut short, or is empty, is named as well: its defaults are other ones."""
    models = write_tiny_weights(tmp_path)
    file = models / "stable-diffusion-v1-5/scheduler/scheduler_config.json"
    file.write_text(content)
    with pytest.raises(BadWeights, match=r"scheduler_config\.json"):
        load_components(locate(models), Placement(), state=None)
