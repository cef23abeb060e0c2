"""A plate over time: compared along the motion of the scene, and with its opacity while it fades.

A plate's arithmetic compares a frame with it and one without; where the scene moves on in between,
the one without is shifted along first. While a plate fades each frame has an opacity of its own.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from erasecore.ink.plates import Plate
from erasecore.ink.statistics import Transition
from erasecore.ink.transitions import aligned
from erasecore.model.boxes import inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event

_MOST_LEVELS = 20.0
_LEAST_PX = 200
_MOST_UNEXPLAINED = 0.6  # of the change, for a frame's own opacity to be believed


def opacities(
    crop: CropStack,
    event: Event,
    plate: Plate,
    clear: NDArray[np.bool_],
    around: NDArray[np.bool_],
) -> dict[int, float]:
    """The plate's opacity, as a share of its full one, on each frame on which it fades.

    Args:
        crop: the pixels.
        event: the subtitle; frames outside ``full_start`` to ``full_stop`` are looked at.
        plate: at its full opacity.
        clear: bool ``(H, W)``; without letters.
        around: bool ``(H, W)``; where there is no text at all.
    """
    here = clear & inside(plate.box, clear.shape)
    found: dict[int, float] = {}
    for frames, outside in (
        (range(event.start, event.full_start), event.start - 1),
        (range(event.stop - 1, event.full_stop - 1, -1), event.stop),
    ):
        for order, frame in enumerate(frames, start=1):
            if not crop.start <= frame < crop.stop:
                continue
            evenly = order / (len(frames) + 1)
            measured = None
            if crop.start <= outside < crop.stop:
                change = Transition(crop.levels(outside), crop.levels(frame))
                measured = _opacity(aligned(change, around), plate, here)
            found[frame] = evenly if measured is None else measured
    return found


def _opacity(change: Transition, plate: Plate, here: NDArray[np.bool_]) -> float | None:
    """How much of the plate the change shows, 0 to 1; ``None`` where the scene hides it."""
    without, with_ink = change.without[0][here], change.with_ink[0][here]
    full = plate.scale * without + plate.offsets[0] - without
    seen = with_ink - without
    strong = np.abs(full) > 4
    if strong.sum() < _LEAST_PX:
        return None
    ratio = float(np.median(seen[strong] / full[strong]))
    left = float(np.minimum(np.abs(seen - ratio * full), _MOST_LEVELS).sum())
    if left > _MOST_UNEXPLAINED * float(np.minimum(np.abs(full), _MOST_LEVELS).sum()):
        return None
    return float(np.clip(ratio, 0, 1))
