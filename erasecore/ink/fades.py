"""Letters that fade in or out: what is behind them, solved for while they are translucent.

At opacity ``a`` a pixel that is ``full`` once the letters are opaque obeys
``seen = a * full + (1 - a) * background``. The opacity of a frame is the share of the opaque
letters' fine structure that it shows; the background's own structure knows nothing of theirs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from erasecore.ink.strokes import Ink
from erasecore.model.crop_stacks import CropStack
from erasecore.model.inpaint_input import Bools, Floats, UnblendedPixels, reduce_mask
from erasecore.video.color import as_plane

_FULL_FRAMES = 5  # opaque ones next to a fade, whose median is the opaque letters
_MOST_OPAQUE = 0.75  # above it too little of the background shows
_COARSE_LINES = 0.5  # of a letter's height: what is coarser is no structure of letters
_LEAST_PX = 60  # of ink, for its structure to tell anything
_ERROR_LEVELS = 2.5  # of a solved pixel at no opacity: coding noise, and an opacity that is off


def see_through(crop: CropStack, inks: Iterable[Ink]) -> dict[int, UnblendedPixels]:
    """The background behind fading letters, by the cutout's own frame numbers.

    Letters on a plate are left out: what fades there is both.
    """
    seen: dict[int, UnblendedPixels] = {}
    for ink in inks:
        if ink.plate is not None or int(ink.mask.sum()) < _LEAST_PX:
            continue
        for number, opacity, full in _translucent(crop, ink):
            seen[number] = _solve(crop, number, ink.mask, full, opacity, seen.get(number))
    return seen


def _translucent(crop: CropStack, ink: Ink) -> Iterator[tuple[int, float, tuple[Floats, ...]]]:
    """The frames in which the letters are translucent, how opaque, and what they are when full."""
    event = ink.event
    opaque = range(max(event.full_start, crop.start), min(event.full_stop, crop.stop))
    for fade, nearest in (
        (range(event.start, event.full_start), opaque[:_FULL_FRAMES]),
        (range(event.full_stop, event.stop), opaque[-_FULL_FRAMES:]),
    ):
        frames = [frame for frame in fade if crop.start <= frame < crop.stop]
        if not frames or not nearest:
            continue
        full = _median(crop, nearest)
        structure = _Structure(full[0] / np.float32(crop.layout.scale), ink)
        for frame in frames:
            opacity = structure.share_in(crop.luma(frame))
            if opacity < _MOST_OPAQUE:
                yield frame - crop.start, max(0.0, opacity), full


class _Structure:
    """The fine structure of opaque letters, and how much of it a frame shows."""

    def __init__(self, full: Floats, ink: Ink) -> None:
        rows, columns = np.nonzero(ink.mask)
        self._side = side = 2 * round(max(2.0, 0.5 * _COARSE_LINES * ink.event.text_height_px)) + 1
        self._view = np.s_[
            max(0, rows.min() - side) : rows.max() + side + 1,
            max(0, columns.min() - side) : columns.max() + side + 1,
        ]
        self._mask = ink.mask[self._view]
        self._fine = self._of(full)
        self._power = max(1e-6, float(self._fine @ self._fine))

    def share_in(self, luma: Floats) -> float:
        """The opacity of the letters in ``luma``: 1 as opaque as ever, 0 not there."""
        return float(self._of(luma) @ self._fine) / self._power

    def _of(self, luma: Floats) -> Floats:
        part = np.ascontiguousarray(luma[self._view])
        fine = part - cv2.blur(part, (self._side, self._side), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(fine[self._mask], np.float32)


def _median(crop: CropStack, frames: range) -> tuple[Floats, ...]:
    """Each plane's median over film frames ``frames``, in the planes' own levels."""
    numbers = [frame - crop.start for frame in frames]
    return tuple(np.median(stack[numbers], axis=0).astype(np.float32) for stack in crop.planes)


def _solve(
    crop: CropStack,
    number: int,
    mask: Bools,
    full: tuple[Floats, ...],
    opacity: float,
    known: UnblendedPixels | None,
) -> UnblendedPixels:
    """The background behind ``mask`` in one frame, put beside what is ``known`` of it already."""
    planes = tuple(stack[number].copy() for stack in crop.planes) if known is None else known.planes
    for index, (plane, stack, ink) in enumerate(zip(planes, crop.planes, full, strict=True)):
        where = reduce_mask(mask, crop.layout) if index else mask
        solved = (stack[number][where] - opacity * ink[where]) / (1 - opacity)
        plane[where] = as_plane(solved, crop.layout)
    error = _ERROR_LEVELS / (1 - opacity)
    if known is None:
        return UnblendedPixels(planes, mask, error)
    return UnblendedPixels(planes, mask | known.mask, max(error, known.error))
