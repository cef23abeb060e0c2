"""The plate behind a line of text, found by the moments at which it comes and goes."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.alpha_fit import LEAST_PX, fit_plate
from erasecore.ink.plate_bounds import errors_of, find_plate_bounds
from erasecore.ink.plates import EDGE_PX, Plate
from erasecore.ink.statistics import Transition
from erasecore.model.boxes import inside
from erasecore.video.color import Box

_CORE_SIDE, _CORE_EDGE = 0.15, 0.2  # what of a detected line is left out, in line heights
_MOST_UNEXPLAINED = 0.5  # of what the plate is to explain
_AGREED = 0.4  # share of the evidence for one place, for a side of a plate to be a straight edge
_MOST_BEYOND = 0.4  # line heights that a plate which meets another reaches beyond its own line


def find_plate(
    changes: list[Transition],
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
    if not changes or inner.sum() < LEAST_PX:
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
    plate: Plate, changes: list[Transition], clear: NDArray[np.bool_], *, black: float
) -> Plate:
    """``plate`` with opacity and colour as all of its place tells them, not only its middle."""
    left, top, right, bottom = plate.box
    border = EDGE_PX + 1
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
    if without.shape[1] < LEAST_PX:
        return plate
    better = fit_plate(without, with_ink, black=black)
    if better is None or better.opaque != plate.opaque:
        return plate
    return replace(better, box=plate.box, adds_up=plate.adds_up)


def _reaching(
    plate: Plate,
    changes: list[Transition],
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
    extent = find_plate_bounds(errors, core, line_px)
    beyond = max(text_box[1] - extent.box[1], extent.box[3] - text_box[3])
    if extent.twice and beyond > _MOST_BEYOND * line_px:  # it would end among the other's letters
        errors = replace(errors, twice=errors.once)
        extent = find_plate_bounds(errors, core, line_px)
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
    if inner.sum() < LEAST_PX:  # thick or few letters: all of the line, then
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


def _obeys(style: Plate, before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    error = float(np.median(np.abs(style.scale * before + style.offsets[0] - after)))
    return error <= min(25.0, 0.5 * float(np.median(np.abs(before - after))))
