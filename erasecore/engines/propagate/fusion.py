"""Fusion (blending) of a frame's candidates: their mean, weighted by expected error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erasecore.engines.propagate.confidence import Candidate
from erasecore.engines.propagate.holes import Hole
from erasecore.model.inpaint_input import Floats

_LEAST_WEIGHT = np.float32(1e-9)  # avoids division by zero where no candidate has a value


@dataclass(frozen=True, slots=True)
class FusedCandidates:
    """Weighted mean of a frame's candidates, in the order of the hole's lists.

    Attributes:
        planes: float32 samples, luma ``(n,)`` and colour ``(m,)``, 8-bit levels.
        real: float32 ``(n,)``; fraction of each luma sample that comes from other frames, 0 to 1.
        error: float32 ``(n,)``; the candidates' expected errors, averaged with the same weights, in
            levels.
    """

    planes: tuple[Floats, ...]
    real: Floats
    error: Floats


def fuse(hole: Hole, candidates: Sequence[Candidate], *, planes: int) -> FusedCandidates:
    """Average candidates with weights that fall with their expected error e: (1 + e^2)^(-3/2).

    Similar to inverse-variance weighting, which is optimal for independent errors; the exponent 3
    instead of 2 lies between it and choosing the best, which is right for errors that agree.

    Args:
        hole: the hole of the frame.
        candidates: in the order of the lists of ``hole``; unknown samples get no weight.
        planes: number of planes of the strip.
    """
    count, colour_count = hole.inside.size, hole.colour_inside.size
    colours = planes - 1
    sums = [np.zeros(count, np.float32)]
    sums += [np.zeros(colour_count, np.float32) for _ in range(colours)]
    weight, real, error = (np.zeros(count, np.float32) for _ in range(3))
    for candidate in candidates:
        prior = candidate.known * candidate.prior_weight
        power = 1 + np.square(candidate.error)
        share = np.asarray(prior / (power * np.sqrt(power)), np.float32)
        weight += share
        real += share * candidate.real
        error += share * candidate.error
        sums[0] += share * candidate.planes[0]
        for total, values in zip(sums[1:], candidate.planes[1:], strict=True):
            total += share.take(hole.colour_to_luma) * values
    weight = np.maximum(weight, _LEAST_WEIGHT)
    colour_weight = weight.take(hole.colour_to_luma) if colours else weight
    luma, *rest = sums
    means = (luma / weight, *[total / colour_weight for total in rest])
    samples = tuple(np.asarray(mean, np.float32) for mean in means)
    return FusedCandidates(samples, real / weight, error / weight)
