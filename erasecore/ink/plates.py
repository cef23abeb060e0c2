"""Translucent plates: the flat rectangle some subtitles are drawn on, found and undone.

Under a plate of colour ``ink`` and opacity ``alpha`` every plane obeys
``seen = scale * background + offset`` with ``scale = 1 - alpha`` and ``offset = alpha * ink``,
so the background is solved for instead of invented.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.boxes import inside
from erasecore.ink.extents import errors_of, find_extent
from erasecore.video.color import Box, Plane, PlaneLayout, Stack, as_plane

_LEAST_LIKENESS = 0.3  # correlation of the same place before and after: no other scene
_OPAQUE_SCALE = 0.15
_LEAST_CORE_PX = 80  # without letters, for a fit
_CORE_SIDE, _CORE_EDGE = 0.15, 0.2  # what of a detected line is left out, in line heights
_MOST_UNEXPLAINED = 0.5  # of what the plate is to explain
_AGREED = 0.4  # share of the evidence for one place, for a side of a plate to be a straight edge
_MOST_BEYOND = 0.4  # line heights that a plate which meets another reaches beyond its own line
_NEARLY_BLACK = 12.0  # levels; a plate's colour that may well be black
_NO_COLOUR, _NEARLY_GREY = 128.0, 1.5  # levels; of the colour planes
_SMOOTH_PX, _MOST_LEVELS = 9, 40.0  # for telling where another line's plate lies over this one
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

    def cropped(self, view: tuple[slice, slice]) -> Change:
        """The same of a part of the place."""
        part = (slice(None), *view)
        return Change(self.without[part], self.with_ink[part], self.size[view])


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
        grow = _EDGE_PX
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

    def take_away(self, change: Change) -> Change:
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
    stacked: bool = True,
) -> Plate | None:
    """The plate behind a line of text, or ``None``.

    Args:
        changes: the moments at which the subtitle appears and vanishes.
        letters: float32 ``(H, W)``; distance of each pixel to the nearest letter, in pixels.
        text_box: the line as detected.
        style: a plate whose opacity and colour are known already; only its extent is looked for.
        full_range: black is 0 instead of 16.
        stacked: another line's plate may lie over a part of this one.
    """
    line_px = text_box[3] - text_box[1]
    clear = letters > 2.6 + 0.04 * line_px
    inner = _inner(clear, text_box)
    if not changes or inner.sum() < _LEAST_CORE_PX:
        return None
    without = np.concatenate([change.without[:, inner] for change in changes], axis=1)
    with_ink = np.concatenate([change.with_ink[:, inner] for change in changes], axis=1)
    before, after = without[0], with_ink[0]
    if np.mean(after < before - 4) < 0.75 and np.mean(after > before + 4) < 0.75:
        return None
    black = 0.0 if full_range else 16.0
    if style is not None:
        found = style if _obeys(style, before, after) else None
    else:
        found = fit_plate(without, with_ink, black=black)
    if found is None:
        return None
    found = _reaching(found, changes, clear, text_box, stacked=stacked)
    if found is None or style is not None:
        return found
    return _measured(found, changes, clear, black=black)


def _measured(
    plate: Plate, changes: list[Change], clear: NDArray[np.bool_], *, black: float
) -> Plate:
    """``plate`` with opacity and colour as all of its place tells them, not only its middle."""
    left, top, right, bottom = plate.box
    border = _EDGE_PX + 1
    box = (left + border, top + border, right - border, bottom - border)
    here = clear & inside(box, clear.shape)
    pairs = []
    for change in changes:
        once = plate.scale * change.without[0] + plate.offsets[0]
        twice = plate.scale * once + plate.offsets[0]
        error = np.abs(once - change.with_ink[0])
        good = here & (error <= np.abs(twice - change.with_ink[0])) if plate.adds_up else here
        pairs.append((change.without[:, good], change.with_ink[:, good]))
    without = np.concatenate([pair[0] for pair in pairs], axis=1)
    with_ink = np.concatenate([pair[1] for pair in pairs], axis=1)
    if without.shape[1] < _LEAST_CORE_PX:
        return plate
    better = fit_plate(without, with_ink, black=black)
    if better is None or better.opaque != plate.opaque:
        return plate
    return replace(better, box=plate.box, adds_up=plate.adds_up)


def _reaching(
    plate: Plate,
    changes: list[Change],
    clear: NDArray[np.bool_],
    text_box: Box,
    *,
    stacked: bool,
) -> Plate | None:
    """``plate`` with its place in the picture; ``None`` where it turns out to be no rectangle."""
    errors = errors_of(
        [change.without for change in changes],
        [change.with_ink for change in changes],
        plate.scale,
        plate.offsets,
    )
    # What is darkened twice near the letters may be a translucent outline.
    near = cv2.erode(clear.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    errors = replace(errors, twice=np.where(near | (not stacked), errors.once, errors.twice))
    core, line_px = core_of(text_box, clear.shape), text_box[3] - text_box[1]
    extent = find_extent(errors, core, line_px)
    beyond = max(text_box[1] - extent.box[1], extent.box[3] - text_box[3])
    if extent.twice and beyond > _MOST_BEYOND * line_px:  # it would end among the other's letters
        errors = replace(errors, twice=errors.once)
        extent = find_extent(errors, core, line_px)
    left, top, right, bottom = extent.box
    here = np.s_[top:bottom, left:right]
    explained = np.minimum(errors.once, errors.twice)[here][clear[here]]
    if float(explained.sum()) > _MOST_UNEXPLAINED * float(errors.none[here][clear[here]].sum()):
        return None
    if sum(share >= _AGREED for share in extent.agreement) < 2:
        return None
    return replace(plate, box=extent.box, adds_up=extent.twice and not plate.opaque)


def _inner(clear: NDArray[np.bool_], text_box: Box) -> NDArray[np.bool_]:
    """What lies on the plate for certain and shows no letter."""
    inner: NDArray[np.bool_] = clear & inside(core_of(text_box, clear.shape), clear.shape)
    if inner.sum() < _LEAST_CORE_PX:  # thick or few letters: all of the line, then
        inner = clear & inside(text_box, clear.shape)
    return inner


def core_of(text_box: Box, shape: tuple[int, ...]) -> Box:
    """What lies on the plate for certain: the line's middle, between its outermost letters."""
    height, width = shape
    left, top, right, bottom = text_box
    line = bottom - top
    return (
        max(0, left + round(_CORE_SIDE * line)),
        max(0, top + round(_CORE_EDGE * line)),
        min(width, right - round(_CORE_SIDE * line)),
        min(height, bottom - round(_CORE_EDGE * line)),
    )


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


def _obeys(style: Plate, before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    error = float(np.median(np.abs(style.scale * before + style.offsets[0] - after)))
    return error <= min(25.0, 0.5 * float(np.median(np.abs(before - after))))


def fit_plate(
    without: NDArray[np.float32], with_ink: NDArray[np.float32], *, black: float
) -> Plate | None:
    """Opacity from luma, then what each colour plane gets added; its box is not known yet."""
    fitted = _fit(without[0], with_ink[0], black=black)
    if fitted is None:
        return None
    scale, offset = fitted
    colours = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in colours]
    grey = _NO_COLOUR * (1 - scale)
    added = [grey if abs(offset - grey) < _NEARLY_GREY else offset for offset in added]
    return Plate(scale, (offset, *added), (0, 0, 0, 0))


def black_plate(
    without: NDArray[np.float32], with_ink: NDArray[np.float32], *, black: float
) -> Plate | None:
    """The black plate that fits best, its box not known yet; ``None`` where all is dark."""
    before = without[0] - black
    bright = before > 16
    if bright.sum() < _LEAST_CORE_PX:
        return None
    scale = float(np.median((with_ink[0] - black)[bright] / before[bright]))
    if not 0 < scale < 0.9:
        return None
    planes = zip(without[1:], with_ink[1:], strict=True)
    added = [float(np.median(after - scale * before)) for before, after in planes]
    return Plate(scale, (black * (1 - scale), *added), (0, 0, 0, 0))


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
        scale, offset = _black_if_it_may_be(line, before, after, black)
    error = np.abs(scale * before + offset - after)
    if not scale < 0.9 or float(np.median(error)) > 10:
        return None
    return (scale, offset) if -4 < offset / (1 - scale) < 259 else None


def _black_if_it_may_be(
    line: tuple[float, float],
    before: NDArray[np.float32],
    after: NDArray[np.float32],
    black: float,
) -> tuple[float, float]:
    """The line through black, where it tells the points about as well as ``line`` does.

    Most plates are black, and then the slope is known from all of the contrast with black instead
    of only that among the background's own pixels.
    """
    scale, offset = line
    if not scale < 0.9 or abs(offset / (1 - scale) - black) > _NEARLY_BLACK:
        return line
    error = np.abs(scale * before + offset - after)
    x, y = before - black, after - black
    through = scale
    for _ in range(4):
        apart = np.abs(through * x - y)
        keep = apart <= max(3.0, float(np.percentile(apart, 65)))
        through = float((x[keep] * y[keep]).sum() / max(float((x[keep] ** 2).sum()), 1.0))
    if np.median(np.abs(through * x - y)) > 1.25 * np.median(error) + 0.25:
        return line
    return through, black * (1 - through)


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
