"""Search for the plate behind one line of text: at its transitions, or else by its borders.

`find_plate` compares the frames just without and just with the line. A line that is there from a
cut to a cut, or between two others, has no such transition. Then a translucent plate shows by its
borders, where the picture just inside is the picture just outside, toned; and an opaque one by
being static and flat in a picture that moves (docs/decisions.md 26 and 30).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from erasecore.ink.plate_fit import (
    MIN_SAMPLES,
    Errors,
    Levels,
    black_plate,
    find_plate_bounds,
    fit_plate,
    fits_style,
    plate_errors,
)
from erasecore.ink.plates import EDGE_PX, Plate, mean_style, same_style
from erasecore.ink.transitions import Transition
from erasecore.model.boxes import area, clip_box, inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.inpaint_input import Bools
from erasecore.video.color import Box

_CORE_SIDE_LINES = 0.15  # line heights that the core leaves out at a line's ends; guess
_CORE_EDGE_LINES = 0.2  # line heights that it leaves out above and below; guess
_MAX_UNEXPLAINED = 0.5  # of the picture's change; with more left there is no plate; guess
_MIN_AGREEMENT = 0.4  # of the votes for one row, for a side to count as straight; guess
_MAX_BEYOND_LINES = 0.4  # line heights that an overlapping plate reaches beyond its line; guess

_SAMPLES = 9  # frames of an event in which borders are searched; guess
_SKIP_PX = 2  # pixels on both sides of a border, where it may be smooth; guess
_MAX_ERROR_LEVELS = 20.0  # levels; cap on one pixel's error at a border; guess
_MIN_STEP_LEVELS = 4.0  # levels; least mean change at a border that is tried; guess
_TRIES = 4  # rows that are tried on each side; guess
_MIN_EXPLAINED = 0.6  # of the change at a border that the plate must explain; guess
_MAX_TONED_ERROR = 0.75  # of the error of one flat colour: else no picture shows through; guess
_REACH_LINES = 1.1  # line heights beyond the line within which borders are searched; guess
_FLAT_LEVELS = 3.0  # levels; most mean deviation of an opaque plate's pixels from its colour; guess
_STILL_LEVELS = 1.5  # levels; most temporal spread of an opaque plate's pixels; guess
_MOVING_LEVELS = 2.5  # levels; least temporal spread of a picture that moves; guess
_DIFFERENT_LEVELS = 6.0  # levels; error of a pixel that is not of an opaque plate's colour; guess
_MIN_OPAQUE_AGREEMENT = 0.6  # of the votes for each side of an opaque plate; guess


@dataclass(frozen=True, slots=True)
class LineContext:
    """Place of a line of text in the crop, and whether it has neighbours.

    Attributes:
        text_box: the line as detected, in pixels.
        letter_distance: float32 ``(H, W)``; distance to the nearest letter, in pixels.
        stacked: True if another line, maybe with a plate of its own, is right above or below.
    """

    text_box: Box
    letter_distance: Levels
    stacked: bool = False

    @property
    def clear(self) -> Bools:
        """Pixels that are no letter, outline or halo: bool ``(H, W)``."""
        return _clear_of_letters(self.letter_distance, self.text_box)


def _clear_of_letters(letter_distance: Levels, text_box: Box) -> Bools:
    """Pixels farther from any letter than its outline and halo reach."""
    clear: Bools = letter_distance > 2.6 + 0.04 * (text_box[3] - text_box[1])
    return clear


def search_plate(
    crop: CropStack,
    event: Event,
    transitions: list[Transition],
    context: LineContext,
    style: Plate | None,
) -> Plate | None:
    """Return the plate behind ``event``; ``None`` if there is none.

    Args:
        crop: the pixels.
        event: the subtitle.
        transitions: pairs at which it comes or goes without other text; may be empty.
        context: its place in the crop.
        style: a plate with the opacity and colour of the clip's other lines, if these are known.
    """
    if not area(plate_core(context.text_box, crop.size)):
        return None  # too little of the line is in the crop
    full = crop.layout.full_range
    found = find_plate(
        transitions,
        context.letter_distance,
        context.text_box,
        style=style,
        full_range=full,
        stacked=context.stacked,
    )
    if found is not None or (transitions and style is None):
        return found
    frames = _sample_frames(crop, event)
    flat = None if transitions else _opaque_plate(frames, context)
    return flat or _plate_by_borders(frames, context, style, black=0.0 if full else 16.0)


def find_plate(
    transitions: list[Transition],
    letter_distance: Levels,
    text_box: Box,
    *,
    style: Plate | None = None,
    full_range: bool = False,
    stacked: bool = True,
) -> Plate | None:
    """Return the plate that explains the change at the transitions; ``None`` if there is none.

    Args:
        transitions: pairs at which the subtitle appears or vanishes.
        letter_distance: float32 ``(H, W)``; distance to the nearest letter, in pixels.
        text_box: the line as detected, in pixels.
        style: a plate whose opacity and colour are taken over; only its bounds are searched.
        full_range: True if black is 0 instead of 16.
        stacked: True if another line's plate may overlap this one.
    """
    clear = _clear_of_letters(letter_distance, text_box)
    inner = _text_interior(clear, text_box)
    core = plate_core(text_box, clear.shape)
    if not transitions or not area(core) or inner.sum() < MIN_SAMPLES:
        return None
    without = np.concatenate([pair.without[:, inner] for pair in transitions], axis=1)
    with_ink = np.concatenate([pair.with_ink[:, inner] for pair in transitions], axis=1)
    before, after = without[0], with_ink[0]
    if np.mean(after < before - 4) < 0.75 and np.mean(after > before + 4) < 0.75:
        return None
    black = 0.0 if full_range else 16.0
    if style is not None:
        found = style if fits_style(style, before, after) else None
    else:
        found = fit_plate(without, with_ink, black=black)
    if found is None:
        return None
    found = _located(found, transitions, clear, text_box, stacked=stacked)
    if found is None or style is not None:
        return found
    return _refit(found, transitions, clear, black=black)


def _refit(plate: Plate, transitions: list[Transition], clear: Bools, *, black: float) -> Plate:
    """Return ``plate`` with opacity and colour fitted to all of its box, not only to its core."""
    left, top, right, bottom = plate.box
    border = EDGE_PX + 1
    box = (left + border, top + border, right - border, bottom - border)
    here = clear & inside(box, clear.shape)
    samples = []
    for pair in transitions:
        once = plate.scale * pair.without[0] + plate.offsets[0]
        twice = plate.scale * once + plate.offsets[0]
        error = np.abs(once - pair.with_ink[0])
        good = here & (error <= np.abs(twice - pair.with_ink[0])) if plate.adds_up else here
        samples.append((pair.without[:, good], pair.with_ink[:, good]))
    without = np.concatenate([before for before, _ in samples], axis=1)
    with_ink = np.concatenate([after for _, after in samples], axis=1)
    if without.shape[1] < MIN_SAMPLES:
        return plate
    better = fit_plate(without, with_ink, black=black)
    if better is None or better.opaque != plate.opaque:
        return plate
    return replace(better, box=plate.box, adds_up=plate.adds_up)


def _located(
    plate: Plate,
    transitions: list[Transition],
    clear: Bools,
    text_box: Box,
    *,
    stacked: bool,
) -> Plate | None:
    """Return ``plate`` with its box; ``None`` if it explains too little or is no rectangle."""
    errors = plate_errors(
        [pair.without for pair in transitions],
        [pair.with_ink for pair in transitions],
        plate.scale,
        plate.offsets,
    )
    # What is darkened twice near the letters may be a translucent outline.
    near = cv2.erode(clear.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
    errors = replace(errors, twice=np.where(near | (not stacked), errors.once, errors.twice))
    core, line_px = plate_core(text_box, clear.shape), text_box[3] - text_box[1]
    found = find_plate_bounds(errors, core, line_px)
    beyond = max(text_box[1] - found.box[1], found.box[3] - text_box[3])
    if found.twice and beyond > _MAX_BEYOND_LINES * line_px:
        # It would end among the other line's letters.
        errors = replace(errors, twice=errors.once)
        found = find_plate_bounds(errors, core, line_px)
    left, top, right, bottom = found.box
    here = np.s_[top:bottom, left:right]
    explained = np.minimum(errors.once, errors.twice)[here][clear[here]]
    if float(explained.sum()) > _MAX_UNEXPLAINED * float(errors.none[here][clear[here]].sum()):
        return None
    if sum(share >= _MIN_AGREEMENT for share in found.agreement) < 2:
        return None
    return replace(plate, box=found.box, adds_up=found.twice and not plate.opaque)


def _text_interior(clear: Bools, text_box: Box) -> Bools:
    """Pixels that lie on the plate for certain and show no letter: bool ``(H, W)``."""
    inner: Bools = clear & inside(plate_core(text_box, clear.shape), clear.shape)
    if inner.sum() < MIN_SAMPLES:  # thick or few letters: all of the line, then
        inner = clear & inside(text_box, clear.shape)
    return inner


def plate_core(text_box: Box, shape: tuple[int, ...]) -> Box:
    """Box that lies on the plate for certain: the middle of the line, clipped to the picture.

    It has no area if the line is outside the picture or has no height.

    Args:
        text_box: the line as detected, in pixels.
        shape: height and width of the picture.
    """
    left, top, right, bottom = text_box
    line = bottom - top
    core = (
        left + round(_CORE_SIDE_LINES * line),
        top + round(_CORE_EDGE_LINES * line),
        right - round(_CORE_SIDE_LINES * line),
        bottom - round(_CORE_EDGE_LINES * line),
    )
    return clip_box(core, (shape[0], shape[1]))


def _sample_frames(crop: CropStack, event: Event) -> Levels:
    """Frames evenly spread over the event's opaque time: ``(N, P, H, W)``, in levels."""
    opaque = crop.nearest_frames(event.full_start, event.full_stop)
    picks = np.unique(np.linspace(opaque.start, opaque.stop - 1, _SAMPLES).astype(int))
    return np.stack([crop.levels(int(pick)) for pick in picks])


def _opaque_plate(frames: Levels, context: LineContext) -> Plate | None:
    """Find an opaque plate: flat and static in a picture that moves, with straight edges."""
    core = plate_core(context.text_box, context.letter_distance.shape)
    inner = inside(core, context.letter_distance.shape) & context.clear
    luma = frames[:, 0]
    if inner.sum() < 40 or len(frames) < 3:
        return None
    spread = luma.std(axis=0)
    here = luma[:, inner]
    level = float(np.median(here))
    if np.median(spread[inner]) > _STILL_LEVELS or np.mean(np.abs(here - level)) > _FLAT_LEVELS:
        return None
    apart = np.minimum(np.abs(luma - level), 2 * _DIFFERENT_LEVELS).mean(axis=0)
    letters = inside(core, spread.shape) & ~context.clear
    none = np.where(letters, apart, np.float32(_DIFFERENT_LEVELS))
    found = find_plate_bounds(
        Errors(none, apart, apart), core, context.text_box[3] - context.text_box[1]
    )
    if min(found.agreement) < _MIN_OPAQUE_AGREEMENT or not _context_moves(spread, found.box):
        return None
    offsets = np.median(frames[:, :, inner], axis=(0, 2))
    return Plate(0.0, tuple(float(offset) for offset in offsets), found.box)


def _context_moves(spread: Levels, box: Box) -> bool:
    """Return True if the picture moves on all four sides of ``box``.

    Args:
        spread: temporal spread (standard deviation) of each pixel, ``(H, W)``, in levels.
        box: in pixels; False if it reaches to the edge of the picture.
    """
    left, top, right, bottom = box
    rings = (
        spread[max(0, top - 8) : max(0, top - 2), left:right],
        spread[bottom + 2 : bottom + 8, left:right],
        spread[top:bottom, max(0, left - 8) : max(0, left - 2)],
        spread[top:bottom, right + 2 : right + 8],
    )
    return all(ring.size and float(np.median(ring)) > _MOVING_LEVELS for ring in rings)


@dataclass(frozen=True, slots=True)
class Border:
    """Candidate for one side of a translucent plate.

    Attributes:
        place: the row at which the plate begins, or the first one after it.
        plate: opacity and colour, fitted across the border.
        score: share of the change at this row that they explain, up to 1.
    """

    place: int
    plate: Plate
    score: float


def _plate_by_borders(
    frames: Levels, context: LineContext, style: Plate | None, *, black: float
) -> Plate | None:
    """Find a translucent plate by all four of its borders, which must agree in opacity."""
    left, top, right, bottom = plate_core(context.text_box, context.letter_distance.shape)
    reach = round(_REACH_LINES * (context.text_box[3] - context.text_box[1]))
    rows = frames[:, :, :, left:right]
    upper = _find_borders(rows, range(top, top - reach, -1), style, black)
    lower = _find_borders(rows, range(-bottom, -bottom - reach, -1), style, black)
    pairs = [(a, b) for a in upper for b in lower if same_style(a.plate, b.plate)]
    if not pairs:
        return None
    above, below = max(pairs, key=lambda pair: pair[0].score + pair[1].score)
    plate = style or mean_style(above.plate, below.plate)
    top, bottom = above.place, below.place
    columns = frames[:, :, top + _SKIP_PX : bottom - _SKIP_PX].swapaxes(2, 3)
    before = _find_borders(columns, range(left, left - reach, -1), plate, black)
    after = _find_borders(columns, range(-right, -right - reach, -1), plate, black)
    if not before or not after:
        return None
    return replace(plate, box=(before[0].place, top, after[0].place, bottom), adds_up=False)


def _find_borders(frames: Levels, places: range, style: Plate | None, black: float) -> list[Border]:
    """Return candidates for a border among the rows of ``frames``, best first.

    Args:
        frames: float32 ``(N, P, rows, columns)``, in levels.
        places: rows at which the plate may begin, or, negated, at which it may end; outwards.
        style: the plate's opacity and colour, if they are known.
        black: luma level of black.
    """
    strips = {}
    for place in places:
        # Seen from a plate's lower end, outside is below.
        sides = (place - _SKIP_PX, place + 1) if place > 0 else (1 - place, -place - _SKIP_PX)
        if min(sides) >= 0 and max(sides) < frames.shape[2]:
            outside, within = (frames[:, :, row].swapaxes(0, 1) for row in sides)
            strips[place] = outside.reshape(len(outside), -1), within.reshape(len(within), -1)
    found = []
    for place in _largest_steps(strips) if style is None else list(strips):
        near = [strips[k] for k in (place - 1, place, place + 1) if k in strips]
        for plate in [style] if style is not None else _border_plates(*strips[place], black):
            score = float(np.mean([_explained_share(plate, *pair) for pair in near]))
            if score >= _MIN_EXPLAINED:
                found.append(Border(abs(place), plate, score))
    return sorted(found, key=lambda border: -border.score)


def _border_plates(outside: Levels, within: Levels, black: float) -> list[Plate]:
    """Translucent plates that explain the change between two strips: black, and of any colour.

    Args:
        outside: float32 ``(P, N)``; samples just outside the border, in levels.
        within: the same just inside it.
        black: luma level of black.
    """
    plates = (
        black_plate(outside, within, black=black),
        fit_plate(outside, within, black=black),
    )
    return [
        plate
        for plate in plates
        if plate is not None and not plate.opaque and _shows_through(plate, outside, within)
    ]


def _shows_through(plate: Plate, outside: Levels, within: Levels) -> bool:
    """Return True if the picture outside goes on inside: a flat tone inside may be the scene's."""
    toned = plate.scale * outside[0] + plate.offsets[0]
    flat = np.float32(np.median(within[0]))
    return _capped_mean(within[0] - toned) <= _MAX_TONED_ERROR * _capped_mean(within[0] - flat)


def _largest_steps(strips: dict[int, tuple[Levels, Levels]]) -> list[int]:
    """Rows at which the luma changes most, and the rows beside them; at most four peaks."""
    steps = {row: _capped_mean(within[0] - outside[0]) for row, (outside, within) in strips.items()}
    picked: list[int] = []
    for place in sorted(steps, key=lambda k: -steps[k]):
        if steps[place] >= _MIN_STEP_LEVELS and all(abs(place - other) > 1 for other in picked):
            picked.append(place)
    return [
        near for place in picked[:_TRIES] for near in (place - 1, place, place + 1) if near in steps
    ]


def _explained_share(plate: Plate, outside: Levels, within: Levels) -> float:
    """Share of the plate's expected change that is seen at a border; 1 is all of it."""
    toned = plate.scale * outside[0] + plate.offsets[0]
    expected = _capped_mean(toned - outside[0])
    if expected < _MIN_STEP_LEVELS:
        return 0.0
    return (_capped_mean(within[0] - outside[0]) - _capped_mean(within[0] - toned)) / expected


def _capped_mean(error: Levels) -> float:
    """Mean absolute error, each value's capped at 20 levels; 0 of an empty array."""
    return float(np.minimum(np.abs(error), _MAX_ERROR_LEVELS).mean()) if error.size else 0.0
