"""Events in pixels of the film, made of what was found in the smaller working picture."""

from __future__ import annotations

from erasecore.detection.detector import LETTERS_SHARE
from erasecore.detection.forbidden import Stretch
from erasecore.detection.line_window import WorkBox
from erasecore.detection.searching import Oversize
from erasecore.detection.verdict import TextLine
from erasecore.model.events import BoxXyxy, Event, PathPoint


def line_event(line: TextLine, factor: float) -> Event:
    """Return the event of one line; ``factor``: pixels of the film per working pixel."""
    return Event(
        start=line.span.start,
        stop=line.span.stop,
        full_start=line.span.full_start,
        full_stop=line.span.full_stop,
        box_xyxy=_film_box(line.box, factor),
        text_height_px=LETTERS_SHARE * line.text_height * factor,
        score=line.score,
        path=tuple(
            PathPoint(at, round(dx * factor), round(dy * factor), scale)
            for at, dx, dy, scale in line.path
        ),
    )


def oversize_event(text: Oversize, factor: float) -> Event:
    """Return the event of text that is too large to be tracked, first to last sample."""
    return _steady_event(text.first, text.last + 1, _film_box(text.box, factor), text.score)


def stretch_event(stretch: Stretch, factor: float) -> Event:
    """Return the event of text that stays and is no source of pixels; without a score."""
    return _steady_event(stretch.start, stretch.stop, _film_box(stretch.box, factor), 0.0)


def _steady_event(start: int, stop: int, box: BoxXyxy, score: float) -> Event:
    """Return an event that is opaque in all its frames ``[start, stop)``."""
    height = min(box[2] - box[0], box[3] - box[1])
    return Event(start, stop, start, stop, box, LETTERS_SHARE * height, score)


def _film_box(box: WorkBox, factor: float) -> BoxXyxy:
    """Return a box of the working picture in pixels of the film."""
    left, top, right, bottom = (float(side) * factor for side in box)
    return left, top, right, bottom
