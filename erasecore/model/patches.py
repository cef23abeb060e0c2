"""Compositing: new samples are written into a frame's native planes, all others are kept."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box, Plane, PlaneLayout, Planes, plane_window


@dataclass(frozen=True, slots=True)
class Patch:
    """Changed samples of one rectangle of one frame.

    Attributes:
        box: the rectangle, luma pixels, in whole chroma samples.
        masks: per plane, bool of the rectangle's size in that plane; True where a sample changes.
        samples: per plane, ``(n,)`` new values in the order of ``np.flatnonzero(mask)``, in the
            plane's own type and depth.
    """

    box: Box
    masks: tuple[NDArray[np.bool_], ...]
    samples: tuple[Plane, ...]


def composite(planes: Planes, patches: list[Patch], layout: PlaneLayout) -> None:
    """Write ``patches`` into ``planes``, in place.

    Samples outside the patches' masks are kept bit for bit.
    """
    for patch in patches:
        for index, (plane, mask, samples) in enumerate(
            zip(planes, patch.masks, patch.samples, strict=True)
        ):
            plane[plane_window(patch.box, index, layout)][mask] = samples
