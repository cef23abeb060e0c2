"""Detected subtitles (events), rejected text and cuts of a film; the text that was read (OCR)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np

from erasecore.model.picture_areas import PictureArea


@dataclass(frozen=True, slots=True)
class Reading:
    """Text that the recognizer (OCR) read in one picture of a line."""

    text: str  # in reading order, stripped
    score: float  # 0 to 1, mean confidence of its letters
    weakest: float  # 0 to 1, confidence of its least certain letter
    covered: float  # 0 to 1, share of the line's width that is near a recognized letter


NO_READING = Reading("", 0.0, 0.0, 0.0)
"""Reading of a line that was not read, or in which no letter was recognized."""

BoxXyxy = tuple[float, float, float, float]
"""Left, top, right and bottom; luma pixels of the picture as it is seen."""


class Pose(NamedTuple):
    """Pose of a line in one frame: pixels right and down of its place, and its size there."""

    dx: int
    dy: int
    scale: float = 1.0  # about the middle of its box


class PathPoint(NamedTuple):
    """Pose of a line in one film frame: pixels right and down of its place, and its size there."""

    frame: int
    dx: int
    dy: int
    scale: float = 1.0  # about the middle of its box

    @property
    def slides(self) -> bool:
        """True if the line is beside its place, in its size."""
        return self.scale == 1 and (self.dx, self.dy) != (0, 0)


def posed_box(box: Sequence[float], point: PathPoint) -> BoxXyxy:
    """Return the box (left, top, right, bottom) of a line at a point of its path."""
    left, top, right, bottom = (float(side) for side in box)
    x, y = (left + right) / 2 + point.dx, (top + bottom) / 2 + point.dy
    wide, high = point.scale * (right - left) / 2, point.scale * (bottom - top) / 2
    return x - wide, y - high, x + wide, y + high


def swept_box(box: Sequence[float], path: Iterable[PathPoint]) -> list[float]:
    """Return the bounding box of a line at its place and along its path: left, top, right, bottom.

    Args:
        box: at its place: left, top, right, bottom.
        path: in the same pixels.
    """
    boxes = np.array([box, *(posed_box(box, point) for point in path)], np.float64)
    return [*boxes[:, :2].min(axis=0).tolist(), *boxes[:, 2:].max(axis=0).tolist()]


@dataclass(frozen=True, slots=True)
class Event:
    """One subtitle line on screen: its bounding box and the film frames that show its ink."""

    start: int  # first frame with any ink, fades included
    stop: int  # first frame without ink after it
    full_start: int  # first frame at full opacity
    full_stop: int  # first frame after the last one at full opacity
    box_xyxy: BoxXyxy
    text_height_px: float  # from the top of a k to the bottom of a p
    score: float  # 0 to 1, confidence of the text detector
    path: tuple[PathPoint, ...] = ()  # frames in which it slides or pops in or out, by frame

    @property
    def swept_xyxy(self) -> BoxXyxy:
        """Bounding box of the line at its place and along its path."""
        left, top, right, bottom = swept_box(self.box_xyxy, self.path)
        return left, top, right, bottom

    @property
    def reach_px(self) -> float:
        """Largest distance of its ink (outline, shadow, plate) from its box, px; a guess."""
        return 0.9 * self.text_height_px + 6

    def shows_at(self, frame: int) -> bool:
        """Return True if its ink shows in film frame ``frame``."""
        return self.start <= frame < self.stop

    def pose_at(self, frame: int) -> Pose | None:
        """Return how it stands in ``frame``; ``None`` at its place, in its size."""
        return next((Pose(*point[1:]) for point in self.path if point.frame == frame), None)


@dataclass(frozen=True, slots=True)
class Detection:
    """Result of the detection pass over a film; stored as a checkpoint before erasing."""

    events: tuple[Event, ...]  # to be erased; by start, then top to bottom
    rejected: tuple[tuple[Event, str], ...]  # text that stays (e.g. scene text), with the reason
    cuts: tuple[int, ...]  # first frame of each shot but the first
    frames: int  # of the whole film
    picture_areas: tuple[PictureArea, ...] = ()  # of the shots that have bars, in order
    forbidden: tuple[Event, ...] = ()  # text near events that nobody accepted: no pixels' source

    def to_json(self) -> str:
        """Return the record as JSON; equal records give equal text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Detection:
        """Return the record that ``to_json`` wrote.

        Raises:
            ValueError: ``text`` is not such a record.
        """
        try:
            raw = json.loads(text)
            return cls(
                events=tuple(_event(item) for item in raw["events"]),
                rejected=tuple((_event(item), str(why)) for item, why in raw["rejected"]),
                cuts=tuple(int(cut) for cut in raw["cuts"]),
                frames=int(raw["frames"]),
                picture_areas=tuple(map(_picture_area, raw["picture_areas"])),
                forbidden=tuple(_event(item) for item in raw.get("forbidden", ())),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a detection record: {error!r}") from error


def _picture_area(raw: dict[str, Any]) -> PictureArea:
    """Return the area of one JSON object.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or of the wrong type.
    """
    box, edge_box = (
        (int(a), int(b), int(c), int(d)) for a, b, c, d in (raw["box"], raw["edge_box"])
    )
    return PictureArea(int(raw["start"]), int(raw["stop"]), box, edge_box)


def _event(raw: dict[str, object]) -> Event:
    """Return the event of one JSON object; JSON turned its box into a list.

    Raises:
        KeyError, TypeError: a field is missing, unknown or of the wrong type.
    """
    fields = dict(raw)
    box = fields.pop("box_xyxy")
    if not isinstance(box, list) or len(box) != 4:
        raise TypeError(f"box_xyxy has four numbers, found {box!r}")
    left, top, right, bottom = (float(side) for side in box)
    path = _path(fields.pop("path", ()))
    return Event(box_xyxy=(left, top, right, bottom), path=path, **fields)  # type: ignore[arg-type]


def _path(raw: object) -> tuple[PathPoint, ...]:
    """Return the path of one JSON object.

    Raises:
        TypeError: it is no list of four numbers each.
    """
    if not isinstance(raw, (list, tuple)):
        raise TypeError(f"path is a list, found {raw!r}")
    points = []
    for point in raw:
        if not isinstance(point, list) or len(point) != len(PathPoint._fields):
            raise TypeError(f"a point of a path has four numbers, found {point!r}")
        frame, dx, dy = (int(value) for value in point[:3])
        points.append(PathPoint(frame, dx, dy, float(point[3])))
    return tuple(points)
