"""Stronger guesses at what is ink, for subtitles of which a first pass has left something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.strokes import Ink
from erasecore.model.clips import Clip
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import BoxXyxy, Event
from erasecore.recovery.clip_recovery import FindInks, find_inks
from erasecore.review.residual_text import Findings

_WIDER_LINES = 0.12  # letter heights by which found strokes are widened
_AIR_LINES = 0.12  # letter heights around a box that is taken for ink as a whole


@dataclass(frozen=True, slots=True)
class MaskDilation:
    """What is taken for one event's ink besides its strokes as they were found."""

    wider_px: int  # the strokes reach this much further
    boxes: tuple[BoxXyxy, ...]  # pixels of the stored picture; all in them is ink


def dilations_for(findings: Findings, inkless: frozenset[Event]) -> dict[Event, MaskDilation]:
    """A hypothesis for each event of which text was seen: where it was, all is ink.

    Where no ink was found at all (``inkless``), the whole of the event's box is.
    """
    return {
        event: MaskDilation(
            wider_px=max(2, round(_WIDER_LINES * event.text_height_px)),
            boxes=tuple(
                _with_air(box, event)
                for box in ((*boxes, event.box_xyxy) if event in inkless else boxes)
            ),
        )
        for event, boxes in findings.seen.items()
    }


def dilate_ink(ink: Ink, dilation: MaskDilation, crop: CropStack) -> Ink:
    """``ink`` with the pixels that ``dilation`` adds to it."""
    mask = _widened(ink.mask, dilation.wider_px)
    for left, top, right, bottom in dilation.boxes:
        rows = slice(_at(top - crop.box[1]), _at(np.ceil(bottom) - crop.box[1]))
        columns = slice(_at(left - crop.box[0]), _at(np.ceil(right) - crop.box[0]))
        mask[rows, columns] = True
    return replace(ink, mask=mask)


def find_dilated_inks(dilations: Mapping[Event, MaskDilation]) -> FindInks:
    """A finder of ink that goes by ``dilations`` where there is one."""

    def find(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
        return tuple(
            dilate_ink(ink, dilations[ink.event], crop) if ink.event in dilations else ink
            for ink in find_inks(crop, clip, cuts)
        )

    return find


def _widened(mask: NDArray[np.bool_], by_px: int) -> NDArray[np.bool_]:
    side = 2 * by_px + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0, np.bool_)


def _with_air(box: BoxXyxy, event: Event) -> BoxXyxy:
    air = _AIR_LINES * event.text_height_px
    return box[0] - air, box[1] - air, box[2] + air, box[3] + air


def _at(place: float) -> int:
    return max(0, int(place))
