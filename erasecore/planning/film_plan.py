"""Plan of a film: detection and reading only, with a contact sheet and a forecast.

The detection is that of the pipeline. A few frames are visited afterwards, to read the text of each
object and to keep small pictures; what must be invented, duration and size are estimated.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from erasecore.checkpoints import Checkpoints
from erasecore.detection_pass import DetectionResult, detect_film
from erasecore.errors import BadPlan
from erasecore.model.events import Detection, Event
from erasecore.planned_events import facts_of, frame_seconds, objects_of, texts_in_order
from erasecore.planning.contact_sheet import save_contact_sheet
from erasecore.planning.forecast import erase_seconds, hidden_parts, invented_shares, result_bytes
from erasecore.plans import Expectation, FilmIdentity, FilmPlan, PlannedObject, seconds_rounded
from erasecore.reports import Stage
from erasecore.resources import ModelCache
from erasecore.settings import Companions, EraseSettings
from erasecore.system.logger import get_logger
from erasecore.system.progress import PLAN_SHARES, BrokenOff, Observe, ProgressReporter
from erasecore.text.visiting import Visit, frames_to_visit, visit_frames
from erasecore.video.encoders import fit_container
from erasecore.video.probe import VideoInfo, probe

log = get_logger(__name__)

SHEET = "plan.jpg"
"""Name of the contact sheet in the job's folder."""
MAX_READ = 400
"""Kept objects whose text is read, longest first: a film may show hundreds of signs. A guess."""
_DETECTED_SHARE = 0.85  # of a plan's time that detection takes; a guess


@dataclass(frozen=True, slots=True)
class _Planning:
    """Arguments of one ``plan_film`` call, and what detection has found."""

    video: VideoInfo
    found: DetectionResult
    settings: EraseSettings
    models: ModelCache
    reporter: ProgressReporter
    detect_seconds: float


def plan_film(
    source: Path,
    folder: Path,
    settings: EraseSettings,
    *,
    models: ModelCache,
    observe: Observe,
    companions: Companions,
) -> FilmPlan:
    """Return the plan of the film ``source``, and write its contact sheet to ``folder``.

    Args:
        source: the film; not modified.
        folder: of this job alone; exists.
        settings: of this job.
        models: detector and recognizer.
        observe: progress callback; an exception that it raises ends the work, and is raised.
        companions: subtitle file beside the film.

    Returns:
        The plan; ``film.sha256`` is empty, since the caller hashes files.

    Raises:
        InputError: the film cannot be processed, or has a mask, which takes the place of a plan.
        HostError, OutOfMemory: this machine lacks something.
    """
    if companions.mask:
        raise BadPlan(source, "has a mask, which says what is erased; there is nothing to plan.")
    reporter = ProgressReporter(observe, PLAN_SHARES)
    try:
        return _plan(source, folder, settings, models, companions, reporter=reporter)
    except BrokenOff as broken_off:
        raise broken_off.error from None


def _plan(
    source: Path,
    folder: Path,
    settings: EraseSettings,
    models: ModelCache,
    companions: Companions,
    *,
    reporter: ProgressReporter,
) -> FilmPlan:
    video = fit_container(probe(source, settings.limits), settings.encode)
    video = replace(video, threads=models.host.threads)
    reporter.pixels = video.width * video.height
    reporter.report(Stage.PROBE, 1, 1)
    started = time.monotonic()
    found = detect_film(
        video,
        settings,
        companions,
        Checkpoints(folder, source, settings, companions),
        models=models,
        report_frames=lambda done: reporter.report(
            Stage.DETECT, _DETECTED_SHARE * done, video.frames_estimate
        ),
    )
    with closing(found):
        took = time.monotonic() - started
        planning = _Planning(video, found, settings, models, reporter, took)
        plan = _planned(planning, folder / SHEET)
    log.info("film.planned", objects=len(plan.objects), seconds=plan.expected.seconds)
    return plan


def _planned(planning: _Planning, sheet: Path) -> FilmPlan:
    """Return the plan, and write the contact sheet."""
    video, found = planning.video, planning.found
    seconds = frame_seconds(video, found.timeline)
    parts = hidden_parts(
        found.detection.events,
        found.detection.cuts,
        frames=len(found.timeline),
        rate=float(video.rate),
    )
    read = _worth_reading(found.detection)
    sheet_frames = frames_to_visit([event for _, event in read])
    visit = _visit(planning, read, {*sheet_frames, *(frame for one in parts for frame in one.ends)})
    shares = invented_shares(found.detection.events, parts, visit.levels, video.width)
    texts = dict(zip((position for position, _ in read), visit.texts, strict=True))
    objects = _completed(objects_of(found.detection, seconds), texts, shares)
    plan = FilmPlan(
        _identity(video, len(found.timeline), float(seconds[-1])),
        objects,
        expected=_expected(planning, objects),
        detection=facts_of(found.detection, found.everywhere, found.warnings),
    )
    pictures = {frame: visit.pictures[frame] for frame in sheet_frames}
    times = {frame: float(seconds[frame]) for frame in sheet_frames}
    size = video.width, video.height
    save_contact_sheet(sheet, _title(plan), pictures, objects, size=size, times=times)
    return plan


def _worth_reading(detection: Detection) -> list[tuple[int, Event]]:
    """Return the objects that are read, each with its position: all erased, the longest kept."""
    texts = list(enumerate(texts_in_order(detection)))
    kept = [(k, event) for k, (event, erase, _) in texts if not erase]
    kept.sort(key=lambda item: item[1].start - item[1].stop)
    return [(k, event) for k, (event, erase, _) in texts if erase] + kept[:MAX_READ]


def _visit(planning: _Planning, read: list[tuple[int, Event]], frames: set[int]) -> Visit:
    """Visit ``frames`` of the film and read the objects ``read``."""
    total = len(planning.found.timeline)
    return visit_frames(
        planning.video,
        planning.found.timeline,
        sorted(frames),
        [event for _, event in read],
        planning.models.text_recognizer() if read else None,
        lambda done: planning.reporter.report(
            Stage.DETECT,
            (_DETECTED_SHARE + (1 - _DETECTED_SHARE) * done / len(frames)) * total,
            total,
        ),
    )


def _completed(
    objects: tuple[PlannedObject, ...], texts: dict[int, str], shares: list[float]
) -> tuple[PlannedObject, ...]:
    """Return the objects with their text and, if they are erased, what must be invented."""
    invented = iter(shares)
    return tuple(
        replace(
            one,
            text=texts.get(position, ""),
            invent=round(min(1.0, next(invented)), 2) if one.erase else 0.0,
        )
        for position, one in enumerate(objects)
    )


def _identity(video: VideoInfo, frames: int, seconds: float) -> FilmIdentity:
    size_bytes = video.path.stat().st_size
    end = seconds_rounded(seconds)
    return FilmIdentity(size_bytes, "", video.width, video.height, frames, end)


def _expected(planning: _Planning, objects: tuple[PlannedObject, ...]) -> Expectation:
    """Return the forecast; a film without subtitles is copied."""
    video, found = planning.video, planning.found
    erased = [one for one in objects if one.erase]
    if not erased:
        return Expectation(round(planning.detect_seconds, 1), video.path.stat().st_size)
    encode = planning.models.limit_encoder_threads(planning.settings).encode
    size = result_bytes(video, found.timeline, encode, found.detection.cuts)
    pixels = float(video.width * video.height * len(found.timeline))
    seconds = erase_seconds(planning.detect_seconds, found.detection.events, pixels)
    areas = [_visible_area(one) for one in erased]
    invented = sum(one.invent * area for one, area in zip(erased, areas, strict=True))
    hardest = max(zip(erased, areas, strict=True), key=lambda pair: (pair[0].invent, pair[1]))[0]
    return Expectation(
        round(seconds, 1),
        size,
        round(invented / max(1.0, sum(areas)), 2),
        seconds_rounded((hardest.start + hardest.stop) / 2),
    )


def _visible_area(one: PlannedObject) -> float:
    """Return the area of an object times its duration, pixels x seconds."""
    left, top, right, bottom = one.box
    return (right - left) * (bottom - top) * (one.stop - one.start)


def _title(plan: FilmPlan) -> str:
    """Return the line above the contact sheet."""
    erased = sum(one.erase for one in plan.objects)
    return (
        f"{erased} to erase (red), {len(plan.objects) - erased} to keep (green); "
        f"{plan.expected.invent:.0%} of the erased pixels to invent"
    )
