"""On a graphics card: its memory runs out, its precision, what it keeps, and what ends a worker."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.loading import Placement, load_components
from erasecore.engines.diffueraser.pipeline import DiffusionPipeline
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL
from erasecore.engines.diffueraser.rungs import rungs
from erasecore.engines.diffueraser.sampler import ClipInput, SamplingOptions, inpaint
from erasecore.engines.diffueraser.vae import U16
from erasecore.memory.ladder import Ladders, Rung, WorkloadKey
from erasecore.memory.ladder_store import FileLadderStore
from erasecore.memory.malloc import free_memory
from erasecore.settings import DiffusionSettings, Precision
from erasecore.weights.layout import locate
from tests.clips import clean_film, small_film
from tests.gpu.conftest import painter_of
from tests.process.house import House

FRAMES, HEIGHT, WIDTH = 40, 256, 384
WANTED = range(4, 36)
LEAST = BatchPlan(windows_per_batch=1, vae_batch=1, vae_tile_px=64, attention_slice=True)
PLANS = [
    Rung(rung.name, rung.plan.batch)
    for rung in rungs(DiffusionSettings())
    if rung.plan.batch is not None and rung.plan.scale == 1.0
]
JOBS = 20
WARM = 4  # jobs after which nothing may grow any more
GROWTH_BYTES = 48 << 20  # of the process on the host: what allocators round up to


def scene(frames: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> Conditioning:
    """A smooth moving picture with a line of holes."""
    rows, columns = np.mgrid[0:height, 0:width]
    pictures = np.stack(
        [
            np.stack([(rows + frame) % 256, (columns * 2) % 256, (rows + columns) % 256], axis=-1)
            for frame in range(frames)
        ]
    ).astype(np.uint8)
    holes = np.zeros((frames, height, width), np.bool_)
    holes[:, height // 2 : height // 2 + 32, width // 4 : 3 * width // 4] = True
    return Conditioning(pictures, holes)


def paint(pipeline: DiffusionPipeline, plan: BatchPlan) -> U16:
    """The wanted frames."""
    return pipeline.inpaint(scene(), WANTED, plan, lambda _: None)


def levels_between(one: U16, other: U16) -> float:
    """The mean difference, in 8-bit levels."""
    return float(np.abs(one.astype(np.int32) - other).mean()) / U16_PER_LEVEL


def reserved_by(pipeline: DiffusionPipeline, plan: BatchPlan) -> int:
    """The most that a plan takes from the card, in bytes."""
    free_memory()
    torch.cuda.reset_peak_memory_stats()
    paint(pipeline, plan)
    return torch.cuda.max_memory_reserved()


@contextmanager
def card_of(size_bytes: int) -> Iterator[None]:
    """A card with no more than that for us; torch's own allocator sees to it."""
    free_memory()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(size_bytes / total)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        free_memory()


@pytest.mark.budget(600)
@pytest.mark.usefixtures("card")
def test_a_card_that_is_too_small(pipeline: DiffusionPipeline, tmp_path: Path) -> None:
    """Rung by rung down to what fits; the same pictures; the next film begins there."""
    plenty = paint(pipeline, PLANS[0].plan)
    most, least = reserved_by(pipeline, PLANS[0].plan), reserved_by(pipeline, LEAST)
    assert most > 1.3 * least, "the rungs make no difference on this card"
    site = WorkloadKey("diffueraser", WIDTH, HEIGHT, pipeline.device)
    ladders = Ladders(FileLadderStore(tmp_path))
    with card_of((most + least) // 2):
        made = ladders.ladder(site, PLANS).run(lambda plan: paint(pipeline, plan))
        (told,) = ladders.close()
        again = Ladders(FileLadderStore(tmp_path))
        repeated = again.ladder(site, PLANS).run(lambda plan: paint(pipeline, plan))
        (told_again,) = again.close()
    assert told.steps_down >= 1
    assert told_again.rung == told.rung
    assert told_again.steps_down == 0
    assert levels_between(made, plenty) < 0.5
    assert levels_between(made, repeated) < 0.05


@pytest.mark.budget(600)
def test_the_card_computes_as_the_cpu_does(models: Path, device: str) -> None:
    """In float32 to a fraction of a level, in float16 near enough to be seen by nobody."""
    shown, few = scene(8, 64, 128), range(8)
    whole = ClipInput(frames=shown.frames, holes=shown.holes, prior=shown.frames)

    def painted(placement: Placement) -> U16:
        networks: Components = load_components(locate(models), placement, state=None)
        return inpaint(
            networks, whole, SamplingOptions(), plan=LEAST, wanted=few, tick=lambda _: None
        )

    before = torch.backends.cudnn.allow_tf32
    torch.backends.cudnn.allow_tf32 = False
    try:
        truth = painted(Placement("cpu"))
        exact = painted(Placement(device))
        half = painted(Placement(device, torch.float16))
    finally:
        torch.backends.cudnn.allow_tf32 = before
    assert levels_between(exact, truth) < 0.3
    assert levels_between(half, truth) < 2.0


@pytest.mark.budget(600)
def test_flat_memory(models: Path, device: str) -> None:
    """Twenty jobs in a row leave as much on the card, and in the process, as a few."""
    half = device == "cuda"  # a CPU takes minutes for what a card does at once
    pipeline = painter_of(models, Precision.FLOAT16 if half else Precision.FLOAT32)
    shown = scene() if half else scene(26, 64, 128)
    process = psutil.Process()
    kept: list[tuple[int, int]] = []
    for _ in range(JOBS):
        pipeline.inpaint(shown, range(4, 22), PLANS[0].plan, lambda _: None)
        free_memory()
        kept.append((torch.cuda.memory_allocated(), process.memory_info().rss))
    card = [on_card for on_card, _ in kept[WARM:]]
    assert max(card) == min(card)
    assert kept[-1][1] - kept[WARM][1] < GROWTH_BYTES
    del pipeline
    gc.collect()


@pytest.mark.budget(300)
@pytest.mark.process
@pytest.mark.usefixtures("card")
def test_a_lost_card_ends_the_worker(house: House, tmp_path: Path) -> None:
    """A true device-side assert: the worker ends at once, a fresh one has the card again."""
    house.configure(erase={"engine": "tests.engines.faulty:assert_once"}, worker={"film_mb": 1})
    small_film(tmp_path / "text.mp4")
    clean_film(tmp_path / "clean.mp4")
    house.drop("text.mp4", (tmp_path / "text.mp4").read_bytes())
    house.drop("clean.mp4", (tmp_path / "clean.mp4").read_bytes())
    daemon = house.start("once", quick=False)
    assert daemon.wait(250) == 0
    told = json.loads((house.done / "text.mp4.report.json").read_bytes())
    assert [attempt["error"] for attempt in told["attempts"]] == ["DeviceLost", None]
    assert len({one["pid"] for one in daemon.said("worker.ready")}) == 2
    assert house.films("done") == ["clean.mp4", "text.mp4"]
