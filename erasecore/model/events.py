"""What detection says of a film: its subtitles, what was turned down and why, and its cuts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read in one picture of a line."""

    text: str  # in the order of speech; no space at its ends
    score: float  # 0 to 1, the mean over its letters
    weakest: float  # 0 to 1, that of its least certain letter
    covered: float  # 0 to 1: share of the line's width that lies near a letter it knows


NOTHING = Reading("", 0.0, 0.0, 0.0)


BoxXyxy = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of text on screen: where, and the frames on which any of its ink shows."""

    start: int  # first frame with any ink, fades included
    stop: int  # first frame after it
    full_start: int  # [full_start, full_stop): it is as opaque as it gets
    full_stop: int
    box_xyxy: BoxXyxy  # pixels of the stored picture's luma
    text_height_px: float  # of one line's letters, from the top of a k to the bottom of a p
    score: float  # 0 to 1

    @property
    def reach_px(self) -> float:
        """How far beyond its box any of its ink may lie: outline, shadow, plate; almost a line."""
        return 0.9 * self.text_height_px + 6

    def shows_at(self, frame: int) -> bool:
        """Whether any of its ink shows on a frame of the film."""
        return self.start <= frame < self.stop


@dataclass(frozen=True, slots=True)
class Detection:
    """All that one pass over a film found; the checkpoint between detection and erasing."""

    events: tuple[Event, ...]  # by start, then top to bottom
    rejected: tuple[tuple[Event, str], ...]  # text that is left alone, and why
    cuts: tuple[int, ...]  # first frame after each cut
    frames: int

    def to_json(self) -> str:
        """The record as text; the same record gives the same text."""
        return json.dumps(asdict(self), indent=1, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Detection:
        """The record that ``to_json`` wrote.

        Raises:
            ValueError: the text is not such a record.
        """
        try:
            raw = json.loads(text)
            return cls(
                events=tuple(_event(item) for item in raw["events"]),
                rejected=tuple((_event(item), str(why)) for item, why in raw["rejected"]),
                cuts=tuple(int(cut) for cut in raw["cuts"]),
                frames=int(raw["frames"]),
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a detection record: {error!r}") from error


def _event(raw: dict[str, object]) -> Event:
    """The event in one entry of a record; its box is a list there."""
    fields = dict(raw)
    box = fields.pop("box_xyxy")
    if not isinstance(box, list) or len(box) != 4:
        raise TypeError(f"box_xyxy has four numbers, found {box!r}")
    left, top, right, bottom = (float(side) for side in box)
    return Event(box_xyxy=(left, top, right, bottom), **fields)  # type: ignore[arg-type]
