"""The plate behind one line: from the moments it comes and goes, or else from its own borders.

A line that is there from a cut to a cut, or between two others, has no such moment. Then a
translucent plate shows at its borders, where just inside the picture is what is just outside,
toned; and an opaque one by standing still and flat in a picture that moves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from erasecore.ink.alpha_fit import black_plate, fit_plate
from erasecore.ink.plate_bounds import Errors, Levels, find_plate_bounds
from erasecore.ink.plate_search import core_of, find_plate
from erasecore.ink.plates import Plate
from erasecore.ink.statistics import Transition
from erasecore.model.boxes import inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.video.color import Box

_SAMPLES = 9  # frames of an event that are looked at
_SKIP_PX = 2  # on both sides of a border, where it may be smooth
_MOST_LEVELS = 20.0  # errors count no further
_LEAST_STEP = 4.0  # levels by which the picture changes at a border, for it to be looked at
_TRIES = 4  # places on each side
_EXPLAINED = 0.6  # share of the change at a border that the plate's arithmetic explains
_FOLLOWS = 0.75  # of the errors of one flat colour that may stay, for a picture to show through
_LIKE_SCALE, _LIKE_OFFSET = 0.08, 8.0  # by which the fits of two borders of one plate may differ
_REACH = 1.1  # line heights beyond the line as detected within which its border is looked for
_FLAT_LEVELS, _STILL_LEVELS = 3.0, 1.5  # spread of an opaque plate in space and in time
_MOVES_LEVELS = 2.5  # spread in time of a picture that moves
_DIFFERS_LEVELS = 6.0  # from an opaque plate's colour
_ALL_AGREE = 0.6  # share of the evidence on each side of an opaque plate


@dataclass(frozen=True, slots=True)
class LineContext:
    """What a line stands on, in the cutout.

    Attributes:
        text_box: the line as detected.
        letters: float32 ``(H, W)``; distance of each pixel to the nearest letter, in pixels.
        stacked: another line is shown right above or below, and may have a plate of its own.
    """

    text_box: Box
    letters: NDArray[np.float32]
    stacked: bool = False

    @property
    def clear(self) -> NDArray[np.bool_]:
        """Where no letter, outline or halo is to be expected."""
        inner: NDArray[np.bool_] = self.letters > 2.6 + 0.04 * (self.text_box[3] - self.text_box[1])
        return inner


def search_plate(
    crop: CropStack,
    event: Event,
    transitions: list[Transition],
    ground: LineContext,
    style: Plate | None,
) -> Plate | None:
    """The plate behind ``event``, or ``None``.

    Args:
        crop: the pixels.
        event: the subtitle.
        transitions: just before and after it came, just before and after it went; none if there
            is none in sight.
        ground: what it stands on.
        style: opacity and colour if they are known from the clip's other lines.
    """
    full = crop.layout.full_range
    found = find_plate(
        transitions,
        ground.letters,
        ground.text_box,
        style=style,
        full_range=full,
        stacked=ground.stacked,
    )
    if found is not None or (transitions and style is None):
        return found
    frames = _frames(crop, event)
    flat = None if transitions else _flat(frames, ground)
    return flat or _bordered(frames, ground, style, black=0.0 if full else 16.0)


def _frames(crop: CropStack, event: Event) -> Levels:
    """Frames spread over the event's full time, ``(N, P, H, W)``."""
    start, stop = max(crop.start, event.full_start), min(crop.stop, event.full_stop)
    picks = np.unique(np.linspace(start, max(start, stop - 1), _SAMPLES).astype(int))
    return np.stack([crop.levels(min(int(pick), crop.stop - 1)) for pick in picks])


def _flat(frames: Levels, ground: LineContext) -> Plate | None:
    """An opaque plate: flat and still in a picture that moves, and with straight edges."""
    core = core_of(ground.text_box, ground.letters.shape)
    inner = inside(core, ground.letters.shape) & ground.clear
    luma = frames[:, 0]
    if inner.sum() < 40 or len(frames) < 3:
        return None
    still = luma.std(axis=0)
    here = luma[:, inner]
    level = float(np.median(here))
    if np.median(still[inner]) > _STILL_LEVELS or np.mean(np.abs(here - level)) > _FLAT_LEVELS:
        return None
    apart = np.minimum(np.abs(luma - level), 2 * _DIFFERS_LEVELS).mean(axis=0)
    letters = inside(core, still.shape) & ~ground.clear
    none = np.where(letters, apart, np.float32(_DIFFERS_LEVELS))
    extent = find_plate_bounds(
        Errors(none, apart, apart), core, ground.text_box[3] - ground.text_box[1]
    )
    if min(extent.agreement) < _ALL_AGREE or not _context_moves(still, extent.box):
        return None
    offsets = np.median(frames[:, :, inner], axis=(0, 2))
    return Plate(0.0, tuple(float(offset) for offset in offsets), extent.box)


def _context_moves(still: Levels, box: Box) -> bool:
    """Whether the picture around ``box`` lives, on all sides that are in sight."""
    left, top, right, bottom = box
    rings = (
        still[max(0, top - 8) : max(0, top - 2), left:right],
        still[bottom + 2 : bottom + 8, left:right],
        still[top:bottom, max(0, left - 8) : max(0, left - 2)],
        still[top:bottom, right + 2 : right + 8],
    )
    return all(ring.size and float(np.median(ring)) > _MOVES_LEVELS for ring in rings)


@dataclass(frozen=True, slots=True)
class Border:
    """One side of a translucent plate, seen within frames.

    Attributes:
        place: the row at which the plate begins, or the first one after it.
        plate: opacity and colour as they show here.
        score: share of the change at this place that they explain.
    """

    place: int
    plate: Plate
    score: float


def _bordered(
    frames: Levels, ground: LineContext, style: Plate | None, *, black: float
) -> Plate | None:
    """A translucent plate by its borders: all four of them, and of one opacity."""
    left, top, right, bottom = core_of(ground.text_box, ground.letters.shape)
    reach = round(_REACH * (ground.text_box[3] - ground.text_box[1]))
    rows = frames[:, :, :, left:right]
    upper = _borders(rows, range(top, top - reach, -1), style, black)
    lower = _borders(rows, range(-bottom, -bottom - reach, -1), style, black)
    pairs = [(a, b) for a in upper for b in lower if _alike(a.plate, b.plate)]
    if not pairs:
        return None
    above, below = max(pairs, key=lambda pair: pair[0].score + pair[1].score)
    plate = style or _between(above.plate, below.plate)
    top, bottom = above.place, below.place
    columns = frames[:, :, top + _SKIP_PX : bottom - _SKIP_PX].swapaxes(2, 3)
    before = _borders(columns, range(left, left - reach, -1), plate, black)
    after = _borders(columns, range(-right, -right - reach, -1), plate, black)
    if not before or not after:
        return None
    return replace(plate, box=(before[0].place, top, after[0].place, bottom), adds_up=False)


def _borders(frames: Levels, places: range, style: Plate | None, black: float) -> list[Border]:
    """The rows of ``frames`` at which a plate may begin, best first.

    ``places`` goes outwards: rows at which the plate begins, or, negated, rows at which it ends.
    """
    strips = {}
    for place in places:
        # Seen from a plate's lower end, outside is below.
        sides = (place - _SKIP_PX, place + 1) if place > 0 else (1 - place, -place - _SKIP_PX)
        if min(sides) >= 0 and max(sides) < frames.shape[2]:
            outside, within = (frames[:, :, row].swapaxes(0, 1) for row in sides)
            strips[place] = outside.reshape(len(outside), -1), within.reshape(len(within), -1)
    found = []
    for place in _steepest(strips) if style is None else list(strips):
        near = [strips[k] for k in (place - 1, place, place + 1) if k in strips]
        for plate in [style] if style is not None else _fitting(*strips[place], black):
            score = float(np.mean([_score(plate, *pair) for pair in near]))
            if score >= _EXPLAINED:
                found.append(Border(abs(place), plate, score))
    return sorted(found, key=lambda border: -border.score)


def _fitting(outside: Levels, within: Levels, black: float) -> list[Plate]:
    """What plates may lie between two strips: a black one, and one of any colour."""
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
    """Whether the picture goes on under the plate: a mere change of tone may be of the scene."""
    toned = plate.scale * outside[0] + plate.offsets[0]
    flat = np.float32(np.median(within[0]))
    return _capped(within[0] - toned) <= _FOLLOWS * _capped(within[0] - flat)


def _steepest(strips: dict[int, tuple[Levels, Levels]]) -> list[int]:
    """The places at which the picture changes most, none beside another."""
    steps = {k: float(_capped(within[0] - outside[0])) for k, (outside, within) in strips.items()}
    picked: list[int] = []
    for place in sorted(steps, key=lambda k: -steps[k]):
        if steps[place] >= _LEAST_STEP and all(abs(place - other) > 1 for other in picked):
            picked.append(place)
    return [
        near for place in picked[:_TRIES] for near in (place - 1, place, place + 1) if near in steps
    ]


def _score(plate: Plate, outside: Levels, within: Levels) -> float:
    """Which share of what the plate does to the picture is seen at a border; 1 is all."""
    toned = plate.scale * outside[0] + plate.offsets[0]
    does = _capped(toned - outside[0])
    if does < _LEAST_STEP:
        return 0.0
    return (_capped(within[0] - outside[0]) - _capped(within[0] - toned)) / does


def _capped(error: Levels) -> float:
    """The mean of the errors, none counting for more than so much; 0 of none at all."""
    return float(np.minimum(np.abs(error), _MOST_LEVELS).mean()) if error.size else 0.0


def _alike(one: Plate, other: Plate) -> bool:
    apart = [abs(a - b) for a, b in zip(one.offsets, other.offsets, strict=True)]
    return abs(one.scale - other.scale) <= _LIKE_SCALE and max(apart) <= _LIKE_OFFSET


def _between(one: Plate, other: Plate) -> Plate:
    offsets = tuple((a + b) / 2 for a, b in zip(one.offsets, other.offsets, strict=True))
    return replace(one, scale=(one.scale + other.scale) / 2, offsets=offsets)
