"""Where the weights of the diffusion engine lie: the layout below the models folder.

It is the layout that DiffuEraser's own instructions use, so that a folder made by hand fits::

    diffuEraser/brushnet/             config.json, tensors
    diffuEraser/unet_main/            config.json, tensors
    sd-vae-ft-mse/                    config.json, tensors
    stable-diffusion-v1-5/tokenizer/  vocab.json, merges.txt
    stable-diffusion-v1-5/text_encoder/   config.json, tensors
    stable-diffusion-v1-5/scheduler/  scheduler_config.json, which must say what the sampler does
    PCM_Weights/sd15/                 pcm_sd15_smallcfg_2step_converted.safetensors

Tensors are one ``.safetensors`` file, or its shards with their index, or else the same as ``.bin``.
Whether the files are what was fetched is for ``erasecore.manifest`` to say. Standard library only.
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
"""What is fetched as one, by its name in the configuration: its folder below the models folder."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The places of all weights; everything that is needed is there."""

    brushnet: Path  # a folder, as the next five are
    unet_main: Path
    vae: Path
    tokenizer: Path
    text_encoder: Path
    scheduler: Path
    pcm_lora: Path  # a file


@dataclass(frozen=True, slots=True)
class Part:
    """What must lie together in one folder of a repository."""

    repository: str
    folder: str  # within the repository
    needed: tuple[str, ...]
    wanted: tuple[str, ...] = ()  # fetched where the repository has them
    tensors: tuple[str, ...] = ()  # stems that the files of tensors may have, the best first

    @property
    def place(self) -> str:
        """Its folder, relative to the models folder."""
        return "/".join(filter(None, (REPOSITORIES[self.repository], self.folder)))


_NETWORK = ("diffusion_pytorch_model",)
SCHEDULE_FILE = "scheduler_config.json"
_LORA = "pcm_sd15_smallcfg_2step_converted.safetensors"
PARTS = {
    "brushnet": Part("diffueraser", "brushnet", ("config.json",), tensors=_NETWORK),
    "unet_main": Part("diffueraser", "unet_main", ("config.json",), tensors=_NETWORK),
    "vae": Part("vae", "", ("config.json",), tensors=_NETWORK),
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
    "pcm_lora": Part("pcm", "sd15", (_LORA,)),
}
"""Every part, by the name of its field in ``Weights``."""

TENSOR_ENDINGS = (".safetensors", ".bin")


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the files that there are make up a part, and which are lacking."""

    files: tuple[str, ...]
    missing: tuple[str, ...] = ()


def choose(part: Part, names: Collection[str]) -> Choice:
    """The files of ``part`` among ``names``, which are those of its folder.

    One file of tensors is preferred to shards, ``.safetensors`` to ``.bin``.
    """
    files = [name for name in (*part.needed, *part.wanted) if name in names]
    missing = [name for name in part.needed if name not in names]
    tensors = _tensors(part, names)
    return Choice((*files, *tensors.files), (*missing, *tensors.missing))


def _tensors(part: Part, names: Collection[str]) -> Choice:
    """The files of the part's tensors; where no set of them is whole, what it lacks."""
    if not part.tensors:
        return Choice(())
    sharded: list[Choice] = []
    for ending in TENSOR_ENDINGS:
        for stem in part.tensors:
            if stem + ending in names:
                return Choice((stem + ending,))
            shards = _shards(stem, ending, names)
            if shards.files and not shards.missing:
                return shards
            if shards.files:
                sharded.append(shards)
    return sharded[0] if sharded else Choice((), (part.tensors[0] + TENSOR_ENDINGS[0],))


def _shards(stem: str, ending: str, names: Collection[str]) -> Choice:
    """The shards of one set of tensors and their index; no file at all where there is no shard."""
    shape = re.compile(re.escape(stem) + r"-\d{5}-of-(\d{5})" + re.escape(ending))
    found = [match for name in names if (match := shape.fullmatch(name))]
    if not found:
        return Choice(())
    count = found[0][1]
    wanted = [f"{stem}-{number:05d}-of-{count}{ending}" for number in range(1, int(count) + 1)]
    wanted.append(f"{stem}{ending}.index.json")
    files = tuple(name for name in wanted if name in names)
    return Choice(files, tuple(name for name in wanted if name not in names))


def local_choice(models: Path, part: Part) -> Choice:
    """The files of ``part`` below the models folder, their names relative to it."""
    folder = models / part.place
    names = {one.name for one in folder.iterdir() if one.is_file()} if folder.is_dir() else set()
    choice = choose(part, names)
    return Choice(
        tuple(f"{part.place}/{name}" for name in choice.files),
        tuple(f"{part.place}/{name}" for name in choice.missing),
    )


def locate(models: Path) -> Weights:
    """Where each of the weights lies below the folder ``models``.

    Raises:
        WeightsMissing: not everything is there; the text names what is lacking.
        FolderError: one cannot know.
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
    places["pcm_lora"] /= _LORA
    return Weights(**places)
