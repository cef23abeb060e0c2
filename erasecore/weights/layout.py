"""Folder layout of the diffusion engine's weights below the models folder.

The layout is that of DiffuEraser's own instructions, so that a folder filled by hand is found::

    diffuEraser/brushnet/             config.json, tensors
    diffuEraser/unet_main/            config.json, tensors
    sd-vae-ft-mse/                    config.json, tensors
    stable-diffusion-v1-5/tokenizer/  vocab.json, merges.txt
    stable-diffusion-v1-5/text_encoder/   config.json, tensors
    stable-diffusion-v1-5/scheduler/  scheduler_config.json, must agree with our sampler
    PCM_Weights/sd15/                 pcm_sd15_smallcfg_2step_converted.safetensors

Tensors are one ``.safetensors`` file, or its shards with their index, or else the same as ``.bin``.
``erasecore.weights.manifest`` checks the files' content. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from erasecore.errors import FolderError, WeightsMissing

REPOSITORIES = {
    "diffueraser": "diffuEraser",
    "stable_diffusion": "stable-diffusion-v1-5",
    "vae": "sd-vae-ft-mse",
    "pcm": "PCM_Weights",
}
"""Folder of each downloaded repository below the models folder, by its key in the configuration."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Paths of all weights; every needed file existed when the record was made."""

    brushnet: Path  # folder
    unet_main: Path  # folder
    vae: Path  # folder
    tokenizer: Path  # folder
    text_encoder: Path  # folder
    scheduler: Path  # folder
    pcm_lora: Path  # file


@dataclass(frozen=True, slots=True)
class Part:
    """One component of the model: the files of one folder of a repository."""

    repository: str  # key of REPOSITORIES
    folder: str  # within the repository; empty: its root
    needed: tuple[str, ...]  # file names
    wanted: tuple[str, ...] = ()  # optional file names, fetched where the repository has them
    tensors: tuple[str, ...] = ()  # possible stems of tensor files, best first; may be empty

    @property
    def place(self) -> str:
        """Folder of the part, relative to the models folder."""
        return "/".join(filter(None, (REPOSITORIES[self.repository], self.folder)))


_NETWORK_STEMS = ("diffusion_pytorch_model",)  # tensor file name that diffusers uses
SCHEDULE_FILE = "scheduler_config.json"
_LORA_FILE = "pcm_sd15_smallcfg_2step_converted.safetensors"
PARTS = {
    "brushnet": Part("diffueraser", "brushnet", ("config.json",), tensors=_NETWORK_STEMS),
    "unet_main": Part("diffueraser", "unet_main", ("config.json",), tensors=_NETWORK_STEMS),
    "vae": Part("vae", "", ("config.json",), tensors=_NETWORK_STEMS),
    "tokenizer": Part(
        "stable_diffusion",
        "tokenizer",
        ("vocab.json", "merges.txt"),
        ("special_tokens_map.json", "tokenizer_config.json"),
    ),
    "text_encoder": Part(
        "stable_diffusion", "text_encoder", ("config.json",), tensors=("model", "pytorch_model")
    ),
    "scheduler": Part("stable_diffusion", "scheduler", (SCHEDULE_FILE,)),
    "pcm_lora": Part("pcm", "sd15", (_LORA_FILE,)),
}
"""All parts, by the name of their field in ``Weights``."""

TENSOR_ENDINGS = (".safetensors", ".bin")  # best first: ``.bin`` is a pickle


@dataclass(frozen=True, slots=True)
class Choice:
    """File names that make up a part, and those that are missing."""

    files: tuple[str, ...]  # existing ones
    missing: tuple[str, ...] = ()


def choose(part: Part, names: Collection[str]) -> Choice:
    """Choose the files of ``part`` among ``names``, the file names in its folder.

    One tensor file is preferred to shards, ``.safetensors`` to ``.bin``.
    """
    files = [name for name in (*part.needed, *part.wanted) if name in names]
    missing = [name for name in part.needed if name not in names]
    tensors = _tensor_files(part, names)
    return Choice((*files, *tensors.files), (*missing, *tensors.missing))


def _tensor_files(part: Part, names: Collection[str]) -> Choice:
    """Choose the part's tensor files.

    Without a complete set: the first incomplete set of shards, or else the best name as missing.
    """
    if not part.tensors:
        return Choice(())
    incomplete: list[Choice] = []
    for ending in TENSOR_ENDINGS:
        for stem in part.tensors:
            if stem + ending in names:
                return Choice((stem + ending,))
            shards = _shard_files(stem, ending, names)
            if shards.files and not shards.missing:
                return shards
            if shards.files:
                incomplete.append(shards)
    return incomplete[0] if incomplete else Choice((), (part.tensors[0] + TENSOR_ENDINGS[0],))


def _shard_files(stem: str, ending: str, names: Collection[str]) -> Choice:
    """Return the shards ``stem-00001-of-0000N`` and their index, found and missing ones.

    Empty if ``names`` holds no shard. N is taken from the first shard found.
    """
    pattern = re.compile(re.escape(stem) + r"-\d{5}-of-(\d{5})" + re.escape(ending))
    matches = [match for name in names if (match := pattern.fullmatch(name))]
    if not matches:
        return Choice(())
    count = matches[0][1]
    expected = [f"{stem}-{number:05d}-of-{count}{ending}" for number in range(1, int(count) + 1)]
    expected.append(f"{stem}{ending}.index.json")
    files = tuple(name for name in expected if name in names)
    return Choice(files, tuple(name for name in expected if name not in names))


def local_choice(models: Path, part: Part) -> Choice:
    """Choose the files of ``part`` on disk; their names are relative to the models folder."""
    folder = models / part.place
    names = {path.name for path in folder.iterdir() if path.is_file()} if folder.is_dir() else set()
    choice = choose(part, names)
    return Choice(
        tuple(f"{part.place}/{name}" for name in choice.files),
        tuple(f"{part.place}/{name}" for name in choice.missing),
    )


def locate(models: Path) -> Weights:
    """Return the paths of all weights below the folder ``models``.

    Raises:
        WeightsMissing: files are missing; the text names them.
        FolderError: the folder cannot be read.
    """
    try:
        choices = [local_choice(models, part) for part in PARTS.values()]
    except OSError as error:
        sentence = f"cannot be read ({error.strerror}); it must be readable by the daemon's user."
        raise FolderError(Path(error.filename or models), sentence) from error
    missing = [name for choice in choices for name in choice.missing]
    if missing:
        raise WeightsMissing(models, missing)
    places = {name: models / part.place for name, part in PARTS.items()}
    places["pcm_lora"] /= _LORA_FILE
    return Weights(**places)
