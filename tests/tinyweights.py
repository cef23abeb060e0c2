"""A tiny checkpoint in the layout of the published one, its weights drawn from a seed.

Everything is of the published kind, only narrower: the same blocks, the same names, config.json as
published, a LoRA in kohya's format, a tokenizer of a handful of words. What the networks make of a
picture is noise, but always the same noise.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import CLIPTextConfig, CLIPTextModel

from erasecore.engines.diffueraser.loading import build_brushnet, build_unet, build_vae

WIDTHS = (32, 32, 64, 64)  # norms have 32 groups, and a lone pixel needs two channels in each
HEADS = 2
TOKENS = 8
PROMPT_CHANNELS = 16
LORA_RANK = 2
_LORA_LAYERS = (
    *("to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "ff.net.0.proj", "ff.net.2"),
    *("conv1", "conv2", "conv_shortcut", "time_emb_proj"),
    *("downsamplers.0.conv", "upsamplers.0.conv"),
)

_TRUNK: dict[str, object] = {
    "_diffusers_version": "0.29.2",
    "act_fn": "silu",
    "attention_head_dim": HEADS,
    "block_out_channels": list(WIDTHS),
    "cross_attention_dim": PROMPT_CHANNELS,
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "sample_size": 64,
    "use_linear_projection": False,
}
BRUSHNET: dict[str, object] = _TRUNK | {
    "_class_name": "BrushNetModel",
    "brushnet_conditioning_channel_order": "rgb",
    "conditioning_channels": 5,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
}
UNET: dict[str, object] = _TRUNK | {
    "_class_name": "UNetMotionModel",
    "center_input_sample": False,
    "conditioning_channels": 3,
    "down_block_types": [*["CrossAttnDownBlockMotion"] * 3, "DownBlockMotion"],
    "mid_block_type": "UNetMidBlock2DCrossAttn",
    "motion_max_seq_length": 32,
    "motion_num_attention_heads": HEADS,
    "num_attention_heads": HEADS,
    "out_channels": 4,
    "time_cond_proj_dim": None,
    "up_block_types": ["UpBlockMotion", *["CrossAttnUpBlockMotion"] * 3],
    "use_motion_mid_block": True,
}
VAE: dict[str, object] = {
    "_class_name": "AutoencoderKL",
    "act_fn": "silu",
    "block_out_channels": [8, 8, 8, 8],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "out_channels": 3,
    "sample_size": 256,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}


def write_tiny_weights(models: Path, *, seed: int = 7, dtype: torch.dtype = torch.float32) -> Path:
    """``models``, with all that the DiffuEraser engine loads: about 6 MB in float32.

    The same seed gives the same weights, byte for byte.
    """
    generator = torch.Generator().manual_seed(seed)
    unet = build_unet(UNET)
    for folder, config, network in (
        ("diffuEraser/brushnet", BRUSHNET, build_brushnet(BRUSHNET)),
        ("diffuEraser/unet_main", UNET, unet),
        ("sd-vae-ft-mse", VAE, build_vae(VAE)),
    ):
        _write_json(models / folder / "config.json", config)
        tensors = _drawn(network, generator, dtype)
        save_file(tensors, models / folder / "diffusion_pytorch_model.safetensors")
    lora = models / "PCM_Weights/sd15/pcm_sd15_smallcfg_2step_converted.safetensors"
    lora.parent.mkdir(parents=True)
    save_file(dict(_lora(unet, generator)), lora)
    _write_text_encoder(models / "stable-diffusion-v1-5", generator)
    return models


def _drawn(network: nn.Module, generator: torch.Generator, dtype: torch.dtype) -> dict[str, Tensor]:
    """New weights for ``network``: matrices that keep a signal's size, norms near one."""
    return {
        name: _draw(name, value, generator).to(dtype).contiguous()
        for name, value in sorted(network.state_dict().items())
    }


def _draw(name: str, like: Tensor, generator: torch.Generator) -> Tensor:
    if name.endswith("pos_embed.pe"):
        return like  # not trained, but in the file
    drawn: Tensor = torch.randn(like.shape, generator=generator)
    if like.ndim >= 2:
        return drawn / math.sqrt(like[0].numel())
    drawn = 0.1 * drawn
    return 1.0 + drawn if name.endswith("weight") else drawn


def _lora(unet: nn.Module, generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    """A LoRA for every layer of ``unet`` that is not along time."""
    for name, module in unet.named_modules():
        if "motion_modules" in name or not name.endswith(_LORA_LAYERS):
            continue
        shape = module.weight.shape
        key = "lora_unet_" + name.replace(".", "_")
        ones = (1,) * (len(shape) - 2)
        yield f"{key}.lora_down.weight", torch.randn((LORA_RANK, *shape[1:]), generator=generator)
        up = torch.randn((shape[0], LORA_RANK, *ones), generator=generator)
        yield f"{key}.lora_up.weight", up / shape[1:].numel()
        yield f"{key}.alpha", torch.tensor(float(LORA_RANK))


def _write_text_encoder(folder: Path, generator: torch.Generator) -> None:
    config = CLIPTextConfig(
        vocab_size=6,
        hidden_size=PROMPT_CHANNELS,
        intermediate_size=PROMPT_CHANNELS,
        num_hidden_layers=1,
        num_attention_heads=HEADS,
        max_position_embeddings=TOKENS,
        bos_token_id=4,
        eos_token_id=5,
        pad_token_id=5,
    )
    encoder = CLIPTextModel(config)
    drawn = _drawn(encoder, generator, torch.float32)
    published = {f"text_model.{name.removeprefix('text_model.')}": drawn[name] for name in drawn}
    published["text_model.embeddings.position_ids"] = torch.arange(TOKENS)[None]
    _write_json(folder / "text_encoder/config.json", config.to_dict())
    save_file(published, folder / "text_encoder/model.safetensors", metadata={"format": "pt"})
    tokenizer = folder / "tokenizer"
    words = ("a", "b", "a</w>", "b</w>", "<|startoftext|>", "<|endoftext|>")
    _write_json(tokenizer / "vocab.json", {word: index for index, word in enumerate(words)})
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    special = {"bos_token": words[4], "eos_token": words[5], "pad_token": words[5]}
    _write_json(tokenizer / "special_tokens_map.json", special | {"unk_token": words[5]})
    of_tokenizer = {"tokenizer_class": "CLIPTokenizer", "model_max_length": TOKENS}
    _write_json(tokenizer / "tokenizer_config.json", special | of_tokenizer)
    betas = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    _write_json(folder / "scheduler/scheduler_config.json", betas | {"num_train_timesteps": 1000})


def _write_json(path: Path, content: Mapping[str, object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1))
