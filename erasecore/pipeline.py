"""The pipeline: erase the burned-in subtitles of one film, in five stages.

    probe      read what the film is; open the checkpoints of an earlier attempt
    detect     find the subtitles (events), cuts and time stamps in one pass over the film
    erase      segment by segment: recover the background, check for residual text, encode
    assemble   join the segments and copy all other streams
    verify     decode the result and compare it with the source

A film without subtitles is copied. Every finished step is a checkpoint: a later attempt, or a
retry with less memory, resumes after it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path

from erasecore.checkpoints import Checkpoints, SegmentRecord, copy_durably
from erasecore.detection_pass import DetectionResult, detect_film
from erasecore.engines.base import Engine
from erasecore.errors import NothingErased, TextRemains
from erasecore.memory.ladder import WorkloadKey
from erasecore.plans import JobOptions
from erasecore.recovery.memory_steps import RUNGS, MemoryStep
from erasecore.recovery.planning import plan_segments
from erasecore.report_builder import (
    clock_time,
    error_warnings,
    film_warnings,
    hardest_previews,
    memory_warnings,
    missed_events,
    report_events,
    seconds_at,
)
from erasecore.reports import EraseReport, EventReport, ResidueReason, ResidueReport, Stage
from erasecore.residue_report import left_texts, residue_reports, residue_warnings, with_residue
from erasecore.resources import ModelCache
from erasecore.review.outside_mask_psnr import OutsideMaskPsnr
from erasecore.review.preview import save_preview
from erasecore.segment_runner import FilmInWork, erase_segments
from erasecore.settings import Companions, EraseSettings, OnResidual
from erasecore.system.atomic_files import whole_file
from erasecore.system.failpoints import failpoint
from erasecore.system.logger import get_logger
from erasecore.system.progress import BrokenOff, Clock, Observe, ProgressReporter
from erasecore.text.srt import cues_of, srt_of
from erasecore.video.assemble import assemble
from erasecore.video.containers import muxer_and_suffix, muxer_takes_codec
from erasecore.video.encoders import fit_container, in_container
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import Frame
from erasecore.video.verify import verify

log = get_logger(__name__)

PREVIEW = "preview.jpg"  # name of the before-and-after pictures in the job's folder
SUBTITLES = "subtitles.srt"  # name of the erased text in the job's folder
_MAX_TIMES_NAMED = 6  # largest number of places with residual text that an error names; a guess
_NO_COMPANIONS = Companions()
_NO_OPTIONS = JobOptions()


@dataclass(frozen=True, slots=True)
class _Job:
    """Arguments of one ``erase`` call, with its progress reporter and stage clock."""

    source: Path
    folder: Path
    settings: EraseSettings
    companions: Companions
    models: ModelCache
    reporter: ProgressReporter
    options: JobOptions
    clock: Clock = field(default_factory=Clock)


def erase(  # noqa: PLR0913 - everything after the settings is keyword-only
    source: Path,
    folder: Path,
    settings: EraseSettings,
    *,
    models: ModelCache,
    observe: Observe,
    companions: Companions = _NO_COMPANIONS,
    options: JobOptions = _NO_OPTIONS,
) -> EraseReport:
    """Write ``source`` without its burned-in subtitles to ``folder``.

    Makes ``result`` with the source's suffix (or that of a container its streams fit into),
    ``preview.jpg`` and ``subtitles.srt``. Writes only inside ``folder`` and resumes from the
    checkpoints there. A film without subtitles is copied byte for byte.

    Args:
        source: the film; not modified.
        folder: of this job alone; exists.
        settings: of this job.
        models: models that are loaded once and used for all films.
        observe: progress callback, called about once a second from any thread; an exception that
            it raises ends the work, and is raised.
        companions: subtitle file, mask and plan beside the film.
        options: content of the plan among them, and container of the result.

    Raises:
        InputError: the film cannot be processed; see ``erasecore.errors``.
        HostError: this machine lacks something.
        OutOfMemory: memory ran out even in the smallest memory step.
        NothingErased, VerifyFailed: an error in this program; the result must not be published.
    """
    job = _Job(source, folder, settings, companions, models, ProgressReporter(observe), options)
    try:
        report = _run(job)
    except BrokenOff as broken_off:
        raise broken_off.error from None
    finally:
        memory = models.ladders.close()
    return replace(report, memory=memory, warnings=(*report.warnings, *memory_warnings(memory)))


def _run(job: _Job) -> EraseReport:
    """Run all stages; after out-of-memory errors again, in smaller memory steps."""
    engine = job.models.engine(job.settings, lambda: job.reporter.report(Stage.PROBE, 0, 0))
    _remove_old_sidecars(job.folder)
    with job.clock.stage(Stage.PROBE):
        video = _probe(job)
        checkpoints = Checkpoints(job.folder, job.source, job.settings, job.companions)
    workload = WorkloadKey(f"{engine.traits.name} film", video.width, video.height)
    ladder = job.models.ladders.ladder(workload, RUNGS)
    return ladder.run(
        lambda memory_step: _run_within(memory_step, job, video, checkpoints, engine=engine)
    )


def _run_within(
    memory_step: MemoryStep,
    job: _Job,
    video: VideoInfo,
    checkpoints: Checkpoints,
    *,
    engine: Engine,
) -> EraseReport:
    """Run the stages after the probe within the limits of ``memory_step``."""
    video = replace(video, threads=memory_step.decoder_threads or video.threads)
    settings = memory_step.limit_encoder(job.models.limit_encoder_threads(job.settings))
    with job.clock.stage(Stage.DETECT):
        detected = _detect(job, video, checkpoints)
    with closing(detected):
        film = FilmInWork(
            video, detected, settings, engine, job.models.detector, memory_step=memory_step
        )
        if not detected.detection.events:
            return _copy_film(job, film)
        return _erase_film(job, film, checkpoints)


def _copy_film(job: _Job, film: FilmInWork) -> EraseReport:
    """Copy a film without subtitles byte for byte, or packet for packet into another container."""
    video, timeline = film.video, film.timeline
    result = job.folder / f"result{job.source.suffix}"
    own, _ = muxer_and_suffix(video.container, job.source.suffix)
    if job.options.ending and video.muxer != own and muxer_takes_codec(video.muxer, video.codec):
        result = result.with_suffix(video.suffix)
        assemble(video, [job.source], timeline, result)
        verify(video, result, timeline)
    else:
        copy_durably(job.source, result)
    failpoint("copy.after_result")
    return _untouched_report(job, film, result)


def _erase_film(job: _Job, film: FilmInWork, checkpoints: Checkpoints) -> EraseReport:
    """Erase all segments, assemble and verify the result, and write the erased text."""
    if job.settings.srt and film.detected.mask is None:
        film = replace(film, recognizer=job.models.text_recognizer())
    with job.clock.stage(Stage.ERASE):
        records, resumed = _erase_segments(job, film, checkpoints)
    events = report_events(records, film.timeline, film.video.time_base)
    _refuse_if_all_left(job, events)
    residue = residue_reports(records, events, film.timeline, film.video.time_base)
    events = with_residue(events)
    _refuse_residue(job, events, residue)
    with job.clock.stage(Stage.ASSEMBLE):
        result = _assemble(job, film, checkpoints, records)
    with job.clock.stage(Stage.VERIFY):
        verified = _verify(job, film, checkpoints, result, events=events)
    report = _untouched_report(job, film, result)
    if film.recognizer is not None:
        _write_subtitles(job, film, events)
    return replace(
        report,
        untouched=False,
        events=events,
        frames_diffused=sum(record.frames_diffused for record in records),
        segments=len(records),
        segments_resumed=resumed,
        residual_events=sum(event.residual for event in events),
        residue=residue,
        left=left_texts(film.detection, events, film.timeline, film.video.time_base),
        psnr_outside=verified.psnr_outside,
        warnings=(
            *error_warnings(events),
            *residue_warnings(events, residue),
            *report.warnings,
            *verified.warnings,
        ),
    )


# --- stages -----------------------------------------------------------------------------------


def _probe(job: _Job) -> VideoInfo:
    """Probe the film and choose the container of its result."""
    video = probe(job.source, job.settings.limits)
    if job.options.ending:
        video = in_container(video, job.settings.encode, job.options.ending)
    else:
        video = fit_container(video, job.settings.encode)
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


def _detect(job: _Job, video: VideoInfo, checkpoints: Checkpoints) -> DetectionResult:
    """Detect subtitles, or load the checkpoint of the detection."""
    return detect_film(
        video,
        job.settings,
        job.companions,
        checkpoints,
        models=job.models,
        report_frames=lambda done: job.reporter.report(Stage.DETECT, done, video.frames_estimate),
        plan=job.options.plan,
    )


def _erase_segments(
    job: _Job, film: FilmInWork, checkpoints: Checkpoints
) -> tuple[tuple[SegmentRecord, ...], int]:
    """Erase and encode all segments; return their records and the number of resumed ones."""
    detection = film.detection
    length = max(1, round(job.settings.segment_seconds * float(film.video.rate)))
    segments = plan_segments(detection.frames, detection.events, detection.cuts, length=length)
    return erase_segments(film, segments, checkpoints, job.reporter)


def _assemble(
    job: _Job, film: FilmInWork, checkpoints: Checkpoints, records: tuple[SegmentRecord, ...]
) -> Path:
    """Join the segments to the result, and write the preview."""
    job.reporter.report(Stage.ASSEMBLE, 0, film.detection.frames)
    result = job.folder / f"result{film.video.suffix}"
    segment_videos = [checkpoints.segment_video(record.number) for record in records]
    assemble(film.video, segment_videos, film.timeline, result)
    failpoint("assemble.after_result")
    pairs = hardest_previews(records, checkpoints.segments, film.timeline, film.video.time_base)
    save_preview(pairs, job.folder / PREVIEW)
    failpoint("assemble.after_preview")
    return result


@dataclass(frozen=True, slots=True)
class _Verification:
    """Facts from the full decode of a result that passed."""

    psnr_outside: float | None  # of the luma outside the ink, dB; None if no frame was compared
    warnings: tuple[str, ...]  # what the result's container could not hold


def _verify(
    job: _Job,
    film: FilmInWork,
    checkpoints: Checkpoints,
    result: Path,
    *,
    events: tuple[EventReport, ...],
) -> _Verification:
    """Decode the whole result and compare it with the source.

    Raises:
        VerifyFailed: frames, time stamps or streams differ, or the picture outside the ink does.
    """
    frames = film.detection.frames
    erased = (*film.detection.events, *missed_events(events, film.detection.events))
    made = probe(result, film.video.limits)
    layouts = film.video.layout, made.layout
    outside = OutsideMaskPsnr(checkpoints.references(frames), erased, *layouts)

    def compare(frame: Frame) -> None:
        outside.add_frame(frame.index, frame.planes)
        job.reporter.report(Stage.VERIFY, frame.index + 1, frames)

    verified = verify(film.video, result, film.timeline, on_frame=compare)
    psnr = outside.check(result)
    psnr = None if psnr is None else round(psnr, 2)
    log.info("result.verified", psnr_outside=psnr)
    failpoint("verify.after_check")
    return _Verification(psnr, verified.left_out)


# --- sidecar files and the report -------------------------------------------------------------


def _remove_old_sidecars(folder: Path) -> None:
    """Remove the preview and subtitles of an earlier attempt, maybe with other settings."""
    for name in (PREVIEW, SUBTITLES):
        (folder / name).unlink(missing_ok=True)


def _refuse_if_all_left(job: _Job, events: tuple[EventReport, ...]) -> None:
    """Raise ``NothingErased`` if every event was left because of an error."""
    if events and all(event.left for event in events):
        raise NothingErased(job.source, len(events), events[0].left)


def _refuse_residue(
    job: _Job, events: tuple[EventReport, ...], residue: tuple[ResidueReport, ...]
) -> None:
    """Log what the self-check found; raise ``TextRemains`` if ``on_residual`` is ``failed``."""
    for one in residue:
        log.info(
            "residue.found",
            why=one.reason,
            at_seconds=one.start_seconds,
            box_xyxy=one.box_xyxy,
            evidence=one.evidence,
        )
    spoiled = [event.start_seconds for event in events if event.residual]
    spoiled += [one.start_seconds for one in residue if one.reason is ResidueReason.UNERASED]
    if spoiled and job.settings.on_residual is OnResidual.FAILED:
        times = ", ".join(clock_time(seconds) for seconds in sorted(spoiled)[:_MAX_TIMES_NAMED])
        raise TextRemains(job.source, len(spoiled), times)


def _write_subtitles(job: _Job, film: FilmInWork, events: tuple[EventReport, ...]) -> None:
    """Write the erased text as a subtitle file, timed by the clock that players show."""
    first = int(film.timeline.pts[0]) * film.video.time_base
    erased = [event for event in events if not event.left]
    cues = cues_of(erased, shift_seconds=float(first - film.video.clock_zero))
    with whole_file(job.folder / SUBTITLES) as part:
        part.write_text(srt_of(cues), encoding="utf-8", newline="\n")
    failpoint("subtitles.after_file")
    unreadable = sum(not event.text for event in erased)
    log.info("text.read", lines=len(erased), unreadable=unreadable, cues=len(cues))


def _untouched_report(job: _Job, film: FilmInWork, result: Path) -> EraseReport:
    """Return the report on a film that was copied; for erased films the rest is added to it."""
    video, timeline = film.video, film.timeline
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
        left=left_texts(film.detection, (), timeline, video.time_base),
        warnings=(*film.detected.warnings, *timeline.warnings, *film_warnings(video)),
    )
