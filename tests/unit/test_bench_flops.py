"""What the bench says diffusion costs: checked against the specification's own figures."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from bench.bars import bars
from bench.diffusion import FlopsRow, FootprintRow, WalkRow, first_fitting
from bench.flops import Clip, costs_of, full_size, ours, published
from bench.footprint import peak_gib, strip_px
from bench.report import markdown
from bench.results import Results
from bench.walk import plain_walk, tiny_networks
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.layers import SLICES
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rungs import rungs
from erasecore.engines.diffueraser.temporal import WINDOW
from erasecore.engines.diffueraser.vae import decode_batch
from erasecore.settings import DiffusionSettings

torch.set_num_threads(1)  # tiny networks: threads cost more than they bring


@pytest.mark.parametrize(
    ("size", "brushnet", "unet", "encode", "decode"),
    [((960, 536), 41.1, 53.8, 2.26, 5.00), ((640, 256), 10.8, 14.7, 0.69, 1.56)],
)
def test_the_specified_costs(
    size: tuple[int, int], brushnet: float, unet: float, encode: float, decode: float
) -> None:
    """A window's and a picture's TFLOP at full size are those of the specification."""
    costs = costs_of(*size)
    found = (costs.brushnet * WINDOW, costs.unet * WINDOW, costs.encode, costs.decode)
    assert found == pytest.approx((brushnet, unet, encode, decode), rel=0.01)


def test_the_published_recipe() -> None:
    """Ten seconds take 32 windows of both networks and the VAE on every frame: 5.5 PFLOP."""
    vae = 272 * 2 * 2.26 + 272 * 5.0 - 22 * 2.26
    assert published(250) == pytest.approx(32 * (41.1 + 53.8) + vae, rel=0.01)


def test_a_strip_costs_less_than_half() -> None:
    """Every frame of ten seconds on a strip of 960x256 costs at most 45 % of the full frame."""
    assert ours([Clip(960, 256, 250, 500, 250)]) <= 0.45 * published(250)


def test_nothing_to_diffuse_costs_nothing() -> None:
    """Where propagation has recovered everything, no network runs."""
    assert ours([]) == 0.0


def test_the_account_of_memory() -> None:
    """What is held at the same time is counted, what was let go of is not, a view never."""

    def run() -> Tensor:
        first = torch.zeros((1 << 18,), device="meta")  # 1 MiB
        second = first + 1
        del first
        third = second.view(2, -1) * 2
        return third[0]

    assert peak_gib(run) * 1024 == pytest.approx(2.0)


def test_attention_keeps_no_scores() -> None:
    """Attention is accounted for as the fused kernels run it: by its output alone."""
    tokens = torch.zeros((1, 4, 4096, 64), device="meta")  # 4 MiB; its scores would be 256
    attention = torch.nn.functional.scaled_dot_product_attention
    assert peak_gib(lambda: attention(tokens, tokens, tokens)) * 1024 == pytest.approx(4.0)


def test_rungs_need_less_and_less() -> None:
    """No rung needs more for pictures than the one above; what saves on networks comes first."""
    plans = {
        rung.name: rung.plan.batch
        for rung in rungs(DiffusionSettings())
        if rung.plan.batch and rung.plan.scale == 1.0
    }
    latents = torch.empty((8, 4, 32, 32), device="meta")
    with torch.device("meta"):
        networks = tiny_networks()

    def walk(plan: BatchPlan) -> float:
        slices = SLICES if plan.attention_slice else 1
        setting = networks.unet.layer_inputs(999, networks.prompt_embeds, slices)
        return peak_gib(lambda: networks.unet(latents[:4], setting, 4, None))

    def pictures(plan: BatchPlan) -> float:
        return peak_gib(lambda: decode_batch(full_size().vae, latents[: plan.vae_batch], plan))

    assert list(plans)[-4:] == ["1 window", "attention slices", "vae slices", "vae tiles"]
    assert walk(plans["attention slices"]) < 0.7 * walk(plans["1 window"])
    needed = [pictures(plan) for plan in plans.values()]
    assert needed == sorted(needed, reverse=True)
    assert len(set(needed[-3:])) == 3


def test_strips_of_films() -> None:
    """Strips around two lines are at least 256 px high and of sides that there are few of."""
    assert [strip_px(film) for film in ("720p", "1080p", "4K")] == [
        (896, 256),
        (1280, 320),
        (2432, 448),
    ]


def test_the_full_size_weighs_what_is_published() -> None:
    """BrushNet and UNet have 886.1 and 1313.3 million parameters, the VAE 83.7."""
    networks = full_size()
    found = [
        sum(tensor.numel() for tensor in network.state_dict().values()) / 1e6
        for network in (networks.brushnet, networks.unet, networks.vae)
    ]
    assert found == pytest.approx([886.1, 1313.3, 83.7], rel=1e-3)


def test_the_plain_walk_gives_the_same() -> None:
    """The walk that the bench compares ours with does the same work: the same latents."""
    networks, generator = tiny_networks(), torch.Generator().manual_seed(5)
    latents, known = (torch.randn((39, n, 4, 6), generator=generator) for n in (4, 5))
    found = denoise(networks, latents, known, steps=2, plan=BatchPlan(2), tick=lambda _: None)
    expected = plain_walk(networks, latents, known)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_bars_and_tables() -> None:
    """A dear case, a slow walk and a card that is too small are told."""
    results = Results(
        flops=(FlopsRow("dear", 100, 50, 40, "960x256", 1000.0, 240.0, 200.0),),
        walks=(WalkRow(4, 90, 2.0, 2.5, 0.0),),
        footprints=(FootprintRow("4K", 2432, 448, "1 window", 4.0, 3.0, 1.0, 2.0),),
    )
    assert [bar.reached for bar in bars(results)] == [False, False, False]
    assert first_fitting(results.footprints, 8) == "1 window"
    assert first_fitting(results.footprints, 7) == ""
    line = "| dear | 100 | 50 | 40 | 960x256 | 10.0 | 4.8 | 48% | 2.00 | 20.0% |"
    assert line in markdown(results)
