"""The diffusion networks and their sampler, on a tiny checkpoint in the published layout."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.loading import Placement, build_vae, load_components, load_model
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL
from erasecore.engines.diffueraser.sampler import (
    ClipInput,
    SamplingOptions,
    clip_noise,
    inpaint,
    sample,
)
from erasecore.engines.diffueraser.vae import U16, decode, decode_16bit, encode
from erasecore.weights.layout import locate
from tests.tinyweights import write_tiny_weights

torch.set_num_threads(1)  # tiny networks: threads cost more than they bring

GENEROUS = BatchPlan(windows_per_batch=4, vae_batch=16)
PLANS = (
    BatchPlan(windows_per_batch=1, vae_batch=1),
    BatchPlan(windows_per_batch=2, vae_batch=3),
    BatchPlan(windows_per_batch=3, vae_batch=4, vae_tile_px=16, attention_slice=True),
)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny weights."""
    return write_tiny_weights(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def networks(models: Path) -> Components:
    """They, loaded."""
    return load_components(locate(models), Placement(), state=None)


def scene_of(frames: int, *, seed: int = 1, height: int = 40, width: int = 48) -> ClipInput:
    """Noise with a hole in the middle that every third frame lacks; an odd number of cells."""
    pictures = np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)
    holes = np.zeros((frames, height, width), np.bool_)
    holes[:, 17:23, 10:31] = True
    holes[::3] = False
    prior = np.where(holes[..., None], np.uint8(128), pictures)
    return ClipInput(pictures, holes, prior)


def run(networks: Components, scene: ClipInput, plan: BatchPlan = GENEROUS) -> U16:
    """All of a scene's pictures."""
    wanted = range(len(scene.frames))
    return inpaint(
        networks, scene, SamplingOptions(), plan=plan, wanted=wanted, tick=lambda _: None
    )


@pytest.mark.parametrize("frames", [1, 2, 21, 22, 23, 46])
def test_any_length(networks: Components, frames: int) -> None:
    """A clip of any length comes back, from one frame to one that is led by a sample of itself."""
    scene = scene_of(frames)
    pictures = run(networks, scene)
    assert pictures.shape == scene.frames.shape
    assert pictures.std() > 10 * U16_PER_LEVEL


@pytest.mark.parametrize("band_px", [1, 5, 16])
@pytest.mark.parametrize("precision", [torch.float32, torch.float16])
def test_the_autoencoder_in_bands(models: Path, precision: torch.dtype, band_px: int) -> None:
    """Bands of any height give the latents and pictures that whole layers give: no seams."""
    placement = Placement(precision=precision)
    vae = load_model("vae", locate(models).vae, build_vae, placement)
    whole, banded = BatchPlan(), BatchPlan(vae_batch=2, vae_tile_px=band_px)
    frames = scene_of(3).frames
    latents = encode(vae, frames, plan=whole, tick=lambda _: None)
    limit = 1e-5 if precision is torch.float32 else 1e-2
    off = (encode(vae, frames, plan=banded, tick=lambda _: None) - latents).abs().max()
    assert float(off / latents.abs().max()) < limit
    pictures = decode(vae, latents, plan=whole, tick=lambda _: None)
    found = decode(vae, latents, plan=banded, tick=lambda _: None)
    assert np.abs(pictures.astype(int) - found).max() <= (1 if precision is torch.float32 else 3)


@pytest.mark.parametrize("plan", PLANS)
def test_the_plan_changes_nothing(networks: Components, plan: BatchPlan) -> None:
    """However little goes through at once, the latents are the same within 1e-5."""
    scene = scene_of(40)
    noise = clip_noise(scene, 3)
    expected = sample(networks, scene, noise, SamplingOptions(), plan=GENEROUS, tick=lambda _: None)
    found = sample(networks, scene, noise, SamplingOptions(), plan=plan, tick=lambda _: None)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


@pytest.mark.parametrize("plan", PLANS[:1])
def test_the_plan_changes_no_long_clip(networks: Components, plan: BatchPlan) -> None:
    """Pictures of a led clip, rounded twice on the way, are the same up to a last rounding."""
    scene = scene_of(46)
    off = np.abs(run(networks, scene).astype(int) - run(networks, scene, plan)) / U16_PER_LEVEL
    assert off.max() <= 1
    assert (off > 0.1).mean() < 1e-2


def test_same_seed_same_pictures(networks: Components) -> None:
    """A run can be repeated to the last bit; another seed gives something else."""
    scene = scene_of(5)
    first, second = run(networks, scene), run(networks, scene)
    np.testing.assert_array_equal(first, second)
    other = inpaint(
        networks,
        scene,
        SamplingOptions(seed=5),
        plan=GENEROUS,
        wanted=range(5),
        tick=lambda _: None,
    )
    assert (np.abs(other.astype(int) - first) > U16_PER_LEVEL).mean() > 0.1


def test_what_lies_in_a_hole_is_not_seen(networks: Components) -> None:
    """Pixels under the hole have no influence; those around it and the prior do."""
    scene = scene_of(5)
    hidden = np.where(scene.holes[..., None], np.uint8(9), scene.frames)
    np.testing.assert_array_equal(
        run(networks, scene), run(networks, ClipInput(hidden, scene.holes, scene.prior))
    )
    prior = np.where(scene.holes[..., None], np.uint8(0), scene.prior)
    assert (
        run(networks, scene) != run(networks, ClipInput(scene.frames, scene.holes, prior))
    ).any()


def test_only_wanted_frames_are_decoded(networks: Components) -> None:
    """Pictures that are wanted come back, in the order asked for, the same in any company."""
    scene = scene_of(6)
    pictures = inpaint(
        networks, scene, SamplingOptions(), plan=GENEROUS, wanted=[4, 1], tick=lambda _: None
    )
    whole = run(networks, scene)
    assert pictures.shape == (2, *scene.frames.shape[1:])
    assert np.abs(pictures.astype(int) - whole[[4, 1]]).max() < U16_PER_LEVEL / 20


def test_pictures_come_in_sixteen_bits(networks: Components) -> None:
    """Finely decoded, latents give the same pictures, with levels between those of 8 bits."""
    latents = torch.randn((5, 4, 8, 8), generator=torch.Generator().manual_seed(4))
    whole, plan = decode(networks.vae, latents, plan=GENEROUS, tick=lambda _: None), BatchPlan()
    fine = decode_16bit(networks.vae, latents, plan=plan, tick=lambda _: None)
    assert fine.dtype == np.uint16
    assert fine.shape == whole.shape
    assert np.abs(fine / U16_PER_LEVEL - whole).max() < 0.5 + 0.05
    assert len(np.unique(fine)) > 10 * len(np.unique(whole))


def test_a_sign_of_life(networks: Components) -> None:
    """Progress only grows, ends at all of it, and is told in small steps."""
    told: list[float] = []
    scene = scene_of(46)
    inpaint(
        networks, scene, SamplingOptions(), plan=BatchPlan(), wanted=range(46), tick=told.append
    )
    assert told == sorted(told)
    assert told[-1] == 1.0
    assert max(after - before for before, after in pairwise(told)) < 0.25


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16])
def test_half_precision_gives_pictures(models: Path, precision: torch.dtype) -> None:
    """In half precision, channels last, a clip comes out finite and close to that of float32."""
    placement = Placement(precision=precision, channels_last=True)
    halved = load_components(locate(models), placement, state=None)
    whole = load_components(locate(models), Placement(), state=None)
    assert halved.precision == precision
    scene = scene_of(3)
    off = (run(halved, scene).astype(float) - run(whole, scene)) / U16_PER_LEVEL
    assert 0 < np.sqrt(np.mean(off**2)) < 8
