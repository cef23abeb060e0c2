"""Erasing a stretch of a film: the one that was named, or the hardest one, as a preview.

The stretch is cut out without loss and is erased as a film of its own. What was detected in the
whole film is kept: it becomes the plan of the excerpt.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from erasecore.checkpoints import Checkpoints
from erasecore.detection_pass import DetectionResult, detect_film
from erasecore.errors import InputError
from erasecore.model.boxes import area
from erasecore.model.events import Detection, Event
from erasecore.pipeline import erase
from erasecore.planned_events import facts_of, frame_seconds, objects_of
from erasecore.planning.forecast import hidden_parts
from erasecore.plans import FilmIdentity, FilmPlan, JobOptions
from erasecore.reports import EraseReport, Stage
from erasecore.resources import ModelCache
from erasecore.settings import (
    Codec,
    Companions,
    DetectSettings,
    EraseSettings,
    TimeRange,
)
from erasecore.system.progress import BrokenOff, Observe, ProgressReporter
from erasecore.video.encoders import fit_container, in_container
from erasecore.video.excerpt import EXCERPT_SUFFIX, Excerpt, cut_excerpt
from erasecore.video.probe import VideoInfo, probe

BEFORE = "before"
"""Name of the preview's film before erasing, in the job's folder."""
_PLAIN_WEIGHT = 0.1
"""Weight of an event's pixels whose background is seen somewhere, against hidden ones; a guess."""
_LEAD_SECONDS = 0.5  # of a preview before its first line appears; a guess
_CODECS = {"h264": Codec.H264, "hevc": Codec.HEVC, "av1": Codec.AV1}


@dataclass(frozen=True, slots=True)
class Stretch:
    """Stretch of a film that is to be erased: the span, or the hardest one of some length."""

    span: TimeRange | None = None
    hardest_seconds: float = 0.0  # length of a preview; 0: ``span`` is meant


@dataclass(frozen=True, slots=True)
class _Job:
    """Arguments of one ``erase_excerpt`` call."""

    source: Path
    folder: Path
    settings: EraseSettings
    companions: Companions
    models: ModelCache
    observe: Observe
    options: JobOptions


def erase_excerpt(  # noqa: PLR0913 - as ``pipeline.erase``, and the stretch
    source: Path,
    folder: Path,
    settings: EraseSettings,
    stretch: Stretch,
    *,
    models: ModelCache,
    observe: Observe,
    companions: Companions,
    options: JobOptions,
) -> EraseReport:
    """Write a stretch of ``source`` without its subtitles to ``folder``.

    A preview comes with ``before``, the same stretch encoded alike, but not erased.

    Args:
        source: the film; not modified.
        folder: of this job alone; exists.
        settings: of this job; times are those of the whole film.
        stretch: of the film.
        models: models that are loaded once and used for all films.
        observe: progress callback.
        companions: a plan beside the film; masks and subtitle files are for whole films.
        options: content of that plan, and container of the result.

    Raises:
        InputError: the film cannot be processed, has no picture then, or a mask or cues.
    """
    if companions.mask or companions.cues:
        raise InputError(source, "a mask or subtitle file is for all of the film; leave it out.")
    return _erase_stretch(
        _Job(source, folder, settings, companions, models, observe, options), stretch
    )


def _erase_stretch(job: _Job, stretch: Stretch) -> EraseReport:
    """Cut the stretch out and erase it; detect first where that needs the whole film."""
    video = probe(job.source, job.settings.limits)
    video = replace(video, threads=job.models.host.threads)
    work = job.folder / "excerpt"
    work.mkdir(exist_ok=True)
    fitted = _fitted(job, video)
    target = work / f"source{EXCERPT_SUFFIX}"
    if job.options.plan is None and stretch.span is not None:
        excerpt = cut_excerpt(video, stretch.span, target)
        return _erase(job, fitted, excerpt, None)
    with closing(_detect(job, video)) as found:
        span = stretch.span or _hardest(found, video, stretch.hardest_seconds)
        before = None if stretch.span else (fitted, job.settings.encode, job.folder / BEFORE)
        excerpt = cut_excerpt(video, span, target, before=before)
        return _erase(job, fitted, excerpt, _plan_of(excerpt, found, video))


def _fitted(job: _Job, video: VideoInfo) -> VideoInfo:
    """Return ``video`` with the container of the result."""
    if job.options.ending:
        return in_container(video, job.settings.encode, job.options.ending)
    return fit_container(video, job.settings.encode)


def _detect(job: _Job, video: VideoInfo) -> DetectionResult:
    """Detect the subtitles of the whole film, or obey its plan."""
    reporter = ProgressReporter(job.observe)
    checkpoints = Checkpoints(job.folder, job.source, job.settings, job.companions)
    try:
        return detect_film(
            video,
            job.settings,
            job.companions,
            checkpoints,
            models=job.models,
            report_frames=lambda done: reporter.report(Stage.DETECT, done, video.frames_estimate),
            plan=job.options.plan,
        )
    except BrokenOff as broken_off:
        raise broken_off.error from None


def _erase(job: _Job, film: VideoInfo, excerpt: Excerpt, plan: FilmPlan | None) -> EraseReport:
    """Erase the excerpt in the container of ``film``, and by ``plan`` if there is one."""
    encode = job.settings.encode
    if encode.codec is Codec.SOURCE:  # the excerpt has another one than the film
        encode = replace(encode, codec=_CODECS.get(film.codec, Codec.SOURCE))
    detect = _shifted(job.settings.detect, excerpt.stretch.start_seconds)
    companions = Companions(plan=job.companions.plan or str(excerpt.path)) if plan else Companions()
    return erase(
        excerpt.path,
        job.folder,
        replace(job.settings, encode=encode, detect=detect),
        models=job.models,
        observe=job.observe,
        companions=companions,
        options=JobOptions(plan, film.suffix.lower()),
    )


def _shifted(detect: DetectSettings, seconds: float) -> DetectSettings:
    """Return ``detect`` with its times on the clock of an excerpt that begins at ``seconds``."""

    def moved(times: tuple[TimeRange, ...]) -> tuple[TimeRange, ...]:
        return tuple(
            TimeRange(max(0.0, one.start_seconds - seconds), max(0.0, one.stop_seconds - seconds))
            for one in times
        )

    regions = tuple(replace(one, times=moved(one.times)) for one in detect.regions)
    return replace(detect, times=moved(detect.times), regions=regions)


def _hardest(found: DetectionResult, video: VideoInfo, seconds: float) -> TimeRange:
    """Return the stretch of ``seconds`` with most pixels that are hard to replace.

    Without any event it is the middle of the film.
    """
    times = frame_seconds(video, found.timeline)
    detection, end = found.detection, float(times[-1])
    rate = float(video.rate)
    hidden = hidden_parts(detection.events, detection.cuts, frames=detection.frames, rate=rate)
    weights = [_PLAIN_WEIGHT] * len(detection.events)
    for part in hidden:
        event = detection.events[part.event]
        weights[part.event] += (part.stop - part.start) / (event.stop - event.start)
    spans = [(float(times[event.start]), float(times[event.stop])) for event in detection.events]
    latest = max(0.0, end - seconds)
    starts = {min(latest, max(0.0, start - _LEAD_SECONDS)) for start, _ in spans} or {latest / 2}

    def hardness(start: float) -> float:
        return sum(
            weight * area(event.box_xyxy) * max(0.0, min(b, start + seconds) - max(a, start))
            for weight, event, (a, b) in zip(weights, detection.events, spans, strict=True)
        )

    best = max(sorted(starts), key=hardness)
    return TimeRange(best, min(end, best + seconds))


def _plan_of(excerpt: Excerpt, found: DetectionResult, video: VideoInfo) -> FilmPlan:
    """Return what was found in the film as the plan of an excerpt."""
    times = frame_seconds(video, found.timeline)
    first = int(np.abs(times - excerpt.stretch.start_seconds).argmin())
    last = int(np.abs(times - excerpt.stretch.stop_seconds).argmin())
    detection = _sliced(found.detection, first, last)
    seconds = times[first : last + 1] - times[first]
    size_bytes = excerpt.path.stat().st_size
    end = float(seconds[-1])
    film = FilmIdentity(size_bytes, "", video.width, video.height, last - first, end)
    facts = facts_of(detection, found.everywhere, found.warnings)
    return FilmPlan(film, objects_of(detection, seconds), detection=facts)


def _sliced(detection: Detection, first: int, last: int) -> Detection:
    """Return what was detected in the frames ``[first, last)``, counted from ``first``."""

    def moved(event: Event) -> Event:
        def clipped(frame: int) -> int:
            return min(max(frame, first), last) - first

        path = tuple((at - first, *rest) for at, *rest in event.path if first <= at < last)
        return replace(
            event,
            start=clipped(event.start),
            stop=clipped(event.stop),
            full_start=clipped(event.full_start),
            full_stop=clipped(event.full_stop),
            path=path,  # type: ignore[arg-type]
        )

    def shown(event: Event) -> bool:
        return event.start < last and event.stop > first

    return replace(
        detection,
        events=tuple(moved(event) for event in detection.events if shown(event)),
        rejected=tuple((moved(one), why) for one, why in detection.rejected if shown(one)),
        cuts=tuple(cut - first for cut in detection.cuts if first < cut < last),
        frames=last - first,
        picture_areas=tuple(
            replace(one, start=max(first, one.start) - first, stop=min(last, one.stop) - first)
            for one in detection.picture_areas
            if one.start < last and one.stop > first
        ),
        forbidden=tuple(moved(event) for event in detection.forbidden if shown(event)),
    )
