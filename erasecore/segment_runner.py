"""One segment, from the source's frames to a stored file without subtitles.

Two readers go through the film: the scout, a segment ahead, sees the clips that need work; the
other feeds the encoder. Recovering the next segment and encoding this one overlap. Frames are
looked at on their way to the encoder; where text is left, the segment's clips are recovered once
more, by stronger hypotheses, and of the two files the better one is kept.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Self

import structlog

from erasecore.checkpoints import Checkpoints, SegmentRecord
from erasecore.detect.detector import Detector
from erasecore.detect.recognizer import Recognizer
from erasecore.detection_pass import DetectionResult
from erasecore.engines.base import Engine, Tick
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.memory.malloc import trim_heap
from erasecore.model.clips import Clip, Picture, Segment
from erasecore.model.crop_stacks import CropCollector, CropStack
from erasecore.model.events import Detection, Event, Reading
from erasecore.model.patches import composite
from erasecore.recovery.clip_recovery import FindInks, find_inks, recover
from erasecore.recovery.ink_from_mask import ink_from_mask, whole_shares
from erasecore.recovery.memory_steps import WHOLE, MemoryStep
from erasecore.recovery.planning import plan_clips
from erasecore.recovery.second_pass import dilations_for, find_dilated_inks
from erasecore.recovery.segment_results import (
    EncodedSegment,
    RecoveredClip,
    RecoveredSegment,
    record_of,
)
from erasecore.review.preview import Snapshots
from erasecore.review.residual_text import ResidualTextChecker
from erasecore.settings import EraseSettings
from erasecore.system.failpoints import failpoint
from erasecore.system.progress import EraseMeter, ProgressReporter
from erasecore.text.ocr import read_event
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import FrameReader
from erasecore.video.timeline import Timeline
from erasecore.video.writer import SegmentWriter, writable

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class FilmInWork:
    """A film, what is to be erased in it, and what it is worked on with."""

    video: VideoInfo
    found: DetectionResult
    settings: EraseSettings
    engine: Engine
    detector: Detector
    recognizer: Recognizer | None = None  # none: what is erased is not read
    memory_step: MemoryStep = WHOLE

    @property
    def timeline(self) -> Timeline:
        """When each frame is shown."""
        return self.found.timeline

    @property
    def detection(self) -> Detection:
        """What is to be erased, and the cuts."""
        return self.found.detection

    @property
    def picture(self) -> Picture:
        """What its frames look like."""
        video = self.video
        return Picture(video.width, video.height, video.layout, self.memory_step.clip_bytes)


def erase_segments(
    film: FilmInWork,
    segments: tuple[Segment, ...],
    workspace: Checkpoints,
    reporter: ProgressReporter,
) -> tuple[tuple[SegmentRecord, ...], int]:
    """The records of all segments, each stored as a finished file; and how many were already."""
    records: dict[int, SegmentRecord] = {}
    for segment in segments:
        record = workspace.load_segment(segment.number, segment.start, segment.stop)
        if record is not None:
            records[segment.number] = record
    resumed = len(records)
    missing = [segment for segment in segments if segment.number not in records]
    total = film.detection.frames
    done = total - sum(segment.stop - segment.start for segment in missing)
    meter = EraseMeter(total, done, reporter)
    with _SegmentRunner(film, workspace, meter) as bench:
        for record in bench.erase(missing):
            records[record.number] = record
    return tuple(records[segment.number] for segment in segments), resumed


class _SegmentRunner:
    """Both readers and the encoder's thread, at work on one film; a context manager."""

    def __init__(self, film: FilmInWork, workspace: Checkpoints, meter: EraseMeter) -> None:
        self._film, self._workspace, self._meter = film, workspace, meter
        self._scout = FrameReader(film.video, film.timeline)
        self._reader = FrameReader(film.video, film.timeline)
        self._encoder = ThreadPoolExecutor(1, thread_name_prefix="encode")
        self._open = ExitStack()

    def __enter__(self) -> Self:
        for part in (self._scout, self._reader, self._encoder):
            self._open.enter_context(part)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def erase(self, missing: list[Segment]) -> list[SegmentRecord]:
        """The records of segments that are stored now."""
        records: list[SegmentRecord] = []
        pending: Future[SegmentRecord | EncodedSegment] | None = None
        for segment in missing:
            recovered = self._recover(segment)
            if pending is not None:
                records.append(self._settle(pending.result()))
            pending = self._encoder.submit(self._store, recovered)
            del recovered
            if not self._film.memory_step.overlap:
                records.append(self._settle(pending.result()))
                pending = None
        if pending is not None:
            records.append(self._settle(pending.result()))
        return records

    # --- pixels -------------------------------------------------------------------------------

    def _recover(self, segment: Segment) -> RecoveredSegment:
        """The first pass over a segment's clips."""
        events, length = self._film.detection.events, segment.stop - segment.start
        mask = self._film.found.mask
        find = find_inks if mask is None else ink_from_mask(mask)
        clips = self._plan(segment, events)
        done = {
            clip: self._recover_clip(
                clip, find, self._ticker(length / len(clips)), self._film.engine
            )
            for clip in clips
        }
        if not clips:
            self._meter.scouted(length)
        return RecoveredSegment(segment, events, done)

    def _recover_again(self, encoded: EncodedSegment) -> RecoveredSegment:
        """The second pass: only the clips in which text was left, or that hold a missed line."""
        first, findings = encoded.recovered, encoded.findings
        inkless = {share.event for share in first.shares if not share.ink_px}
        dilations = dilations_for(findings, frozenset(inkless))
        events = (*first.events, *findings.missed)
        bad = {*dilations, *findings.missed}
        clips = {}
        for clip in self._plan(first.segment, sorted(events, key=lambda event: event.start)):
            known = first.clips.get(clip)
            if known is None or any(event in bad and clip.fills(event) for event in clip.events):
                # Networks may paint letters where letters were: not a second time.
                painted = first.diffused & set(range(clip.fill_start, clip.fill_stop))
                engine = PropagateEngine() if painted else self._film.engine
                known = self._recover_clip(
                    clip, find_dilated_inks(dilations), self._ticker(0), engine
                )
            clips[clip] = known
        return RecoveredSegment(first.segment, events, clips, frozenset(bad))

    def _plan(self, segment: Segment, events: list[Event] | tuple[Event, ...]) -> tuple[Clip, ...]:
        """The segment's clips, with the context that the engine likes."""
        film = self._film
        traits = film.engine.traits
        return plan_clips(
            segment,
            events,
            film.picture,
            frames=film.detection.frames,
            context=round(traits.context_seconds * float(film.video.rate)) + 1,
            around=traits.surroundings,
        )

    def _recover_clip(
        self, clip: Clip, find: FindInks, tick: Tick, engine: Engine
    ) -> RecoveredClip:
        """Its pixels are held only in here."""
        film = self._film
        layout = film.video.layout
        collector = CropCollector(clip.start, clip.stop, clip.box, layout, wider=clip.wider)
        for frame in self._scout.read(clip.start, clip.stop):
            collector.add(frame.index, frame.planes)
        crop = collector.finish()
        readings = _read(film, crop, clip)
        recovery = recover(crop, clip, film.detection.cuts, engine, tick, find)
        if film.found.mask is not None:
            recovery = replace(recovery, shares=whole_shares(recovery.shares, clip.events))
        del collector, crop
        trim_heap()
        return RecoveredClip(readings, recovery)

    def _ticker(self, worth: float) -> Tick:
        """A tick that tells the meter, a clip being ``worth`` so many frames."""
        told = 0.0

        def tick(share: float) -> None:
            nonlocal told
            self._meter.scouted((share - told) * worth)
            told = share

        return tick

    # --- files --------------------------------------------------------------------------------

    def _store(self, recovered: RecoveredSegment) -> SegmentRecord | EncodedSegment:
        """Encode a segment; unless it calls for a second pass its record is written at once."""
        path = self._workspace.segment_video(recovered.segment.number)
        encoded = self._encode(recovered, path, 1)
        again = encoded.findings.suspicious and self._film.found.mask is None
        return encoded if again else self._finish(encoded)

    def _settle(self, encoded: SegmentRecord | EncodedSegment) -> SegmentRecord:
        """The record of a segment, after a second pass if it calls for one."""
        if isinstance(encoded, SegmentRecord):
            return encoded
        findings = encoded.findings
        log.info(
            "segment.text_left",
            number=encoded.recovered.segment.number,
            events=len(findings.seen),
            missed=len(findings.missed),
        )
        again = self._recover_again(encoded)
        path = encoded.path.with_name(f"{encoded.path.stem}.again{encoded.path.suffix}")
        second = self._encoder.submit(self._encode, again, path, 0).result()
        if second.findings.better_than(findings):
            path.replace(encoded.path)
            failpoint("segment.after_second")
            return self._finish(second)
        path.unlink()
        return self._finish(
            replace(encoded, recovered=replace(encoded.recovered, retried=again.retried))
        )

    def _encode(self, recovered: RecoveredSegment, path: Path, worth: float) -> EncodedSegment:
        """Encode a segment's frames, patched, and look at them."""
        film, segment = self._film, recovered.segment
        snapshots = Snapshots.of(recovered.shares, segment.start, segment.stop)
        references = self._workspace.references(film.detection.frames)
        detection = replace(film.detection, events=recovered.events)
        span = segment.start, segment.stop
        watch = ResidualTextChecker(
            film.picture, detection, film.detector, span, regions=film.settings.detect.regions
        )
        patches_of = recovered.patches()
        with self._writer(path) as writer:
            for frame in self._reader.read(*span):
                references.keep(frame.index, frame.planes)
                picture, planes = frame.picture, frame.planes
                if (patches := patches_of.get(frame.index)) is not None:
                    picture, planes = writable(frame)
                    composite(planes, patches, film.video.layout)
                    for snapshot in snapshots.at(frame.index):
                        snapshot.take(frame.picture, picture)
                watch.check_frame(frame.index, frame.planes, planes)
                writer.write(picture, cut=frame.index in film.detection.cuts)
                self._meter.encoded(worth)
        failpoint("segment.after_video")
        return EncodedSegment(recovered, path, watch.findings(), snapshots)

    def _writer(self, path: Path) -> SegmentWriter:
        film = self._film
        lean = film.memory_step.lean_encoder
        return SegmentWriter(path, like=film.video, settings=film.settings.encode, lean=lean)

    def _finish(self, encoded: EncodedSegment) -> SegmentRecord:
        """The record of a segment, written: from now on it is stored, and never done again."""
        record = record_of(encoded, self._workspace.segments)
        failpoint("segment.after_previews")
        self._workspace.save_segment(record)
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


def _read(film: FilmInWork, crop: CropStack, clip: Clip) -> dict[Event, Reading]:
    """What the events say that are erased in this clip, before anything in it is changed."""
    recognizer = film.recognizer
    if recognizer is None:
        return {}
    span = range(clip.fill_start, clip.fill_stop)
    aspect = float(film.video.sample_aspect or 1)
    return {
        event: read_event(crop, event, span, recognizer, pixel_aspect=aspect)
        for event in clip.events
        if clip.fills(event)
    }
