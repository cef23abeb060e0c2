"""Stronger guesses at what is ink, for subtitles of which a first pass has left something."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.strokes import Ink
from erasecore.model.clips import Clip
from erasecore.model.events import BoxXyxy, Event
from erasecore.model.strips import Cutout
from erasecore.recovery.recover import FindInks, find_inks
from erasecore.review.residual_text import Findings

_WIDER_LINES = 0.12  # letter heights by which found strokes are widened
_AIR_LINES = 0.12  # letter heights around a box that is taken for ink as a whole


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """What is taken for one event's ink besides its strokes as they were found."""

    wider_px: int  # the strokes reach this much further
    boxes: tuple[BoxXyxy, ...]  # pixels of the stored picture; all in them is ink


def hypotheses_for(findings: Findings, inkless: frozenset[Event]) -> dict[Event, Hypothesis]:
    """A hypothesis for each event of which text was seen: where it was, all is ink.

    Where no ink was found at all (``inkless``), the whole of the event's box is.
    """
    return {
        event: Hypothesis(
            wider_px=max(2, round(_WIDER_LINES * event.text_height_px)),
            boxes=tuple(
                _with_air(box, event)
                for box in ((*boxes, event.box_xyxy) if event in inkless else boxes)
            ),
        )
        for event, boxes in findings.seen.items()
    }


def strengthened(ink: Ink, hypothesis: Hypothesis, cutout: Cutout) -> Ink:
    """``ink`` with the pixels that ``hypothesis`` adds to it."""
    mask = _widened(ink.mask, hypothesis.wider_px)
    for left, top, right, bottom in hypothesis.boxes:
        rows = slice(_at(top - cutout.box[1]), _at(np.ceil(bottom) - cutout.box[1]))
        columns = slice(_at(left - cutout.box[0]), _at(np.ceil(right) - cutout.box[0]))
        mask[rows, columns] = True
    return replace(ink, mask=mask)


def stronger(hypotheses: Mapping[Event, Hypothesis]) -> FindInks:
    """A finder of ink that goes by ``hypotheses`` where there is one."""

    def find(cutout: Cutout, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
        return tuple(
            strengthened(ink, hypotheses[ink.event], cutout) if ink.event in hypotheses else ink
            for ink in find_inks(cutout, clip, cuts)
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
