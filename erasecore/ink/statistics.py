"""What the film shows of one event's ink: frames with it, and the moments it comes and goes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from erasecore.model.inpaint_input import Bools, Floats

CALM_LEVELS = 5.0
"""By which a picture changes at most, away from any text, at a moment that tells of one pixel."""

NOISY_LEVELS = 8.0
"""A picture that changes by more tells nothing."""

_AROUND_PX = 15


@dataclass(frozen=True)  # without slots, which leave no room for what is worked out once
class Transition:
    """The same place just outside and just inside a subtitle's time.

    Attributes:
        without: float32 ``(P, H, W)``; all planes without the subtitle, 8-bit levels.
        with_ink: the same with the subtitle.
    """

    without: Floats
    with_ink: Floats

    @cached_property
    def size(self) -> Floats:
        """The largest difference of any plane, ``(H, W)``, in levels."""
        size: Floats = np.abs(self.with_ink - self.without).max(axis=0)
        return size

    def cropped(self, view: tuple[slice, slice]) -> Transition:
        """The same of a part of the place."""
        part = (slice(None), *view)
        return Transition(self.without[part], self.with_ink[part])


@dataclass(frozen=True)
class InkStatistics:
    """What is known of an event's region, all of its size ``(H, W)``.

    Attributes:
        frames: float32 ``(N, H, W)``; luma of frames of the event, 8-bit levels.
        transitions: the region just without and just with the subtitle, and no other text.
        free: pixels on which no subtitle is at any of these times.
    """

    frames: Floats
    transitions: list[Transition]
    free: Bools

    def change(self, free: Bools) -> Floats | None:
        """How far each pixel changed as the subtitle came or went, in levels; ``None``: not told.

        A dark outline changes nothing in a picture that is dark at one of these moments; so the
        largest change counts, of moments at which hardly anything else changed ``free`` of text. If
        there is none of these it is the change at the calmest one, or, all being noisy, the least.
        """
        sizes = [moment.size for moment in self.transitions]
        if not sizes:
            return None
        noises = [noise(size, free) for size in sizes]
        calm = [size for size, own in zip(sizes, noises, strict=True) if own <= CALM_LEVELS]
        if not calm and min(noises) <= NOISY_LEVELS:
            calm = [sizes[int(np.argmin(noises))]]
        change: Floats = np.max(calm, axis=0) if calm else np.min(sizes, axis=0)
        return change

    @cached_property
    def spread(self) -> Floats:
        """How much each pixel changes during the event: standard deviation, in levels."""
        spread: Floats = self.frames.std(axis=0)
        return spread

    @cached_property
    def mean(self) -> Floats:
        """Each pixel's mean over the event, in levels."""
        mean: Floats = self.frames.mean(axis=0)
        return mean


def noise(change: Floats, free: Bools) -> float:
    """How much the picture changes without any subtitle, in levels."""
    return float(np.percentile(change[free], 95))


def context_mask(values: Floats, known: Bools) -> Floats:
    """Each pixel's mean of the ``known`` pixels around it, near ones first."""
    weight = known.astype(np.float32)
    result = np.full(values.shape, float(values[known].mean()), np.float32)
    for size in (4 * _AROUND_PX + 1, _AROUND_PX):
        share = cv2.blur(weight, (size, size))
        mean = cv2.blur(np.asarray(values * weight, np.float32), (size, size))
        enough = share > 0.02
        result = np.where(enough, mean / np.maximum(share, np.float32(1e-6)), result)
    return np.asarray(result, np.float32)
