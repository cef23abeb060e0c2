"""The embedding of the empty prompt: computed once for all times, then read from a small file.

No other prompt is ever used, so the text encoder is loaded only when that file is not there, or
when the encoder's files are not the ones it was made with; and it is let go of at once.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import structlog
import torch
from safetensors import SafetensorError
from safetensors.torch import save
from torch import Tensor
from transformers import CLIPTextModel, CLIPTokenizer
from transformers.utils.logging import disable_progress_bar

from erasecore.engines.diffueraser.tensors import tensors_of
from erasecore.errors import BadWeights, DiskFull
from erasecore.system.atomic_files import name_durably
from erasecore.weights.layout import Weights

log = structlog.get_logger(__name__)

_TENSOR = "prompt"


def empty_prompt(weights: Weights, state: Path | None) -> Tensor:
    """The embedding of "", float32 ``(1, tokens, channels)``, on the CPU.

    Args:
        weights: where the tokenizer and the text encoder lie.
        state: where the embedding is kept; ``None`` keeps it nowhere.

    Raises:
        BadWeights: the text encoder cannot be loaded.
    """
    if state is None:
        return _embed("", weights)
    kept = state / f"empty-prompt-{_fingerprint(weights)}.safetensors"
    known = _kept(kept)
    if known is None:
        known = _embed("", weights)
        _keep(kept, known)
    return known


def _embed(prompt: str, weights: Weights) -> Tensor:
    """What the text encoder makes of ``prompt``: its last layer, after the final norm."""
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
    """Tokenizer and text encoder, every tensor of which was found."""
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
    """A name for the files the embedding is made from, by their sizes and times."""
    digest = hashlib.sha256()
    for folder in (weights.tokenizer, weights.text_encoder):
        for path in sorted(folder.iterdir()):
            facts = path.stat()
            digest.update(f"{path.name} {facts.st_size} {facts.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:16]


def _kept(path: Path) -> Tensor | None:
    """The embedding in ``path``; ``None`` where there is none, or it is damaged."""
    if not path.is_file():
        return None
    try:
        by_name = {stored.name: stored.tensor for stored in tensors_of(path)}
    except BadWeights:
        return None
    return by_name.get(_TENSOR)


def _keep(path: Path, embedding: Tensor) -> None:
    """Put ``embedding`` into ``path``, if that can be done; several workers may do so at once."""
    try:
        _write(path, save({_TENSOR: embedding.contiguous()}))
    except (OSError, DiskFull) as error:  # no loss but a few seconds of the next worker
        log.warning("prompt.not_kept", file=str(path), reason=str(error))


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    name_durably(part, path)
