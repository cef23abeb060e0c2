"""Connected components of a mask, tracked from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import bounds, intersect, union
from erasecore.model.events import Event
from erasecore.video.color import Box

MAX_COMPONENTS = 200  # largest number of components in one frame's mask; a guess
MAX_EVENTS = 5000  # largest number of components in one film; a guess
_JOIN_SHARE = 1 / 40  # white pixels up to twice as near are joined, share of the height; a guess
_MAX_LINE_SHARE = 1 / 12  # largest height of a text line, share of the picture's height; a guess


@dataclass(slots=True)
class MaskComponent:
    """One component over time: film frames ``[start, stop)``, and its bounding box in all of them.

    ``box`` is in luma pixels.
    """

    start: int
    stop: int
    box: Box


def connected_components(bits: NDArray[np.bool_]) -> tuple[Box, ...]:
    """Return the bounding boxes of the connected components of one mask.

    Labelled by ``cv2.connectedComponentsWithStats`` after a dilation that joins the letters of a
    line; the boxes are of the pixels before the dilation.

    Args:
        bits: bool ``(H, W)``, True is to be erased.
    """
    side = 2 * max(1, round(_JOIN_SHARE * bits.shape[0])) + 1
    white = bits.astype(np.uint8)
    joined = cv2.dilate(white, np.ones((side, side), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(joined)
    boxes = []
    for label, (left, top, width, height, _) in enumerate(stats[1:count].tolist(), start=1):
        part = np.s_[top : top + height, left : left + width]
        x0, y0, x1, y1 = bounds(bits[part] & (labels[part] == label))
        boxes.append((left + x0, top + y0, left + x1, top + y1))
    return tuple(boxes)


class ComponentTracker:
    """Tracks components while their boxes overlap from frame to frame; ``add`` every frame."""

    def __init__(self) -> None:
        self._live: list[tuple[MaskComponent, Box]] = []  # with the box in the newest frame
        self._done: list[MaskComponent] = []

    def __len__(self) -> int:
        """Return the number of components so far, ended ones included."""
        return len(self._done) + len(self._live)

    def add(self, index: int, boxes: Sequence[Box]) -> None:
        """Add the component boxes of film frame ``index``.

        Frames come in ascending order; a frame that is left out ends all components.
        """
        free = [pair for pair in self._live if pair[0].stop == index]
        self._done += [component for component, _ in self._live if component.stop != index]
        live = []
        for box in boxes:
            match = next((pair for pair in free if intersect(pair[1], box)), None)
            if match is None:
                live.append((MaskComponent(index, index + 1, box), box))
                continue
            free.remove(match)
            component = match[0]
            component.stop, component.box = index + 1, union((component.box, box))
            live.append((component, box))
        self._done += [component for component, _ in free]
        self._live = live

    def finish(self) -> list[MaskComponent]:
        """Return all components by start, then top to bottom, then left to right."""
        components = [*self._done, *(component for component, _ in self._live)]
        return sorted(components, key=lambda c: (c.start, c.box[1], c.box[0]))


def event_of(component: MaskComponent, height: int) -> Event:
    """Return a component as an event that is opaque from its first frame to its last.

    Args:
        component: luma pixels.
        height: of the picture, px; limits the height of the letters.
    """
    left, top, right, bottom = component.box
    return Event(
        start=component.start,
        stop=component.stop,
        full_start=component.start,
        full_stop=component.stop,
        box_xyxy=(float(left), float(top), float(right), float(bottom)),
        text_height_px=float(max(4.0, min(bottom - top, right - left, _MAX_LINE_SHARE * height))),
        score=1.0,
    )
