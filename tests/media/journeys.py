"""A film's way through ``erasecore.video`` with nothing erased: whatever it had must survive."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from erasecore.settings import EncodeSettings, LimitSettings
from erasecore.video.assemble import assemble
from erasecore.video.encoders import fit_container
from erasecore.video.probe import VideoInfo, probe
from erasecore.video.reader import FrameReader
from erasecore.video.timeline import Timeline
from erasecore.video.verify import Verified, verify
from erasecore.video.writer import SegmentWriter, writable

QUICK = EncodeSettings(preset="veryfast", threads=2)


@dataclass(frozen=True, slots=True, eq=False)
class Journey:
    """Where a film came from and where it got to."""

    source: VideoInfo
    timeline: Timeline
    segments: tuple[Path, ...]
    result: Path
    verified: Verified

    @property
    def video(self) -> VideoInfo:
        """The result, probed."""
        return self.verified.video


def look(path: Path) -> tuple[VideoInfo, Timeline]:
    """The film's description and the stamps of all its frames."""
    video = probe(path, LimitSettings())
    with FrameReader(video) as reader:
        for _ in reader:
            pass
        return video, reader.timeline()


def travel(
    path: Path, folder: Path, *, segments: int = 3, settings: EncodeSettings = QUICK
) -> Journey:
    """Read the film, encode it in several segments, assemble them, verify the result."""
    video, timeline = look(path)
    video = fit_container(video, settings)
    parts = encode(video, timeline, folder, segments=segments, settings=settings)
    result = folder / f"result{video.suffix}"
    assemble(video, parts, timeline, result)
    return Journey(video, timeline, tuple(parts), result, verify(video, result, timeline))


def encode(
    video: VideoInfo, timeline: Timeline, folder: Path, *, segments: int, settings: EncodeSettings
) -> list[Path]:
    """Segment files of the whole film; every third frame goes through a copy."""
    borders = [len(timeline) * i // segments for i in range(segments + 1)]
    parts = []
    with FrameReader(video, timeline) as reader:
        for number, (start, stop) in enumerate(pairwise(borders)):
            part = folder / f"{number:04}.mkv"
            with SegmentWriter(part, video, settings, first_frame=start) as writer:
                for frame in reader.read(start, stop):
                    copied = frame.index % 3 == 0
                    writer.write(writable(frame)[0] if copied else frame.picture)
            parts.append(part)
    return parts


def seconds(video: VideoInfo, timeline: Timeline) -> list[Fraction]:
    """When each frame is shown, exactly."""
    return [int(pts) * video.time_base for pts in timeline.pts]
