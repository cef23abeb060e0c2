"""A LoRA in kohya's format, merged into the UNet's weights while they are loaded.

No peft and no second copy: ``W + (alpha / rank) * up @ down``, in float32, before the weights are
cast. Without it the networks give artifacts and no error, so whatever does not fit is an error.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from erasecore.errors import BadWeights

_PREFIX = "lora_unet_"
_TEXT_ENCODER = "lora_te_"
_DOWN, _UP, _ALPHA = ".lora_down.weight", ".lora_up.weight", ".alpha"


@dataclass(frozen=True, slots=True)
class _Delta:
    """The change of one weight: ``scale * up @ down``, both of the LoRA's rank."""

    down: Tensor
    up: Tensor
    scale: float

    def of(self, weight: Tensor) -> Tensor:
        """``weight`` with this change, float32."""
        down = self.down.to(weight.device, torch.float32).flatten(1)
        up = self.up.to(weight.device, torch.float32).flatten(1)
        return weight.float() + self.scale * (up @ down).view(weight.shape)


class Lora:
    """The changes of one LoRA file to one UNet, by the names of its parameters."""

    def __init__(self, deltas: Mapping[str, _Delta]) -> None:
        self._deltas = deltas

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor], unet: nn.Module, source: Path) -> Lora:
        """The LoRA whose tensors these are, checked against ``unet`` (which may be on meta).

        Args:
            tensors: as in the file, by kohya's names.
            unet: what it is for.
            source: the file, for errors.

        Raises:
            BadWeights: it has nothing for a UNet, or something that does not fit this one.
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
        """How many parameters it changes."""
        return len(self._deltas)

    def merged(self, name: str, weight: Tensor) -> Tensor:
        """The parameter ``name`` with the LoRA in it; float32 where it has something for it."""
        delta = self._deltas.get(name)
        return delta.of(weight) if delta else weight


def _trained_modules(tensors: Mapping[str, Tensor], source: Path) -> list[str]:
    """The modules the file has something for, by kohya's names, in order."""
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
    """The change of the module ``key``, checked against its weight's shape."""
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
