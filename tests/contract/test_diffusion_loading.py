"""The published folders of weights, in every form they come in and in forms that must not be."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.loading import (
    Placement,
    build_unet,
    compile_layers,
    load_components,
)
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.sampler import ClipInput, SamplingOptions, inpaint
from erasecore.engines.diffueraser.vae import U16
from erasecore.errors import BadWeights
from erasecore.weights.layout import locate
from tests.tinyweights import UNET as UNET_CONFIG
from tests.tinyweights import write_tiny_weights

torch.set_num_threads(1)  # tiny networks: threads cost more than they bring

TENSORS = "diffusion_pytorch_model.safetensors"
UNET = Path("diffuEraser/unet_main")
VAE = Path("sd-vae-ft-mse")
LORA = Path("PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny weights, not to be touched."""
    return write_tiny_weights(tmp_path_factory.mktemp("pristine"))


@pytest.fixture
def models(pristine: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    return Path(shutil.copytree(pristine, tmp_path / "models"))


@pytest.fixture(scope="module")
def expected(pristine: Path) -> dict[str, Tensor]:
    """The weights of the networks as they are loaded from the plain form."""
    return weights_of(load(pristine))


def load(models: Path, placement: Placement | None = None, state: Path | None = None) -> Components:
    """The networks in ``models``."""
    return load_components(locate(models), placement or Placement(), state=state)


def weights_of(networks: Components) -> dict[str, Tensor]:
    """All weights, and the embedding of the prompt, by name."""
    named = {"prompt": networks.prompt_embeds}
    for part in ("brushnet", "unet", "vae"):
        for name, tensor in getattr(networks, part).state_dict().items():
            named[f"{part}.{name}"] = tensor
    return named


def change(file: Path, how: Callable[[dict[str, Tensor]], object]) -> None:
    """Rewrite a file of tensors."""
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    how(tensors)
    save_file(tensors, file)


def shard(folder: Path, ending: str) -> None:
    """Cut a folder's tensors into two files with an index."""
    tensors = load_file(folder / TENSORS)
    (folder / TENSORS).unlink()
    names = sorted(tensors)
    index: dict[str, str] = {}
    for number, part in enumerate((names[: len(names) // 3], names[len(names) // 3 :]), 1):
        file = folder / f"diffusion_pytorch_model-{number:05d}-of-00002{ending}"
        store({name: tensors[name] for name in part}, file)
        index |= dict.fromkeys(part, file.name)
    (folder / f"diffusion_pytorch_model{ending}.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": index})
    )


def store(tensors: dict[str, Tensor], file: Path) -> None:
    """Write tensors in the form that the file's ending says."""
    if file.suffix == ".bin":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)


@pytest.mark.parametrize("ending", [".safetensors", ".bin"])
def test_shards(models: Path, expected: dict[str, Tensor], ending: str) -> None:
    """Shards with an index give the same weights as one file, in either format."""
    shard(models / UNET, ending)
    torch.testing.assert_close(weights_of(load(models)), expected, rtol=0, atol=0)


def test_one_bin(models: Path, expected: dict[str, Tensor]) -> None:
    """A pickled file of nothing but tensors is read where there is no other."""
    file = models / VAE / TENSORS
    torch.save(load_file(file), file.with_suffix(".bin"))
    file.unlink()
    torch.testing.assert_close(weights_of(load(models)), expected, rtol=0, atol=0)


def test_half_precision_files(pristine: Path, tmp_path: Path, expected: dict[str, Tensor]) -> None:
    """Files in float16 load in float32 as what float16 has left of the weights."""
    halved = write_tiny_weights(tmp_path, dtype=torch.float16)
    found = weights_of(load(halved))
    assert {tensor.dtype for tensor in found.values()} == {torch.float32}
    torch.testing.assert_close(found, expected, rtol=2e-3, atol=1e-3)
    assert (found["vae.quant_conv.weight"] != expected["vae.quant_conv.weight"]).any()


def test_full_and_strange_configs(models: Path, expected: dict[str, Tensor]) -> None:
    """A config.json that lists every argument, and some that nobody knows, means the same."""
    for folder in ("diffuEraser/brushnet", "diffuEraser/unet_main", "sd-vae-ft-mse"):
        file = models / folder / "config.json"
        config = json.loads(file.read_text())
        strange = {"conditioning_embedding_out_channels": [16, 32], "dual_cross_attention": False}
        file.write_text(json.dumps(config | strange | {"_name_or_path": "/elsewhere"}))
    torch.testing.assert_close(weights_of(load(models)), expected, rtol=0, atol=0)


def test_old_names_of_attention(models: Path, expected: dict[str, Tensor]) -> None:
    """A VAE with the attention names of years ago, some as 1x1 convolutions, is the same VAE."""
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def rename(tensors: dict[str, Tensor]) -> None:
        for name in list(tensors):
            for new, before in old.items():
                if f"attentions.0.{new}." in name:
                    tensor = tensors.pop(name)
                    wide = tensor.ndim == 2 and new == "to_q"
                    tensors[name.replace(new, before)] = tensor[..., None, None] if wide else tensor

    change(models / VAE / TENSORS, rename)
    torch.testing.assert_close(weights_of(load(models)), expected, rtol=0, atol=0)


def test_the_lora_is_in(models: Path, expected: dict[str, Tensor]) -> None:
    """Spatial layers of the UNet have the LoRA in them: file + alpha / rank * up @ down."""
    plain, lora = load_file(models / UNET / TENSORS), load_file(models / LORA)
    name = "up_blocks.1.attentions.2.transformer_blocks.0.attn2.to_v"
    key = "lora_unet_" + name.replace(".", "_")
    delta = lora[f"{key}.lora_up.weight"] @ lora[f"{key}.lora_down.weight"]
    scale = float(lora[f"{key}.alpha"]) / len(lora[f"{key}.lora_down.weight"])
    found = expected[f"unet.{name}.weight"]
    torch.testing.assert_close(found, plain[f"{name}.weight"] + scale * delta)
    changed = [one for one in plain if not torch.equal(plain[one], expected[f"unet.{one}"])]
    assert len(changed) == len([one for one in lora if one.endswith(".alpha")])
    assert not [one for one in changed if "motion_modules" in one]


DAMAGE: dict[str, tuple[Path, Callable[[dict[str, Tensor]], object], str]] = {
    "a tensor is missing": (
        UNET / TENSORS,
        lambda tensors: tensors.pop("conv_out.bias"),
        "lacks conv_out.bias",
    ),
    "a tensor too many": (
        UNET / TENSORS,
        lambda tensors: tensors.update(odd=torch.zeros(1)),
        "odd is no tensor",
    ),
    "a tensor of another shape": (
        VAE / TENSORS,
        lambda tensors: tensors.update({"quant_conv.bias": torch.zeros(9)}),
        "quant_conv.bias is (9,)",
    ),
    "numbers of another kind": (
        VAE / TENSORS,
        lambda tensors: tensors.update({"quant_conv.bias": torch.zeros(8, dtype=torch.int8)}),
        "quant_conv.bias holds torch.int8",
    ),
    "a LoRA for another network": (
        LORA,
        lambda tensors: tensors.update({"lora_unet_elsewhere.alpha": torch.ones(())}),
        "lora_unet_elsewhere is for no layer",
    ),
    "half a pair": (
        LORA,
        lambda tensors: tensors.pop("lora_unet_mid_block_resnets_0_conv1.lora_up.weight"),
        "conv1.lora_up.weight is missing",
    ),
    "a LoRA of another width": (
        LORA,
        lambda tensors: tensors.update(
            {"lora_unet_mid_block_resnets_0_conv1.lora_up.weight": torch.zeros(5, 2, 1, 1)}
        ),
        "does not fit",
    ),
    "a LoRA without a UNet": (
        LORA,
        lambda tensors: (
            [tensors.pop(name) for name in list(tensors)]
            and tensors.update({"lora_te_x.alpha": torch.ones(())})
        ),
        "not a LoRA for a UNet",
    ),
    "no LoRA at all": (
        LORA,
        lambda tensors: tensors.update({"conv_in.weight": torch.ones(())}),
        "no tensor of a LoRA",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_does_not_fit_is_named(models: Path, damage: str) -> None:
    """Whatever does not fit is an error that names the file, the tensor and the way out."""
    file, how, told = DAMAGE[damage]
    change(models / file, how)
    with pytest.raises(BadWeights) as caught:
        load(models)
    assert told in str(caught.value)
    assert str(models / file) in str(caught.value)
    assert "models fetch" in str(caught.value)


@pytest.mark.parametrize("file", [UNET / TENSORS, UNET / "config.json", LORA])
def test_cut_short(models: Path, file: Path) -> None:
    """A file that ends too early is named."""
    whole = (models / file).read_bytes()
    (models / file).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadWeights, match=str(models / file)):
        load(models)


def test_a_pickle_with_code_in_it(models: Path, tmp_path: Path) -> None:
    """A .bin that wants to run something is refused, and nothing runs."""

    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (tmp_path / "sprung",)

    file = models / VAE / TENSORS
    file.unlink()
    torch.save({"quant_conv.bias": Trap()}, file.with_suffix(".bin"))
    with pytest.raises(BadWeights, match="more than tensors"):
        load(models)
    assert not (tmp_path / "sprung").exists()


def test_a_text_encoder_that_is_not_whole(models: Path) -> None:
    """A text encoder that lacks a tensor is an error, not a random one."""
    file = models / "stable-diffusion-v1-5/text_encoder/model.safetensors"
    change(file, lambda tensors: tensors.pop(sorted(tensors)[0]))
    with pytest.raises(BadWeights, match="text_encoder"):
        load(models)


def test_the_prompt_is_embedded_once(models: Path, tmp_path: Path) -> None:
    """The embedding comes from the state folder until the text encoder is another."""
    state = tmp_path / "state"
    state.mkdir()
    first = load(models, state=state).prompt_embeds
    (kept,) = state.iterdir()
    save_file({"prompt": torch.full_like(first, 3.0)}, kept)
    assert (load(models, state=state).prompt_embeds == 3.0).all()
    kept.write_bytes(b"not tensors")
    torch.testing.assert_close(load(models, state=state).prompt_embeds, first, rtol=0, atol=0)
    file = models / "stable-diffusion-v1-5/text_encoder/model.safetensors"
    change(file, lambda tensors: tensors.update({n: t * 2 for n, t in tensors.items()}))
    assert (load(models, state=state).prompt_embeds != first).any()


def test_compiled_layers_give_the_same(pristine: Path) -> None:
    """Layers that went through the compiler's front end give the same pictures."""
    networks = load(pristine)
    before = pictures(networks)
    compile_layers(networks.brushnet.mid_block, networks.unet.mid_block, backend="eager")
    torch._dynamo.reset()
    np.testing.assert_array_equal(pictures(networks), before)
    torch._dynamo.reset()


def pictures(networks: Components) -> U16:
    """What the networks make of a small clip."""
    frames = np.random.default_rng(2).integers(0, 256, (2, 16, 16, 3), np.uint8)
    scene = ClipInput(frames, frames[..., 0] > 200, frames)
    return inpaint(
        networks, scene, SamplingOptions(), plan=BatchPlan(), wanted=[0, 1], tick=lambda _: None
    )


MEASURE = """
import json, pathlib, re, sys, threading, torch
from erasecore.engines.diffueraser.loading import Placement, build_unet, load_model
held, done = [], threading.Event()
def look():
    status = pathlib.Path("/proc/self/status").read_text()
    held.append(int(re.search(r"RssAnon:\\s+(\\d+)", status)[1]) * 1024)
def watch():
    while not done.wait(0.001):
        look()
look()
thread = threading.Thread(target=watch)
thread.start()
placement = Placement(precision=torch.float16)
unet = load_model("unet_main", pathlib.Path(sys.argv[1]), build_unet, placement)
look()
done.set()
thread.join()
print(json.dumps([max(held) - held[0], sum(t.nbytes for t in unet.state_dict().values())]))
"""


def test_no_second_copy(tmp_path: Path) -> None:
    """While float32 files become float16 weights, little more than these weights is held."""
    config = UNET_CONFIG | {"block_out_channels": [64, 128, 128, 128]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    save_file(build_unet(config).state_dict(), tmp_path / TENSORS)
    told = subprocess.run(
        [sys.executable, "-c", MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    held_bytes, weight_bytes = json.loads(told)
    assert weight_bytes > 20e6
    assert held_bytes < 1.3 * weight_bytes
