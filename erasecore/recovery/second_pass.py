"""Second pass: dilated ink masks for the subtitles of which the first pass left text."""

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

_DILATION_LINES = 0.12  # radius by which stroke masks are dilated, letter heights; a guess
_BOX_MARGIN_LINES = 0.12  # margin around boxes that are filled whole, letter heights; a guess


@dataclass(frozen=True, slots=True)
class MaskDilation:
    """Enlargement of one event's ink mask."""

    radius_px: int  # radius of the dilation of its strokes
    boxes: tuple[BoxXyxy, ...]  # pixels of the stored picture; ink as a whole


def dilations_for(findings: Findings, inkless: frozenset[Event]) -> dict[Event, MaskDilation]:
    """Return the dilation for each event with residue; the boxes of text seen there become ink.

    Args:
        findings: of the first pass.
        inkless: events of which no ink was found; their own box becomes ink, too.
    """
    return {
        event: MaskDilation(
            radius_px=max(2, round(_DILATION_LINES * event.text_height_px)),
            boxes=tuple(_with_margin(box, event) for box in _boxes_of(event, findings, inkless)),
        )
        for event in (*findings.boxes_by_event, *findings.residues_by_event)
    }


def _boxes_of(event: Event, findings: Findings, inkless: frozenset[Event]) -> tuple[BoxXyxy, ...]:
    """Return the boxes at ``event`` that become ink as a whole."""
    seen = findings.boxes_by_event.get(event, ())
    return (*seen, event.box_xyxy) if seen and event in inkless else seen


def dilate_ink(ink: Ink, dilation: MaskDilation, crop: CropStack) -> Ink:
    """Return ``ink`` with its mask dilated and with the boxes of ``dilation`` added."""
    mask = _dilate(ink.mask, dilation.radius_px)
    for left, top, right, bottom in dilation.boxes:
        rows = slice(_pixel_index(top - crop.box[1]), _pixel_index(np.ceil(bottom) - crop.box[1]))
        columns = slice(
            _pixel_index(left - crop.box[0]), _pixel_index(np.ceil(right) - crop.box[0])
        )
        mask[rows, columns] = True
    return replace(ink, mask=mask)


def find_dilated_inks(dilations: Mapping[Event, MaskDilation]) -> FindInks:
    """Return a function that finds ink as usual and applies the ``dilations`` to it."""

    def find(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
        return tuple(
            dilate_ink(ink, dilations[ink.event], crop) if ink.event in dilations else ink
            for ink in find_inks(crop, clip, cuts)
        )

    return find


def _dilate(mask: NDArray[np.bool_], radius_px: int) -> NDArray[np.bool_]:
    """Return ``mask``, bool ``(H, W)``, dilated by a disc."""
    side = 2 * radius_px + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(mask.astype(np.uint8), disc) > 0, np.bool_)


def _with_margin(box: BoxXyxy, event: Event) -> BoxXyxy:
    margin = _BOX_MARGIN_LINES * event.text_height_px
    return box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin


def _pixel_index(coordinate: float) -> int:
    """Return ``coordinate`` rounded down; negative ones are clipped to 0."""
    return max(0, int(coordinate))
