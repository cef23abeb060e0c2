"""Detection pass: one decode of the whole film that gives its events, cuts and timeline.

Text is searched in the regions and at the times that the settings and a subtitle file beside the
film allow. With a mask no text is searched, and the pass gives cuts and timeline only. A plan
is a detection already, and the pass gives the timeline.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeAlias

from erasecore.checkpoints import Checkpoints
from erasecore.detection.bars import ShotGeometry, text_spans
from erasecore.detection.detector import Detector
from erasecore.detection.finder import EventFinder
from erasecore.detection.recognizer import Recognizer
from erasecore.detection.scaling import Scaler
from erasecore.errors import BadPlan
from erasecore.model.events import Detection
from erasecore.planned_events import detection_of, frame_seconds
from erasecore.plans import FilmPlan
from erasecore.selection.cues import Cues, read_cues
from erasecore.selection.masks import Mask, open_mask, spans_of
from erasecore.selection.time_filter import OTHER_SCRIPT, TimeFilter, in_regions, without
from erasecore.settings import Companions, EraseSettings, PictureFrame, Script
from erasecore.system.logger import get_logger
from erasecore.text.scripts import script_of
from erasecore.text.visiting import frames_to_visit, visit_frames
from erasecore.video.orientation import regions_as_seen
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.timeline import Timeline

log = get_logger(__name__)

_MAX_REJECTED_LOGGED = 40  # largest number of rejected lines in the log; a guess
_NOTHING_AT_CUES = "no subtitle was found at the times of the .srt; without it all is searched"

ReportFrames: TypeAlias = Callable[[int], None]
"""Progress callback, given the number of frames that have been processed."""


class TextModels(Protocol):
    """Models of the detection pass; a ``ModelCache`` is one."""

    @property
    def detector(self) -> Detector:
        """Text detector."""

    def text_recognizer(self) -> Recognizer:
        """Return the text recognizer (OCR), loaded on first use."""


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


def detect_film(  # noqa: PLR0913 - all but the film's own are keyword-only
    video: VideoInfo,
    settings: EraseSettings,
    companions: Companions,
    checkpoints: Checkpoints,
    *,
    models: TextModels,
    report_frames: ReportFrames,
    plan: FilmPlan | None = None,
) -> DetectionResult:
    """Detect the subtitles of ``video``, or load the detection of an earlier attempt.

    Args:
        video: the film.
        settings: of the job.
        companions: subtitle file and mask beside the film.
        checkpoints: the detection is loaded from and stored in it.
        models: find text in pictures, and read it if scripts are asked for.
        report_frames: progress callback.
        plan: for this film; it takes the place of detection, regions, times and subtitle file.

    Raises:
        BadSubtitleFile, BadMask, BadPlan: a file beside the film cannot be used.
    """
    if plan is not None:
        return _obey(plan, video, companions, checkpoints, report_frames)
    cues = read_cues(Path(companions.cues), video.path) if companions.cues else None
    times = TimeFilter(settings.detect.times, cues.ranges if cues else None)
    if companions.mask:
        name = settings.mask or Path(companions.mask).name
        mask = open_mask(
            Path(companions.mask), video, name, picture_frame=settings.detect.regions_frame
        )
        return _detect_masked(video, mask, times, checkpoints, report_frames)
    detection, timeline = _known(checkpoints) or _detect_text(
        video, settings, times, checkpoints, models=models, report_frames=report_frames
    )
    everywhere = not settings.detect.times and cues is None
    return DetectionResult(detection, timeline, None, _warnings(cues, detection), everywhere)


def _known(checkpoints: Checkpoints) -> tuple[Detection, Timeline] | None:
    """Return what an earlier attempt has detected, and log it."""
    stored = checkpoints.load_detection()
    if stored is not None:
        log.info("text.known", events=len(stored[0].events), reason="found by an earlier attempt")
    return stored


def _detect_text(
    video: VideoInfo,
    settings: EraseSettings,
    times: TimeFilter,
    checkpoints: Checkpoints,
    *,
    models: TextModels,
    report_frames: ReportFrames,
) -> tuple[Detection, Timeline]:
    """Search the film for text; store the detection and the timeline as a checkpoint."""
    size = video.width, video.height
    detect = replace(
        settings.detect,
        regions=regions_as_seen(settings.detect, video.orientation, size),
        regions_frame=PictureFrame.SEEN,
    )
    finder = EventFinder(video.layout, size, video.rate, settings=detect, detector=models.detector)

    def observe(frame: Frame) -> None:
        seconds = _pts_seconds(video, frame.pts)
        finder.add(frame, search=times.covers(seconds), seconds=seconds)

    timeline = _decode_all(video, observe, report_frames)
    detection = times.apply(finder.finish(), lambda frame: _frame_seconds(video, timeline, frame))
    detection = in_regions(
        detection, detect.regions, size, lambda frame: _frame_seconds(video, timeline, frame)
    )
    if detect.scripts:
        detection = _in_scripts(
            detection, video, timeline, detect.scripts, models.text_recognizer()
        )
    checkpoints.save_detection(detection, timeline)
    _log_detection(detection, float(video.rate))
    return detection, timeline


def _obey(
    plan: FilmPlan,
    video: VideoInfo,
    companions: Companions,
    checkpoints: Checkpoints,
    report_frames: ReportFrames,
) -> DetectionResult:
    """Return the detection that ``plan`` stands for.

    It is made anew in every attempt, since the plan may have been edited meanwhile; only the
    timeline comes from a checkpoint.

    Raises:
        BadPlan: there is a mask as well, or the plan counts other frames than the film has.
    """
    plan_file = Path(companions.plan)
    if companions.mask:
        raise BadPlan(plan_file, "lies beside a mask; take one of them away.")
    stored = checkpoints.load_detection()
    timeline = stored[1] if stored else _decode_all(video, lambda _: None, report_frames)
    if len(timeline) != plan.film.frames:
        counted = f"is for {plan.film.frames} frames, and the film has {len(timeline)}"
        raise BadPlan(plan_file, f"{counted}; make a new one.")
    try:
        detection = detection_of(plan, frame_seconds(video, timeline))
    except ValueError as error:
        raise BadPlan(
            plan_file, f"its measurements are damaged ({error}); make a new one."
        ) from error
    checkpoints.save_detection(detection, timeline)
    log.info("plan.obeyed", events=len(detection.events), left_alone=len(detection.rejected))
    facts = plan.detection
    return DetectionResult(detection, timeline, None, facts.warnings, facts.everywhere)


def _in_scripts(
    detection: Detection,
    video: VideoInfo,
    timeline: Timeline,
    scripts: tuple[Script, ...],
    recognizer: Recognizer,
) -> Detection:
    """Return ``detection`` without the events whose text is in another script than ``scripts``."""
    frames = frames_to_visit(detection.events)
    visit = visit_frames(video, timeline, frames, detection.events, recognizer, lambda _: None)
    script = dict(zip(detection.events, map(script_of, visit.texts), strict=True))
    return without(detection, lambda event: script[event] in scripts, OTHER_SCRIPT)


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
