"""Our networks and sampler give what the reference gives: golden data, judged by its checker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers.models.embeddings import SinusoidalPositionalEmbedding
from safetensors.torch import load_file
from torch import Tensor

from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.loading import build_brushnet, build_unet
from erasecore.engines.diffueraser.plan import BatchPlan
from tests.golden import parity_adapter, seeded_fill

torch.set_num_threads(1)  # tiny networks: threads cost more than they bring

HERE = Path(__file__).parent
DATA = HERE / "data"


def test_the_checker_is_content() -> None:
    """Weights, BrushNet, UNet, loop, whole clips, decoding and LoRA pass all golden verdicts."""
    checker = [sys.executable, str(HERE / "check_parity.py"), "--golden", str(DATA)]
    done = subprocess.run(
        [*checker, "--adapter", str(HERE / "parity_adapter.py")],
        capture_output=True,
        text=True,
        check=False,
    )
    verdicts = [line for line in done.stdout.splitlines() if line[:4] in ("pass", "FAIL")]
    assert not [line for line in verdicts if line.startswith("FAIL")], done.stdout
    assert len(verdicts) == 43, done.stdout + done.stderr
    assert done.returncode == 0


@pytest.mark.parametrize("width", [32, 64, 320, 640, 1280])
def test_positions_are_the_networks_own_but_for_roundings(width: int) -> None:
    """The golden data's table of positions is torch's, within what an ulp of a frequency does."""
    own = SinusoidalPositionalEmbedding(width, 32).pe
    ulp = float(torch.finfo(torch.float32).eps)
    assert (parity_adapter.positions(32, width) - own).abs().max() <= 32 * ulp


@pytest.mark.parametrize("form", ["full", "minimal"])
@pytest.mark.parametrize("name", ["brushnet", "unet_main"])
def test_names_and_shapes_are_the_published_ones(name: str, form: str) -> None:
    """At full size every tensor has the published name and shape, by either form of config.json."""
    config = json.loads((DATA / f"{name}_config_{form}.json").read_text())
    with torch.device("meta"):
        network = build_brushnet(config) if name == "brushnet" else build_unet(config)
    found = {key: list(tensor.shape) for key, tensor in network.state_dict().items()}
    assert found == json.loads((DATA / f"{name}_keys.json").read_text())


@pytest.mark.parametrize(("precision", "limit"), [(torch.float16, 5e-3), (torch.bfloat16, 2e-2)])
def test_half_precision_stays_close(precision: torch.dtype, limit: float) -> None:
    """The golden loop in half precision is off by no more than the specification allows (rms)."""
    networks = golden_networks(precision)
    loop = load_file(DATA / "c_loop.safetensors")
    frames = loop["frames"].numpy() * (loop["masks"].numpy() == 0)[..., None]
    conditioning = parity_adapter.conditioning(networks.vae, frames, loop["masks"].numpy())
    latents = denoise(
        networks, loop["latents_in"], conditioning, steps=2, plan=BatchPlan(2), tick=_quiet
    )
    assert latents.dtype == torch.float32
    off = rms(latents - loop["latents_out"]) / rms(loop["latents_out"])
    assert 1e-6 < off <= limit


def golden_networks(precision: torch.dtype) -> Components:
    """The networks that the golden data was made with, in ``precision``."""
    meta = json.loads((DATA / "meta.json").read_text())
    built: dict[str, Any] = {}
    for name in ("brushnet", "unet_main", "vae"):
        config = json.loads((DATA / name / "config.json").read_text())
        make = getattr(parity_adapter, f"make_{name.removesuffix('_main')}")
        network = seeded_fill.fill_module(
            make(config), meta["variant"]["seed"], meta["gains"][f"{name}."], prefix=f"{name}."
        )
        built[name] = network.to(precision)
    prompt = load_file(DATA / "c_loop.safetensors")["emb"].to(precision)
    return Components(built["brushnet"], built["unet_main"], built["vae"], prompt)


def rms(values: Tensor) -> float:
    """The root of the mean square."""
    return float(values.float().square().mean().sqrt())


def _quiet(_share: float) -> None:
    pass
