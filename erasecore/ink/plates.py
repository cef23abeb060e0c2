"""Translucent plates: the flat rectangle some subtitles are drawn on, and how it is undone.

Under a plate of colour ``ink`` and opacity ``alpha`` every plane obeys
``seen = scale * background + offset`` with ``scale = 1 - alpha`` and ``offset = alpha * ink``,
so the background is solved for instead of invented.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.statistics import Transition
from erasecore.video.color import Box, Plane, PlaneLayout, Stack, as_plane

EDGE_PX = 2
"""On both sides of a plate's border: where it is neither full nor absent."""

_OPAQUE_SCALE = 0.15
_SMOOTH_PX, _MOST_LEVELS = 9, 40.0  # for telling where another line's plate lies over this one


@dataclass(frozen=True, slots=True)
class Plate:
    """A translucent rectangle.

    Attributes:
        scale: how much of the background shows, between 0 and 1.
        offsets: what each plane gets added, in 8-bit levels.
        box: where it lies in the cutout.
        adds_up: where it meets another line's plate, both darken the picture.
    """

    scale: float
    offsets: tuple[float, ...]
    box: Box
    adds_up: bool = False

    @property
    def opaque(self) -> bool:
        """Too little shows through for the background to be solved for."""
        return self.scale <= _OPAQUE_SCALE

    def hidden(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the background is not to be had: its border, or all of an opaque one."""
        left, top, right, bottom = self.box
        hidden = np.zeros(size, bool)
        grow = EDGE_PX
        hidden[max(0, top - grow) : bottom + grow, max(0, left - grow) : right + grow] = True
        if not self.opaque:
            hidden[top + grow : bottom - grow, left + grow : right - grow] = False
        return hidden

    def fainter(self, share: float) -> Plate:
        """The same with ``share`` of its opacity, 0 to 1."""
        if share >= 1:
            return self
        scale = 1 - share * (1 - self.scale)
        return replace(self, scale=scale, offsets=tuple(share * add for add in self.offsets))

    def take_away(self, change: Transition) -> Transition:
        """``change`` as it would be if only the letters had been drawn."""
        left, top, right, bottom = self.box
        without = change.without[:, top:bottom, left:right]
        with_ink = change.with_ink.copy()
        window = with_ink[:, top:bottom, left:right]
        offsets = np.array(self.offsets, np.float32)[:, None, None]
        once = (window - offsets) / np.float32(self.scale)
        window[:] = once
        if self.adds_up:
            twice = (once - offsets) / np.float32(self.scale)
            size = (_SMOOTH_PX, _SMOOTH_PX)
            errors = [
                cv2.blur(np.minimum(np.abs(guess[0] - without[0]), _MOST_LEVELS), size)
                for guess in (once, twice)
            ]
            window[:] = np.where(errors[1] < errors[0], twice, once)
        return Transition(change.without, with_ink)

    def undo(self, plane: Plane, index: int, layout: PlaneLayout) -> Plane:
        """``plane`` number ``index`` with the plate's arithmetic undone everywhere in it."""
        values = np.arange(layout.peak + 1, dtype=np.float32)
        offset = self.offsets[index] * layout.scale
        return as_plane((values - offset) / self.scale, layout)[plane]


def share_style(plates: list[Plate]) -> Plate | None:
    """One opacity and colour for all plates of a clip: their medians."""
    if not plates:
        return None
    scale = float(np.median([plate.scale for plate in plates]))
    columns = zip(*[plate.offsets for plate in plates], strict=True)
    return replace(
        plates[0], scale=scale, offsets=tuple(float(np.median(column)) for column in columns)
    )


def undo_plates(
    stacks: tuple[Stack, ...], frame: int, plates: list[Plate], layout: PlaneLayout
) -> NDArray[np.bool_]:
    """Undo ``plates`` in one frame of ``stacks``, in place; gives where, bool ``(H, W)``.

    Where two lines' plates overlap, the place is undone once, or twice if both darkened it.
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
