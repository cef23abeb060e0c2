"""Files of tensors, read one tensor at a time: one file or shards, ``.safetensors`` or ``.bin``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from erasecore.errors import BadWeights
from erasecore.weights.layout import Part, choose

Config = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Stored:
    """One tensor as its file has it: mapped, not yet read."""

    name: str
    tensor: Tensor
    file: Path


def read_config(folder: Path, name: str = "config.json") -> Config:
    """What the folder's ``name`` says.

    Raises:
        BadWeights: it is not JSON, or not an object.
    """
    path = folder / name
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadWeights(path, f"it cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise BadWeights(path, "it is not a JSON object")
    return cast("Config", config)


def stored_tensors(folder: Path, part: Part) -> Iterator[Stored]:
    """All tensors of a part of the weights, file by file.

    Raises:
        BadWeights: a file cannot be read.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    choice = choose(part, names)
    if choice.missing:
        raise BadWeights(folder / choice.missing[0], "it is missing")
    for name in choice.files:
        if name.endswith((".safetensors", ".bin")):
            yield from tensors_of(folder / name)


def tensors_of(file: Path) -> Iterator[Stored]:
    """All tensors of one file, in no particular order.

    Raises:
        BadWeights: it cannot be read, or holds something else than tensors.
    """
    read = _safetensors if file.suffix == ".safetensors" else _pickled
    return read(file)


def _safetensors(file: Path) -> Iterator[Stored]:
    try:
        opened = safe_open(file, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise BadWeights(file, f"it is damaged ({error})") from error
    with opened as tensors:
        for name in tensors.keys():  # noqa: SIM118  # not a mapping
            yield Stored(name, tensors.get_tensor(name), file)


def _pickled(file: Path) -> Iterator[Stored]:
    """Only tensors are let out of the pickle: anything else in it is an error, not run."""
    try:
        tensors = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        raise BadWeights(file, f"it is damaged, or more than tensors ({_first(error)})") from error
    if not isinstance(tensors, dict):
        raise BadWeights(file, "it holds no tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise BadWeights(file, f"{name} is no tensor")
        yield Stored(name, tensor, file)


def _first(error: Exception) -> str:
    return str(error).partition("\n")[0]
