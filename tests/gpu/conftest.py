"""What these tests need: a CUDA device. ``FAIL_WITHOUT_CUDA=1`` makes its absence a failure.

Without one they are skipped; with ``GPU_TESTS_ON_CPU=1`` those that are not about a card's memory
or its loss run on the CPU, so that what they do is known to work.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from erasecore.engines.diffueraser.pipeline import DiffusionPipeline
from erasecore.memory.malloc import free_memory
from erasecore.settings import DiffusionSettings, Precision
from erasecore.weights.layout import locate
from tests.process.house import House
from tests.tinyweights import write_tiny_weights

torch.set_num_threads(1)  # tiny networks: threads cost more than they bring


@pytest.fixture(scope="session")
def device() -> str:
    """The device that is tested."""
    if torch.cuda.is_available():
        _open("cuda")
        return "cuda"
    if os.environ.get("FAIL_WITHOUT_CUDA") == "1":
        pytest.fail("FAIL_WITHOUT_CUDA=1, and torch finds no CUDA device")
    if os.environ.get("GPU_TESTS_ON_CPU") == "1":
        return "cpu"
    pytest.skip("torch finds no CUDA device")


@pytest.fixture
def card(device: str) -> None:
    """There is a card: a CPU will not do."""
    if device == "cpu":
        pytest.skip("this is about the card itself")


def _open(device: str) -> None:
    """Have the driver and its libraries open all that they keep open, before tests are watched."""
    ones = torch.ones(1, 4, 8, 8, device=device)
    torch.nn.Conv2d(4, 4, 3, device=device)(ones)
    torch.mm(ones[0, 0], ones[0, 0]).sum().item()


@pytest.fixture(scope="session")
def models(device: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny networks in the published layout."""
    return write_tiny_weights(tmp_path_factory.mktemp("models"))


@pytest.fixture
def pipeline(models: Path) -> Iterator[DiffusionPipeline]:
    """Paints with these networks on the card, in float32."""
    yield painter_of(models, Precision.FLOAT32)
    free_memory()


def painter_of(models: Path, precision: Precision) -> DiffusionPipeline:
    """A painter on the best device there is."""
    settings = DiffusionSettings(precision=precision)
    return DiffusionPipeline(locate(models), settings, None, threads=1)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """A root folder; its daemons are ended after the test."""
    house = House(tmp_path)
    yield house
    house.close()
