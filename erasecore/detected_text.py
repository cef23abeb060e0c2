"""The public records of what detection has found in a film, with times in seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.detection_pass import DetectionResult
from erasecore.model.events import Event
from erasecore.video.probe import VideoInfo


@dataclass(frozen=True, slots=True)
class DetectedText:
    """A line of burned-in text that ``detect`` has found."""

    start: int  # first frame with any of its ink, fades included
    stop: int  # first frame after it
    start_seconds: float  # when ``start`` is shown, on the clock that players show
    stop_seconds: float  # when ``stop`` is shown; the film's end if there is no such frame
    box_xyxy: tuple[float, float, float, float]  # left, top, right, bottom; seen picture's px
    text_height_px: float  # of its letters, from the top of a k to the bottom of a p
    score: float  # 0 to 1
    rejected_because: str = ""  # why it is left in the picture; "" for what ``erase`` takes away

    def shows_at(self, frame: int) -> bool:
        """Return True if any of its ink shows on a frame of the film."""
        return self.start <= frame < self.stop


@dataclass(frozen=True, slots=True, eq=False)
class Detection:
    """All that ``detect`` has found in a film.

    Frames are numbered from 0 in the order in which they are shown. Times are in seconds on the
    clock that players show, 0 at the film's start. Boxes and sizes are those of the picture as it
    is seen: the rotation that a film asks for is applied, so a portrait film is upright.

    Attributes:
        events: the subtitles, by ``start``, then top to bottom; ``erase`` takes these away.
        rejected: text that is left in the picture (signs, logos), and why.
        cuts: first frame after each hard cut.
        frame_seconds: float64 ``(frames + 1,)``, read-only: when each frame is shown; the last
            entry is the film's end.
        width: of the picture as it is seen, px.
        height: the same.
        warnings: sentences about the film or its cues.
    """

    events: tuple[DetectedText, ...]
    rejected: tuple[DetectedText, ...]
    cuts: tuple[int, ...]
    frame_seconds: NDArray[np.float64]
    width: int
    height: int
    warnings: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return len(self.frame_seconds) - 1

    def events_at(self, frame: int) -> tuple[DetectedText, ...]:
        """Return the subtitles that show on a frame."""
        return tuple(event for event in self.events if event.shows_at(frame))


def public_detection(found: DetectionResult, video: VideoInfo) -> Detection:
    """Return what was found, with times."""
    timeline, detection = found.timeline, found.detection
    stamps = np.append(timeline.pts, timeline.stamp_of(len(timeline)))
    seconds = stamps.astype(np.float64) * float(video.time_base) - float(video.clock_zero)
    seconds.flags.writeable = False
    return Detection(
        events=tuple(_text(event, seconds) for event in detection.events),
        rejected=tuple(_text(event, seconds, why) for event, why in detection.rejected),
        cuts=detection.cuts,
        frame_seconds=seconds,
        width=video.width,
        height=video.height,
        warnings=(*found.warnings, *timeline.warnings),
    )


def _text(event: Event, seconds: NDArray[np.float64], why: str = "") -> DetectedText:
    return DetectedText(
        start=event.start,
        stop=event.stop,
        start_seconds=round(float(seconds[event.start]), 6),
        stop_seconds=round(float(seconds[event.stop]), 6),
        box_xyxy=event.box_xyxy,
        text_height_px=event.text_height_px,
        score=event.score,
        rejected_because=why,
    )
