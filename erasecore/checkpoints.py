"""The files of one job's folder: what a later attempt can go on from.

``events.json`` and ``timeline.npz`` are there once detection has gone over the whole film;
``segments/0007.mkv`` and then ``segments/0007.json`` once segment 7 is whole. Everything is
written beside its name, synced and renamed, so what is there is complete.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from erasecore.model.events import NOTHING, Detection, Reading
from erasecore.review.outside_mask_psnr import References
from erasecore.settings import Companions, EraseSettings
from erasecore.system.atomic_files import whole_file
from erasecore.system.failpoints import failpoint
from erasecore.video.timeline import Timeline

LAYOUT_VERSION = 5  # raised when what lies in the folder changes its meaning


@dataclass(frozen=True, slots=True)
class ShareRecord:
    """How one event's ink was taken away in one segment, in pixels summed over its frames."""

    start: int
    stop: int
    box_xyxy: tuple[float, float, float, float]
    unblended: int
    propagated: int
    invented: int
    confidence: float
    residual: bool  # text is still seen in its place
    passes: int  # 2: text was left after the first, and stronger hypotheses were tried
    preview: str  # file name of its before-and-after picture, "" where none was made
    reading: Reading = NOTHING  # what it says, as far as this segment shows it
    diffused: int = 0

    @property
    def filled_px(self) -> int:
        """The pixels of which nothing could be seen through the ink."""
        return self.propagated + self.invented + self.diffused


@dataclass(frozen=True, slots=True)
class SegmentRecord:
    """What is known of a finished segment."""

    number: int
    start: int
    stop: int
    shares: tuple[ShareRecord, ...]
    frames_diffused: int = 0  # frames in which a network made pixels up


class Checkpoints:
    """The paths and checkpoints of one job."""

    def __init__(
        self, folder: Path, source: Path, settings: EraseSettings, companions: Companions
    ) -> None:
        self.folder = folder
        self.segments = folder / "segments"
        self._stamp_path = folder / "checkpoint.json"
        self._events_path = folder / "events.json"
        self._timeline_path = folder / "timeline.npz"
        self._forget_unless_same(source, settings, companions)

    def segment_video(self, number: int) -> Path:
        """Where segment ``number`` is stored."""
        return self.segments / f"{number:04d}.mkv"

    def load_detection(self) -> tuple[Detection, Timeline] | None:
        """What an earlier attempt detected, ``None`` if it did not come to the end."""
        if not (self._events_path.exists() and self._timeline_path.exists()):
            return None
        detection = Detection.from_json(self._events_path.read_text("utf-8"))
        return detection, Timeline.load(self._timeline_path)

    def save_detection(self, detection: Detection, timeline: Timeline) -> None:
        """Keep what was detected for this and any later attempt."""
        timeline.save(self._timeline_path)
        failpoint("detect.after_timeline")
        _write(self._events_path, detection.to_json())
        failpoint("detect.after_events")

    def load_segment(self, number: int, start: int, stop: int) -> SegmentRecord | None:
        """The record of a finished segment with just these frames, else ``None``."""
        path = self._record_path(number)
        if not path.exists() or not self.segment_video(number).exists():
            return None
        raw = json.loads(path.read_text("utf-8"))
        if (raw["start"], raw["stop"]) != (start, stop):
            return None
        shares = tuple(map(_share, raw["shares"]))
        return SegmentRecord(number, start, stop, shares, raw["frames_diffused"])

    def save_segment(self, record: SegmentRecord) -> None:
        """Declare a segment finished; its video is in place already."""
        _write(self._record_path(record.number), json.dumps(asdict(record), indent=1))
        failpoint("segment.after_record")

    def references(self, frames: int) -> References:
        """The frames of the source that are kept for the final check of ``frames`` frames."""
        return References(frames, self.segments)

    def _record_path(self, number: int) -> Path:
        return self.segments / f"{number:04d}.json"

    def _forget_unless_same(
        self, source: Path, settings: EraseSettings, companions: Companions
    ) -> None:
        """Throw checkpoints away that another film, other settings or companions have left."""
        found = source.stat()
        beside = [_file_identity(file) for file in (companions.cues, companions.mask)]
        words = repr((LAYOUT_VERSION, found.st_size, found.st_mtime_ns, settings, beside))
        stamp = hashlib.sha256(words.encode()).hexdigest()
        self.segments.mkdir(exist_ok=True)
        if self._stamp_path.exists() and self._stamp_path.read_text("ascii") == stamp:
            return
        for path in (self._events_path, self._timeline_path):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.segments)
        self.segments.mkdir()
        failpoint("workspace.after_clearing")
        _write(self._stamp_path, stamp)
        failpoint("workspace.after_stamp")


def _file_identity(file: str) -> tuple[int, int] | None:
    """What tells a companion from another one of that name."""
    if not file:
        return None
    found = Path(file).lstat()
    return found.st_size, found.st_mtime_ns


def _share(raw: dict[str, Any]) -> ShareRecord:
    fields = {**raw, "box_xyxy": tuple(raw["box_xyxy"]), "reading": Reading(**raw["reading"])}
    return ShareRecord(**fields)


def copy_durably(source: Path, target: Path) -> None:
    """Copy ``source`` byte for byte; ``target`` is whole or absent."""
    with whole_file(target) as part:
        shutil.copyfile(source, part, follow_symlinks=False)


def _write(path: Path, text: str) -> None:
    with whole_file(path) as part:
        part.write_text(text, encoding="utf-8")
