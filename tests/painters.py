"""Painters that take no networks: what the diffusion engine does around them can be seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Tick
from erasecore.engines.diffueraser.plan import BatchPlan
from erasecore.engines.diffueraser.shown import Shown


@dataclass(slots=True)
class PatternPainter:
    """Paints the same speckles over every frame, holes and all, and remembers what it was shown.

    ``fits`` tells whether a plan (and the size of a picture) fits into its memory.
    """

    fits: Callable[[BatchPlan, tuple[int, int]], bool] = lambda _plan, _size: True
    device: str = "cpu"
    shown: list[Shown] = field(default_factory=list)
    wanted: list[list[int]] = field(default_factory=list)
    plans: list[BatchPlan] = field(default_factory=list)

    def paint(
        self, scene: Shown, wanted: Sequence[int], plan: BatchPlan, tick: Tick
    ) -> NDArray[np.uint8]:
        """Speckles around a middle gray."""
        self.plans.append(plan)
        frames, height, width = scene.holes.shape
        if not self.fits(plan, (width, height)):
            raise MemoryError(f"{plan} for {width}x{height}")
        self.shown.append(scene)
        self.wanted.append(list(wanted))
        random = np.random.default_rng(11)
        speckles = random.integers(60, 190, (height, width, 3), np.uint8)
        painted = np.zeros_like(scene.frames)  # frames that are not wanted hold nothing of use
        for number in wanted:
            tick(number / frames)
            painted[number] = speckles
        return painted
