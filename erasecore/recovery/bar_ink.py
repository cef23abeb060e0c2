"""Ink on bars: all that differs from a bar's colour and touches the letters found.

A mask is found by what changes as the text comes and goes, so faint coding noise around letters may
be left out; on a flat bar it shows as a ghost. There the ink is known exactly.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.strokes import Ink, region_of
from erasecore.model.boxes import inside, shift_box
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.picture_areas import PictureArea, area_at

_SAMPLES = 8  # opaque frames of an event over which differences are averaged; guess
_LEAST_LEVELS = 3.0  # 8-bit levels; a mean difference that shows on a flat bar; guess
_NOISE_RATIO = 5.0  # of the standard error of that mean; guess
_TOUCH_PX = 2  # pixels between letters and their coding noise; guess
_MIN_PART_FRAMES = 3  # frames of a part of an event in which its ink is found; guess
_MIN_BAR_PX = 50  # pixels of a bar that must be seen around the letters; guess


def grow_on_bars(crop: CropStack, ink: Ink) -> Ink:
    """Return ``ink`` with its mask completed on the bars of its shots.

    Args:
        crop: the pixels; not modified.
        ink: of one event.
    """
    if not crop.picture_areas or not ink.mask.any():
        return ink
    event, mask = ink.event, ink.mask
    frames = crop.nearest_frames(event.full_start, max(event.full_start + 1, event.full_stop))
    for shown in crop.picture_areas:
        own = [frame for frame in frames if shown.start <= frame < shown.stop]
        if own and (mask & ~_inner(shown, crop)).any():
            mask = mask | _differing(crop, ink, shown, own)
    return replace(ink, mask=mask)


def parts_by_area(event: Event, crop: CropStack) -> tuple[Event, ...]:
    """Return an event's parts between cuts at which the bars around it change; none if they do not.

    A black outline shows on the picture and is nothing on a black bar, so a line over such a cut
    shows its whole ink in no single shot.

    Args:
        event: the subtitle.
        crop: the pixels around it.
    """
    place = shift_box(region_of(event, crop), *crop.box[:2])
    whole = shift_box(place, -place[0], -place[1])
    borders = {side for shown in crop.picture_areas for side in (shown.start, shown.stop)}
    inner = sorted(side for side in borders if event.start < side < event.stop)
    parts: list[Event] = []
    shapes = []
    for start, stop in pairwise([event.start, *inner, event.stop]):
        shown = area_at(crop.picture_areas, start)
        shapes.append(whole if shown is None else shown.within(place).edge_box)
        if stop - start >= _MIN_PART_FRAMES:
            parts.append(_part_of(event, start, stop))
    return tuple(parts) if len(set(shapes)) > 1 else ()


def _part_of(event: Event, start: int, stop: int) -> Event:
    """Return an event cut down to the frames ``[start, stop)``."""
    full_start = min(max(start, event.full_start), stop)
    full_stop = max(full_start, min(stop, event.full_stop))
    path = tuple(point for point in event.path if start <= point[0] < stop)
    return replace(
        event, start=start, stop=stop, full_start=full_start, full_stop=full_stop, path=path
    )


def _inner(shown: PictureArea, crop: CropStack) -> NDArray[np.bool_]:
    """Return the crop's pixels that are no bar."""
    return inside(shown.within(crop.box).edge_box, crop.size)


def _differing(
    crop: CropStack, ink: Ink, shown: PictureArea, frames: list[int]
) -> NDArray[np.bool_]:
    """Return pixels of the bars that differ from their colour and touch the ink: bool ``(H, W)``.

    Args:
        crop: the pixels.
        ink: as found.
        shown: the picture between the bars.
        frames: opaque frames of the event in its shot.
    """
    bar = ~_inner(shown, crop) & inside(region_of(ink.event, crop), crop.size)
    touching = _dilated(ink.mask, _TOUCH_PX)
    clear = bar & ~touching
    if np.count_nonzero(clear) < _MIN_BAR_PX:
        return np.zeros(crop.size, bool)
    picks = frames[:: 1 + len(frames) // _SAMPLES]
    differences = []
    for frame in picks:
        levels = crop.levels(frame)
        differences.append(levels - np.median(levels[:, clear], axis=1)[:, None, None])
    mean = np.abs(np.mean(differences, axis=0))
    noise = np.quantile(mean[:, clear], 0.75, axis=1) / 1.15  # of a normal distribution
    limit = np.maximum(_LEAST_LEVELS, _NOISE_RATIO * noise)
    differs = (mean > limit[:, None, None]).any(axis=0) & bar
    count, labels = cv2.connectedComponents((differs | touching).astype(np.uint8))
    near = np.zeros(count, bool)
    near[labels[touching]] = True
    return np.asarray(differs & near[labels], np.bool_)


def _dilated(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    square = np.ones((2 * radius_px + 1, 2 * radius_px + 1), np.uint8)
    return np.asarray(cv2.dilate(mask.astype(np.uint8), square) > 0, np.bool_)
