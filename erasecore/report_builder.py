"""What the segments' records say about each event of the film."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.model.events import Event, Reading
from erasecore.reports import EventReport, LadderReport
from erasecore.text.srt import legible
from erasecore.video.timeline import Timeline

_NAMED = 6  # subtitles whose times a warning names

_Key = tuple[int, int, tuple[float, float, float, float]]


def report_events(
    records: tuple[SegmentRecord, ...], timeline: Timeline, time_base: Fraction
) -> tuple[EventReport, ...]:
    """One report for each event, its shares added up over the segments it lies in."""
    found: dict[_Key, list[ShareRecord]] = defaultdict(list)
    for record in records:
        for share in record.shares:
            found[share.start, share.stop, share.box_xyxy].append(share)
    in_order = sorted(found, key=lambda key: (key[0], key[2][1], key[2][0]))
    of_events = [found[key] for key in in_order]
    readings = [_best_reading(shares) for shares in of_events]
    reports = [
        replace(_report(shares, timeline, time_base), text_score=round(reading.score, 4))
        for shares, reading in zip(of_events, readings, strict=True)
    ]
    believed = zip(reports, readings, legible(readings), strict=True)
    return tuple(replace(r, text=reading.text) if yes else r for r, reading, yes in believed)


def _best_reading(shares: list[ShareRecord]) -> Reading:
    """An event that goes on over several segments has been read in each; the fullest counts."""
    return max((share.reading for share in shares), key=lambda r: (r.score * r.covered, r.score))


def _report(shares: list[ShareRecord], timeline: Timeline, time_base: Fraction) -> EventReport:
    """One event's shares, at least one, added up."""
    unblended = sum(share.unblended for share in shares)
    propagated = sum(share.propagated for share in shares)
    invented = sum(share.invented for share in shares)
    diffused = sum(share.diffused for share in shares)
    filled = propagated + invented + diffused
    total = max(1, unblended + filled)
    trust = sum(share.confidence * share.filled_px for share in shares)
    first = shares[0]
    left, top, right, bottom = (round(side) for side in first.box_xyxy)
    return EventReport(
        start=first.start,
        stop=first.stop,
        start_seconds=seconds_at(timeline, first.start, time_base),
        stop_seconds=seconds_at(timeline, first.stop, time_base),
        box_xyxy=(left, top, right, bottom),
        share_unblended=round(unblended / total, 4),
        share_propagated=round(propagated / total, 4),
        share_invented=round(invented / total, 4),
        share_diffused=round(diffused / total, 4),
        confidence=round(trust / filled, 4) if filled else float(unblended > 0),
        ink_found=unblended + filled > 0,
        residual=any(share.residual for share in shares),
        passes=max(share.passes for share in shares),
    )


def late_events(reports: tuple[EventReport, ...], known: tuple[Event, ...]) -> list[Event]:
    """Where lines were erased that detection had not found, but a look at a segment had."""
    places = {(event.start, event.stop, *map(round, event.box_xyxy)) for event in known}
    late = [one for one in reports if (one.start, one.stop, *one.box_xyxy) not in places]
    return [
        Event(
            start=report.start,
            stop=report.stop,
            full_start=report.start,
            full_stop=report.stop,
            box_xyxy=tuple(map(float, report.box_xyxy)),  # type: ignore[arg-type]
            text_height_px=float(report.box_xyxy[3] - report.box_xyxy[1]),
            score=report.confidence,
        )
        for report in late
    ]


def warnings_of(events: tuple[EventReport, ...]) -> tuple[str, ...]:
    """What a person should look at, in sentences that name the places."""
    left = [event for event in events if event.residual]
    inkless = [event for event in events if not event.ink_found and not event.residual]
    sentences = []
    if left:
        sentences.append(f"text is still seen in the place of {_counted(left)}")
    if inkless:
        sentences.append(f"no ink was found, and nothing was changed, for {_counted(inkless)}")
    return tuple(sentences)


def memory_warnings(ladders: tuple[LadderReport, ...]) -> tuple[str, ...]:
    """What memory was too short for, where that has changed the picture."""
    undone = [ladder.work for ladder in ladders if ladder.rung == "propagate"]
    if not undone:
        return ()
    what = "; ".join(undone)
    return (
        f"memory was too short for the diffusion networks ({what}): some holes were not painted",
    )


def _counted(events: list[EventReport]) -> str:
    """How many subtitles, and when the first few are shown."""
    times = ", ".join(clock_time(event.start_seconds) for event in events[:_NAMED])
    more = ", ..." if len(events) > _NAMED else ""
    what = "1 subtitle" if len(events) == 1 else f"{len(events)} subtitles"
    return f"{what} (at {times}{more})"


def clock_time(seconds: float) -> str:
    """A time of the film as people write it: 1:02:03.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:04.1f}"


def seconds_at(timeline: Timeline, frame: int, time_base: Fraction) -> float:
    """When ``frame`` is shown, in seconds from the first frame; the film's end for the last + 1."""
    return round(float((timeline.stamp_of(frame) - int(timeline.pts[0])) * time_base), 6)


def hardest_previews(
    records: tuple[SegmentRecord, ...], folder: Path, timeline: Timeline, time_base: Fraction
) -> list[tuple[Path, str]]:
    """The stored before-and-after pictures, each with a caption that says when and what of it.

    Those with text left come first, then the least certain.
    """
    shares = [share for record in records for share in record.shares if share.preview]
    hardest = sorted(shares, key=lambda share: (not share.residual, share.confidence))
    return [
        (folder / share.preview, _caption(share, seconds_at(timeline, share.start, time_base)))
        for share in hardest
    ]


def _caption(share: ShareRecord, seconds: float) -> str:
    return f"{clock_time(seconds)}{'  text is still seen' if share.residual else ''}"
