"""Text that detection knows of, used to tell residual text and missed lines from scene text."""

from __future__ import annotations

from collections.abc import Sequence

from erasecore.detection.detector import LETTERS_SHARE
from erasecore.model.boxes import area, overlap, shared_area
from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.settings import Region

SAME_PLACE_OVERLAP = 0.3
"""Overlap (share of the smaller box) from which two text boxes are in the same place; a guess."""

_ZONE_LINES = 3.2  # letter heights above and below an event: room for two more lines; a guess
_ZONE_COLUMNS = (0.15, 0.85)  # share of the picture's width that a zone always covers; a guess
_PART_SHARE = 0.6  # smallest share of a residual box that lies at its event; a guess
_PART_HEIGHT = 1.5  # largest height of a residual box, in heights of its event's box; a guess
_PART_MARGIN_LINES = 0.35  # margin around an event for its residual boxes, letter heights; a guess


class KnownText:
    """Events, scene text and cuts of one film, with the rules on where other text is suspicious.

    Args:
        picture: frame size of the film.
        detection: events (they were erased), rejected text (it stays) and cuts.
        regions: parts of the picture in which subtitles may be; empty for all of it.
    """

    def __init__(
        self, picture: Picture, detection: Detection, regions: Sequence[Region] = ()
    ) -> None:
        self._size = picture.width, picture.height
        self._detection, self._regions = detection, regions

    def zone(self, event: Event) -> BoxXyxy:
        """Bounding box of the rows around ``event``, in whole pixels; left and top divide by 4.

        It lies in the picture and has at least one pixel, also for an event at or beyond an edge.
        """
        left, top, right, bottom = event.box_xyxy
        rows, side = _ZONE_LINES * event.text_height_px, 2 * event.text_height_px
        width, height = self._size
        x0 = int(max(0, min(left - side, _ZONE_COLUMNS[0] * width))) // 4 * 4
        y0 = int(max(0, min(top - rows, height - 1))) // 4 * 4
        x1 = int(min(width, max(right + side, _ZONE_COLUMNS[1] * width)))
        y1 = int(min(height, bottom + rows))
        return float(x0), float(y0), float(max(x0 + 1, x1)), float(max(y0 + 1, y1))

    def is_alone(self, event: Event, frame: int) -> bool:
        """Return True if no other event shows in the zone of ``event`` in film frame ``frame``."""
        zone = self.zone(event)
        return not any(
            other.shows_at(frame) and overlap(other.box_xyxy, zone) > 0
            for other in self._detection.events
            if other != event
        )

    def cut_between(self, frame: int, other: int) -> bool:
        """Return True if two film frames lie in different shots."""
        first, last = min(frame, other), max(frame, other)
        return any(first < cut <= last for cut in self._detection.cuts)

    def is_residual(self, box: BoxXyxy, event: Event, frame: int) -> bool:
        """Return True if text found in ``box`` belongs to ``event`` rather than to scene text."""
        if not _may_be_part(box, event):
            return False
        return not any(
            overlap(box, scene.box_xyxy) > overlap(box, event.box_xyxy)
            for scene in self._scene_text(frame)
        )

    def is_missed_line(self, box: BoxXyxy, event: Event, frame: int) -> bool:
        """Return True if text in ``box`` is unknown and could be one more line of ``event``."""
        shown = [other for other in self._detection.events if other.shows_at(frame)]
        if any(
            overlap(box, other.box_xyxy) > SAME_PLACE_OVERLAP
            for other in (*shown, *self._scene_text(frame))
        ):
            return False
        return _is_neighbour_line(box, event) and self._in_region(box)

    def _in_region(self, box: BoxXyxy) -> bool:
        """Return True if the middle of ``box`` is in a region, or if there are no regions."""
        x, y = (box[0] + box[2]) / 2 / self._size[0], (box[1] + box[3]) / 2 / self._size[1]
        return not self._regions or any(region.holds(x, y) for region in self._regions)

    def _scene_text(self, frame: int) -> list[Event]:
        """Return the rejected text that shows in film frame ``frame``."""
        rejected = self._detection.rejected
        return [event for event, _ in rejected if event.shows_at(frame)]


def letter_height_px(box: BoxXyxy) -> float:
    """Height of the letters in a box of the text detector."""
    return LETTERS_SHARE * min(box[2] - box[0], box[3] - box[1])


def _is_neighbour_line(box: BoxXyxy, event: Event) -> bool:
    """Return True if ``box`` is right above, below or beside ``event``, with letters of its size.

    The distances and ratios are guesses.
    """
    if not 0.65 < letter_height_px(box) / event.text_height_px < 1.5:
        return False
    left, top, right, bottom = event.box_xyxy
    apart_x = max(box[0] - right, left - box[2])
    apart_y = max(box[1] - bottom, top - box[3])
    line = event.text_height_px
    if apart_x < 0:  # above or below
        return apart_y < 1.2 * line
    return apart_y < -0.5 * (bottom - top) and apart_x < 1.5 * line


def _may_be_part(box: BoxXyxy, event: Event) -> bool:
    """Return True if ``box`` may hold letters of ``event``: inside its box, and not much higher."""
    thickness = min(box[2] - box[0], box[3] - box[1])
    line = min(event.box_xyxy[2] - event.box_xyxy[0], event.box_xyxy[3] - event.box_xyxy[1])
    margin = _PART_MARGIN_LINES * event.text_height_px
    left, top, right, bottom = event.box_xyxy
    around = left - margin, top - margin, right + margin, bottom + margin
    return thickness < _PART_HEIGHT * line and shared_area(box, around) > _PART_SHARE * area(box)
