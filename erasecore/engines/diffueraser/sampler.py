"""A clip with holes in, its pictures without holes out: the whole way of one clip.

Noise goes onto the prior's latents, BrushNet is shown what is known, and the latents are denoised
and decoded. Of a long clip 22 frames are inpainted first, together; they then lead the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor

from erasecore.engines.base import Tick, tick_of_part
from erasecore.engines.diffueraser.components import Components
from erasecore.engines.diffueraser.denoise import denoise
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.schedule import add_noise, draw_noise, tile_noise
from erasecore.engines.diffueraser.temporal import LEAD_ABOVE, WINDOW
from erasecore.engines.diffueraser.vae import CELL_PX, U8, U16, decode, decode_finely, encode
from erasecore.model.inpaint_input import Bools

DEFAULT_SEED = 20260101


class Cells(StrEnum):
    """When a latent's cell of 8x8 pixels counts as a hole."""

    TOUCHED = "touched"  # any of its pixels is one: for masks as tight as ours
    TOP_LEFT = "top-left"  # its first pixel is one: as the reference does, with wide masks


@dataclass(frozen=True, slots=True)
class Recipe:
    """What changes the result, as against ``BatchPlan``, which does not.

    Attributes:
        steps: denoising steps; the LoRA was distilled for 2.
        seed: of the noise.
        cells: when a latent's cell counts as a hole.
    """

    steps: int = 2
    seed: int = DEFAULT_SEED
    cells: Cells = Cells.TOUCHED


@dataclass(frozen=True, slots=True)
class Scene:
    """A run of frames of one shot, with holes.

    Attributes:
        frames: RGB uint8 ``(T, H, W, 3)``; sides are multiples of 8; what lies in the holes is
            not looked at.
        holes: bool ``(T, H, W)``.
        prior: ``frames`` with the holes filled somehow, same shape.
    """

    frames: U8
    holes: Bools
    prior: U8

    def __post_init__(self) -> None:
        frames, height, width, _ = self.frames.shape
        if self.holes.shape != (frames, height, width) or self.prior.shape != self.frames.shape:
            raise ValueError(f"{self.frames.shape}, {self.holes.shape}, {self.prior.shape} differ")
        if not frames or height % CELL_PX or width % CELL_PX:
            raise ValueError(f"{self.frames.shape}: no frames, or sides not multiples of 8")

    @property
    def masked(self) -> U8:
        """The frames with black holes."""
        return np.where(self.holes[..., None], np.uint8(0), self.frames)


def inpaint(
    networks: Components,
    scene: Scene,
    recipe: Recipe,
    *,
    plan: BatchPlan,
    wanted: Sequence[int],
    tick: Tick,
) -> U16:
    """The ``wanted`` pictures as the networks see them, uint16 ``(n, H, W, 3)``; 65535 is white.

    Also outside the holes they are the networks' own: the caller takes from them what it needs.

    Args:
        networks: loaded networks.
        scene: the clip.
        recipe: steps and seed.
        plan: how much goes to the device at once.
        wanted: the frames that are to be decoded, in that order; at least one.
        tick: told the share that is done.
    """
    noise = scene_noise(scene, recipe.seed)
    latents = sample(networks, scene, noise, recipe, plan=plan, tick=tick_of_part(tick, 0.0, 0.85))
    rows = torch.tensor(list(wanted), device=latents.device)
    pictures = decode_finely(
        networks.vae, latents[rows], plan=plan, tick=tick_of_part(tick, 0.85, 1.0)
    )
    tick(1.0)
    return pictures


def scene_noise(scene: Scene, seed: int) -> Tensor:
    """The noise of a scene's first 22 frames, after which it repeats: float32, on the CPU."""
    _, height, width, _ = scene.frames.shape
    return draw_noise(WINDOW, height // CELL_PX, width // CELL_PX, seed=seed)


def sample(
    networks: Components,
    scene: Scene,
    noise: Tensor,
    recipe: Recipe,
    *,
    plan: BatchPlan,
    tick: Tick,
) -> Tensor:
    """The scene's latents with the holes filled, float32 ``(T, 4, H / 8, W / 8)``.

    Args:
        networks: loaded networks.
        scene: the clip.
        noise: float32 ``(22, 4, H / 8, W / 8)``.
        recipe: steps, and how cells are judged.
        plan: how much goes to the device at once.
        tick: told the share that is done.
    """
    start = prepare(networks, scene, recipe.cells, plan=plan, tick=tick_of_part(tick, 0.0, 0.2))
    if len(scene.frames) > LEAD_ABOVE:
        start = _led(networks, start, noise, recipe, plan=plan, tick=tick_of_part(tick, 0.2, 0.4))
    noised = add_noise(start.clean, tile_noise(noise, len(start.clean)).to(start.clean.device))
    return denoise(
        networks,
        noised,
        start.conditioning,
        steps=recipe.steps,
        plan=plan,
        tick=tick_of_part(tick, 0.4, 1.0),
    )


@dataclass(frozen=True, slots=True)
class Start:
    """What sampling starts from.

    Attributes:
        clean: the prior's latents, float32 ``(T, 4, h, w)``.
        conditioning: the masked pictures' latents and the known cells, float32 ``(T, 5, h, w)``.
    """

    clean: Tensor
    conditioning: Tensor


@torch.inference_mode()
def prepare(
    networks: Components, scene: Scene, cells: Cells, *, plan: BatchPlan, tick: Tick
) -> Start:
    """The scene in latents; frames whose prior is what is known of them are encoded once."""
    masked = scene.masked
    seen = encode(networks.vae, masked, plan=plan, tick=tick_of_part(tick, 0.0, 0.5))
    clean = seen.clone()
    if differs := [
        frame for frame, prior in enumerate(scene.prior) if not np.array_equal(prior, masked[frame])
    ]:
        rows = torch.tensor(differs, device=clean.device)
        clean[rows] = encode(
            networks.vae, scene.prior[differs], plan=plan, tick=tick_of_part(tick, 0.5, 1.0)
        )
    return Start(clean, torch.cat([seen, known_cells(scene.holes, cells).to(seen.device)], dim=1))


def known_cells(holes: Bools, cells: Cells) -> Tensor:
    """Which cells are known (1) or hole (0), float32 ``(T, 1, H / 8, W / 8)``."""
    frames, height, width = holes.shape
    blocks = holes.reshape(frames, height // CELL_PX, CELL_PX, width // CELL_PX, CELL_PX)
    hidden = blocks.any(axis=(2, 4)) if cells is Cells.TOUCHED else blocks[:, :, 0, :, 0]
    return torch.from_numpy(~hidden).float()[:, None]


def lead_frames(frames: int) -> list[int]:
    """The frames of a long clip that are inpainted first, spread evenly."""
    return [int(index * (frames / WINDOW)) for index in range(WINDOW)]


@torch.inference_mode()
def _led(
    networks: Components,
    start: Start,
    noise: Tensor,
    recipe: Recipe,
    *,
    plan: BatchPlan,
    tick: Tick,
) -> Start:
    """``start`` with a sample of its frames inpainted; these count as known from here on."""
    rows = torch.tensor(lead_frames(len(start.clean)), device=start.clean.device)
    noised = add_noise(start.clean[rows], noise.to(start.clean.device))
    lead = denoise(
        networks,
        noised,
        start.conditioning[rows],
        steps=recipe.steps,
        plan=plan,
        tick=tick_of_part(tick, 0.0, 0.7),
    )
    pictures = decode(networks.vae, lead, plan=plan, tick=tick_of_part(tick, 0.7, 0.9))
    seen = encode(networks.vae, pictures, plan=plan, tick=tick_of_part(tick, 0.9, 1.0))
    clean, conditioning = start.clean.clone(), start.conditioning.clone()
    clean[rows] = lead
    conditioning[rows] = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
    return Start(clean, conditioning)
