"""Erasing segment by segment: recover clips, encode, and store each segment as a checkpoint.

Three roles, a class each:

* ``_SegmentRecoverer`` makes the patches that replace the ink of a segment's clips (main thread).
* ``_SegmentEncoder`` encodes the patched frames and checks them for residual text (encoder thread).
* ``_SegmentRunner`` overlaps the two (segment ``n + 1`` is recovered while segment ``n`` is
  encoded), decides on a second pass where text is left, and stores the better of the two files.

Recoverer and encoder read the film through a reader of their own, because the recoverer is a
segment ahead and whole frames are too large to be kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from erasecore.checkpoints import Checkpoints, SegmentRecord
from erasecore.detection.detector import Detector
from erasecore.detection.recognizer import Recognizer
from erasecore.detection_pass import DetectionResult
from erasecore.engines.base import Engine, Tick
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.memory.malloc import trim_heap
from erasecore.model.clips import CLIP_BYTES, Clip, Picture, Segment
from erasecore.model.crop_stacks import CropCollector, CropStack
from erasecore.model.events import Detection, Event, Reading
from erasecore.model.patches import composite
from erasecore.recovery.clip_recovery import FindInks, find_inks, recover_clip
from erasecore.recovery.ink_from_mask import ink_from_mask, sum_shares_by_event
from erasecore.recovery.isolated_recovery import recover_isolated
from erasecore.recovery.memory_steps import FULL_MEMORY, MemoryStep
from erasecore.recovery.planning import keep_forbidden, plan_clips
from erasecore.recovery.second_pass import dilations_for, find_dilated_inks
from erasecore.recovery.segment_results import (
    EncodedSegment,
    RecoveredClip,
    RecoveredSegment,
    record_of,
)
from erasecore.review.preview import Snapshots
from erasecore.review.self_check import CheckPlan, SelfCheck
from erasecore.settings import EraseSettings, Region
from erasecore.system.atomic_files import replace_durably
from erasecore.system.failpoints import failpoint
from erasecore.system.logger import get_logger
from erasecore.system.progress import EraseMeter, ProgressReporter
from erasecore.text.ocr import read_event
from erasecore.video.orientation import regions_as_seen
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import FrameReader
from erasecore.video.timeline import Timeline
from erasecore.video.writer import SegmentWriter, writable

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FilmInWork:
    """One film with everything that erasing it needs: what was detected, settings and models.

    Attributes:
        video: the probed source.
        detected: events, cuts and timeline of the detection pass.
        settings: of this job, limited to what this machine and memory step allow.
        engine: fills the holes (inpainting).
        detector: finds residual text.
        recognizer: reads the erased lines (OCR); ``None`` to not read them.
        memory_step: how much of the film may be held in memory at once.
    """

    video: VideoInfo
    detected: DetectionResult
    settings: EraseSettings
    engine: Engine
    detector: Detector
    recognizer: Recognizer | None = None
    memory_step: MemoryStep = FULL_MEMORY

    @property
    def timeline(self) -> Timeline:
        """Presentation time stamp of every frame."""
        return self.detected.timeline

    @property
    def detection(self) -> Detection:
        """Events to be erased, and the film's cuts."""
        return self.detected.detection

    @property
    def picture(self) -> Picture:
        """Frame size, plane layout and memory limit that clips are planned for."""
        video = self.video
        return Picture(video.width, video.height, video.layout, self.memory_step.clip_bytes)


def erase_segments(
    film: FilmInWork,
    segments: tuple[Segment, ...],
    checkpoints: Checkpoints,
    reporter: ProgressReporter,
) -> tuple[tuple[SegmentRecord, ...], int]:
    """Erase and store every segment that is not stored yet.

    Returns:
        The records of all ``segments``, in their order, and the number of those that an earlier
        attempt had stored.
    """
    records: dict[int, SegmentRecord] = {}
    for segment in segments:
        planned = planned_digest(film, segment)
        record = checkpoints.load_segment(
            segment.number, segment.start, segment.stop, planned=planned
        )
        if record is not None:
            records[segment.number] = record
    resumed = len(records)
    missing = [segment for segment in segments if segment.number not in records]
    total = film.detection.frames
    done = total - sum(segment.stop - segment.start for segment in missing)
    meter = EraseMeter(total, done, reporter)
    with (
        FrameReader(film.video, film.timeline) as ahead,
        FrameReader(film.video, film.timeline) as reader,
        ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder_thread,
    ):
        recoverer = _SegmentRecoverer(film, ahead, meter)
        encoder = _SegmentEncoder(film, reader, checkpoints, meter)
        runner = _SegmentRunner(film, recoverer, encoder, checkpoints, thread=encoder_thread)
        for record in runner.run(missing):
            records[record.number] = record
    return tuple(records[segment.number] for segment in segments), resumed


def planned_digest(film: FilmInWork, segment: Segment) -> str:
    """Return the SHA-256 of what is to be erased and kept in a segment and around it.

    It does not depend on the memory step: a retry with less memory keeps finished segments.
    """
    detection = film.detection
    picture = replace(film.picture, clip_bytes=CLIP_BYTES)
    clips = _planned_clips(film, segment, detection.events, picture)
    start = min([segment.start, *(clip.start for clip in clips)])
    stop = max([segment.stop, *(clip.stop for clip in clips)])
    scene = [text for text, _ in detection.rejected if text.start < stop and text.stop > start]
    return hashlib.sha256(repr((clips, scene)).encode()).hexdigest()


def _planned_clips(
    film: FilmInWork,
    segment: Segment,
    events: list[Event] | tuple[Event, ...],
    picture: Picture,
) -> tuple[Clip, ...]:
    """Return the segment's clips, with as much context as the engine asks for."""
    traits = film.engine.traits
    clips = plan_clips(
        segment,
        events,
        picture,
        frames=film.detection.frames,
        context=round(traits.context_seconds * float(film.video.rate)) + 1,
        context_needs=traits.surroundings,
    )
    return keep_forbidden(clips, film.detection.forbidden)


class _SegmentRecoverer:
    """Makes the patches for a segment, clip by clip, from a reader that is ahead of the encoder."""

    def __init__(self, film: FilmInWork, reader: FrameReader, meter: EraseMeter) -> None:
        self._film, self._reader, self._meter = film, reader, meter

    def recover(self, segment: Segment) -> RecoveredSegment:
        """Return the first pass over all clips of ``segment``."""
        events, length = self._film.detection.events, segment.stop - segment.start
        mask = self._film.detected.mask
        find = find_inks if mask is None else ink_from_mask(mask)
        clips = self._plan(segment, events)
        recovered: dict[Clip, RecoveredClip] = {}
        for clip in clips:
            tick = self._progress_tick(length / len(clips))
            recovered |= self._recover_isolated(clip, find, tick, self._film.engine, {})
        if not clips:
            self._meter.scouted(length)
        return RecoveredSegment(segment, events, recovered)

    def recover_again(self, encoded: EncodedSegment) -> RecoveredSegment:
        """Return the second pass over a segment, with dilated masks and with the missed lines.

        Clips without residual text and without a missed line keep the result of the first pass.
        Events that failed in it, or in its check, are left as they are.
        """
        first, findings = encoded.recovered, encoded.findings
        inkless = {share.event for share in first.shares if not share.ink_px}
        dilations = dilations_for(findings, frozenset(inkless))
        events = (*first.events, *findings.missed)
        retried = {*dilations, *findings.missed, *findings.failed}
        left = {**first.left, **findings.failed}
        clips: dict[Clip, RecoveredClip] = {}
        for clip in self._plan(first.segment, sorted(events, key=lambda event: event.start)):
            known = first.clips.get(clip)
            if known is None or any(
                event in retried and clip.fills(event) for event in clip.events
            ):
                # A network may paint letters where letters were, and would do so a second time.
                diffused = first.diffused_frames & set(range(clip.fill_start, clip.fill_stop))
                engine = PropagateEngine() if diffused else self._film.engine
                find, tick = find_dilated_inks(dilations), self._progress_tick(0)
                clips |= self._recover_isolated(clip, find, tick, engine, left)
            else:
                clips[clip] = known
        return RecoveredSegment(first.segment, events, clips, frozenset(retried))

    def _plan(self, segment: Segment, events: list[Event] | tuple[Event, ...]) -> tuple[Clip, ...]:
        """Return the segment's clips, with as much context as the engine asks for."""
        return _planned_clips(self._film, segment, events, self._film.picture)

    def _recover_isolated(
        self, clip: Clip, find: FindInks, tick: Tick, engine: Engine, left: Mapping[Event, str]
    ) -> dict[Clip, RecoveredClip]:
        """Recover a clip; an event that fails is left as it is, see ``recover_isolated``."""
        return recover_isolated(
            clip, lambda part: self._recover_clip(part, find, tick, engine), left
        )

    def _recover_clip(
        self, clip: Clip, find: FindInks, tick: Tick, engine: Engine
    ) -> RecoveredClip:
        """Read, recover and release one clip; its pixels are held in this function only."""
        film = self._film
        layout = film.video.layout
        collector = CropCollector(
            clip.start, clip.stop, clip.box, layout, context_box=clip.context_box
        )
        for frame in self._reader.read(clip.start, clip.stop):
            collector.add(frame.index, frame.planes)
        crop = replace(collector.finish(), picture_areas=film.detection.picture_areas)
        readings = _read_text(film, crop, clip)
        recovery = recover_clip(crop, clip, film.detection.cuts, engine, tick, find)
        if film.detected.mask is not None:
            recovery = replace(recovery, shares=sum_shares_by_event(recovery.shares, clip.events))
        del collector, crop
        trim_heap()
        return RecoveredClip(readings, recovery)

    def _progress_tick(self, frames: float) -> Tick:
        """Return a callback that reports a clip's progress to the meter.

        Args:
            frames: number of frames of progress that the whole clip counts for.
        """
        reported = 0.0

        def tick(share: float) -> None:
            nonlocal reported
            if share > reported:  # a clip that is recovered again does not count twice
                self._meter.scouted((share - reported) * frames)
                reported = share

        return tick


class _SegmentEncoder:
    """Encodes the frames of a recovered segment and checks them on the way; used by one thread."""

    def __init__(
        self, film: FilmInWork, reader: FrameReader, checkpoints: Checkpoints, meter: EraseMeter
    ) -> None:
        self._film, self._reader = film, reader
        self._checkpoints, self._meter = checkpoints, meter

    def encode(
        self, recovered: RecoveredSegment, path: Path, progress_weight: float
    ) -> EncodedSegment:
        """Write the segment's frames, patched, to ``path``.

        Args:
            recovered: the segment with its patches.
            path: the video file to write.
            progress_weight: number of frames of progress that one encoded frame counts for.
        """
        film, segment = self._film, recovered.segment
        snapshots = Snapshots.plan(recovered.shares, segment.start, segment.stop)
        references = self._checkpoints.references(film.detection.frames)
        checker = self._self_check(recovered)
        patches_of = recovered.patches()
        with self._writer(path, segment.start) as writer:
            for frame in self._reader.read(segment.start, segment.stop):
                references.keep(frame.index, frame.planes)
                picture, planes = frame.picture, frame.planes
                if (patches := patches_of.get(frame.index)) is not None:
                    picture, planes = writable(frame)
                    composite(planes, patches, film.video.layout)
                    for snapshot in snapshots.at(frame.index):
                        snapshot.take(frame.picture, picture, frame.orientation)
                checker.check_frame(frame.index, frame.planes, planes)
                writer.write(picture, cut=frame.index in film.detection.cuts)
                self._meter.encoded(progress_weight)
        failpoint("segment.after_video")
        return EncodedSegment(recovered, path, checker.findings(), snapshots)

    def _self_check(self, recovered: RecoveredSegment) -> SelfCheck:
        film, segment = self._film, recovered.segment
        plan = CheckPlan(
            film.picture,
            replace(film.detection, events=recovered.events),
            (segment.start, segment.stop),
            float(film.video.rate),
            regions=_regions(film),
            left=recovered.left,
            retried=recovered.retried,
            searches=film.detected.everywhere,
        )
        return SelfCheck(plan, film.detector)

    def _writer(self, path: Path, first_frame: int) -> SegmentWriter:
        film = self._film
        return SegmentWriter(
            path,
            like=film.video,
            settings=film.settings.encode,
            first_frame=first_frame,
            lean=film.memory_step.lean_encoder,
        )


class _SegmentRunner:
    """Recovers one segment while the one before is encoded, and stores both with their records."""

    def __init__(
        self,
        film: FilmInWork,
        recoverer: _SegmentRecoverer,
        encoder: _SegmentEncoder,
        checkpoints: Checkpoints,
        *,
        thread: ThreadPoolExecutor,
    ) -> None:
        """Connect the parts.

        Args:
            film: the film and its settings.
            recoverer: runs on the calling thread.
            encoder: runs on ``thread``.
            checkpoints: stores the segments' records.
            thread: a pool of one thread.
        """
        self._film, self._checkpoints = film, checkpoints
        self._recoverer, self._encoder = recoverer, encoder
        self._thread = thread

    def run(self, segments: list[Segment]) -> list[SegmentRecord]:
        """Erase and store ``segments``; return their records in the same order."""
        records: list[SegmentRecord] = []
        pending: Future[SegmentRecord | EncodedSegment] | None = None
        for segment in segments:
            recovered = self._recoverer.recover(segment)
            if pending is not None:
                records.append(self._finish(pending.result()))
            pending = self._thread.submit(self._encode_first_pass, recovered)
            del recovered
            if not self._film.memory_step.overlap:
                records.append(self._finish(pending.result()))
                pending = None
        if pending is not None:
            records.append(self._finish(pending.result()))
        return records

    def _encode_first_pass(self, recovered: RecoveredSegment) -> SegmentRecord | EncodedSegment:
        """Encode a segment; store its record at once unless it needs a second pass.

        Runs on the encoder's thread. A mask is exact, so what it leaves is not tried again.
        """
        path = self._checkpoints.segment_video(recovered.segment.number)
        encoded = self._encoder.encode(recovered, path, 1)
        findings, has_mask = encoded.findings, self._film.detected.mask is not None
        again = findings.failed or (findings.needs_second_pass and not has_mask)
        return encoded if again else self._store(encoded)

    def _finish(self, encoded: SegmentRecord | EncodedSegment) -> SegmentRecord:
        """Return the record of a segment, after a second pass if the first one left text."""
        if isinstance(encoded, SegmentRecord):
            return encoded
        return self._second_pass(encoded)

    def _second_pass(self, encoded: EncodedSegment) -> SegmentRecord:
        """Erase a segment once more, and store whichever of both files shows less text."""
        findings = encoded.findings
        log.info(
            "segment.text_left",
            number=encoded.recovered.segment.number,
            events=len({*findings.boxes_by_event, *findings.spoiled}),
            missed=len(findings.missed),
            failed=len(findings.failed),
        )
        again = self._recoverer.recover_again(encoded)
        path = encoded.path.with_name(f"{encoded.path.stem}.again{encoded.path.suffix}")
        second = self._thread.submit(self._encoder.encode, again, path, 0).result()
        if second.better_than(encoded):
            replace_durably(path, encoded.path)
            failpoint("segment.after_second")
            return self._store(second)
        path.unlink()
        return self._store(
            replace(encoded, recovered=replace(encoded.recovered, retried=again.retried))
        )

    def _store(self, encoded: EncodedSegment) -> SegmentRecord:
        """Write the record of an encoded segment; from then on the segment is a checkpoint."""
        planned = planned_digest(self._film, encoded.recovered.segment)
        record = replace(record_of(encoded, self._checkpoints.segments), planned=planned)
        failpoint("segment.after_previews")
        self._checkpoints.save_segment(record)
        log.info(
            "segment.stored",
            number=record.number,
            start=record.start,
            stop=record.stop,
            events=len(record.shares),
            residual=sum(share.residual for share in record.shares),
            frames_diffused=record.frames_diffused,
        )
        return record


def _regions(film: FilmInWork) -> tuple[Region, ...]:
    """Return the regions of the settings, in fractions of the picture as it is seen."""
    size = film.video.width, film.video.height
    return regions_as_seen(film.settings.detect, film.video.orientation, size)


def _read_text(film: FilmInWork, crop: CropStack, clip: Clip) -> dict[Event, Reading]:
    """Read the lines that are erased in ``clip`` (OCR); call it before ``crop`` is changed."""
    recognizer = film.recognizer
    if recognizer is None:
        return {}
    span = range(clip.fill_start, clip.fill_stop)
    return {
        event: read_event(crop, event, span, recognizer, pixel_aspect=film.video.seen_aspect)
        for event in clip.events
        if clip.fills(event) and event not in clip.kept
    }
