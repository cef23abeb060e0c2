"""LoRA in kohya's format, fused into the UNet's weights while they are loaded.

``W + (alpha / rank) * up @ down`` in float32, before the weights are cast; no peft and no second
copy of the weights. Without the LoRA the model gives artifacts but no error, so a tensor that does
not match is an error here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from erasecore.errors import BadWeights

_PREFIX = "lora_unet_"  # prefix of the UNet's keys in kohya's format
_TEXT_ENCODER = "lora_te_"  # prefix of the text encoder's keys, which are ignored
_DOWN = ".lora_down.weight"  # suffixes of the keys
_UP = ".lora_up.weight"
_ALPHA = ".alpha"


@dataclass(frozen=True, slots=True)
class _Delta:
    """Low-rank update of one weight: ``scale * up @ down``.

    Attributes:
        down: ``(rank, in, ...)``.
        up: ``(out, rank, ...)``.
        scale: alpha / rank.
    """

    down: Tensor
    up: Tensor
    scale: float

    def apply(self, weight: Tensor) -> Tensor:
        """Return ``weight`` plus this update, float32."""
        down = self.down.to(weight.device, torch.float32).flatten(1)
        up = self.up.to(weight.device, torch.float32).flatten(1)
        return weight.float() + self.scale * (up @ down).view(weight.shape)


class Lora:
    """Updates of one LoRA file for one UNet, by parameter name."""

    def __init__(self, deltas: Mapping[str, _Delta]) -> None:
        self._deltas = deltas

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor], unet: nn.Module, source: Path) -> Lora:
        """Create a LoRA from the tensors of a file, checked against ``unet``.

        Args:
            tensors: content of the file, by kohya's keys.
            unet: the model to be updated; may be on the meta device.
            source: the file, for error messages.

        Raises:
            BadWeights: there are no tensors for a UNet, or some that do not match this one.
        """
        modules = {name.replace(".", "_"): name for name, _ in unet.named_modules()}
        shapes = {name: value.shape for name, value in unet.named_parameters()}
        deltas: dict[str, _Delta] = {}
        for key in _trained_modules(tensors, source):
            parameter = f"{modules.get(key.removeprefix(_PREFIX))}.weight"
            if parameter not in shapes:
                raise BadWeights(source, f"{key} is for no layer of this UNet")
            deltas[parameter] = _delta(tensors, key, shapes[parameter], source)
        if not deltas:
            raise BadWeights(source, f"it has no {_PREFIX}... tensors; it is not a LoRA for a UNet")
        return cls(deltas)

    def __len__(self) -> int:
        """Return the number of parameters that are updated."""
        return len(self._deltas)

    def fuse(self, name: str, weight: Tensor) -> Tensor:
        """Return the parameter ``name`` with its update, float32; unchanged if it has none."""
        delta = self._deltas.get(name)
        return delta.apply(weight) if delta else weight


def _trained_modules(tensors: Mapping[str, Tensor], source: Path) -> list[str]:
    """Return kohya's names of the modules that the file updates, sorted.

    Raises:
        BadWeights: a key does not follow kohya's format.
    """
    modules: set[str] = set()
    for key in tensors:
        if key.startswith(_TEXT_ENCODER):
            continue
        module, dot, kind = key.partition(".")
        if not module.startswith(_PREFIX) or dot + kind not in (_DOWN, _UP, _ALPHA):
            raise BadWeights(source, f"{key} is no tensor of a LoRA in kohya's format")
        modules.add(module)
    return sorted(modules)


def _delta(tensors: Mapping[str, Tensor], key: str, shape: torch.Size, source: Path) -> _Delta:
    """Return the update of the module ``key``.

    Raises:
        BadWeights: a factor is missing, or does not match ``shape``, that of the weight.
    """
    if missing := [end for end in (_DOWN, _UP) if key + end not in tensors]:
        raise BadWeights(source, f"{key}{missing[0]} is missing")
    down, up = tensors[key + _DOWN], tensors[key + _UP]
    rank = len(down)
    fits = up.shape[1:2] == (rank,) and (len(up), *down.shape[1:]) == tuple(shape)
    if not fits or up[0].numel() != rank:
        found = f"{tuple(up.shape)} and {tuple(down.shape)}"
        raise BadWeights(source, f"{key} is {found}, which does not fit {tuple(shape)}")
    alpha = tensors.get(key + _ALPHA)
    return _Delta(down, up, 1.0 if alpha is None else float(alpha) / rank)
