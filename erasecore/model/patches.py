"""New samples put into a frame's own planes; everything else stays as it was decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box, Plane, PlaneLayout, Planes, plane_window


@dataclass(frozen=True, slots=True)
class Patch:
    """What changes in one rectangle of one frame.

    Attributes:
        box: where it lies in the picture, in whole colour samples.
        masks: per plane, bool of the rectangle's size there; the samples that change.
        samples: per plane, the new values in the order of ``np.flatnonzero(mask)``.
    """

    box: Box
    masks: tuple[NDArray[np.bool_], ...]
    samples: tuple[Plane, ...]


def composite(planes: Planes, patches: list[Patch], layout: PlaneLayout) -> None:
    """Write ``patches`` into ``planes``, in place.

    Where no patch's mask is set, a plane keeps its samples bit for bit.
    """
    for patch in patches:
        for index, (plane, mask, samples) in enumerate(
            zip(planes, patch.masks, patch.samples, strict=True)
        ):
            plane[plane_window(patch.box, index, layout)][mask] = samples
