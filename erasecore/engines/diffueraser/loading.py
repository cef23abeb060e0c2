"""From the published folders to networks on the device, each weight held once.

The networks are built on the meta device, where they weigh nothing. Each tensor of a file is then
mapped, changed where the LoRA says so, cast and put onto the device, one after the other. A file
that lacks a tensor, has one too many or one of another shape is named together with the tensor.
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
from erasecore.engines.diffueraser.prompt import empty_prompt
from erasecore.engines.diffueraser.schedule import difference
from erasecore.engines.diffueraser.tensors import Config, read_config, stored_tensors, tensors_of
from erasecore.engines.diffueraser.unet import MotionUNet
from erasecore.errors import BadWeights
from erasecore.weights.layout import PARTS, SCHEDULE_FILE, Weights

Network = TypeVar("Network", bound=nn.Module)
Change = Callable[[str, Tensor], Tensor]

_OLD_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


@dataclass(frozen=True, slots=True)
class Placement:
    """Where networks go and what they compute in.

    Attributes:
        device: as torch names it.
        precision: of the networks; the sampler's arithmetic is float32 all the same.
        channels_last: convolutions' weights are laid out so; faster on recent GPUs.
        compiled: layers are compiled when first run; slow to start, worth it for long queues.
    """

    device: str = "cpu"
    precision: torch.dtype = torch.float32
    channels_last: bool = False
    compiled: bool = False


def load_components(weights: Weights, placement: Placement, *, state: Path | None) -> Components:
    """All networks, loaded, the LoRA merged, with the embedding of the empty prompt.

    Args:
        weights: where the files lie.
        placement: device and precision.
        state: a folder for the embedding, so that the text encoder is loaded once for all times;
            ``None`` loads it each time.

    Raises:
        BadWeights: a file lacks something, or holds something else.
    """
    if what := difference(read_config(weights.scheduler, SCHEDULE_FILE)):
        raise BadWeights(weights.scheduler / SCHEDULE_FILE, what)
    brushnet = load_part("brushnet", weights.brushnet, build_brushnet, placement)
    unet = load_unet(weights, placement)
    vae = load_part("vae", weights.vae, build_vae, placement)
    prompt = empty_prompt(weights, state).to(placement.device, placement.precision)
    wanted, found = int(unet.config.cross_attention_dim), prompt.shape[-1]
    if wanted != found:
        what = f"its embedding has {found} channels, the UNet wants {wanted}"
        raise BadWeights(weights.text_encoder, what)
    if placement.compiled:
        compile_layers(brushnet, unet)
    return Components(brushnet, unet, vae, prompt)


def compile_layers(*networks: nn.Module, backend: str = "inductor") -> None:
    """Have the layers of ``networks`` compiled when they first run.

    Layers, not networks: there are few kinds of them, so few things are compiled, and BrushNet
    can go on making its taps one by one.
    """
    for network in networks:
        for module in network.modules():
            if isinstance(module, ResnetBlock2D | BasicTransformerBlock):
                module.compile(backend=backend)


def load_unet(weights: Weights, placement: Placement) -> MotionUNet:
    """The UNet, the LoRA merged into its weights in float32 on the way to the device."""
    unet = _on_meta(build_unet, read_config(weights.unet_main))
    file = weights.pcm_lora
    lora = Lora.of({stored.name: stored.tensor for stored in tensors_of(file)}, unet, file)
    return _filled(unet, "unet_main", weights.unet_main, placement, change=lora.merged)


def load_part(
    name: str, folder: Path, build: Callable[[Config], Network], placement: Placement
) -> Network:
    """One network from its folder."""
    return _filled(_on_meta(build, read_config(folder)), name, folder, placement)


def build_brushnet(config: Config) -> BrushNet:
    """BrushNet as its config.json says; its weights are anything."""
    brushnet: BrushNet = _built(BrushNet, config)
    return brushnet


def build_unet(config: Config) -> MotionUNet:
    """The UNet as its config.json says; its weights are anything.

    ``attention_head_dim`` is the number of heads where no other is given (Stable Diffusion's
    misnomer); the kind of the middle block follows from ``use_motion_mid_block`` alone.
    """
    heads = config.get("num_attention_heads") or config.get("attention_head_dim") or 8
    return _built(MotionUNet, {**config, "num_attention_heads": heads})


def build_vae(config: Config) -> AutoencoderKL:
    """The autoencoder as its config.json says; its weights are anything."""
    return _built(AutoencoderKL, config)


def _built(kind: Callable[..., Network], config: Config) -> Network:
    """A network; what its constructor does not know is ignored, lists become tuples."""
    known = inspect.signature(kind).parameters
    arguments = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in config.items()
        if name in known
    }
    return kind(**arguments).eval().requires_grad_(False)


def _on_meta(build: Callable[[Config], Network], config: Config) -> Network:
    with torch.device("meta"):
        return build(config)


def _filled(
    network: Network,
    part: str,
    folder: Path,
    placement: Placement,
    *,
    change: Change = lambda _, tensor: tensor,
) -> Network:
    """``network`` with the weights of ``folder``, where ``placement`` says."""
    wanted = network.state_dict()
    filled: dict[str, Tensor] = {}
    source = folder
    for stored in stored_tensors(folder, PARTS[part]):
        source = stored.file
        name = _current_name(stored.name, network)
        if name not in wanted:
            raise BadWeights(source, f"{stored.name} is no tensor of this network")
        tensor = _fitted(stored.tensor, wanted[name], name, source)
        filled[name] = _placed(change(name, tensor), placement)
    if missing := sorted(set(wanted) - set(filled)):
        raise BadWeights(source, f"it lacks {missing[0]} ({len(missing)} tensors are missing)")
    network.load_state_dict(filled, assign=True)
    return network


def _current_name(name: str, network: nn.Module) -> str:
    """A tensor's name as diffusers has it now; VAEs are published with names of years ago."""
    module, _, leaf = name.rpartition(".")
    owner, _, old = module.rpartition(".")
    if old not in _OLD_ATTENTION:
        return name
    known = isinstance(_module_at(network, owner), Attention)
    return f"{owner}.{_OLD_ATTENTION[old]}.{leaf}" if known else name


def _module_at(network: nn.Module, path: str) -> nn.Module | None:
    try:
        return network.get_submodule(path)
    except AttributeError:
        return None


def _fitted(tensor: Tensor, wanted: Tensor, name: str, source: Path) -> Tensor:
    """``tensor`` in the shape of ``wanted``; old VAEs have linear layers as 1x1 convolutions."""
    if not tensor.is_floating_point():
        raise BadWeights(source, f"{name} holds {tensor.dtype}, not floating-point numbers")
    if tensor.shape == wanted.shape:
        return tensor
    if tensor.shape == (*wanted.shape, 1, 1):
        return tensor.reshape(wanted.shape)
    found, shape = tuple(tensor.shape), tuple(wanted.shape)
    raise BadWeights(source, f"{name} is {found}, the network's config.json wants {shape}")


def _placed(tensor: Tensor, placement: Placement) -> Tensor:
    # a copy even where nothing changes: the file may be replaced while it is mapped
    placed = tensor.to(placement.device, placement.precision, copy=True)
    if placement.channels_last and placed.ndim == 4:
        return placed.contiguous(memory_format=torch.channels_last)
    return placed.contiguous()
