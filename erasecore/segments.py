"""One segment, from the source's frames to a stored file without subtitles.

Two readers go through the film: the scout, a segment ahead, sees the clips that need work; the
other feeds the encoder. Recovering the next segment and encoding this one overlap.
"""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import structlog

from erasecore.composite import Patch, composite
from erasecore.cutout import Cutout, CutoutCollector
from erasecore.detect.events import Detection, Event
from erasecore.detect.recognizer import NOTHING, Reading, Recognizer
from erasecore.engines.base import Engine, Tick
from erasecore.memory import give_back_memory
from erasecore.preview import Snapshots
from erasecore.progress import ProgressTeller
from erasecore.reading import read_event
from erasecore.recover import EventShare, Recovery, recover
from erasecore.reports import Stage
from erasecore.settings import EncodeSettings
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import FrameReader
from erasecore.video.timeline import Timeline
from erasecore.video.writer import SegmentWriter, writable
from erasecore.windows import Clip, Picture, Segment, plan_clips
from erasecore.workspace import SegmentRecord, ShareRecord, Workspace

log = structlog.get_logger(__name__)

_SCOUT_SHARE = 0.5  # of a segment's progress; encoding is the rest


@dataclass(frozen=True, slots=True)
class Film:
    """What every segment of a film needs to know."""

    video: VideoInfo
    timeline: Timeline
    detection: Detection
    encode: EncodeSettings
    engine: Engine
    recognizer: Recognizer | None = None  # none: what is erased is not read


@dataclass(frozen=True, slots=True)
class _Recovered:
    """The patches of one segment by film frame, how its events were recovered, what they said."""

    segment: Segment
    patches: dict[int, list[Patch]]
    shares: tuple[EventShare, ...]
    readings: tuple[Reading, ...]  # one for each share


def erase_segments(
    film: Film, segments: tuple[Segment, ...], workspace: Workspace, teller: ProgressTeller
) -> tuple[tuple[SegmentRecord, ...], int]:
    """The records of all segments, each stored as a finished file; and how many were already."""
    records: dict[int, SegmentRecord] = {}
    for segment in segments:
        record = workspace.load_segment(segment.number, segment.start, segment.stop)
        if record is not None:
            records[segment.number] = record
    resumed = len(records)
    missing = [segment for segment in segments if segment.number not in records]
    meter = _Meter(film.detection.frames, missing, teller)
    for record in _erase_missing(film, missing, workspace, meter):
        records[record.number] = record
    return tuple(records[segment.number] for segment in segments), resumed


class _Meter:
    """Adds up the progress of scouting and encoding."""

    def __init__(self, total: int, missing: list[Segment], teller: ProgressTeller) -> None:
        self._teller, self._total = teller, total
        left = sum(segment.stop - segment.start for segment in missing)
        self._scouted = self._encoded = float(total - left)

    def scouted(self, frames: float) -> None:
        self._scouted += frames
        self._tell()

    def encoded(self, frames: float) -> None:
        self._encoded += frames
        self._tell()

    def _tell(self) -> None:
        done = _SCOUT_SHARE * self._scouted + (1 - _SCOUT_SHARE) * self._encoded
        self._teller.tell(Stage.ERASE, done, self._total)


def _erase_missing(
    film: Film, missing: list[Segment], workspace: Workspace, meter: _Meter
) -> list[SegmentRecord]:
    records: list[SegmentRecord] = []
    pending: Future[SegmentRecord] | None = None
    with (
        FrameReader(film.video, film.timeline) as scout,
        FrameReader(film.video, film.timeline) as reader,
        ThreadPoolExecutor(1, thread_name_prefix="encode") as encoder,
    ):
        for segment in missing:
            recovered = _recover_segment(film, segment, scout, meter)
            if pending is not None:
                records.append(pending.result())
            pending = encoder.submit(_store, film, recovered, reader, workspace, meter)
        if pending is not None:
            records.append(pending.result())
    return records


def _recover_segment(film: Film, segment: Segment, scout: FrameReader, meter: _Meter) -> _Recovered:
    """The patches for all clips of a segment."""
    video, detection = film.video, film.detection
    context = round(film.engine.traits.context_seconds * float(video.rate)) + 1
    picture = Picture(video.width, video.height, video.layout)
    patches: dict[int, list[Patch]] = defaultdict(list)
    shares: list[EventShare] = []
    readings: list[Reading] = []
    length = segment.stop - segment.start
    clips = plan_clips(segment, detection.events, picture, frames=detection.frames, context=context)
    for clip in clips:
        said, recovery = _recover_clip(film, clip, scout, _ticker(meter, length / len(clips)))
        give_back_memory()
        for frame, patch in recovery.patches.items():
            patches[frame].append(patch)
        shares.extend(recovery.shares)
        readings.extend(said.get(share.event, NOTHING) for share in recovery.shares)
    if not clips:
        meter.scouted(length)
    return _Recovered(segment, patches, tuple(shares), tuple(readings))


def _ticker(meter: _Meter, worth: float) -> Tick:
    told = 0.0

    def tick(share: float) -> None:
        nonlocal told
        meter.scouted((share - told) * worth)
        told = share

    return tick


def _recover_clip(
    film: Film, clip: Clip, scout: FrameReader, tick: Tick
) -> tuple[dict[Event, Reading], Recovery]:
    """What its events say, and what replaces them; its pixels are held only in here."""
    collector = CutoutCollector(clip.start, clip.stop, clip.box, film.video.layout)
    for frame in scout.read(clip.start, clip.stop):
        collector.add(frame.index, frame.planes)
    cutout = collector.finish()
    readings = _read(film.recognizer, cutout, clip) if film.recognizer else {}
    return readings, recover(cutout, clip, film.detection.cuts, film.engine, tick)


def _read(recognizer: Recognizer, cutout: Cutout, clip: Clip) -> dict[Event, Reading]:
    """What the events say that are erased in this clip, before anything in it is changed."""
    span = range(clip.fill_start, clip.fill_stop)
    erased = (e for e in clip.events if e.start < span.stop and e.stop > span.start)
    return {event: read_event(cutout, event, span, recognizer) for event in erased}


def _store(
    film: Film, recovered: _Recovered, reader: FrameReader, workspace: Workspace, meter: _Meter
) -> SegmentRecord:
    """Encode a segment's frames, patched; its record is written last."""
    segment = recovered.segment
    snapshots = Snapshots.of(recovered.shares, segment.start, segment.stop)
    references = workspace.references(film.detection.frames)
    path = workspace.segment_video(segment.number)
    with SegmentWriter(path, like=film.video, settings=film.encode) as writer:
        for frame in reader.read(segment.start, segment.stop):
            references.keep(frame.index, frame.planes)
            patches = recovered.patches.get(frame.index)
            if patches is None:
                writer.write(frame.picture)
            else:
                picture, planes = writable(frame)
                composite(planes, patches, film.video.layout)
                writer.write(picture)
                for snapshot in snapshots.at(frame.index):
                    snapshot.take(frame.picture, picture)
            meter.encoded(1)
    record = _record(recovered, snapshots, workspace.segments)
    workspace.save_segment(record)
    log.info(
        "segment.stored",
        number=segment.number,
        start=segment.start,
        stop=segment.stop,
        events=len(record.shares),
    )
    return record


def _record(recovered: _Recovered, snapshots: Snapshots, folder: Path) -> SegmentRecord:
    segment = recovered.segment
    shares = []
    for number, share in enumerate(recovered.shares):
        taken = snapshots.of_share(number)
        name = f"{segment.number:04d}.{number:02d}.png" if taken else ""
        if taken is not None:
            taken.save(folder / name)
        event = share.event
        shares.append(
            ShareRecord(
                event.start,
                event.stop,
                event.box_xyxy,
                share.unblended,
                share.propagated,
                share.invented,
                share.confidence,
                name,
                recovered.readings[number],
            )
        )
    return SegmentRecord(segment.number, segment.start, segment.stop, tuple(shares))
