"""Loader of the components: from published weight folders to the device, each weight held once.

Models are built on torch's meta device, without memory. Then each tensor of a file is
memory-mapped, fused with the LoRA, cast and moved to the device, one after the other. A missing or
superfluous tensor, or one of the wrong shape, is an error that names the file and the tensor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from diffusers.models.attention import BasicTransformerBlock
from diffusers.models.attention_processor import Attention
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.resnet import ResnetBlock2D
from torch import Tensor, nn

from erasecore.engines.diffueraser.brushnet import BrushNet
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.lora import Lora
from erasecore.engines.diffueraser.prompt import empty_prompt_embeds
from erasecore.engines.diffueraser.schedule import schedule_mismatch
from erasecore.engines.diffueraser.tensors import Config, read_config, read_part, read_tensors
from erasecore.engines.diffueraser.unet import MotionUNet
from erasecore.errors import BadWeights
from erasecore.weights.layout import PARTS, SCHEDULE_FILE, Weights

Model = TypeVar("Model", bound=nn.Module)
Transform = Callable[[str, Tensor], Tensor]
"""Callback: receives name and value of a parameter, returns the value to be loaded."""

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Names of attention layers in old diffusers checkpoints, and today's."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Device, dtype and memory format of the models.

    Attributes:
        device: torch device name.
        precision: dtype of the models; the sampler computes in float32 in any case.
        channels_last: if True, weights of convolutions use the channels-last memory format, which
            is faster on recent GPUs.
        compiled: if True, layers are compiled (``torch.compile``) when first run: slow to start,
            worth it for long queues.
    """

    device: str = "cpu"
    precision: torch.dtype = torch.float32
    channels_last: bool = False
    compiled: bool = False


def load_components(weights: Weights, placement: Placement, *, state: Path | None) -> Components:
    """Load all models, with the LoRA fused, and the embedding of the empty prompt.

    Args:
        weights: locations of the files.
        placement: device, dtype and memory format.
        state: folder that caches the embedding, so that the text encoder is loaded only once;
            ``None``: no cache.

    Raises:
        BadWeights: a file is missing, damaged, or does not match the models.
    """
    if mismatch := schedule_mismatch(read_config(weights.scheduler, SCHEDULE_FILE)):
        raise BadWeights(weights.scheduler / SCHEDULE_FILE, mismatch)
    brushnet = load_model("brushnet", weights.brushnet, build_brushnet, placement)
    unet = load_unet(weights, placement)
    vae = load_model("vae", weights.vae, build_vae, placement)
    prompt_embeds = empty_prompt_embeds(weights, state).to(placement.device, placement.precision)
    wanted, found = int(unet.config.cross_attention_dim), prompt_embeds.shape[-1]
    if wanted != found:
        mismatch = f"its embedding has {found} channels, the UNet wants {wanted}"
        raise BadWeights(weights.text_encoder, mismatch)
    if placement.compiled:
        compile_layers(brushnet, unet)
    return Components(brushnet, unet, vae, prompt_embeds)


def compile_layers(*models: nn.Module, backend: str = "inductor") -> None:
    """Compile the layers of ``models`` (``torch.compile``) when they first run.

    Layers, not whole models: there are few kinds, so few variants are compiled, and BrushNet can
    still generate its residuals one by one.
    """
    for model in models:
        for module in model.modules():
            if isinstance(module, ResnetBlock2D | BasicTransformerBlock):
                module.compile(backend=backend)


def load_unet(weights: Weights, placement: Placement) -> MotionUNet:
    """Load the UNet; the LoRA is fused into its weights in float32 before they are cast."""
    unet = _on_meta(build_unet, read_config(weights.unet_main))
    file = weights.pcm_lora
    tensors = {stored.name: stored.tensor for stored in read_tensors(file)}
    lora = Lora.from_tensors(tensors, unet, file)
    return _load_weights(unet, "unet_main", weights.unet_main, placement, transform=lora.fuse)


def load_model(
    part: str, folder: Path, build: Callable[[Config], Model], placement: Placement
) -> Model:
    """Load one model from its folder.

    Args:
        part: name of the part in `PARTS`.
        folder: folder with config.json and weight files.
        build: creates the model from its configuration.
        placement: device, dtype and memory format.

    Raises:
        BadWeights: a file is missing, damaged, or does not match the model.
    """
    return _load_weights(_on_meta(build, read_config(folder)), part, folder, placement)


def build_brushnet(config: Config) -> BrushNet:
    """Create BrushNet from its config.json, with random weights."""
    brushnet: BrushNet = _instantiate(BrushNet, config)
    return brushnet


def build_unet(config: Config) -> MotionUNet:
    """Create the UNet from its config.json, with random weights.

    ``attention_head_dim`` is the number of heads if ``num_attention_heads`` is not given (a
    misnomer of Stable Diffusion's configs); ``use_motion_mid_block`` alone determines the mid
    block's type.
    """
    heads = config.get("num_attention_heads") or config.get("attention_head_dim") or 8
    return _instantiate(MotionUNet, {**config, "num_attention_heads": heads})


def build_vae(config: Config) -> AutoencoderKL:
    """Create the VAE from its config.json, with random weights."""
    return _instantiate(AutoencoderKL, config)


def _instantiate(model_class: Callable[..., Model], config: Config) -> Model:
    """Create a model in evaluation mode, without gradients.

    Unknown entries of ``config`` are ignored; lists become tuples.
    """
    known = inspect.signature(model_class).parameters
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config.items()
        if name in known
    }
    return model_class(**arguments).eval().requires_grad_(False)


def _on_meta(build: Callable[[Config], Model], config: Config) -> Model:
    """Create a model on the meta device, i.e. without memory for its weights."""
    with torch.device("meta"):
        return build(config)


def _load_weights(
    model: Model,
    part: str,
    folder: Path,
    placement: Placement,
    *,
    transform: Transform = lambda _, tensor: tensor,
) -> Model:
    """Load the weights of ``folder`` into ``model``, tensor by tensor.

    Args:
        model: on the meta device; modified.
        part: name of the part in `PARTS`.
        folder: folder with the weight files.
        placement: device, dtype and memory format.
        transform: applied to each tensor before it is cast.

    Raises:
        BadWeights: a file or tensor is missing, damaged, superfluous or of the wrong shape.
    """
    wanted = model.state_dict()
    loaded: dict[str, Tensor] = {}
    source = folder
    for stored in read_part(folder, PARTS[part]):
        source = stored.file
        name = _current_name(stored.name, model)
        if name not in wanted:
            raise BadWeights(source, f"{stored.name} is no tensor of this network")
        tensor = _match_shape(stored.tensor, wanted[name], name, source)
        loaded[name] = _place(transform(name, tensor), placement)
    if missing := sorted(set(wanted) - set(loaded)):
        raise BadWeights(source, f"it lacks {missing[0]} ({len(missing)} tensors are missing)")
    model.load_state_dict(loaded, assign=True)
    return model


def _current_name(name: str, model: nn.Module) -> str:
    """Return a tensor's name in today's diffusers; published VAEs use older names."""
    module, _, leaf = name.rpartition(".")
    owner, _, old = module.rpartition(".")
    if old not in _OLD_ATTENTION:
        return name
    known = isinstance(_submodule(model, owner), Attention)
    return f"{owner}.{_OLD_ATTENTION[old]}.{leaf}" if known else name


def _submodule(model: nn.Module, path: str) -> nn.Module | None:
    """Return the submodule at ``path``, or ``None``."""
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None


def _match_shape(tensor: Tensor, wanted: Tensor, name: str, source: Path) -> Tensor:
    """Return ``tensor`` in the shape of ``wanted``; old VAEs store linear layers as 1x1 kernels.

    Raises:
        BadWeights: another shape, or not floating point; names tensor and file.
    """
    if not tensor.is_floating_point():
        raise BadWeights(source, f"{name} holds {tensor.dtype}, not floating-point numbers")
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.shape == (*wanted.shape, 1, 1):
        return tensor.reshape(wanted.shape)
    found, shape = tuple(tensor.shape), tuple(wanted.shape)
    raise BadWeights(source, f"{name} is {found}, the network's config.json wants {shape}")


def _place(tensor: Tensor, placement: Placement) -> Tensor:
    """Copy a tensor to the device, in the dtype and memory format of ``placement``."""
    # Always a copy: the file may be replaced while it is memory-mapped.
    placed = tensor.to(placement.device, placement.precision, copy=True)
    if placement.channels_last and placed.ndim == 4:
        return placed.contiguous(memory_format=torch.channels_last)
    return placed.contiguous()
