"""A film with burned-in subtitles in, the same film without them out: the whole way on a page."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import structlog

from erasecore.checkpoints import Checkpoints, SegmentRecord, copy_durably
from erasecore.detection_pass import DetectionResult, detect_film
from erasecore.engines.base import Engine
from erasecore.errors import TextRemains
from erasecore.memory.ladder import WorkloadKey
from erasecore.model.events import Event
from erasecore.recovery.memory_steps import RUNGS, MemoryStep
from erasecore.recovery.planning import plan_segments
from erasecore.report_builder import (
    clock_time,
    hardest_previews,
    late_events,
    memory_warnings,
    report_events,
    seconds_at,
    warnings_of,
)
from erasecore.reports import EraseReport, EventReport, Stage
from erasecore.resources import ModelCache
from erasecore.review.outside_mask_psnr import OutsideMaskPsnr
from erasecore.review.preview import save_preview
from erasecore.segment_runner import FilmInWork, erase_segments
from erasecore.settings import Companions, EraseSettings, OnResidual
from erasecore.system.atomic_files import whole_file
from erasecore.system.failpoints import failpoint
from erasecore.system.progress import Clock, Observe, ProgressReporter
from erasecore.text.srt import cues_of, srt_of
from erasecore.video.assemble import assemble
from erasecore.video.encoders import fit_container
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame
from erasecore.video.verify import verify

log = structlog.get_logger(__name__)

PREVIEW = "preview.jpg"
SUBTITLES = "subtitles.srt"
_TOLD_TIMES = 6  # of places with text left that an error names
_ALONE = Companions()
_NO_DOLBY = "the film's Dolby Vision layer is not kept; HDR10 is"


@dataclass(frozen=True, slots=True)
class _Job:
    """One call of ``erase``: what it was given, its clock and its voice."""

    source: Path
    folder: Path
    settings: EraseSettings
    companions: Companions
    models: ModelCache
    reporter: ProgressReporter
    clock: Clock = field(default_factory=Clock)


def erase(
    source: Path,
    folder: Path,
    settings: EraseSettings,
    *,
    models: ModelCache,
    observe: Observe,
    companions: Companions = _ALONE,
) -> EraseReport:
    """Make ``result``, ``preview.jpg`` and ``subtitles.srt`` in ``folder`` from ``source``.

    Works only inside ``folder`` and goes on from what an earlier attempt has finished there. A film
    in which no subtitle is found is copied byte for byte.

    Args:
        source: the film; not modified.
        folder: of this job alone; exists.
        settings: what is asked.
        models: loaded once, used for every film.
        observe: told about once a second how far the work is, from any thread.
        companions: files that came with the film.

    Raises:
        InputError: the film cannot be worked on; see ``erasecore.errors``.
        HostError: this machine lacks something.
        OutOfMemory: not even the smallest pieces fit.
        VerifyFailed, EngineMisbehaved: a fault of ours; nothing is to be published.
    """
    try:
        report = _erase(
            _Job(source, folder, settings, companions, models, ProgressReporter(observe))
        )
    finally:
        memory = models.ladders.close()
    return replace(report, memory=memory, warnings=(*report.warnings, *memory_warnings(memory)))


def _erase(job: _Job) -> EraseReport:
    """The same, step by step."""
    settings, tools = job.settings, job.models
    engine = tools.engine(settings, lambda: job.reporter.report(Stage.PROBE, 0, 0))
    _forget_sidecars(job.folder)
    with job.clock.stage(Stage.PROBE):
        video = _probe(job)
        workspace = Checkpoints(job.folder, job.source, settings, job.companions)
    site = WorkloadKey(f"{engine.traits.name} film", video.width, video.height)
    ladder = tools.ladders.ladder(site, RUNGS)
    return ladder.run(lambda memory_step: _erase_within(memory_step, job, video, workspace, engine))


def _erase_within(
    memory_step: MemoryStep, job: _Job, video: VideoInfo, workspace: Checkpoints, engine: Engine
) -> EraseReport:
    """One try at the work; it goes on from what any earlier one has finished."""
    video = replace(video, threads=memory_step.decoder_threads or video.threads)
    with job.clock.stage(Stage.DETECT):
        found = _find(job, video, workspace)
    with closing(found):
        settings = memory_step.capped(job.models.capped(job.settings))
        film = FilmInWork(
            video, found, settings, engine, job.models.detector, memory_step=memory_step
        )
        if not found.detection.events:
            return _copy_untouched(job, film)
        return _erase_text(job, film, workspace)


def _forget_sidecars(folder: Path) -> None:
    """Remove what an earlier attempt has made, perhaps for another film."""
    for name in (PREVIEW, SUBTITLES):
        (folder / name).unlink(missing_ok=True)


def _probe(job: _Job) -> VideoInfo:
    """What the film is, with a container that its result fits into."""
    video = fit_container(probe(job.source, job.settings.limits), job.settings.encode)
    video = replace(video, threads=job.models.host.threads)
    job.reporter.pixels = video.width * video.height
    job.reporter.report(Stage.PROBE, 1, 1)
    log.info(
        "film.probed",
        container=video.container,
        codec=video.codec,
        size=f"{video.width}x{video.height}",
        pix_fmt=video.pix_fmt,
        rate=str(video.rate),
    )
    return video


def _find(job: _Job, video: VideoInfo, workspace: Checkpoints) -> DetectionResult:
    """What is to be erased."""
    return detect_film(
        video,
        job.settings,
        job.companions,
        workspace,
        detector=job.models.detector,
        tell=lambda done: job.reporter.report(Stage.DETECT, done, video.frames_estimate),
    )


def _copy_untouched(job: _Job, film: FilmInWork) -> EraseReport:
    """A film without subtitles, byte for byte."""
    result = job.folder / f"result{job.source.suffix}"
    copy_durably(job.source, result)
    failpoint("copy.after_result")
    return _report(film, result, job)


def _erase_text(job: _Job, film: FilmInWork, workspace: Checkpoints) -> EraseReport:
    """Erase segment by segment, put the result together, check it, keep what was read."""
    detection = film.detection
    if job.settings.srt and film.detected.mask is None:
        film = replace(film, recognizer=job.models.reader())
    with job.clock.stage(Stage.ERASE):
        length = max(1, round(job.settings.segment_seconds * float(film.video.rate)))
        segments = plan_segments(detection.frames, detection.events, detection.cuts, length=length)
        records, resumed = erase_segments(film, segments, workspace, job.reporter)
    events = report_events(records, film.timeline, film.video.time_base)
    _refuse_residual(job, events)
    with job.clock.stage(Stage.ASSEMBLE):
        result = _assemble(job, film, workspace, records)
    with job.clock.stage(Stage.VERIFY):
        erased = (*detection.events, *late_events(events, detection.events))
        checked = _check(job, film, workspace, result, erased)
        failpoint("verify.after_check")
    report = _report(film, result, job)
    if film.recognizer is not None:
        _keep_text(job, film, events)
    return replace(
        report,
        untouched=False,
        events=events,
        frames_diffused=sum(record.frames_diffused for record in records),
        segments=len(segments),
        segments_resumed=resumed,
        residual_events=sum(event.residual for event in events),
        psnr_outside=checked.psnr_outside,
        warnings=(*warnings_of(events), *report.warnings, *checked.warnings),
    )


def _assemble(
    job: _Job, film: FilmInWork, workspace: Checkpoints, records: tuple[SegmentRecord, ...]
) -> Path:
    """The result, made of all segments, and beside it the picture of the hardest places."""
    job.reporter.report(Stage.ASSEMBLE, 0, film.detection.frames)
    result = job.folder / f"result{film.video.suffix}"
    parts = [workspace.segment_video(record.number) for record in records]
    assemble(film.video, parts, film.timeline, result)
    failpoint("assemble.after_result")
    hardest = hardest_previews(records, workspace.segments, film.timeline, film.video.time_base)
    save_preview(hardest, job.folder / PREVIEW)
    failpoint("assemble.after_preview")
    return result


def _refuse_residual(job: _Job, events: tuple[EventReport, ...]) -> None:
    """Raise if text is left and the settings do not want such a film."""
    left = [event for event in events if event.residual]
    if left and job.settings.on_residual is OnResidual.FAILED:
        times = ", ".join(clock_time(event.start_seconds) for event in left[:_TOLD_TIMES])
        raise TextRemains(job.source, len(left), times)


@dataclass(frozen=True, slots=True)
class _Checked:
    """What a look at the whole result has told."""

    psnr_outside: float | None  # dB
    warnings: tuple[str, ...]


def _check(
    job: _Job, film: FilmInWork, workspace: Checkpoints, result: Path, erased: tuple[Event, ...]
) -> _Checked:
    """How near the picture away from the ink is to the source, and what could not be kept."""
    frames = film.detection.frames
    made = probe(result, film.video.limits)
    scales = film.video.layout.scale, made.layout.scale
    fidelity = OutsideMaskPsnr(workspace.references(frames), erased, *scales)

    def observe(frame: Frame) -> None:
        fidelity.add_frame(frame.index, frame.planes)
        job.reporter.report(Stage.VERIFY, frame.index + 1, frames)

    verified = verify(film.video, result, film.timeline, on_frame=observe)
    psnr = fidelity.check(result)
    psnr = None if psnr is None else round(psnr, 2)
    log.info("result.verified", psnr_outside=psnr)
    return _Checked(psnr, verified.left_out)


def _keep_text(job: _Job, film: FilmInWork, events: tuple[EventReport, ...]) -> None:
    """Make the subtitle file of what was erased, in the time that players go by."""
    first = int(film.timeline.pts[0]) * film.video.time_base
    cues = cues_of(events, shift_seconds=float(first - film.video.clock_zero))
    with whole_file(job.folder / SUBTITLES) as part:
        part.write_text(srt_of(cues), encoding="utf-8", newline="\n")
    failpoint("subtitles.after_file")
    unreadable = sum(not event.text for event in events)
    log.info("text.read", lines=len(events), unreadable=unreadable, cues=len(cues))


def _report(film: FilmInWork, result: Path, job: _Job) -> EraseReport:
    """What there is to say of every film; of an untouched one there is no more."""
    video, timeline = film.video, film.timeline
    no_dolby = (_NO_DOLBY,) if video.dolby_vision else ()
    return EraseReport(
        untouched=True,
        result=result.name,
        engine=film.engine.traits.name,
        width=video.width,
        height=video.height,
        frames=film.detection.frames,
        duration_seconds=seconds_at(timeline, len(timeline), video.time_base),
        video_codec=video.codec,
        segments=0,
        segments_resumed=0,
        seconds=dict(job.clock.seconds),
        warnings=(*film.detected.warnings, *timeline.warnings, *no_dolby),
    )
