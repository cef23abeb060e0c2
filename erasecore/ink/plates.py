"""Translucent plates (opaque boxes in ASS): flat rectangles behind text, and their unblending.

Under a plate of colour ``ink`` and opacity ``alpha`` every plane obeys
``seen = scale * background + offset`` with ``scale = 1 - alpha`` and ``offset = alpha * ink``,
so the background is solved for instead of invented. While a plate fades each frame has an opacity
of its own, measured against the frame without it, which is aligned to the camera's motion first.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.transitions import Transition, aligned
from erasecore.model.boxes import inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.video.color import Box, Plane, PlaneLayout, Stack, as_plane

EDGE_PX = 2
"""Pixels on both sides of a plate's border on which it is neither full nor absent."""

_OPAQUE_SCALE = 0.15  # 0 to 1; with less of the background showing, a plate is opaque; guess
_OVERLAP_WINDOW_PX = 9  # pixels; window in which "one plate" and "two" are compared; guess
_MAX_ERROR_LEVELS = 40.0  # levels; cap on one pixel's error in it; guess
_SAME_SCALE = 0.08  # 0 to 1; scales of two borders of one plate differ by no more; guess
_SAME_OFFSET_LEVELS = 8.0  # levels; their offsets differ by no more; guess
_MIN_OPACITY_PX = 200  # pixels plainly changed by the plate that an opacity needs; guess
_MAX_RESIDUAL_LEVELS = 20.0  # levels; cap on what one pixel's change leaves unexplained; guess
_MAX_RESIDUAL_SHARE = 0.6  # of the plate's whole change; with more, the opacity is refused; guess


@dataclass(frozen=True, slots=True)
class Plate:
    """A translucent rectangle.

    Attributes:
        scale: share of the background that shows, 0 to 1; one minus the opacity.
        offsets: levels added to each plane, 8-bit.
        box: its place in the crop: left, top, right, bottom in pixels.
        adds_up: True if both plates darken the picture where it overlaps another line's.
    """

    scale: float
    offsets: tuple[float, ...]
    box: Box
    adds_up: bool = False

    @property
    def opaque(self) -> bool:
        """True if too little shows through for the background to be solved for."""
        return self.scale <= _OPAQUE_SCALE

    def hidden(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Pixels that can not be unblended: its border, or all of an opaque plate.

        Args:
            size: height and width of the crop.

        Returns:
            bool ``(H, W)``.
        """
        hidden = inside(self._grown(EDGE_PX), size)
        if not self.opaque:
            hidden &= ~inside(self._grown(-EDGE_PX), size)
        return hidden

    def _grown(self, margin_px: int) -> Box:
        """Box of the plate with a margin on each side; reversed if it is narrower than that."""
        left, top, right, bottom = self.box
        return left - margin_px, top - margin_px, right + margin_px, bottom + margin_px

    def fainter(self, share: float) -> Plate:
        """Return the plate with ``share`` of its opacity, 0 to 1."""
        if share >= 1:
            return self
        scale = 1 - share * (1 - self.scale)
        return replace(self, scale=scale, offsets=tuple(share * add for add in self.offsets))

    def take_away(self, transition: Transition) -> Transition:
        """Return the pair as if only the letters had been drawn: ``with_ink`` is unblended."""
        left, top, right, bottom = self.box
        without = transition.without[:, top:bottom, left:right]
        with_ink = transition.with_ink.copy()
        window = with_ink[:, top:bottom, left:right]
        offsets = np.array(self.offsets, np.float32)[:, None, None]
        once = (window - offsets) / np.float32(self.scale)
        window[:] = once
        if self.adds_up:
            twice = (once - offsets) / np.float32(self.scale)
            size = (_OVERLAP_WINDOW_PX, _OVERLAP_WINDOW_PX)
            errors = [
                cv2.blur(np.minimum(np.abs(guess[0] - without[0]), _MAX_ERROR_LEVELS), size)
                for guess in (once, twice)
            ]
            window[:] = np.where(errors[1] < errors[0], twice, once)
        return Transition(transition.without, with_ink)

    def undo(self, plane: Plane, index: int, layout: PlaneLayout) -> Plane:
        """Return samples of plane number ``index`` with the plate unblended in all of them.

        Args:
            plane: samples in the plane's own levels, any shape.
            index: 0 for luma.
            layout: of the film's planes.
        """
        values = np.arange(layout.peak + 1, dtype=np.float32)
        offset = self.offsets[index] * layout.scale
        return as_plane((values - offset) / self.scale, layout)[plane]


def share_style(plates: list[Plate]) -> Plate | None:
    """Return a plate with the median opacity and colour of a clip's plates, if there are any."""
    if not plates:
        return None
    scale = float(np.median([plate.scale for plate in plates]))
    columns = zip(*[plate.offsets for plate in plates], strict=True)
    return replace(
        plates[0], scale=scale, offsets=tuple(float(np.median(column)) for column in columns)
    )


def same_style(one: Plate, other: Plate) -> bool:
    """Return True if two plates differ little in opacity and colour."""
    apart = [abs(a - b) for a, b in zip(one.offsets, other.offsets, strict=True)]
    return abs(one.scale - other.scale) <= _SAME_SCALE and max(apart) <= _SAME_OFFSET_LEVELS


def mean_style(one: Plate, other: Plate) -> Plate:
    """Return the plate ``one`` with the mean opacity and colour of both."""
    offsets = tuple((a + b) / 2 for a, b in zip(one.offsets, other.offsets, strict=True))
    return replace(one, scale=(one.scale + other.scale) / 2, offsets=offsets)


def undo_plates(
    stacks: tuple[Stack, ...], frame: int, plates: list[Plate], layout: PlaneLayout
) -> NDArray[np.bool_]:
    """Unblend ``plates`` in one frame of ``stacks``, in place.

    An overlap of two lines' plates is undone once, or twice if any plate `adds_up`.

    Args:
        stacks: the planes, ``(T, H, W)`` each, native depth; changed in place.
        frame: index into them.
        plates: translucent plates at the opacity that the frame shows.
        layout: of the planes.

    Returns:
        bool ``(H, W)``; luma pixels that were changed.
    """
    height, width = stacks[0].shape[1:]
    done = np.zeros((height, width), bool)
    for plate in plates:
        left, top, right, bottom = plate.box
        fresh = ~done if not any(other.adds_up for other in plates) else np.ones_like(done)
        window = stacks[0][frame, top:bottom, left:right]
        here = fresh[top:bottom, left:right]
        window[here] = plate.undo(window[here], 0, layout)
        x, y = layout.shift_x, layout.shift_y
        c_top, c_left = -(-top >> y), -(-left >> x)
        here = fresh[:: 1 << y, :: 1 << x][c_top : bottom >> y, c_left : right >> x]
        for index, stack in enumerate(stacks[1:], start=1):
            window = stack[frame, c_top : bottom >> y, c_left : right >> x]
            window[here] = plate.undo(window[here], index, layout)
        done[top:bottom, left:right] = True
    return done


def opacities(
    crop: CropStack,
    event: Event,
    plate: Plate,
    clear: NDArray[np.bool_],
    around: NDArray[np.bool_],
) -> dict[int, float]:
    """Return the plate's opacity, as a share of its full one, on each frame on which it fades.

    Linear over the fade where it can not be measured.

    Args:
        crop: the pixels.
        event: the subtitle; the frames of it outside ``full_start`` to ``full_stop`` are measured.
        plate: at its full opacity.
        clear: bool ``(H, W)``; pixels without letters.
        around: bool ``(H, W)``; pixels without any text.

    Returns:
        Shares, 0 to 1, by film frame.
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
            linear = order / (len(frames) + 1)
            measured = None
            if crop.start <= outside < crop.stop:
                transition = Transition(crop.levels(outside), crop.levels(frame))
                measured = _opacity(aligned(transition, around), plate, here)
            found[frame] = linear if measured is None else measured
    return found


def _opacity(transition: Transition, plate: Plate, here: NDArray[np.bool_]) -> float | None:
    """Median share of the plate's change that the pair shows, 0 to 1; ``None`` if it does not fit.

    Measured on the luma of the pixels ``here`` that the full plate changes by more than 4 levels.
    """
    without, with_ink = transition.without[0][here], transition.with_ink[0][here]
    full = plate.scale * without + plate.offsets[0] - without
    seen = with_ink - without
    strong = np.abs(full) > 4
    if strong.sum() < _MIN_OPACITY_PX:
        return None
    ratio = float(np.median(seen[strong] / full[strong]))
    left = float(np.minimum(np.abs(seen - ratio * full), _MAX_RESIDUAL_LEVELS).sum())
    if left > _MAX_RESIDUAL_SHARE * float(np.minimum(np.abs(full), _MAX_RESIDUAL_LEVELS).sum()):
        return None
    return float(np.clip(ratio, 0, 1))
