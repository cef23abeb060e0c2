"""Peak memory of each rung at full size, kept account of on the meta device.

Every storage that an operation makes is counted until it is let go of. The fused attention kernels
that run on a GPU keep no matrix of scores, so none is counted. Not seen are the workspaces of
convolutions, what the allocator loses to fragments, and the CUDA context: ``SPARE_GIB`` stands for
all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.nn.functional import scaled_dot_product_attention
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from bench.diffusion import FootprintRow
from bench.flops import full_size
from erasecore.engines.diffueraser.crops import SURROUNDINGS
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rungs import rungs
from erasecore.engines.diffueraser.temporal import WINDOW
from erasecore.engines.diffueraser.vae import VAE_SCALE_FACTOR, decode_batch, encode_batch
from erasecore.settings import DiffusionSettings

GIB = 1 << 30
FILMS_PX = {"720p": (1280, 720), "1080p": (1920, 1080), "4K": (3840, 2160)}
TWO_LINES = (0.6, 0.13)  # of the film's width and height


def footprints() -> Iterator[FootprintRow]:
    """All rungs on all films."""
    for film in FILMS_PX:
        width, height = strip_px(film)
        for rung in rungs(DiffusionSettings()):
            if rung.plan.batch is not None:
                sides = [_scaled(side, rung.plan.scale) for side in (width, height)]
                yield _footprint(film, sides, rung.name, rung.plan.batch)


def strip_px(film: str) -> tuple[int, int]:
    """Width and height of what the networks see around two lines of subtitles."""
    sides = zip(FILMS_PX[film], TWO_LINES, strict=True)
    inked = (round(side * share) + 2 * SURROUNDINGS.margin_px for side, share in sides)
    width, height = (SURROUNDINGS.side(length) for length in inked)
    return width, height


def weights_gib() -> float:
    """What the networks weigh in float16."""
    networks = full_size()
    parts = (networks.brushnet, networks.unet, networks.vae)
    weighed = sum(tensor.nbytes for part in parts for tensor in part.state_dict().values())
    return float(weighed) / GIB


def _scaled(side: int, scale: float) -> int:
    return round(side * scale / VAE_SCALE_FACTOR) * VAE_SCALE_FACTOR


def _footprint(film: str, sides: Sequence[int], rung: str, plan: BatchPlan) -> FootprintRow:
    width, height = sides
    networks, cells = full_size(), (height // VAE_SCALE_FACTOR, width // VAE_SCALE_FACTOR)
    frames = WINDOW * (plan.windows_per_batch + 1)  # the batch, and one after it
    with torch.device("meta"):
        latents, known = torch.empty((frames, 4, *cells)), torch.empty((frames, 5, *cells))
        pictures = torch.empty((plan.vae_batch, height, width, 3), dtype=torch.uint8)
    few = latents[: plan.vae_batch]
    return FootprintRow(
        film=film,
        width=width,
        height=height,
        rung=rung,
        weights_gib=weights_gib(),
        denoise_gib=peak_gib(
            lambda: denoise(networks, latents, known, steps=1, plan=plan, tick=lambda _: None)
        ),
        encode_gib=peak_gib(lambda: encode_batch(networks.vae, pictures, plan)),
        decode_gib=peak_gib(lambda: decode_batch(networks.vae, few, plan)),
    )


def peak_gib(run: Callable[[], Tensor]) -> float:
    """The most that is held at once of what ``run`` makes on the meta device."""
    with torch.inference_mode(), _FusedAttention(), _Account() as account:
        run()
    return float(account.peak_bytes) / GIB


class _FusedAttention(TorchFunctionMode):
    """Attention as the fused kernels leave it behind: its output alone."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        if func is scaled_dot_product_attention:
            query, value = args[0], args[2]
            return query.new_empty((*query.shape[:-1], value.shape[-1]))
        return func(*args, **(kwargs or {}))


class _Account(TorchDispatchMode):
    """Counts the bytes of all storages made inside it for as long as they live."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.peak_bytes = 0
        self._live: dict[int, tuple[StorageWeakRef, int]] = {}
        self._held_bytes = 0  # at most: who is gone is found out only when it matters

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        known = {leaf.untyped_storage()._cdata for leaf in _tensors((args, kwargs))}
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            storage = tensor.untyped_storage()
            if storage._cdata not in known:
                self._note(storage)
        return out

    def _note(self, storage: torch.UntypedStorage) -> None:
        _, replaced = self._live.get(storage._cdata, (None, 0))
        self._live[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self._held_bytes += storage.nbytes() - replaced
        if self._held_bytes > self.peak_bytes:
            self._live = {key: one for key, one in self._live.items() if not one[0].expired()}
            self._held_bytes = sum(size for _, size in self._live.values())
            self.peak_bytes = max(self.peak_bytes, self._held_bytes)


def _tensors(tree: object) -> Iterator[Tensor]:
    return (leaf for leaf in tree_leaves(tree) if isinstance(leaf, Tensor))
