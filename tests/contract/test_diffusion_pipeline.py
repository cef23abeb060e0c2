"""The networks behind the diffusion engine: loaded when needed, once, with signs of life."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import torch

from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.pipeline import DiffusionPipeline
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL
from erasecore.settings import DiffusionSettings, Precision
from erasecore.weights.layout import locate
from tests.tinyweights import write_tiny_weights

PLAN = BatchPlan(windows_per_batch=2, vae_batch=4)


def scene() -> Conditioning:
    """Three small frames with a hole."""
    frames = np.random.default_rng(2).integers(0, 256, (3, 64, 64, 3), np.uint8)
    holes = np.zeros((3, 64, 64), np.bool_)
    holes[:, 20:30, 10:50] = True
    return Conditioning(frames, holes)


def test_networks_are_loaded_once_and_stay(tmp_path: Path) -> None:
    """With the weights gone, the next run of frames comes out as the first, and time is told."""
    weights = locate(write_tiny_weights(tmp_path / "models"))
    pipeline = DiffusionPipeline(weights, DiffusionSettings(), tmp_path, threads=1)
    assert pipeline.device == "cpu" or torch.cuda.is_available()
    shares: list[float] = []
    first = pipeline.inpaint(scene(), [0, 2], PLAN, shares.append)
    assert list(tmp_path.glob("empty-prompt-*.safetensors"))
    shutil.rmtree(tmp_path / "models")
    second = pipeline.inpaint(scene(), [0, 2], PLAN, shares.append)
    assert first.shape == (2, 64, 64, 3)
    assert np.array_equal(first, second)
    assert np.abs(first[0] / U16_PER_LEVEL - scene().frames[0]).mean() > 1
    assert all(0 <= share <= 1 for share in shares)


def test_a_state_folder_that_cannot_be_written_does_no_harm(tmp_path: Path) -> None:
    """The embedding of the empty prompt is computed once more, next time."""
    weights = locate(write_tiny_weights(tmp_path / "models"))
    (tmp_path / "state").write_text("a file, where a folder should be")
    pipeline = DiffusionPipeline(weights, DiffusionSettings(), tmp_path / "state", threads=1)
    assert pipeline.inpaint(scene(), [1], PLAN, lambda _: None).shape == (1, 64, 64, 3)


def test_the_seed_and_the_precision_are_obeyed(tmp_path: Path) -> None:
    """Another seed makes other pixels up; half precision nearly the same ones."""
    weights = locate(write_tiny_weights(tmp_path / "models"))

    def painted(settings: DiffusionSettings) -> np.ndarray:
        pipeline = DiffusionPipeline(weights, settings, tmp_path, threads=1)
        return pipeline.inpaint(scene(), [0, 1, 2], PLAN, lambda _: None) / U16_PER_LEVEL

    usual = painted(DiffusionSettings(precision=Precision.FLOAT32))
    assert np.abs(usual - painted(DiffusionSettings(seed=21))).mean() > 1
    coarse = painted(DiffusionSettings(precision=Precision.BFLOAT16))
    assert 0 < np.abs(usual - coarse).mean() < 5
