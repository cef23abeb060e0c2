"""Report of a film: the records of its segments summed by event, and warnings in sentences."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.model.events import Event, Reading
from erasecore.reports import EventReport, LadderReport
from erasecore.text.srt import legible
from erasecore.video.hevc_fields import PictureStruct
from erasecore.video.probe import VideoInfo
from erasecore.video.timeline import Timeline

_MAX_TIMES_NAMED = 6  # largest number of times in one warning; a guess

_EventKey = tuple[int, int, tuple[float, float, float, float]]
"""Start frame, stop frame and box of an event: its identity over several segments."""


def report_events(
    records: tuple[SegmentRecord, ...], timeline: Timeline, time_base: Fraction
) -> tuple[EventReport, ...]:
    """Return one report for each event, by start, then top to bottom, then left to right.

    The shares of an event are summed over its segments; its text is set if it is legible.
    """
    shares_of: dict[_EventKey, list[ShareRecord]] = defaultdict(list)
    for record in records:
        for share in record.shares:
            shares_of[share.start, share.stop, share.box_xyxy].append(share)
    in_order = sorted(shares_of, key=lambda key: (key[0], key[2][1], key[2][0]))
    shares_by_event = [shares_of[key] for key in in_order]
    readings = [_best_reading(shares) for shares in shares_by_event]
    reports = [
        replace(_event_report(shares, timeline, time_base), text_score=round(reading.score, 4))
        for shares, reading in zip(shares_by_event, readings, strict=True)
    ]
    return tuple(
        replace(report, text=reading.text) if is_legible else report
        for report, reading, is_legible in zip(reports, readings, legible(readings), strict=True)
    )


def _best_reading(shares: list[ShareRecord]) -> Reading:
    """Return the reading with the largest score x coverage; each segment has one of the event."""
    return max((share.reading for share in shares), key=lambda r: (r.score * r.covered, r.score))


def _event_report(
    shares: list[ShareRecord], timeline: Timeline, time_base: Fraction
) -> EventReport:
    """Return the report on one event from its shares (at least one), without its text."""
    unblended = sum(share.unblended for share in shares)
    propagated = sum(share.propagated for share in shares)
    invented = sum(share.invented for share in shares)
    diffused = sum(share.diffused for share in shares)
    filled = propagated + invented + diffused
    total = max(1, unblended + filled)
    confidence = sum(share.confidence * share.filled_px for share in shares)
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
        confidence=round(confidence / filled, 4) if filled else float(unblended > 0),
        ink_found=unblended + filled > 0,
        residual=any(share.residual for share in shares),
        passes=max(share.passes for share in shares),
        left=next((share.left for share in shares if share.left), ""),
    )


def missed_events(reports: tuple[EventReport, ...], known: tuple[Event, ...]) -> list[Event]:
    """Return the erased lines that detection had missed and the residual text check found.

    Args:
        reports: on all erased events.
        known: events that detection had found.
    """
    known_keys = {(event.start, event.stop, *map(round, event.box_xyxy)) for event in known}
    missed = [r for r in reports if (r.start, r.stop, *r.box_xyxy) not in known_keys]
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
        for report in missed
    ]


def error_warnings(events: tuple[EventReport, ...]) -> tuple[str, ...]:
    """Return a warning about events that an error has left as they were."""
    left = [event for event in events if event.left]
    if not left:
        return ()
    return (
        f"an error of this program left {count_with_times(left)} as it was "
        f"({left[0].left}); please report this with the log",
    )


def film_warnings(video: VideoInfo) -> Iterator[str]:
    """Yield warnings about what a result of this film does not keep, or what was not searched."""
    if video.dolby_vision:
        yield "the film's Dolby Vision layer is not kept; HDR10 is"
    if video.picture_struct in (PictureStruct.TOP_FIRST, PictureStruct.BOTTOM_FIRST):
        yield (
            "the film's pictures say that they are interlaced frames; only the container of the "
            "result says so, where it can"
        )
    for index in video.other_videos:
        yield (
            f"stream {index} is a second video, copied as it is: only stream "
            f"{video.stream_index} was searched for subtitles"
        )


def memory_warnings(ladders: tuple[LadderReport, ...]) -> tuple[str, ...]:
    """Return a warning if diffusion was left out for want of memory, which changes pixels."""
    skipped = [ladder.work for ladder in ladders if ladder.rung == "propagate"]
    if not skipped:
        return ()
    work = "; ".join(skipped)
    return (
        f"memory was too short for the diffusion networks ({work}): some holes were not painted",
    )


def count_with_times(events: Sequence[EventReport]) -> str:
    """Return the number of subtitles and the times of the first few, e.g. "1 subtitle (at ...)"."""
    count = "1 subtitle" if len(events) == 1 else f"{len(events)} subtitles"
    return f"{count} ({first_times([event.start_seconds for event in events])})"


def first_times(seconds: Sequence[float]) -> str:
    """Return the first few of the times as words, e.g. "at 0:00:01.0, 0:00:02.5"."""
    times = ", ".join(clock_time(time) for time in seconds[:_MAX_TIMES_NAMED])
    return f"at {times}{', ...' if len(seconds) > _MAX_TIMES_NAMED else ''}"


def clock_time(seconds: float) -> str:
    """Format a time of the film as ``H:MM:SS.s``, e.g. 1:02:03.4."""
    minutes, rest = divmod(round(seconds, 1), 60)
    return f"{int(minutes) // 60}:{int(minutes) % 60:02d}:{rest:04.1f}"


def seconds_at(timeline: Timeline, frame: int, time_base: Fraction) -> float:
    """Return the time of ``frame`` in seconds from the first frame; the end for the last + 1."""
    return round(float((timeline.stamp_of(frame) - int(timeline.pts[0])) * time_base), 6)


def hardest_previews(
    records: tuple[SegmentRecord, ...], folder: Path, timeline: Timeline, time_base: Fraction
) -> list[tuple[Path, str]]:
    """Return the stored before-and-after pictures with their captions, hardest first.

    Pictures with residual text come first, then those with the least confidence.
    """
    shares = [share for record in records for share in record.shares if share.preview]
    hardest = sorted(shares, key=lambda share: (not share.residual, share.confidence))
    return [
        (folder / share.preview, _caption(share, seconds_at(timeline, share.start, time_base)))
        for share in hardest
    ]


def _caption(share: ShareRecord, seconds: float) -> str:
    return f"{clock_time(seconds)}{'  text is still seen' if share.residual else ''}"
