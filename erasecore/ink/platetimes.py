"""A plate over time: compared along the motion of the scene, and with its opacity while it fades.

A plate's arithmetic compares a frame with it and one without; where the scene moves on in between,
the one without is shifted along first. While a plate fades each frame has an opacity of its own.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.boxes import inside
from erasecore.cutout import Cutout
from erasecore.detect.events import Event
from erasecore.ink.evidence import Change
from erasecore.ink.plates import Plate

_COARSE = 4  # pixels of the picture for one of the first search
_COARSE_REACH = 6  # of those, in each direction
_FINE_STEPS = (1.0, 0.5, 0.25)
_LEAST_GAIN = 0.8  # of the error that stays, for a shift to be believed
_MOST_LEVELS = 20.0
_LEAST_PX = 200
_MOST_UNEXPLAINED = 0.6  # of the change, for a frame's own opacity to be believed


def aligned(change: Change, around: NDArray[np.bool_]) -> Change:
    """``change`` with the picture without ink shifted to where the other one has it.

    Args:
        change: two frames of the same place.
        around: bool ``(H, W)``; the place without any text, where the two are compared.
    """
    if around.sum() < _LEAST_PX:
        return change
    shift = _shift(change.without[0], change.with_ink[0], around)
    if shift == (0.0, 0.0):
        return change
    without = np.stack([_moved(plane, shift) for plane in change.without])
    return Change(without, change.with_ink)


def opacities(
    cutout: Cutout,
    event: Event,
    plate: Plate,
    clear: NDArray[np.bool_],
    around: NDArray[np.bool_],
) -> dict[int, float]:
    """The plate's opacity, as a share of its full one, on each frame on which it fades.

    Args:
        cutout: the pixels.
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
            if not cutout.start <= frame < cutout.stop:
                continue
            evenly = order / (len(frames) + 1)
            measured = None
            if cutout.start <= outside < cutout.stop:
                change = Change(cutout.levels(outside), cutout.levels(frame))
                measured = _opacity(aligned(change, around), plate, here)
            found[frame] = evenly if measured is None else measured
    return found


def _opacity(change: Change, plate: Plate, here: NDArray[np.bool_]) -> float | None:
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


def _shift(
    before: NDArray[np.float32], after: NDArray[np.float32], around: NDArray[np.bool_]
) -> tuple[float, float]:
    """Pixels right and down by which ``before`` must be moved to look like ``after``."""
    small = [_reduced(plane) for plane in (before, after, around.astype(np.float32))]
    few = small[2] > 0.99
    best = (0.0, 0.0)
    if few.sum() >= _LEAST_PX / _COARSE**2:
        steps = range(-_COARSE_REACH, _COARSE_REACH + 1)
        shifts = [(float(right), float(down)) for right in steps for down in steps]
        right, down = min(shifts, key=lambda s: _error(small[0], small[1], few, s))
        best = (right * _COARSE, down * _COARSE)
    for step in (2.0, *_FINE_STEPS):
        moves = [(best[0] + x * step, best[1] + y * step) for x in (-1, 0, 1) for y in (-1, 0, 1)]
        best = min(moves, key=lambda s: _error(before, after, around, s))
    still = _error(before, after, around, (0.0, 0.0))
    return best if _error(before, after, around, best) < _LEAST_GAIN * still else (0.0, 0.0)


def _reduced(plane: NDArray[np.float32]) -> NDArray[np.float32]:
    share = 1 / _COARSE
    small = cv2.resize(plane, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _error(
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    around: NDArray[np.bool_],
    shift: tuple[float, float],
) -> float:
    apart = np.abs(_moved(before, shift) - after)[around]
    return float(np.minimum(apart, _MOST_LEVELS).mean())


def _moved(plane: NDArray[np.float32], shift: tuple[float, float]) -> NDArray[np.float32]:
    if shift == (0.0, 0.0):
        return plane
    matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
    size = (plane.shape[1], plane.shape[0])
    return np.asarray(
        cv2.warpAffine(
            plane, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        ),
        np.float32,
    )
