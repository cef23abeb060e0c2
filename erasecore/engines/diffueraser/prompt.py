"""Embedding of the empty prompt, cached in a small file.

No other prompt is used, so the text encoder (CLIP) is loaded only if the cache file is missing or
was made with other encoder files; it is freed right after.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from erasecore.engines.diffueraser.tensors import read_tensors
from erasecore.errors import BadWeights, DiskFull
from erasecore.system.atomic_files import write_whole
from erasecore.system.logger import get_logger
from erasecore.weights.layout import Weights

log = get_logger(__name__)

_TENSOR = "prompt"
"""Name of the tensor in the cache file."""


def empty_prompt_embeds(weights: Weights, state: Path | None) -> Tensor:
    """Return the embedding of "", float32 ``(1, tokens, channels)``, on the CPU.

    Args:
        weights: locations of the tokenizer and the text encoder.
        state: folder of the cache file; ``None``: no cache.

    Raises:
        BadWeights: the tokenizer or the text encoder cannot be loaded.
    """
    if state is None:
        return _embed("", weights)
    cache_file = state / f"empty-prompt-{_fingerprint(weights)}.safetensors"
    embedding = _read_cache(cache_file)
    if embedding is None:
        embedding = _embed("", weights)
        _write_cache(cache_file, embedding)
    return embedding


def _embed(prompt: str, weights: Weights) -> Tensor:
    """Return the text encoder's last hidden state, after the final norm, for ``prompt``."""
    tokenizer, encoder = _load(weights)
    tokens = tokenizer(
        prompt,
        padding="max_length",
        max_length=encoder.config.max_position_embeddings,
        truncation=True,
        return_tensors="pt",
    )
    with torch.inference_mode():
        embedded: Tensor = encoder(tokens.input_ids)[0]
    return embedded.clone()


def _load(weights: Weights) -> tuple[CLIPTokenizer, CLIPTextModel]:
    """Load tokenizer and text encoder.

    Raises:
        BadWeights: one cannot be loaded, or a tensor of the encoder is missing.
    """
    folder = weights.text_encoder
    disable_progress_bar()  # a worker has no terminal
    try:
        tokenizer = CLIPTokenizer.from_pretrained(weights.tokenizer, local_files_only=True)
    except (OSError, ValueError) as error:
        raise BadWeights(weights.tokenizer, f"no tokenizer can be made of it ({error})") from error
    try:
        encoder, report = CLIPTextModel.from_pretrained(
            folder, local_files_only=True, dtype=torch.float32, output_loading_info=True
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise BadWeights(folder, f"no text encoder can be made of it ({error})") from error
    if lacking := sorted([*report["missing_keys"], *report["mismatched_keys"]]):
        raise BadWeights(folder, f"it lacks {lacking[0]} ({len(lacking)} tensors are missing)")
    return tokenizer, encoder.eval()


def _fingerprint(weights: Weights) -> str:
    """Return a hash over name, size and mtime of the tokenizer's and encoder's files, 16 digits."""
    digest = hashlib.sha256()
    for folder in (weights.tokenizer, weights.text_encoder):
        for path in sorted(folder.iterdir()):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _read_cache(path: Path) -> Tensor | None:
    """Read the embedding from ``path``; ``None`` if the file is missing or damaged."""
    if not path.is_file():
        return None
    try:
        by_name = {stored.name: stored.tensor for stored in read_tensors(path)}
    except BadWeights:
        return None
    return by_name.get(_TENSOR)


def _write_cache(path: Path, embedding: Tensor) -> None:
    """Write ``embedding`` to ``path``; safe with several workers. A failure is only logged."""
    try:
        _write(path, save({_TENSOR: embedding.contiguous()}))
    except (OSError, DiskFull) as error:  # costs the next worker a few seconds
        log.warning("prompt.not_kept", file=str(path), reason=str(error))


def _write(path: Path, content: bytes) -> None:
    """Write a file atomically: temporary file beside it, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
