"""Painters that take no networks: what the diffusion engine does around them can be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.conditioning import Conditioning
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.rgb import U16_PER_LEVEL


@dataclass(slots=True)
class PatternPainter:
    """Paints the same speckles over every frame, holes and all, and remembers what it was shown.

    ``fits`` tells whether a plan (and the size of a picture) fits into its memory.
    """

    fits: Callable[[BatchPlan, tuple[int, int]], bool] = lambda _plan, _size: True
    device: str = "cpu"
    shown: list[Conditioning] = field(default_factory=list)
    wanted: list[list[int]] = field(default_factory=list)
    plans: list[BatchPlan] = field(default_factory=list)

    def inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """Speckles around a middle gray."""
        self.plans.append(plan)
        frames, height, width = conditioning.holes.shape
        if not self.fits(plan, (width, height)):
            raise MemoryError(f"{plan} for {width}x{height}")
        self.shown.append(conditioning)
        self.wanted.append(list(wanted))
        random = np.random.default_rng(11)
        speckles = random.integers(60, 190, (height, width, 3), np.uint16) * np.uint16(
            U16_PER_LEVEL
        )
        for number in wanted:
            tick(number / frames)
        return np.stack([speckles] * len(wanted))


@dataclass(frozen=True, slots=True)
class TruthPainter:
    """Paints what it was given: RGB, uint16 ``(H, W, 3)``, into the upper left of every frame."""

    picture: NDArray[np.uint16]
    device: str = "cpu"

    def inpaint(
        self, conditioning: Conditioning, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint16]:
        """The picture, black beside it."""
        rows, columns, _ = self.picture.shape
        painted = np.zeros((len(wanted), *conditioning.frames.shape[1:]), np.uint16)
        painted[:, :rows, :columns] = self.picture
        return painted
