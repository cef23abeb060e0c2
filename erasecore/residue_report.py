"""Residue and text left knowingly, as the report tells them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction

from erasecore.checkpoints import SegmentRecord
from erasecore.detection.finder import TOO_LARGE
from erasecore.detection.verdict import SHORT
from erasecore.model.boxes import area, overlap, shared_area
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.model.picture_areas import PictureArea
from erasecore.plans import KEPT_BY_PLAN
from erasecore.report_builder import count_with_times, first_times, seconds_at
from erasecore.reports import EventReport, LeftText, ResidueReason, ResidueReport
from erasecore.selection.time_filter import OTHER_SCRIPT, OUTSIDE_TIMES
from erasecore.video.timeline import Timeline

LOW_CONFIDENCE = 0.3
"""Confidence of an event's fill, 0 to 1, below which it is told as residue.

Measured on the judge's kinds: 0.05 to 0.28 where the fill is smeared, 0.39 and more where it is
good.
"""

_READ_SCORE = 0.6  # OCR confidence, 0 to 1, from which words without ink are told; a guess
_LEFT_SCORE = 0.6  # detector's score, 0 to 1; below it texture is as likely as text; a guess
_SAME_PLACE = 0.3  # overlap of two boxes at one place, of the smaller one; a guess
_SAME_BOX = 0.6  # intersection over union of a box of text and the picture that it is; a guess
_ERROR_SETTING = ""  # nothing takes what an error of the program has left

_SETTINGS = {
    SHORT: "detect.min_seconds",
    "moves": "mask",
    "does not keep its shape": "mask",
    "tilted": "mask",
    "faint": "mask",
    "size": "mask",
    TOO_LARGE: "mask",
    OUTSIDE_TIMES: "detect.times",
    OTHER_SCRIPT: "detect.scripts",
    KEPT_BY_PLAN: "plan",
}
_USUAL_SETTING = "detect.regions"  # takes lines refused for their place or for how long they stand

_SENTENCES = {
    ResidueReason.TEXT: "text is still seen in the place of {count}",
    ResidueReason.OUTLASTS: "letters are still seen before or after {count}",
    ResidueReason.LETTERS: "the shape of the letters still shows in the place of {count}",
    ResidueReason.STEP: "the picture still changes in the place of {count} as it comes or goes",
    ResidueReason.BAR: "the bar at the picture's edge is damaged in the place of {count}",
    ResidueReason.NO_INK: "no ink was found, and nothing was changed, for {count}",
    ResidueReason.LOW_CONFIDENCE: "what was behind {count} is a guess",
}
"""Warning for each reason that concerns an event; an event is named in the first that applies."""


def residue_reports(
    records: tuple[SegmentRecord, ...],
    events: tuple[EventReport, ...],
    timeline: Timeline,
    time_base: Fraction,
) -> tuple[ResidueReport, ...]:
    """Return everything that the self-check found, by start, then top to bottom.

    Args:
        records: of all segments.
        events: reports on the events, for what only all of an event's segments can tell.
        timeline: presentation time stamps.
        time_base: their unit, seconds.
    """
    found = {
        ResidueReport(
            start=residue.start,
            stop=residue.stop,
            start_seconds=seconds_at(timeline, residue.start, time_base),
            stop_seconds=seconds_at(timeline, residue.stop, time_base),
            box_xyxy=_whole_pixels(residue.box_xyxy),
            reason=residue.reason,
            evidence=residue.evidence,
            text=residue.text,
        )
        for record in records
        for residue in record.residues
    }
    found |= {residue for event in events for residue in _of_event(event)}
    return tuple(sorted(found, key=lambda one: (one.start, one.box_xyxy[1], one.reason)))


def _of_event(event: EventReport) -> Iterator[ResidueReport]:
    """Yield the residue that an event's own figures tell."""
    if event.left:
        return
    if not event.ink_found and event.text and event.text_score >= _READ_SCORE:
        yield _at(event, ResidueReason.NO_INK, event.text_score)
    if event.ink_found and event.confidence < LOW_CONFIDENCE:
        yield _at(event, ResidueReason.LOW_CONFIDENCE, event.confidence)


def _at(event: EventReport, reason: ResidueReason, evidence: float) -> ResidueReport:
    return ResidueReport(
        event.start,
        event.stop,
        event.start_seconds,
        event.stop_seconds,
        event.box_xyxy,
        reason,
        evidence,
        event.text,
    )


def with_residue(events: tuple[EventReport, ...]) -> tuple[EventReport, ...]:
    """Return the reports, ``residual`` also where an event's own figures tell residue."""
    return tuple(
        replace(event, residual=True) if any(_of_event(event)) else event for event in events
    )


def _concerns(residue: ResidueReport, event: EventReport) -> bool:
    """Return True if residue lies at the place of an event, in its span."""
    if residue.start >= event.stop or residue.stop <= event.start:
        return False
    return overlap(residue.box_xyxy, event.box_xyxy) > _SAME_PLACE


def residue_warnings(
    events: tuple[EventReport, ...], residue: tuple[ResidueReport, ...]
) -> tuple[str, ...]:
    """Return a sentence for each reason of residue, and for events that no ink was found of."""
    sentences = []
    told: set[EventReport] = {event for event in events if event.left}
    for reason, sentence in _SENTENCES.items():
        own = [one for one in residue if one.reason is reason]
        concerned = [
            event
            for event in events
            if event not in told
            and (
                any(_concerns(one, event) for one in own)
                or (reason is ResidueReason.NO_INK and not event.ink_found)
            )
        ]
        told |= set(concerned)
        if concerned:
            sentences.append(sentence.format(count=count_with_times(concerned)))
    unerased = [one for one in residue if one.reason is ResidueReason.UNERASED]
    if unerased:
        times = first_times([one.start_seconds for one in unerased])
        places = "1 place" if len(unerased) == 1 else f"{len(unerased)} places"
        sentences.append(f"text that comes and goes was not erased in {places} ({times})")
    return tuple(sentences)


def left_texts(
    detection: Detection,
    events: tuple[EventReport, ...],
    timeline: Timeline,
    time_base: Fraction,
) -> tuple[LeftText, ...]:
    """Return the text that was left knowingly, by start, then top to bottom.

    Args:
        detection: its rejected text was left.
        events: reports on the events; those that an error has left are named, too.
        timeline: presentation time stamps.
        time_base: their unit, seconds.
    """
    refused = [
        _left(event, reason, timeline, time_base)
        for event, reason in detection.rejected
        if event.score >= _LEFT_SCORE and not _is_picture(event, detection.picture_areas)
    ]
    failed = [
        LeftText(
            one.start,
            one.stop,
            one.start_seconds,
            one.stop_seconds,
            one.box_xyxy,
            one.left,
            _ERROR_SETTING,
        )
        for one in events
        if one.left
    ]
    return tuple(sorted((*refused, *failed), key=lambda one: (one.start, one.box_xyxy[1])))


def _is_picture(event: Event, areas: Sequence[PictureArea]) -> bool:
    """Return True if what was taken for text is a picture between its bars."""
    for shown in areas:
        shared = shared_area(event.box_xyxy, shown.box)
        alike = shared > _SAME_BOX * (area(event.box_xyxy) + area(shown.box) - shared)
        if alike and shown.start < event.stop and shown.stop > event.start:
            return True
    return False


def setting_for(reason: str) -> str:
    """Return the setting that would take text that was refused for ``reason``."""
    return _SETTINGS.get(reason, _USUAL_SETTING)


def _left(event: Event, reason: str, timeline: Timeline, time_base: Fraction) -> LeftText:
    stop = min(event.stop, len(timeline))
    return LeftText(
        start=event.start,
        stop=stop,
        start_seconds=seconds_at(timeline, event.start, time_base),
        stop_seconds=seconds_at(timeline, stop, time_base),
        box_xyxy=_whole_pixels(event.box_xyxy),
        reason=reason,
        setting=setting_for(reason),
        always=event.start == 0 and stop == len(timeline),
    )


def _whole_pixels(box: BoxXyxy) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(side) for side in box)
    return left, top, right, bottom
