"""The connected areas of a mask, and the same area followed from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import bounds, touch, union
from erasecore.model.events import Event
from erasecore.video.color import Box

MAX_COMPONENTS = 200  # in one frame
MAX_EVENTS = 5000  # in one film
_JOINED = 1 / 40  # of the picture's height: letters of one line are nearer to each other
_LINE = 1 / 12  # of the picture's height: no line of text is taken for higher


@dataclass(slots=True)
class MaskComponent:
    """One area: the frames ``[start, stop)`` it is white in, the box around all of it."""

    start: int
    stop: int
    box: Box


def connected_components(bits: NDArray[np.bool_]) -> tuple[Box, ...]:
    """The boxes around the white areas of one mask; what is near together is one area."""
    side = 2 * max(1, round(_JOINED * bits.shape[0])) + 1
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
    """Follows areas while they overlap from frame to frame; ``add`` frame by frame."""

    def __init__(self) -> None:
        self._live: list[tuple[MaskComponent, Box]] = []  # with the box in the newest frame
        self._done: list[MaskComponent] = []

    def __len__(self) -> int:
        """How many areas there have been."""
        return len(self._done) + len(self._live)

    def add(self, index: int, boxes: Sequence[Box]) -> None:
        """Take the areas of frame ``index``; a frame that is left out ends all of them."""
        free = [pair for pair in self._live if pair[0].stop == index]
        self._done += [area for area, _ in self._live if area.stop != index]
        live = []
        for box in boxes:
            match = next((pair for pair in free if touch(pair[1], box)), None)
            if match is None:
                live.append((MaskComponent(index, index + 1, box), box))
                continue
            free.remove(match)
            area = match[0]
            area.stop, area.box = index + 1, union((area.box, box))
            live.append((area, box))
        self._done += [area for area, _ in free]
        self._live = live

    def finish(self) -> list[MaskComponent]:
        """All areas, by start, then top to bottom."""
        areas = [*self._done, *(area for area, _ in self._live)]
        return sorted(areas, key=lambda area: (area.start, area.box[1], area.box[0]))


def event_of(area: MaskComponent, height: int) -> Event:
    """An area of a picture so high as an event, as opaque from its first frame to its last."""
    left, top, right, bottom = area.box
    return Event(
        start=area.start,
        stop=area.stop,
        full_start=area.start,
        full_stop=area.stop,
        box_xyxy=(float(left), float(top), float(right), float(bottom)),
        text_height_px=float(max(4.0, min(bottom - top, right - left, _LINE * height))),
        score=1.0,
    )
