"""Segments and clips: how a film is divided; and how the ink of an event was taken away."""

from __future__ import annotations

from dataclasses import dataclass

from erasecore.model.events import Event
from erasecore.video.color import Box, PlaneLayout

CLIP_BYTES = 128 * 1024 * 1024
"""The most a clip's pixels usually take; longer ones are worked on in overlapping parts."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Frames ``[start, stop)`` that are erased, encoded and stored as one resumable unit."""

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Clip:
    """Frames ``[start, stop)`` of a rectangle; those in ``[fill_start, fill_stop)`` need work.

    ``events`` are all whose ink can be seen in it, also those outside the fill span. ``wider`` is
    the rectangle around ``box`` that an engine asks for, ``beside`` the events seen only there.
    """

    start: int
    stop: int
    fill_start: int
    fill_stop: int
    box: Box
    events: tuple[Event, ...]
    wider: Box | None = None
    beside: tuple[Event, ...] = ()

    def fills(self, event: Event) -> bool:
        """Whether frames of ``event`` are filled in it."""
        return event.start < self.fill_stop and event.stop > self.fill_start


@dataclass(frozen=True, slots=True)
class Picture:
    """The size and layout that clips are planned for, and the most one of them may take."""

    width: int
    height: int
    layout: PlaneLayout
    clip_bytes: int = CLIP_BYTES


@dataclass(frozen=True, slots=True)
class EventShare:
    """How the ink of one event was taken away, in pixels summed over a clip's filled frames."""

    event: Event
    unblended: int
    propagated: int
    invented: int
    diffused: int
    confidence: float  # 0 to 1, the mean over its filled pixels

    @property
    def filled_px(self) -> int:
        """The pixels of which nothing could be seen through the ink."""
        return self.propagated + self.invented + self.diffused

    @property
    def ink_px(self) -> int:
        """All pixels that were ink."""
        return self.unblended + self.filled_px
