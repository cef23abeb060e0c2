"""What is to be erased in a film, and when each of its frames is shown: one pass over it.

Text is looked for, where and when the settings and a subtitle file beside the film allow it; or a
mask says what goes, and only cuts are looked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import structlog

from erasecore.checkpoints import Checkpoints
from erasecore.detect.detector import Detector
from erasecore.detect.finder import EventFinder
from erasecore.detect.scaling import Scaler
from erasecore.detect.shots import ShotFinder
from erasecore.model.events import Detection
from erasecore.selection.cues import Cues, read_cues
from erasecore.selection.masks import Mask, open_mask, spans_of
from erasecore.selection.time_filter import TimeFilter
from erasecore.settings import Companions, EraseSettings
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.timeline import Timeline

log = structlog.get_logger(__name__)

_TOLD_REFUSALS = 40  # lines of text left alone that the log names
_NOTHING_AT_CUES = (
    "no subtitle was found at the times of the .srt beside the film; without it all is searched"
)

Tell: TypeAlias = Callable[[int], None]
"""Told how many frames have been gone through."""


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """What is to be erased, and when each frame is shown.

    Attributes:
        detection: events, cuts, and text that is left alone.
        timeline: the film's stamps.
        mask: what gives the events' ink; ``None`` where it is to be told from the picture.
        warnings: what the film's report is to say.
    """

    detection: Detection
    timeline: Timeline
    mask: Mask | None = None
    warnings: tuple[str, ...] = ()

    def close(self) -> None:
        """Let go of the mask's file."""
        if self.mask is not None:
            self.mask.close()


def detect_film(
    video: VideoInfo,
    settings: EraseSettings,
    companions: Companions,
    workspace: Checkpoints,
    *,
    detector: Detector,
    tell: Tell,
) -> DetectionResult:
    """What is to be erased in ``video``, from one pass over it or from an earlier attempt's.

    Raises:
        BadSubtitleFile, BadMask: a file that came with the film cannot be used.
    """
    cues = read_cues(Path(companions.cues), video.path) if companions.cues else None
    times = TimeFilter(settings.detect.times, cues.ranges if cues else None)
    if companions.mask:
        mask = open_mask(Path(companions.mask), video, settings.mask or Path(companions.mask).name)
        return _find_masked(video, mask, times, workspace, tell)
    stored = workspace.load_detection()
    if stored is not None:
        log.info("text.known", events=len(stored[0].events), reason="found by an earlier attempt")
    detection, timeline = stored or _find_text(
        video, settings, times, workspace, detector=detector, tell=tell
    )
    return DetectionResult(detection, timeline, None, _warnings(cues, detection))


def _find_text(
    video: VideoInfo,
    settings: EraseSettings,
    times: TimeFilter,
    workspace: Checkpoints,
    *,
    detector: Detector,
    tell: Tell,
) -> tuple[Detection, Timeline]:
    """The film's text, and its stamps; kept for a later attempt."""
    size = video.width, video.height
    finder = EventFinder(
        video.layout, size, video.rate, settings=settings.detect, detector=detector
    )

    def observe(frame: Frame) -> None:
        seconds = _seconds(video, frame.pts)
        finder.add(frame, search=times.covers(seconds), seconds=seconds)

    timeline = _go_through(video, observe, tell)
    detection = times.applied(finder.finish(), lambda frame: _shown_at(video, timeline, frame))
    workspace.save_detection(detection, timeline)
    _log_detection(detection, float(video.rate))
    return detection, timeline


def _find_masked(
    video: VideoInfo, mask: Mask, times: TimeFilter, workspace: Checkpoints, tell: Tell
) -> DetectionResult:
    """The mask's areas in the frames in which subtitles are wanted."""
    stored = workspace.load_detection()
    detection, timeline = stored or _find_cuts(video, tell)
    shown = (times.wants_at(_seconds(video, int(pts))) for pts in timeline.pts)
    events = mask.events(detection.frames, spans_of(shown), tell)
    detection = replace(detection, events=events)
    workspace.save_detection(detection, timeline)
    log.info("mask.read", events=len(events), cuts=len(detection.cuts), frames=detection.frames)
    return DetectionResult(detection, timeline, mask)


def _find_cuts(video: VideoInfo, tell: Tell) -> tuple[Detection, Timeline]:
    """The film's cuts alone, and its stamps."""
    shots, scaler = ShotFinder(), Scaler(video.width, video.height, video.layout)
    timeline = _go_through(video, lambda frame: shots.add(scaler.luma(frame.planes)), tell)
    return Detection((), (), shots.finish(), len(timeline)), timeline


def _go_through(video: VideoInfo, observe: Callable[[Frame], None], tell: Tell) -> Timeline:
    """Have ``observe`` see every frame of the film; its stamps."""
    with FrameReader(video) as reader:
        for frame in reader:
            observe(frame)
            tell(frame.index + 1)
        return reader.timeline()


def _seconds(video: VideoInfo, pts: int) -> float:
    """When a frame is shown, on the clock that players show."""
    return float(pts * video.time_base - video.clock_zero)


def _shown_at(video: VideoInfo, timeline: Timeline, frame: int) -> float:
    """When a frame is shown, on the same clock; the film's end for the frame after the last."""
    return _seconds(video, timeline.stamp_of(frame))


def _warnings(cues: Cues | None, detection: Detection) -> tuple[str, ...]:
    if cues is None:
        return ()
    return cues.warnings if detection.events else (*cues.warnings, _NOTHING_AT_CUES)


def _log_detection(detection: Detection, rate: float) -> None:
    """Say what was found, and of some of what was left alone why."""
    log.info(
        "text.found",
        events=len(detection.events),
        left_alone=len(detection.rejected),
        cuts=len(detection.cuts),
        frames=detection.frames,
    )
    for event, why in detection.rejected[:_TOLD_REFUSALS]:
        box = [round(side) for side in event.box_xyxy]
        log.info("text.left_alone", why=why, at_seconds=round(event.start / rate, 2), box_xyxy=box)
