"""Where weights lie: the layout below the models folder, and what is said where it is not whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from erasecore.errors import WeightsMissing
from erasecore.weights.layout import PARTS, choose, locate

WHOLE = (
    "diffuEraser/brushnet/config.json",
    "diffuEraser/brushnet/diffusion_pytorch_model.safetensors",
    "diffuEraser/unet_main/config.json",
    "diffuEraser/unet_main/diffusion_pytorch_model.safetensors",
    "sd-vae-ft-mse/config.json",
    "sd-vae-ft-mse/diffusion_pytorch_model.safetensors",
    "stable-diffusion-v1-5/tokenizer/vocab.json",
    "stable-diffusion-v1-5/tokenizer/merges.txt",
    "stable-diffusion-v1-5/text_encoder/config.json",
    "stable-diffusion-v1-5/text_encoder/model.safetensors",
    "stable-diffusion-v1-5/scheduler/scheduler_config.json",
    "PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors",
)


def lay_out(folder: Path, names: tuple[str, ...] = WHOLE) -> Path:
    """``folder``, with a small file for each of ``names``."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def test_a_whole_folder(tmp_path: Path) -> None:
    """Every part of a whole folder is a place that is there."""
    weights = locate(lay_out(tmp_path))
    for name in PARTS:
        place = getattr(weights, name)
        assert place.is_file() if name == "pcm_lora" else place.is_dir(), name
    assert weights.unet_main == tmp_path / "diffuEraser/unet_main"


@pytest.mark.parametrize("name", WHOLE)
def test_one_file_is_missing(tmp_path: Path, name: str) -> None:
    """Any file that is missing is named, with the command that brings it."""
    lay_out(tmp_path)
    (tmp_path / name).unlink()
    with pytest.raises(WeightsMissing, match="subtitle-eraser models fetch") as caught:
        locate(tmp_path)
    assert caught.value.missing == (name,)
    assert name in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_no_folder_at_all(tmp_path: Path) -> None:
    """Without a models folder everything is missing; the text stays short."""
    with pytest.raises(WeightsMissing) as caught:
        locate(tmp_path / "nowhere")
    assert sorted(caught.value.missing) == sorted(WHOLE)
    assert "and 9 more" in str(caught.value)


def test_one_file_is_preferred_to_shards_and_safetensors_to_bin() -> None:
    """Where a repository has the tensors several times, the best form is taken."""
    part = PARTS["text_encoder"]
    shards = [f"model-0000{number}-of-00002.safetensors" for number in (1, 2)]
    index = "model.safetensors.index.json"
    tensors = ["pytorch_model.bin", *shards, index, "model.safetensors"]
    assert choose(part, ["config.json", *tensors]).files == ("config.json", "model.safetensors")
    assert choose(part, ["config.json", *tensors[:-1]]).files == ("config.json", *shards, index)
    assert choose(part, ["config.json", tensors[0]]).files == ("config.json", "pytorch_model.bin")


def test_shards_that_are_not_all_there() -> None:
    """A shard that is missing is named, unless the tensors are there in another form."""
    part = PARTS["brushnet"]
    stem = "diffusion_pytorch_model"
    first, second, third = (f"{stem}-0000{one}-of-00003.safetensors" for one in (1, 2, 3))
    names = ["config.json", first, third, f"{stem}.safetensors.index.json"]
    assert choose(part, names).missing == (second,)
    assert choose(part, names[:-1]).missing == (second, f"{stem}.safetensors.index.json")
    assert choose(part, [*names, f"{stem}.bin"]).files == ("config.json", f"{stem}.bin")
