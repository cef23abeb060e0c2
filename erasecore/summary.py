"""What the segments' records say about each event of the film."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from erasecore.detect.events import Event
from erasecore.detect.recognizer import NOTHING, Reading
from erasecore.reports import EventReport
from erasecore.subtitles import legible
from erasecore.video.timeline import Timeline
from erasecore.workspace import SegmentRecord, ShareRecord

_Key = tuple[int, int, tuple[float, float, float, float]]


def report_events(
    events: tuple[Event, ...],
    records: tuple[SegmentRecord, ...],
    timeline: Timeline,
    time_base: Fraction,
) -> tuple[EventReport, ...]:
    """One report for each event, its shares added up over the segments it lies in."""
    found: dict[_Key, list[ShareRecord]] = defaultdict(list)
    for record in records:
        for share in record.shares:
            found[share.start, share.stop, share.box_xyxy].append(share)
    of_events = [found[event.start, event.stop, event.box_xyxy] for event in events]
    readings = [_best_reading(shares) for shares in of_events]
    reports = [
        replace(_report(event, shares, timeline, time_base), text_score=round(reading.score, 4))
        for event, shares, reading in zip(events, of_events, readings, strict=True)
    ]
    believed = zip(reports, readings, legible(readings), strict=True)
    return tuple(replace(r, text=reading.text) if yes else r for r, reading, yes in believed)


def _best_reading(shares: list[ShareRecord]) -> Reading:
    """An event that goes on over several segments has been read in each of them."""
    return max((share.reading for share in shares), key=lambda r: r.score, default=NOTHING)


def _report(
    event: Event, shares: list[ShareRecord], timeline: Timeline, time_base: Fraction
) -> EventReport:
    unblended = sum(share.unblended for share in shares)
    propagated = sum(share.propagated for share in shares)
    invented = sum(share.invented for share in shares)
    filled = propagated + invented
    total = max(1, unblended + filled)
    trust = sum(share.confidence * (share.propagated + share.invented) for share in shares)
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    return EventReport(
        start=event.start,
        stop=event.stop,
        start_seconds=seconds_at(timeline, event.start, time_base),
        stop_seconds=seconds_at(timeline, event.stop, time_base),
        box_xyxy=(left, top, right, bottom),
        share_unblended=round(unblended / total, 4),
        share_propagated=round(propagated / total, 4),
        share_invented=round(invented / total, 4),
        confidence=round(trust / filled, 4) if filled else 1.0,
    )


def seconds_at(timeline: Timeline, frame: int, time_base: Fraction) -> float:
    """When ``frame`` is shown, in seconds from the first frame; the film's end for the last + 1."""
    first = int(timeline.pts[0])
    if frame < len(timeline):
        stamp = int(timeline.pts[frame])
    else:
        stamp = int(timeline.pts[-1]) + (timeline.last_duration or timeline.usual_step())
    return round(float((stamp - first) * time_base), 6)


def hardest_previews(records: tuple[SegmentRecord, ...], folder: Path) -> list[Path]:
    """The stored before-and-after pictures, those of the least confident events first."""
    shares = [share for record in records for share in record.shares if share.preview]
    return [folder / share.preview for share in sorted(shares, key=lambda s: s.confidence)]
