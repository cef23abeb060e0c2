"""Ink of one event: a tight stroke mask, and the plate behind the letters.

The letters (strokes that stand out in nearly every sampled frame) are grown by outline, shadow and
coding halo, as measured at the transitions at which the text comes and goes, and trimmed of what is
picture; see `stroke_mask`.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import cv2
import numpy as np

from erasecore.ink.plate_search import LineContext, search_plate
from erasecore.ink.plates import Plate, opacities
from erasecore.ink.stroke_mask import (
    DEFAULT_GROWTH,
    MaskGrowthTuning,
    find_letters,
    grow_mask,
    trim_mask,
)
from erasecore.ink.transitions import InkStatistics, Transition, find_transitions, meets
from erasecore.model.boxes import bounds, clip_box, inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event, Pose
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.video.color import Box

_SPREAD_SAMPLES = 40  # frames of an event over which a pixel's temporal spread is taken; guess
_LETTER_SAMPLES = 9  # frames of an event in which letters are searched; guess
_OUTLINE_LINES = 0.2  # letter heights; widest outline; guess
_SETTLE_FRAMES = 2  # frames next to a fade on which the text may still be a little faint; guess
_MIN_EITHER_SHARE = 0.1  # of a text box on a bar, and on the picture: it is on both; guess
_ALONG_MARGIN_LINES = 0.4  # letter heights before and behind a detected box; guess
_ACROSS_MARGIN_LINES = 0.12  # letter heights above and below it; guess


@dataclass(frozen=True, slots=True)
class Ink:
    """Ink that one event drew over the picture, in a crop's coordinates.

    Attributes:
        event: the subtitle: its span of frames and its box.
        mask: bool ``(H, W)``; pixels of which nothing of the background is left.
        plate: the translucent rectangle behind them, if there is one.
        fading: share of the plate's opacity, 0 to 1, on the frames where it fades; by film frame.
        origin: left and top of the crop in the film's picture, px.
    """

    event: Event
    mask: Bools
    plate: Plate | None
    fading: dict[int, float] = field(default_factory=dict)
    origin: tuple[int, int] = (0, 0)

    def plate_at(self, frame: int) -> Plate | None:
        """Plate at the opacity it has on film frame ``frame``; ``None`` where there is none.

        Neither is there one where the event slides: a moving plate is part of the mask.
        """
        if self.plate is None or not self.event.shows_at(frame):
            return None
        if self.event.pose_at(frame) is not None:
            return None
        return self.plate.fainter(self.fading.get(frame, 1.0))

    def mask_at(self, pose: Pose | None) -> Bools:
        """Return the ink of a frame in which the event stands in ``pose``.

        A moving line's place is known to a pixel, so the mask is dilated by one, and by what an
        outline may be wider than the letters' size says; its plate is ink as a whole.
        """
        if pose is None:
            return self.mask
        whole = self.mask.astype(np.uint8)
        if self.plate is not None:
            left, top, right, bottom = clip_box(self.plate.box, (whole.shape[0], whole.shape[1]))
            whole[top:bottom, left:right] = 1
        # Some programs leave outlines as wide as they are while the letters grow.
        outline_px = max(0.0, 1 - pose.scale) * _OUTLINE_LINES * self.event.text_height_px
        side = 3 + 2 * int(np.ceil(outline_px / pose.scale))
        whole = np.asarray(cv2.dilate(whole, np.ones((side, side), np.uint8)), np.uint8)
        x0, y0, x1, y1 = self.event.box_xyxy
        middle = (x0 + x1) / 2 - self.origin[0], (y0 + y1) / 2 - self.origin[1]
        moving = np.asarray(cv2.getRotationMatrix2D(middle, 0.0, pose.scale), np.float32)
        moving[:, 2] += pose.dx, pose.dy
        size = whole.shape[1], whole.shape[0]
        return np.asarray(cv2.warpAffine(whole, moving, size, flags=cv2.INTER_NEAREST) > 0)


def find_ink(
    crop: CropStack,
    event: Event,
    others: tuple[Event, ...],
    *,
    style: Plate | None = None,
    cuts: tuple[int, ...] = (),
    growth: MaskGrowthTuning = DEFAULT_GROWTH,
) -> Ink:
    """Return the ink of ``event``, estimated over its whole time.

    Args:
        crop: pixels of the event and, where the film has them, a frame before and after.
        event: the subtitle.
        others: the other events of the film that may reach into the crop.
        style: a plate with the opacity and colour of the clip's other subtitles.
        cuts: first frames of the film's shots; frames on both sides of one are not compared.
        growth: thresholds of mask growth.
    """
    left, top, right, bottom = region_of(event, crop)
    view = np.s_[top:bottom, left:right]
    text_box = _text_box(event, crop, left, top)
    mask = np.zeros(crop.size, bool)
    if not inside(text_box, (bottom - top, right - left)).any():
        return Ink(event, mask, None, origin=crop.box[:2])  # no letter of it can lie in the crop
    letters = find_letters(_letter_samples(crop, event, view), text_box, event.text_height_px)
    if not letters.any():
        return Ink(event, mask, None, origin=crop.box[:2])
    distance = _distance(letters)
    around = _around(crop, event, others)
    context = _line_context(crop, event, others, distance=distance, view=view)
    transitions_of = partial(find_transitions, crop, others=others, around=around, cuts=cuts)
    everything, quiet = transitions_of(event)
    settled = quiet if (full := _settled(event)) == event else transitions_of(full)[1]
    plate = search_plate(crop, event, settled, context, style)
    everything, quiet = (_of_letters(pairs, plate, view) for pairs in (everything, quiet))
    stats = InkStatistics(_luma_samples(crop, event, view), quiet, around[view])
    wide = grow_mask(distance, quiet or everything, stats, _line_px(letters, event), tuning=growth)
    mask[view] = trim_mask(wide, letters, stats)
    return _with_plate_mask(Ink(event, mask, plate, origin=crop.box[:2]), crop, around)


def _with_plate_mask(ink: Ink, crop: CropStack, around: Bools) -> Ink:
    """Return ``ink`` with its plate's fade; an opaque plate becomes part of the mask instead."""
    if ink.plate is None:
        return ink
    mask = ink.mask | ink.plate.hidden(crop.size)
    if ink.plate.opaque:
        return replace(ink, mask=mask, plate=None)
    return replace(ink, mask=mask, fading=opacities(crop, ink.event, ink.plate, ~mask, around))


def _line_context(
    crop: CropStack,
    event: Event,
    others: tuple[Event, ...],
    *,
    distance: Floats,
    view: tuple[slice, slice],
) -> LineContext:
    """Return the line's place in the crop; letter distances are infinite out of ``view``."""
    whole = np.full(crop.size, np.inf, np.float32)
    whole[view] = distance
    return LineContext(_detected_box(event, crop), whole, _is_stacked(event, others))


def _distance(letters: Bools) -> Floats:
    """Distance of each pixel to the nearest letter: float32 ``(H, W)``, in pixels."""
    apart = cv2.distanceTransform((~letters).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(apart, np.float32)


def _line_px(letters: Bools, event: Event) -> float:
    """Height of the letters' bounding box, clipped to half to all of the event's text height."""
    _, top, _, bottom = bounds(letters)
    return float(np.clip(bottom - top, 0.5 * event.text_height_px, event.text_height_px))


def region_of(event: Event, crop: CropStack) -> Box:
    """Rectangle of the crop in which an event's ink may lie: its box and almost a line around it.

    Left and top lie on whole colour samples. It has no area if the event does not reach into the
    crop.
    """
    pad = event.reach_px
    x, y = 1 << crop.layout.shift_x, 1 << crop.layout.shift_y
    region = (
        max(0, int(event.box_xyxy[0] - pad) - crop.box[0]) // x * x,
        max(0, int(event.box_xyxy[1] - pad) - crop.box[1]) // y * y,
        int(event.box_xyxy[2] + pad) + 2 - crop.box[0],
        int(event.box_xyxy[3] + pad) + 2 - crop.box[1],
    )
    return clip_box(region, crop.size)


def _text_box(event: Event, crop: CropStack, left: int, top: int) -> Box:
    """Detected box with a margin, relative to (``left``, ``top``) in the crop.

    The margin is wider along the line: detectors miss a full stop behind a spaced last word.
    """
    line = event.text_height_px
    x0, y0, x1, y1 = event.box_xyxy
    dx, dy = crop.box[0] + left, crop.box[1] + top
    upright = y1 - y0 > 1.5 * (x1 - x0)
    along, across = _ALONG_MARGIN_LINES, _ACROSS_MARGIN_LINES
    margin_x, margin_y = (across, along) if upright else (along, across)
    return (
        max(0, int(x0 - dx - margin_x * line)),
        max(0, int(y0 - dy - margin_y * line)),
        int(x1 - dx + margin_x * line),
        int(y1 - dy + margin_y * line),
    )


def _text_zone(crop: CropStack, event: Event, others: tuple[Event, ...]) -> Bools:
    """Pixels of any text that is shown during ``event`` or a frame off: bool of the crop's size."""
    zone = np.zeros(crop.size, bool)
    for each in (event, *others):
        if each.start <= event.stop and each.stop >= event.start:
            zone |= inside(_text_box(each, crop, 0, 0), crop.size)
    return zone


def _around(crop: CropStack, event: Event, others: tuple[Event, ...]) -> Bools:
    """Pixels without text by which the picture behind the event is known: bool of the crop's size.

    For a line over the edge of a bar they do not include bars, of which nothing moves.
    """
    around = ~_text_zone(crop, event, others)
    text = inside(_text_box(event, crop, 0, 0), crop.size)
    frames = crop.nearest_frames(event.start, event.stop)
    first, last = crop.picture_mask(frames[0]), crop.picture_mask(frames[-1])
    if first is None or last is None:
        return around
    bars: Bools = ~first & ~last
    both = text & bars, text & ~bars
    if min(map(np.count_nonzero, both)) < _MIN_EITHER_SHARE * np.count_nonzero(text):
        return around
    return around & ~bars


def _is_stacked(event: Event, others: tuple[Event, ...]) -> bool:
    """Return True if another line is shown near ``event`` in the middle of its time."""
    middle = (event.start + event.stop) // 2
    return any(meets(other, event, middle) for other in others if other != event)


def _settled(event: Event) -> Event:
    """Return ``event`` with its opaque time cut by two frames at each end that fades."""
    lead = min(_SETTLE_FRAMES, (event.full_stop - event.full_start) // 3)
    return replace(
        event,
        full_start=event.full_start + (lead if event.full_start > event.start else 0),
        full_stop=event.full_stop - (lead if event.full_stop < event.stop else 0),
    )


def _of_letters(
    pairs: list[Transition], plate: Plate | None, view: tuple[slice, slice]
) -> list[Transition]:
    """Return the pairs cropped to ``view``, a translucent plate unblended: letters remain."""
    if plate is not None and not plate.opaque:
        pairs = [plate.take_away(pair) for pair in pairs]
    return [pair.cropped(view) for pair in pairs]


def _detected_box(event: Event, crop: CropStack) -> Box:
    """Detected box in the crop's coordinates, rounded to pixels."""
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    dx, dy = crop.box[:2]
    return left - dx, top - dy, right - dx, bottom - dy


def _letter_samples(crop: CropStack, event: Event, view: tuple[slice, slice]) -> Floats:
    """Frames spread over the event's opaque time: ``(N, P, H, W)`` of the region, in levels."""
    frames = _opaque_frames(crop, event, _LETTER_SAMPLES)
    return np.stack([crop.levels(frame)[:, view[0], view[1]] for frame in frames])


def _luma_samples(crop: CropStack, event: Event, view: tuple[slice, slice]) -> Floats:
    """Luma of more of such frames: ``(N, H, W)`` of the region, in levels."""
    frames = _opaque_frames(crop, event, _SPREAD_SAMPLES)
    return np.stack([crop.luma(frame)[view] for frame in frames])


def _opaque_frames(crop: CropStack, event: Event, most: int) -> list[int]:
    """At most ``most`` film frames, evenly spread over the event's opaque time in the crop.

    At least one: of an event that is opaque only before or after the crop, the nearest frame.
    """
    opaque = crop.nearest_frames(
        min(event.full_start, event.full_stop - 1), max(event.full_start + 1, event.full_stop)
    )
    picks = np.linspace(opaque.start, opaque.stop - 1, most).astype(int)
    return [int(frame) for frame in np.unique(picks)]
