"""Picture areas: the rectangle of a shot's picture between its bars (letterbox, pillarbox)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from erasecore.model.boxes import clip_box, shift_box
from erasecore.video.color import Box


@dataclass(frozen=True, slots=True)
class PictureArea:
    """Active picture of the film frames ``[start, stop)``, which have bars on one side or more.

    Attributes:
        start: first film frame.
        stop: first film frame after it.
        box: pixels that are picture only.
        edge_box: contains ``box``; all pixels outside it are bar. Between the two the picture
            blends into the bar, as in films that were scaled up.
    """

    start: int
    stop: int
    box: Box
    edge_box: Box

    def within(self, crop_box: Box) -> PictureArea:
        """Return the area in the coordinates of a crop, clipped to it; it may be empty."""
        left, top, right, bottom = crop_box
        size = bottom - top, right - left
        box, edge_box = (
            clip_box(shift_box(each, -left, -top), size) for each in (self.box, self.edge_box)
        )
        return PictureArea(self.start, self.stop, box, edge_box)


def area_at(areas: Sequence[PictureArea], frame: int) -> PictureArea | None:
    """Return the picture area of a film frame; ``None`` if its picture fills the frame."""
    return next((area for area in areas if area.start <= frame < area.stop), None)
