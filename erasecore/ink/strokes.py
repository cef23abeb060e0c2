"""Stroke masks: fill, outline, shadow and coding halo of a subtitle, as tight as can be told.

Letters are strokes that are brighter (or darker, or of another colour) than their surroundings in
nearly every sampled frame of the event. They are grown by what was drawn around them, as far as the
moments tell at which the text comes and goes, and trimmed of what is plainly picture.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np

from erasecore.ink.glyph_seed import find_letters
from erasecore.ink.line_plates import LineContext, search_plate
from erasecore.ink.mask_growth import grow_mask
from erasecore.ink.mask_refine import trim_mask
from erasecore.ink.plate_opacity import opacities
from erasecore.ink.plates import Plate
from erasecore.ink.statistics import InkStatistics, Transition
from erasecore.ink.transitions import find_transitions, meets
from erasecore.model.boxes import bounds, inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.video.color import Box

_TRIM_SAMPLES = 40  # frames of an event over which a border pixel is seen to live
_SAMPLES = 9  # frames of an event that are looked at
_SETTLE_FRAMES = 2  # of a fade's seeming end, on which the text may still be a little faint
_END_AIR = 0.4  # letter heights before and behind a detected box that may hold letters


@dataclass(frozen=True, slots=True)
class Ink:
    """What one event drew over the picture, in a cutout's coordinates.

    Attributes:
        event: when and where.
        mask: bool ``(H, W)``; pixels of which nothing of the background is left.
        plate: the translucent rectangle behind them, if there is one.
        fading: how much of the plate's opacity a frame shows, where it is not all; by film frame.
    """

    event: Event
    mask: Bools
    plate: Plate | None
    fading: dict[int, float] = field(default_factory=dict)

    def plate_at(self, frame: int) -> Plate | None:
        """The plate as film frame ``frame`` shows it."""
        if self.plate is None or not self.event.shows_at(frame):
            return None
        return self.plate.fainter(self.fading.get(frame, 1.0))


def find_ink(
    crop: CropStack,
    event: Event,
    others: tuple[Event, ...],
    *,
    style: Plate | None = None,
    cuts: tuple[int, ...] = (),
) -> Ink:
    """The ink of ``event``, estimated over its whole time.

    Args:
        crop: pixels of the event and, where the film has them, a frame before and after.
        event: the subtitle.
        others: the other events of the film that may reach into the cutout.
        style: the plate that the clip's other subtitles have.
        cuts: of the film; frames on both sides of one are not compared.
    """
    left, top, right, bottom = region_of(event, crop)
    view = np.s_[top:bottom, left:right]
    text_box = _text_box(event, crop, left, top)
    letters = find_letters(_samples(crop, event, view), text_box, event.text_height_px)
    mask = np.zeros(crop.size, bool)
    if not letters.any():
        return Ink(event, mask, None)
    distance = _distance(letters)
    around = ~_text_zone(crop, event, others)
    far = _everywhere(distance, view, crop)
    ground = LineContext(_detected_box(event, crop), far, _is_stacked(event, others))
    moments_of = partial(find_transitions, crop, others=others, around=around, cuts=cuts)
    everything, quiet = moments_of(event)
    settled = quiet if (full := _settled(event)) == event else moments_of(full)[1]
    plate = search_plate(crop, event, settled, ground, style)
    transitions, quiet = (
        [_of_letters(change, plate).cropped(view) for change in changes]
        for changes in (everything, quiet)
    )
    stats = InkStatistics(_luma_samples(crop, event, view), quiet, around[view])
    wide = grow_mask(distance, quiet or transitions, stats, _line_px(letters, event))
    mask[view] = trim_mask(wide, letters, stats)
    return _on_plate(Ink(event, mask, plate), crop, around)


def _on_plate(ink: Ink, crop: CropStack, around: Bools) -> Ink:
    """``ink`` with what its plate does over time; an opaque one is all mask, and no plate."""
    if ink.plate is None:
        return ink
    mask = ink.mask | ink.plate.hidden(crop.size)
    if ink.plate.opaque:
        return replace(ink, mask=mask, plate=None)
    return replace(ink, mask=mask, fading=opacities(crop, ink.event, ink.plate, ~mask, around))


def _everywhere(distance: Floats, view: tuple[slice, slice], crop: CropStack) -> Floats:
    """The distance to the letters in all of the cutout; infinite out of ``view``."""
    far = np.full(crop.size, np.inf, np.float32)
    far[view] = distance
    return far


def _distance(letters: Bools) -> Floats:
    """How far each pixel is from the nearest letter."""
    apart = cv2.distanceTransform((~letters).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(apart, np.float32)


def _line_px(letters: Bools, event: Event) -> float:
    """The letters' height, as far as it agrees with the event's."""
    _, top, _, bottom = bounds(letters)
    return float(np.clip(bottom - top, 0.5 * event.text_height_px, event.text_height_px))


def region_of(event: Event, crop: CropStack) -> Box:
    """Where an event's ink may lie in the cutout: its box and almost a line around it."""
    pad = event.reach_px
    x, y = 1 << crop.layout.shift_x, 1 << crop.layout.shift_y
    height, width = crop.size
    left = max(0, int(event.box_xyxy[0] - pad) - crop.box[0]) // x * x
    top = max(0, int(event.box_xyxy[1] - pad) - crop.box[1]) // y * y
    right = min(width, int(event.box_xyxy[2] + pad) + 2 - crop.box[0])
    bottom = min(height, int(event.box_xyxy[3] + pad) + 2 - crop.box[1])
    return left, top, right, bottom


def _text_box(event: Event, crop: CropStack, left: int, top: int) -> Box:
    """The detected box with a little air, in the region's coordinates.

    There is more of it along the line: a full stop behind a spaced last word is easily overlooked.
    """
    line = event.text_height_px
    x0, y0, x1, y1 = event.box_xyxy
    dx, dy = crop.box[0] + left, crop.box[1] + top
    upright = y1 - y0 > 1.5 * (x1 - x0)
    air_x, air_y = (0.12, _END_AIR) if upright else (_END_AIR, 0.12)
    return (
        max(0, int(x0 - dx - air_x * line)),
        max(0, int(y0 - dy - air_y * line)),
        int(x1 - dx + air_x * line),
        int(y1 - dy + air_y * line),
    )


def _text_zone(crop: CropStack, event: Event, others: tuple[Event, ...]) -> Bools:
    """Where any text is during ``event`` or a frame off: bool of the cutout's size."""
    zone = np.zeros(crop.size, bool)
    for each in (event, *others):
        if each.start <= event.stop and each.stop >= event.start:
            zone |= inside(_text_box(each, crop, 0, 0), crop.size)
    return zone


def _is_stacked(event: Event, others: tuple[Event, ...]) -> bool:
    """Whether another line is shown beside ``event`` at the same time."""
    middle = (event.start + event.stop) // 2
    return any(meets(other, event, middle) for other in others if other != event)


def _settled(event: Event) -> Event:
    """``event`` without the ends of its full time, where it fades: they may be a little faint."""
    lead = min(_SETTLE_FRAMES, (event.full_stop - event.full_start) // 3)
    return replace(
        event,
        full_start=event.full_start + (lead if event.full_start > event.start else 0),
        full_stop=event.full_stop - (lead if event.full_stop < event.stop else 0),
    )


def _of_letters(change: Transition, plate: Plate | None) -> Transition:
    return change if plate is None or plate.opaque else plate.take_away(change)


def _detected_box(event: Event, crop: CropStack) -> Box:
    """The detected box in the cutout's coordinates."""
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    dx, dy = crop.box[:2]
    return left - dx, top - dy, right - dx, bottom - dy


def _samples(crop: CropStack, event: Event, view: tuple[slice, slice]) -> Floats:
    """Frames spread over the event while it is opaque: ``(N, P, H, W)`` of the region."""
    frames = _opaque_frames(crop, event, _SAMPLES)
    return np.stack([crop.levels(frame)[:, view[0], view[1]] for frame in frames])


def _luma_samples(crop: CropStack, event: Event, view: tuple[slice, slice]) -> Floats:
    """The luma of more of such frames: ``(N, H, W)`` of the region."""
    frames = _opaque_frames(crop, event, _TRIM_SAMPLES)
    return np.stack([crop.luma(frame)[view] for frame in frames])


def _opaque_frames(crop: CropStack, event: Event, most: int) -> list[int]:
    start = max(crop.start, min(event.full_start, event.full_stop - 1))
    stop = min(crop.stop, max(event.full_start + 1, event.full_stop))
    return [int(frame) for frame in np.unique(np.linspace(start, stop - 1, most).astype(int))]
