"""Translucent plates: the flat rectangle some subtitles are drawn on, found and undone.

Under a plate of colour ``ink`` and opacity ``alpha`` every plane obeys
``seen = scale * background + offset`` with ``scale = 1 - alpha`` and ``offset = alpha * ink``,
so the background is solved for instead of invented.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erasecore.video.color import Box, Plane, PlaneLayout, Stack, as_plane

_LEAST_LIKENESS = 0.3  # correlation of the same place before and after: no other scene
_OPAQUE_SCALE = 0.15
_EDGE_PX = 2  # on both sides of a plate's border, where it is neither full nor absent


@dataclass(frozen=True, slots=True)
class Change:
    """The same place just outside and just inside a subtitle's time.

    Attributes:
        without: float32 ``(P, H, W)``; all planes without the subtitle, 8-bit levels.
        with_ink: the same with the subtitle.
        size: float32 ``(H, W)``; the largest difference of any plane.
    """

    without: NDArray[np.float32]
    with_ink: NDArray[np.float32]
    size: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plate:
    """A translucent rectangle.

    Attributes:
        scale: how much of the background shows, between 0 and 1.
        offsets: what each plane gets added, in 8-bit levels.
        box: where it lies in the cutout.
    """

    scale: float
    offsets: tuple[float, ...]
    box: Box

    @property
    def opaque(self) -> bool:
        """Too little shows through for the background to be solved for."""
        return self.scale <= _OPAQUE_SCALE

    def hidden(self, size: tuple[int, int]) -> NDArray[np.bool_]:
        """Where the background is not to be had: its border, or all of an opaque one."""
        left, top, right, bottom = self.box
        hidden = np.zeros(size, bool)
        grow = _EDGE_PX
        hidden[max(0, top - grow) : bottom + grow, max(0, left - grow) : right + grow] = True
        if not self.opaque:
            hidden[top + grow : bottom - grow, left + grow : right - grow] = False
        return hidden

    def moved(self, right: int, down: int) -> Plate:
        """The same plate in coordinates whose origin lies so far to the left and above."""
        x0, y0, x1, y1 = self.box
        return replace(self, box=(x0 + right, y0 + down, x1 + right, y1 + down))

    def take_away(self, change: Change) -> Change:
        """``change`` as it would be if only the letters had been drawn."""
        left, top, right, bottom = self.box
        with_ink = change.with_ink.copy()
        window = with_ink[:, top:bottom, left:right]
        offsets = np.array(self.offsets, np.float32)[:, None, None]
        window[:] = (window - offsets) / np.float32(self.scale)
        return Change(change.without, with_ink, np.abs(with_ink - change.without).max(axis=0))

    def undo(self, plane: Plane, index: int, layout: PlaneLayout) -> Plane:
        """``plane`` number ``index`` with the plate's arithmetic undone everywhere in it."""
        values = np.arange(layout.peak + 1, dtype=np.float32)
        offset = self.offsets[index] * layout.scale
        return as_plane((values - offset) / self.scale, layout)[plane]


def find_plate(
    changes: list[Change],
    letters: NDArray[np.float32],
    text_box: Box,
    *,
    style: Plate | None = None,
    full_range: bool = False,
) -> Plate | None:
    """The plate behind a line of text, or ``None``.

    Args:
        changes: the moments at which the subtitle appears and vanishes.
        letters: float32 ``(H, W)``; distance of each pixel to the nearest letter, in pixels.
        text_box: the letters' box in the cutout with a little air, all of it on the plate.
        style: a plate whose opacity and colour are known already; only its extent is looked for.
        full_range: black is 0 instead of 16.
    """
    inner = _inner(letters, text_box)
    if not changes or inner.sum() < 80:
        return None
    without = np.concatenate([change.without[:, inner] for change in changes], axis=1)
    with_ink = np.concatenate([change.with_ink[:, inner] for change in changes], axis=1)
    before, after = without[0], with_ink[0]
    if np.mean(after < before - 4) < 0.75 and np.mean(after > before + 4) < 0.75:
        return None
    if style is not None:
        found = style if _obeys(style, before, after) else None
    else:
        found = _fit_plate(without, with_ink, black=0.0 if full_range else 16.0)
    if found is None:
        return None
    return replace(found, box=_extent(changes, found, letters, text_box))


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

    Where two lines' plates overlap, the place is undone once.
    """
    height, width = stacks[0].shape[1:]
    done = np.zeros((height, width), bool)
    for plate in plates:
        left, top, right, bottom = plate.box
        fresh = ~done[top:bottom, left:right]
        window = stacks[0][frame, top:bottom, left:right]
        window[fresh] = plate.undo(window[fresh], 0, layout)
        x, y = layout.shift_x, layout.shift_y
        c_top, c_left = -(-top >> y), -(-left >> x)
        fresh = ~done[:: 1 << y, :: 1 << x][c_top : bottom >> y, c_left : right >> x]
        for index, stack in enumerate(stacks[1:], start=1):
            window = stack[frame, c_top : bottom >> y, c_left : right >> x]
            window[fresh] = plate.undo(window[fresh], index, layout)
        done[top:bottom, left:right] = True
    return done


def _inner(letters: NDArray[np.float32], text_box: Box) -> NDArray[np.bool_]:
    left, top, right, bottom = text_box
    inner = np.zeros(letters.shape, bool)
    inner[max(0, top) : bottom, max(0, left) : right] = True
    inner &= letters > 2.6 + 0.04 * (bottom - top)
    return inner


def _obeys(style: Plate, before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    error = float(np.median(np.abs(style.scale * before + style.offsets[0] - after)))
    return error <= min(25.0, 0.5 * float(np.median(np.abs(before - after))))


def _fit_plate(
    without: NDArray[np.float32], with_ink: NDArray[np.float32], *, black: float
) -> Plate | None:
    """Opacity from luma, then what each colour plane gets added; its box is not known yet."""
    fitted = _fit(without[0], with_ink[0], black=black)
    if fitted is None:
        return None
    scale, offset = fitted
    colours = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in colours]
    return Plate(scale, (offset, *added), (0, 0, 0, 0))


def _fit(
    before: NDArray[np.float32], after: NDArray[np.float32], *, black: float
) -> tuple[float, float] | None:
    """Scale and offset of the line through (before, after), outliers left out.

    A regression takes what moves between the two frames for noise in ``before`` and comes out too
    flat; the ratio of the spreads (reduced major axis) does not.
    """
    darker = float(np.median(after - before)) < 0
    same_way = (after < before) if darker else (after > before)  # letters go the other way
    before, after = before[same_way], after[same_way]
    if before.size < 80:
        return None
    if after.std() < 4 and after.std() < 0.25 * before.std():  # nothing shows through
        return 0.0, float(np.median(after))
    if before.std() < 6:  # a flat background tells no slope: take the plate for black
        scale = float(np.median((after - black) / np.maximum(before - black, 8)))
        offset = black * (1 - scale)
    else:
        line = _robust_line(before, after)
        if line is None:
            return None
        scale, offset = line
    error = np.abs(scale * before + offset - after)
    if not scale < 0.9 or float(np.median(error)) > 10:
        return None
    return (scale, offset) if -4 < offset / (1 - scale) < 259 else None


def _robust_line(
    before: NDArray[np.float32], after: NDArray[np.float32]
) -> tuple[float, float] | None:
    """The line that most of the points lie on; ``None`` where they lie on none."""
    keep = np.ones(before.size, bool)
    scale = offset = 0.0
    for _ in range(6):
        x, y = before[keep], after[keep]
        likeness = float(np.corrcoef(x, y)[0, 1])
        if not likeness > _LEAST_LIKENESS:
            return None
        scale = float(y.std() / x.std())
        offset = float(y.mean() - scale * x.mean())
        error = np.abs(scale * before + offset - after)
        keep = error <= max(3.0, float(np.percentile(error, 65)))
    return scale, offset


def _extent(
    changes: list[Change], plate: Plate, letters: NDArray[np.float32], text_box: Box
) -> Box:
    """Grow (or shrink) the text's box while its rows and columns obey the plate's arithmetic."""
    obeys = np.mean(
        [
            np.abs(plate.scale * c.without[0] + plate.offsets[0] - c.with_ink[0])
            < np.abs(c.with_ink[0] - c.without[0])
            for c in changes
        ],
        axis=0,
    )
    changed = np.min([np.abs(c.with_ink[0] - c.without[0]) for c in changes], axis=0) > 4
    fits = ((obeys > 0.5) & changed) | (letters < 3)
    height, width = fits.shape
    left, top, right, bottom = text_box
    left, top, right, bottom = max(0, left), max(0, top), min(width, right), min(height, bottom)
    for _ in range(3):
        top, bottom = _stretch(fits[:, left:right].mean(axis=1), top, bottom)
        left, right = _stretch(fits[top:bottom].mean(axis=0), left, right)
    return left, top, right, bottom


def _stretch(share: NDArray[np.float64], start: int, stop: int) -> tuple[int, int]:
    while start > 0 and share[start - 1] > 0.5:
        start -= 1
    while stop < share.size and share[stop] > 0.5:
        stop += 1
    while stop - start > 4 and share[start] < 0.5:
        start += 1
    while stop - start > 4 and share[stop - 1] < 0.5:
        stop -= 1
    return start, stop
