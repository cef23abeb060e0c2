"""Stroke masks: fill, outline, shadow and coding halo of a subtitle, as tight as can be told.

Seeds are strokes that are brighter (or darker, or of another colour) than their surroundings in
nearly every sampled frame of the event. How far the outline reaches beyond them is measured at
the moments the text appears and vanishes: the change as a function of the distance to the seeds.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.boxes import bounds, inside
from erasecore.cutout import Cutout
from erasecore.detect.events import Event
from erasecore.ink.behind import Ground, plate_behind
from erasecore.ink.plates import Change, Plate
from erasecore.ink.platetimes import opacities
from erasecore.ink.trimming import Evidence, trimmed
from erasecore.video.color import Box

_MOVING_LEVELS = 4.0  # spread of a picture that moves, in levels
_TRIM_SAMPLES = 40  # frames of an event over which a border pixel is seen to live
_SAMPLES = 9  # frames of an event that are looked at
_SETTLE_FRAMES = 2  # of a fade's seeming end, on which the text may still be a little faint
_END_AIR = 0.4  # letter heights before and behind a detected box that may hold letters
_HATS = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)


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
    mask: NDArray[np.bool_]
    plate: Plate | None
    fading: dict[int, float] = field(default_factory=dict)

    def plate_at(self, frame: int) -> Plate | None:
        """The plate as film frame ``frame`` shows it."""
        if self.plate is None or not self.event.shows_at(frame):
            return None
        return self.plate.fainter(self.fading.get(frame, 1.0))


def find_ink(
    cutout: Cutout,
    event: Event,
    others: tuple[Event, ...],
    *,
    style: Plate | None = None,
    cuts: tuple[int, ...] = (),
) -> Ink:
    """The ink of ``event``, estimated over its whole time.

    Args:
        cutout: pixels of the event and, where the film has them, a frame before and after.
        event: the subtitle.
        others: the other events of the film that may reach into the cutout.
        style: the plate that the clip's other subtitles have.
        cuts: of the film; frames on both sides of one are not compared.
    """
    left, top, right, bottom = region_of(event, cutout)
    view = np.s_[top:bottom, left:right]
    samples = _samples(cutout, event, view)
    letters = _seeds(samples, event, _text_box(event, cutout, left, top))
    mask = np.zeros(cutout.size, bool)
    if not letters.any():
        return Ink(event, mask, None)
    distance, line = _distance(letters), _line_px(letters, event)
    changes, quiet = _changes(cutout, event, others, cuts=cuts)
    around = ~_text_zone(cutout, (event, *others), event, np.s_[:, :])
    far = _everywhere(distance, view, cutout)
    ground = Ground(_detected_box(event, cutout), far, around, _is_stacked(event, others))
    settled = _changes(cutout, _settled(event), others, cuts=cuts)[1]
    plate = plate_behind(cutout, event, settled, ground, style)
    moments = [_of_letters(change, plate).cropped(view) for change in quiet or changes]
    quiet_zone = around[view]
    frames = _luma_samples(cutout, event, view)
    least = _steady_px(distance, frames.std(axis=0), quiet_zone, line)
    grown = _grow(distance, quiet_zone, moments, line) | (distance <= least)
    mask[view] = trimmed(grown, letters, Evidence(frames, moments if quiet else [], quiet_zone))
    return _on_plate(Ink(event, mask, plate), cutout, around)


def _on_plate(ink: Ink, cutout: Cutout, around: NDArray[np.bool_]) -> Ink:
    """``ink`` with what its plate does over time; an opaque one is all mask, and no plate."""
    if ink.plate is None:
        return ink
    mask = ink.mask | ink.plate.hidden(cutout.size)
    if ink.plate.opaque:
        return replace(ink, mask=mask, plate=None)
    return replace(ink, mask=mask, fading=opacities(cutout, ink.event, ink.plate, ~mask, around))


def _everywhere(
    distance: NDArray[np.float32], view: tuple[slice, slice], cutout: Cutout
) -> NDArray[np.float32]:
    """The distance to the letters in all of the cutout; infinite out of ``view``."""
    far = np.full(cutout.size, np.inf, np.float32)
    far[view] = distance
    return far


def _distance(letters: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far each pixel is from the nearest letter."""
    apart = cv2.distanceTransform((~letters).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(apart, np.float32)


def _line_px(letters: NDArray[np.bool_], event: Event) -> float:
    """The letters' height, as far as it agrees with the event's."""
    _, top, _, bottom = bounds(letters)
    return float(np.clip(bottom - top, 0.5 * event.text_height_px, event.text_height_px))


def region_of(event: Event, cutout: Cutout) -> Box:
    """Where an event's ink may lie in the cutout: its box and almost a line around it."""
    pad = 0.9 * event.text_height_px + 6
    x, y = 1 << cutout.layout.shift_x, 1 << cutout.layout.shift_y
    height, width = cutout.size
    left = max(0, int(event.box_xyxy[0] - pad) - cutout.box[0]) // x * x
    top = max(0, int(event.box_xyxy[1] - pad) - cutout.box[1]) // y * y
    right = min(width, int(event.box_xyxy[2] + pad) + 2 - cutout.box[0])
    bottom = min(height, int(event.box_xyxy[3] + pad) + 2 - cutout.box[1])
    return left, top, right, bottom


def _text_box(event: Event, cutout: Cutout, left: int, top: int) -> Box:
    """The detected box with a little air, in the region's coordinates.

    There is more of it along the line: a full stop behind a spaced last word is easily overlooked.
    """
    line = event.text_height_px
    x0, y0, x1, y1 = event.box_xyxy
    dx, dy = cutout.box[0] + left, cutout.box[1] + top
    upright = y1 - y0 > 1.5 * (x1 - x0)
    air_x, air_y = (0.12, _END_AIR) if upright else (_END_AIR, 0.12)
    return (
        max(0, int(x0 - dx - air_x * line)),
        max(0, int(y0 - dy - air_y * line)),
        int(x1 - dx + air_x * line),
        int(y1 - dy + air_y * line),
    )


def _text_zone(
    cutout: Cutout, events: tuple[Event, ...], event: Event, view: tuple[slice, slice]
) -> NDArray[np.bool_]:
    """Where any text is during ``event`` or a frame off: bool of the region's size."""
    zone = np.zeros(cutout.size, bool)
    for other in events:
        if other.start <= event.stop and other.stop >= event.start:
            zone |= inside(_text_box(other, cutout, 0, 0), cutout.size)
    here: NDArray[np.bool_] = zone[view]
    return here


def _is_stacked(event: Event, others: tuple[Event, ...]) -> bool:
    """Whether another line is shown beside ``event`` at the same time."""
    middle = (event.start + event.stop) // 2
    return any(_meets(other, event, middle) for other in others if other != event)


def _settled(event: Event) -> Event:
    """``event`` without the ends of its full time, where it fades: they may be a little faint."""
    lead = min(_SETTLE_FRAMES, (event.full_stop - event.full_start) // 3)
    return replace(
        event,
        full_start=event.full_start + (lead if event.full_start > event.start else 0),
        full_stop=event.full_stop - (lead if event.full_stop < event.stop else 0),
    )


def _of_letters(change: Change, plate: Plate | None) -> Change:
    return change if plate is None or plate.opaque else plate.take_away(change)


def _detected_box(event: Event, cutout: Cutout) -> Box:
    """The detected box in the cutout's coordinates."""
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    dx, dy = cutout.box[:2]
    return left - dx, top - dy, right - dx, bottom - dy


def _samples(cutout: Cutout, event: Event, view: tuple[slice, slice]) -> NDArray[np.float32]:
    """Frames spread over the event while it is opaque: ``(N, P, H, W)`` of the region."""
    frames = _opaque_frames(cutout, event, _SAMPLES)
    return np.stack([cutout.levels(frame)[:, view[0], view[1]] for frame in frames])


def _luma_samples(cutout: Cutout, event: Event, view: tuple[slice, slice]) -> NDArray[np.float32]:
    """The luma of more of such frames: ``(N, H, W)`` of the region."""
    frames = _opaque_frames(cutout, event, _TRIM_SAMPLES)
    return np.stack([cutout.luma(frame)[view] for frame in frames])


def _opaque_frames(cutout: Cutout, event: Event, most: int) -> list[int]:
    start = max(cutout.start, min(event.full_start, event.full_stop - 1))
    stop = min(cutout.stop, max(event.full_start + 1, event.full_stop))
    return [int(frame) for frame in np.unique(np.linspace(start, stop - 1, most).astype(int))]


def _seeds(planes: NDArray[np.float32], event: Event, text_box: Box) -> NDArray[np.bool_]:
    """Pixels that are letter in (nearly) every sampled frame: bool of the region's size."""
    size = int(0.42 * event.text_height_px) // 2 * 2 + 1
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    text = inside(text_box, planes.shape[2:])
    if not text.any():
        return text
    strength = _strength(planes, kernel, text)
    values = np.clip(strength[text], 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(values.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    seeds = text & (strength > max(18.0, 0.75 * otsu))
    return _without_specks(seeds, max(3.0, 0.004 * event.text_height_px**2))


def _strength(
    planes: NDArray[np.float32], kernel: NDArray[np.uint8], text: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """How much each pixel stands out of its surroundings in the weaker fifth of the frames."""

    def hat(stack: NDArray[np.float32], which: int) -> NDArray[np.float32]:
        hats = np.stack([cv2.morphologyEx(frame, which, kernel) for frame in stack])
        low: NDArray[np.float32] = np.percentile(hats, 20, axis=0).astype(np.float32)
        return low

    bright, dark = (hat(planes[:, 0], which) for which in _HATS)
    score_bright, score_dark = (float(np.percentile(h[text], 90)) for h in (bright, dark))
    # Dark letters are rare, and bright ones have dark outlines: they must be far stronger.
    is_dark = score_dark > 2.2 * score_bright
    strength, score = (dark, score_dark) if is_dark else (bright, score_bright)
    # Coloured letters on a background of equal luma: let a much stronger colour contrast join in.
    for plane in range(1, planes.shape[1]):
        for which in _HATS:
            colour = hat(planes[::2, plane], which)
            if float(np.percentile(colour[text], 90)) > 0.8 * score:
                strength = np.maximum(strength, colour)
    return strength


def _without_specks(seeds: NDArray[np.bool_], least_px: float) -> NDArray[np.bool_]:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(seeds.astype(np.uint8), connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < least_px
    kept: NDArray[np.bool_] = seeds & ~small[labels]
    return kept


def _changes(
    cutout: Cutout,
    event: Event,
    others: tuple[Event, ...],
    *,
    cuts: tuple[int, ...],
) -> tuple[list[Change], list[Change]]:
    """The moments of appearing and vanishing; the second list only those without other text."""
    everything, quiet = [], []
    for shown, absent in (
        (event.full_start, event.start - 1),
        (event.full_stop - 1, event.stop),
    ):
        if not (cutout.start <= absent < cutout.stop and cutout.start <= shown < cutout.stop):
            continue
        if any(min(shown, absent) < cut <= max(shown, absent) for cut in cuts):
            continue
        without = cutout.levels(absent)
        with_ink = cutout.levels(shown)
        change = Change(without, with_ink, np.abs(with_ink - without).max(axis=0))
        everything.append(change)
        if not any(_meets(other, event, absent) for other in others if other != event):
            quiet.append(change)
    return everything, quiet


def _meets(other: Event, event: Event, frame: int) -> bool:
    pad = 0.9 * event.text_height_px + 6
    a, b = other.box_xyxy, event.box_xyxy
    apart = a[0] > b[2] + pad or a[2] < b[0] - pad or a[1] > b[3] + pad or a[3] < b[1] - pad
    return other.shows_at(frame) and not apart


def _grow(
    distance: NDArray[np.float32],
    quiet_zone: NDArray[np.bool_],
    changes: list[Change],
    line: float,
) -> NDArray[np.bool_]:
    """The seeds grown by outline, shadow and halo, as far as the picture is seen to change.

    ``line`` is the letters' height in pixels. How much the picture changes by itself at that moment
    is read off the ``quiet_zone``.
    """
    guess: NDArray[np.bool_] = distance <= max(3.0, 0.12 * line) + 1.5
    if not changes:
        return guess
    reach = max(4.0, 0.30 * line)
    change = np.min([c.size for c in changes], axis=0)
    far = (distance > reach + 2) & quiet_zone
    level = max(8.0, 1.5 * float(np.percentile(change[far], 75))) if far.any() else 8.0
    hot = change > level
    base = float(hot[far].mean()) if far.any() else 0.0
    if base >= 0.5:  # everything changes at that moment: a cut
        return guess
    width = _outline_px(distance, hot, base, reach)
    mask = distance <= width + 1.1
    mask |= (change > max(2 * level, 20.0)) & (distance <= width + 3)
    if base < 0.1:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        near = (hot & (distance <= reach)).astype(np.uint8)
        solid = cv2.morphologyEx(near, cv2.MORPH_OPEN, ellipse) > 0
        mask |= solid & (distance <= width + 0.12 * line)
    grown: NDArray[np.bool_] = mask
    return grown


def _steady_px(
    distance: NDArray[np.float32],
    spread: NDArray[np.float32],
    quiet_zone: NDArray[np.bool_],
    line: float,
) -> float:
    """How far from the letters the picture stands still while everything around them moves.

    ``spread`` is each pixel's standard deviation over the event, in levels. 0 where the scene
    itself is still and so tells nothing.
    """
    reach = max(4.0, 0.30 * line)
    far = (distance > reach + 2) & quiet_zone
    usual = float(np.median(spread[far])) if far.any() else 0.0
    if usual < _MOVING_LEVELS:
        return 0.0
    width = 0
    for step in range(1, int(reach) + 1):
        shell = (distance > step - 1) & (distance <= step)
        if not shell.any() or float(np.median(spread[shell])) > 0.35 * usual:
            break
        width = step
    return width + 1.1 if width else 0.0


def _outline_px(
    distance: NDArray[np.float32], hot: NDArray[np.bool_], base: float, reach: float
) -> float:
    width = 0
    for step in range(1, int(reach) + 1):
        shell = (distance > step - 1) & (distance <= step)
        if not shell.any() or float(hot[shell].mean()) <= base + 0.3 * (1 - base):
            break
        width = step
    return max(1.5, float(width))
