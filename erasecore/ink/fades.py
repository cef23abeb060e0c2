"""Unblending of letters that fade in or out: the background behind them is solved for.

At opacity ``a`` a pixel that is ``full`` once the letters are opaque obeys
``seen = a * full + (1 - a) * background`` (alpha compositing). The opacity of a frame is the
projection of its fine structure onto that of the opaque letters; the background's own structure is
uncorrelated with theirs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from erasecore.ink.strokes import Ink
from erasecore.model.crop_stacks import CropStack
from erasecore.model.inpaint_input import Bools, Floats, UnblendedPixels, reduce_mask
from erasecore.video.color import as_plane

_FULL_FRAMES = 5  # opaque frames next to a fade, whose median is the opaque letters; guess
_MAX_OPACITY = 0.75  # 0 to 1; above it too little of the background shows; guess
_COARSE_LINES = 0.5  # letter heights; coarser structure is not the letters'; guess
_LEAST_GAIN = 0.8  # of the film's contrast; where it has faded further nothing is solved; guess
_LEAST_CONTRAST = 1.0  # levels; a flatter picture does not tell that it fades; guess
_MIN_INK_PX = 60  # pixels of ink that the opacity needs; guess
_ERROR_LEVELS = 2.5  # levels; error at opacity 0, of coding noise and a wrong opacity; guess


def see_through(crop: CropStack, inks: Sequence[Ink]) -> dict[int, UnblendedPixels]:
    """Return the background behind fading letters, by frame number within the crop.

    Letters on a plate are left out, since both fade there.

    Args:
        crop: the pixels; not modified.
        inks: the ink of the events in sight.
    """
    seen: dict[int, UnblendedPixels] = {}
    for ink in inks:
        if ink.plate is not None or int(ink.mask.sum()) < _MIN_INK_PX:
            continue
        for number, opacity, full in _translucent(crop, ink):
            mask = ink.mask & ~_hidden_by(ink, inks, crop.start + number)
            seen[number] = _solve(crop, number, mask, full, opacity, seen.get(number))
    return seen


def _hidden_by(ink: Ink, inks: Sequence[Ink], frame: int) -> Bools:
    """Return the pixels that opaque ink of other events hides in a film frame."""
    hidden = np.zeros(ink.mask.shape, np.bool_)
    for other in inks:
        event, pose = other.event, other.event.pose_at(frame)
        opaque = event.full_start <= frame < event.full_stop or pose is not None
        if other is not ink and opaque and event.shows_at(frame):
            hidden |= other.mask_at(pose)
    return hidden


def _translucent(crop: CropStack, ink: Ink) -> Iterator[tuple[int, float, tuple[Floats, ...]]]:
    """Yield frame number within the crop, opacity, and opaque planes of each translucent frame."""
    event = ink.event
    opaque = range(max(event.full_start, crop.start), min(event.full_stop, crop.stop))
    for fade, nearest in (
        (range(event.start, event.full_start), opaque[:_FULL_FRAMES]),
        (range(event.full_stop, event.stop), opaque[-_FULL_FRAMES:]),
    ):
        frames = [frame for frame in fade if crop.start <= frame < crop.stop]
        frames = [frame for frame in frames if event.pose_at(frame) is None]
        if not frames or not nearest:
            continue
        full = _median(crop, nearest)
        structure = _Structure(full[0] / np.float32(crop.layout.scale), ink)
        for frame in frames:
            gain = _film_gain(crop, frame, nearest)
            opacity = structure.opacity_in(crop.luma(frame))
            if opacity < _MAX_OPACITY * gain and gain > _LEAST_GAIN:
                yield frame - crop.start, max(0.0, opacity), full


class _Structure:
    """Fine structure (luma minus its box blur) of opaque letters, to measure opacity with."""

    def __init__(self, full: Floats, ink: Ink) -> None:
        rows, columns = np.nonzero(ink.mask)
        self._side = side = 2 * round(max(2.0, 0.5 * _COARSE_LINES * ink.event.text_height_px)) + 1
        self._view = np.s_[
            max(0, rows.min() - side) : rows.max() + side + 1,
            max(0, columns.min() - side) : columns.max() + side + 1,
        ]
        self._mask = ink.mask[self._view]
        self._fine = self._high_pass(full)
        self._power = max(1e-6, float(self._fine @ self._fine))

    def opacity_in(self, luma: Floats) -> float:
        """Opacity of the letters in ``luma``: 1 is fully opaque, 0 absent; noise goes beyond."""
        return float(self._high_pass(luma) @ self._fine) / self._power

    def _high_pass(self, luma: Floats) -> Floats:
        """Fine structure of the ink's pixels: float32 ``(N,)``, in levels."""
        part = np.ascontiguousarray(luma[self._view])
        fine = part - cv2.blur(part, (self._side, self._side), borderType=cv2.BORDER_REPLICATE)
        return np.asarray(fine[self._mask], np.float32)


def _film_gain(crop: CropStack, frame: int, opaque: range) -> float:
    """Return the contrast of the whole picture in a frame, in that of the opaque ones; 1 at most.

    Where the film fades, its letters become faint without anything showing through them.
    """
    contrasts = [float(crop.thumbnails[each - crop.start].std()) for each in opaque]
    usual, now = float(np.median(contrasts)), float(crop.thumbnails[frame - crop.start].std())
    return min(1.0, now / usual) if usual > _LEAST_CONTRAST else 1.0


def _median(crop: CropStack, frames: range) -> tuple[Floats, ...]:
    """Median of each plane over film frames ``frames``, in the planes' own levels."""
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
    """Background behind ``mask`` in one frame, merged with what is ``known`` of other lines."""
    planes = tuple(stack[number].copy() for stack in crop.planes) if known is None else known.planes
    for index, (plane, stack, ink) in enumerate(zip(planes, crop.planes, full, strict=True)):
        where = reduce_mask(mask, crop.layout) if index else mask
        solved = (stack[number][where] - opacity * ink[where]) / (1 - opacity)
        plane[where] = as_plane(solved, crop.layout)
    error = _ERROR_LEVELS / (1 - opacity)
    if known is None:
        return UnblendedPixels(planes, mask, error)
    return UnblendedPixels(planes, mask | known.mask, max(error, known.error))
