"""A segment between the stages: its clips recovered, then encoded, then recorded."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.model.clips import Clip, EventShare, Segment
from erasecore.model.events import NO_READING, Event, Reading
from erasecore.model.patches import Patch
from erasecore.recovery.clip_recovery import Recovery
from erasecore.review.preview import Snapshots
from erasecore.review.residual_text import Findings


@dataclass(frozen=True, slots=True)
class RecoveredClip:
    """Result of one clip: the text of its events (OCR), and the patches that erase them."""

    readings: dict[Event, Reading]  # empty if the text is not read
    recovery: Recovery


@dataclass(frozen=True, slots=True)
class RecoveredSegment:
    """Results of all clips of one segment.

    Attributes:
        segment: the film frames.
        events: all events of the film, with the lines that only the check of this segment found.
        clips: the result of each clip.
        retried: events that were erased in a second pass.
    """

    segment: Segment
    events: tuple[Event, ...]
    clips: dict[Clip, RecoveredClip]
    retried: frozenset[Event] = frozenset()

    @property
    def shares(self) -> tuple[EventShare, ...]:
        """Origin of the new pixels, for each event in each clip."""
        return tuple(share for clip in self.clips.values() for share in clip.recovery.shares)

    @property
    def left(self) -> dict[Event, str]:
        """Events that were left as they are, with the reason."""
        return {share.event: share.left for share in self.shares if share.left}

    @property
    def readings(self) -> tuple[Reading, ...]:
        """Text of the events, one for each of ``shares``."""
        return tuple(
            clip.readings.get(share.event, NO_READING)
            for clip in self.clips.values()
            for share in clip.recovery.shares
        )

    @property
    def diffused_frames(self) -> frozenset[int]:
        """Film frames with pixels that a diffusion network generated."""
        return frozenset().union(*(clip.recovery.diffused_frames for clip in self.clips.values()))

    def patches(self) -> dict[int, list[Patch]]:
        """Return the patches of all clips by film frame."""
        patches: dict[int, list[Patch]] = defaultdict(list)
        for clip in self.clips.values():
            for frame, patch in clip.recovery.patches.items():
                patches[frame].append(patch)
        return patches


@dataclass(frozen=True, slots=True)
class EncodedSegment:
    """An encoded segment, with the residual text and the snapshots of its frames."""

    recovered: RecoveredSegment
    path: Path  # of the encoded video
    findings: Findings
    snapshots: Snapshots

    def better_than(self, other: EncodedSegment) -> bool:
        """Return True if it shows less text than ``other``; events that were left count, too."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, int, int, float]:
        failed, lines, probes, evidence = self.findings.rank
        return failed, lines + len(self.recovered.left), probes, evidence


def record_of(encoded: EncodedSegment, folder: Path) -> SegmentRecord:
    """Return the record of a segment, and store before-and-after pictures of its hardest events.

    Args:
        encoded: the segment.
        folder: the pictures are stored here.
    """
    recovered = encoded.recovered
    segment, shares = recovered.segment, recovered.shares
    still_shown = {*encoded.findings.spoiled, *encoded.findings.failed, *recovered.left}
    preview_names = encoded.snapshots.save_hardest(
        [(share.event not in still_shown, share.confidence) for share in shares],
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
            residual=share.event in still_shown,
            passes=2 if share.event in recovered.retried else 1,
            preview=preview_names.get(number, ""),
            reading=recovered.readings[number],
            left=share.left,
        )
        for number, share in enumerate(shares)
    )
    diffused, residues = len(recovered.diffused_frames), encoded.findings.residues()
    return SegmentRecord(segment.number, segment.start, segment.stop, records, diffused, residues)
