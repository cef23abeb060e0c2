"""Detection pass: one decode of the whole film that gives its events, cuts and timeline.

Text is searched in the regions and at the times that the settings and a subtitle file beside the
film allow. With a mask no text is searched, and the pass gives the cuts and the timeline only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from erasecore.checkpoints import Checkpoints
from erasecore.detection.bars import ShotGeometry, text_spans
from erasecore.detection.detector import Detector
from erasecore.detection.finder import EventFinder
from erasecore.detection.scaling import Scaler
from erasecore.model.events import Detection
from erasecore.selection.cues import Cues, read_cues
from erasecore.selection.masks import Mask, open_mask, spans_of
from erasecore.selection.time_filter import TimeFilter
from erasecore.settings import Companions, EraseSettings, PictureFrame
from erasecore.system.logger import get_logger
from erasecore.video.orientation import regions_as_seen
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.timeline import Timeline

log = get_logger(__name__)

_MAX_REJECTED_LOGGED = 40  # largest number of rejected lines in the log; a guess
_NOTHING_AT_CUES = "no subtitle was found at the times of the .srt; without it all is searched"

ReportFrames: TypeAlias = Callable[[int], None]
"""Progress callback, given the number of frames that have been processed."""


@dataclass(frozen=True, slots=True)
class DetectionResult:
    """Result of the detection pass.

    Attributes:
        detection: events, cuts and rejected text.
        timeline: presentation time stamps of the film.
        mask: gives the ink of the events; ``None`` if the ink is estimated from the pixels.
        warnings: sentences for the film's report.
        everywhere: True if text was searched in the whole film, not at some times only.
    """

    detection: Detection
    timeline: Timeline
    mask: Mask | None = None
    warnings: tuple[str, ...] = ()
    everywhere: bool = True

    def close(self) -> None:
        """Close the mask's file."""
        if self.mask is not None:
            self.mask.close()


def detect_film(
    video: VideoInfo,
    settings: EraseSettings,
    companions: Companions,
    checkpoints: Checkpoints,
    *,
    detector: Detector,
    report_frames: ReportFrames,
) -> DetectionResult:
    """Detect the subtitles of ``video``, or load the detection of an earlier attempt.

    Args:
        video: the film.
        settings: of the job.
        companions: subtitle file and mask beside the film.
        checkpoints: the detection is loaded from and stored in it.
        detector: finds text in pictures.
        report_frames: progress callback.

    Raises:
        BadSubtitleFile, BadMask: a file beside the film cannot be used.
    """
    cues = read_cues(Path(companions.cues), video.path) if companions.cues else None
    times = TimeFilter(settings.detect.times, cues.ranges if cues else None)
    if companions.mask:
        name = settings.mask or Path(companions.mask).name
        mask = open_mask(
            Path(companions.mask), video, name, picture_frame=settings.detect.regions_frame
        )
        return _detect_masked(video, mask, times, checkpoints, report_frames)
    stored = checkpoints.load_detection()
    if stored is not None:
        log.info("text.known", events=len(stored[0].events), reason="found by an earlier attempt")
    detection, timeline = stored or _detect_text(
        video, settings, times, checkpoints, detector=detector, report_frames=report_frames
    )
    everywhere = not settings.detect.times and cues is None
    return DetectionResult(detection, timeline, None, _warnings(cues, detection), everywhere)


def _detect_text(
    video: VideoInfo,
    settings: EraseSettings,
    times: TimeFilter,
    checkpoints: Checkpoints,
    *,
    detector: Detector,
    report_frames: ReportFrames,
) -> tuple[Detection, Timeline]:
    """Search the film for text; store the detection and the timeline as a checkpoint."""
    size = video.width, video.height
    detect = replace(
        settings.detect,
        regions=regions_as_seen(settings.detect, video.orientation),
        regions_frame=PictureFrame.SEEN,
    )
    finder = EventFinder(video.layout, size, video.rate, settings=detect, detector=detector)

    def observe(frame: Frame) -> None:
        seconds = _pts_seconds(video, frame.pts)
        finder.add(frame, search=times.covers(seconds), seconds=seconds)

    timeline = _decode_all(video, observe, report_frames)
    detection = times.apply(finder.finish(), lambda frame: _frame_seconds(video, timeline, frame))
    checkpoints.save_detection(detection, timeline)
    _log_detection(detection, float(video.rate))
    return detection, timeline


def _detect_masked(
    video: VideoInfo,
    mask: Mask,
    times: TimeFilter,
    checkpoints: Checkpoints,
    report_frames: ReportFrames,
) -> DetectionResult:
    """Return the mask's components as events, at the times that ``times`` allow.

    The mask is read in every attempt; only the cuts and the timeline come from a checkpoint.
    """
    stored = checkpoints.load_detection()
    shots = None
    if stored is None:
        shots, timeline = _find_shots(video, report_frames)
        detection = Detection((), (), shots.finish(), len(timeline))
    else:
        detection, timeline = stored
    shown = (times.wants_at(_pts_seconds(video, int(pts))) for pts in timeline.pts)
    events = mask.events(detection.frames, spans_of(shown), report_frames)
    detection = replace(detection, events=events)
    if shots is not None:  # text hides where bars end, and the mask says where it may be
        detection = replace(detection, picture_areas=shots.picture_areas(text_spans(events)))
    checkpoints.save_detection(detection, timeline)
    log.info("mask.read", events=len(events), cuts=len(detection.cuts), frames=detection.frames)
    return DetectionResult(detection, timeline, mask, everywhere=False)


def _find_shots(video: VideoInfo, report_frames: ReportFrames) -> tuple[ShotGeometry, Timeline]:
    """Return the geometry of the film's shots, to which all frames were added, and the timeline."""
    size = video.width, video.height
    scaler, shots = Scaler(*size, video.layout), ShotGeometry(size, video.layout, float(video.rate))

    def observe(frame: Frame) -> None:
        shots.add(scaler.luma(frame.planes), frame.planes[0])

    timeline = _decode_all(video, observe, report_frames)
    return shots, timeline


def _decode_all(
    video: VideoInfo, observe: Callable[[Frame], None], report_frames: ReportFrames
) -> Timeline:
    """Decode the film once, call ``observe`` with every frame, and return the timeline."""
    with FrameReader(video) as reader:
        for frame in reader:
            observe(frame)
            report_frames(frame.index + 1)
        return reader.timeline()


def _pts_seconds(video: VideoInfo, pts: int) -> float:
    """Return a time stamp in seconds on the clock that players show."""
    return float(pts * video.time_base - video.clock_zero)


def _frame_seconds(video: VideoInfo, timeline: Timeline, frame: int) -> float:
    """Return the time of a frame on that clock; the film's end for the frame after the last."""
    return _pts_seconds(video, timeline.stamp_of(frame))


def _warnings(cues: Cues | None, detection: Detection) -> tuple[str, ...]:
    """Return warnings about the subtitle file beside the film, if there is one."""
    if cues is None:
        return ()
    return cues.warnings if detection.events else (*cues.warnings, _NOTHING_AT_CUES)


def _log_detection(detection: Detection, rate: float) -> None:
    """Log the counts, and the first rejected lines with their reasons."""
    log.info(
        "text.found",
        events=len(detection.events),
        left_alone=len(detection.rejected),
        cuts=len(detection.cuts),
        shots_with_bars=len(detection.picture_areas),
        frames=detection.frames,
    )
    for event, reason in detection.rejected[:_MAX_REJECTED_LOGGED]:
        box = [round(side) for side in event.box_xyxy]
        log.info(
            "text.left_alone", why=reason, at_seconds=round(event.start / rate, 2), box_xyxy=box
        )
