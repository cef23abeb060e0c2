"""A segment on its way: its clips recovered, then all of it encoded, then recorded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.model.clips import Clip, EventShare, Segment
from erasecore.model.events import NOTHING, Event, Reading
from erasecore.model.patches import Patch
from erasecore.recovery.clip_recovery import Recovery
from erasecore.review.preview import Snapshots
from erasecore.review.residual_text import Findings


@dataclass(frozen=True, slots=True)
class RecoveredClip:
    """What was made of one clip: what its events said, and the patches that erase them."""

    readings: dict[Event, Reading]
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class RecoveredSegment:
    """How the ink of one segment goes away, clip by clip.

    Attributes:
        segment: the frames.
        events: all of the film, those included that only a look at the segment has found.
        clips: what was made of each.
        retried: the events for which stronger hypotheses were tried.
    """

    segment: Segment
    events: tuple[Event, ...]
    clips: dict[Clip, RecoveredClip]
    retried: frozenset[Event] = frozenset()

    @property
    def shares(self) -> tuple[EventShare, ...]:
        """How each event was recovered in each clip."""
        return tuple(share for done in self.clips.values() for share in done.recovery.shares)

    @property
    def readings(self) -> tuple[Reading, ...]:
        """What was read, one for each share."""
        return tuple(
            done.readings.get(share.event, NOTHING)
            for done in self.clips.values()
            for share in done.recovery.shares
        )

    @property
    def diffused(self) -> frozenset[int]:
        """The film frames in which a network made pixels up."""
        return frozenset().union(*(done.recovery.diffused for done in self.clips.values()))

    def patches(self) -> dict[int, list[Patch]]:
        """What changes in each film frame."""
        patches: dict[int, list[Patch]] = defaultdict(list)
        for done in self.clips.values():
            for frame, patch in done.recovery.patches.items():
                patches[frame].append(patch)
        return patches


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """A segment that is encoded, and what was seen on the way."""

    recovered: RecoveredSegment
    path: Path
    findings: Findings
    snapshots: Snapshots


def record_of(encoded: EncodedSegment, folder: Path) -> SegmentRecord:
    """What is kept of a segment; the pictures of its hardest places are stored in ``folder``."""
    recovered = encoded.recovered
    segment, shares = recovered.segment, recovered.shares
    pictured = encoded.snapshots.save_hardest(
        [(share.event not in encoded.findings.left, share.confidence) for share in shares],
        folder,
        prefix=f"{segment.number:04d}",
    )
    records = tuple(
        ShareRecord(
            share.event.start,
            share.event.stop,
            share.event.box_xyxy,
            share.unblended,
            share.propagated,
            share.invented,
            share.confidence,
            diffused=share.diffused,
            residual=share.event in encoded.findings.left,
            passes=2 if share.event in recovered.retried else 1,
            preview=pictured.get(number, ""),
            reading=recovered.readings[number],
        )
        for number, share in enumerate(shares)
    )
    return SegmentRecord(
        segment.number, segment.start, segment.stop, records, len(recovered.diffused)
    )
