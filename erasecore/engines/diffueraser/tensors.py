"""Reader of weight files by tensor: single files or shards, ``.safetensors`` or ``.bin``."""

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
"""Content of a JSON file such as config.json."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """One tensor of a weight file, memory-mapped, not yet read."""

    name: str
    tensor: Tensor
    file: Path


def read_config(folder: Path, name: str = "config.json") -> Config:
    """Read a JSON object from the file ``name`` in ``folder``.

    Raises:
        BadWeights: the file cannot be read, or is not a JSON object.
    """
    path = folder / name
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadWeights(path, f"it cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise BadWeights(path, "it is not a JSON object")
    return cast("Config", config)


def read_part(folder: Path, part: Part) -> Iterator[StoredTensor]:
    """Generate all tensors of one part of the weights, file by file.

    Args:
        folder: folder of the part.
        part: the file names that it may have.

    Raises:
        BadWeights: a file is missing or cannot be read.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    choice = choose(part, names)
    if choice.missing:
        raise BadWeights(folder / choice.missing[0], "it is missing")
    for name in choice.files:
        if name.endswith((".safetensors", ".bin")):
            yield from read_tensors(folder / name)


def read_tensors(file: Path) -> Iterator[StoredTensor]:
    """Generate all tensors of one file, in no particular order.

    Raises:
        BadWeights: the file cannot be read, or contains other objects than tensors.
    """
    read = _read_safetensors if file.suffix == ".safetensors" else _read_pickle
    return read(file)


def _read_safetensors(file: Path) -> Iterator[StoredTensor]:
    """Generate the tensors of a ``.safetensors`` file."""
    try:
        opened = safe_open(file, framework="pt", device="cpu")
    except (OSError, SafetensorError) as error:
        raise BadWeights(file, f"it is damaged ({error})") from error
    with opened as tensors:
        for name in tensors.keys():  # noqa: SIM118  # not a mapping
            yield StoredTensor(name, tensors.get_tensor(name), file)


def _read_pickle(file: Path) -> Iterator[StoredTensor]:
    """Generate the tensors of a ``.bin`` pickle; other objects are an error and never executed."""
    try:
        tensors = torch.load(file, map_location="cpu", mmap=True, weights_only=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError, ValueError) as error:
        message = _first_line(error)
        raise BadWeights(file, f"it is damaged, or more than tensors ({message})") from error
    if not isinstance(tensors, dict):
        raise BadWeights(file, "it holds no tensors by name")
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise BadWeights(file, f"{name} is no tensor")
        yield StoredTensor(name, tensor, file)


def _first_line(error: Exception) -> str:
    """Return the first line of an error's message."""
    return str(error).partition("\n")[0]
