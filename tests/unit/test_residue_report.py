"""Residue and text left knowingly, as the report tells them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.detection.finder import TOO_LARGE
from erasecore.detection.verdict import SHORT
from erasecore.model.events import Detection, Event, Reading
from erasecore.model.picture_areas import PictureArea
from erasecore.model.residues import Residue
from erasecore.report_builder import report_events
from erasecore.reports import EventReport, ResidueReason
from erasecore.residue_report import (
    LOW_CONFIDENCE,
    left_texts,
    residue_reports,
    residue_warnings,
    with_residue,
)
from tests.timelines import TIMELINE

BASE = Fraction(1, 25)
SHARE = ShareRecord(
    10, 60, (1.0, 2.0, 90.0, 22.0), 0, 80, 20, 0.5, residual=False, passes=1, preview=""
)
BOX = (1.0, 2.0, 90.0, 22.0)


def told(
    *shares: ShareRecord, residues: tuple[Residue, ...] = ()
) -> tuple[tuple[EventReport, ...], list[ResidueReason], tuple[str, ...]]:
    """Events, reasons and warnings of a film of one segment."""
    records = (SegmentRecord(0, 0, 100, shares, residues=residues),)
    events = report_events(records, TIMELINE, BASE)
    residue = residue_reports(records, events, TIMELINE, BASE)
    return with_residue(events), [one.reason for one in residue], residue_warnings(events, residue)


def test_a_good_event_is_not_told() -> None:
    """Nothing found is nothing said."""
    (event,), reasons, warnings = told(SHARE)
    assert (event.residual, reasons, warnings) == (False, [], ())


@pytest.mark.parametrize(
    ("confidence", "reasons"),
    [(LOW_CONFIDENCE, []), (LOW_CONFIDENCE - 0.01, [ResidueReason.LOW_CONFIDENCE]), (0.06, None)],
)
def test_low_confidence_is_residue(confidence: float, reasons: list[ResidueReason] | None) -> None:
    """``residual: false`` beside a confidence of 0.06 is a contradiction."""
    (event,), found, warnings = told(replace(SHARE, confidence=confidence))
    assert reasons is None or found == reasons
    assert event.residual is bool(found)
    assert len(warnings) == len(found)


def test_words_without_ink_are_residue() -> None:
    """A line that was read, and of which no pixel was changed, still stands there."""
    inkless = replace(SHARE, propagated=0, invented=0, confidence=0.0)
    read = replace(inkless, reading=Reading("Where were you?", 0.97, 0.8, 1.0))
    (event,), reasons, warnings = told(read)
    assert (event.residual, reasons) == (True, [ResidueReason.NO_INK])
    assert warnings == ("no ink was found, and nothing was changed, for 1 subtitle (at 0:00:00.4)",)
    (event,), reasons, warnings = told(inkless)
    assert (event.residual, reasons, len(warnings)) == (False, [], 1)


def test_an_event_is_warned_of_once() -> None:
    """The first reason names it; text away from all events has a sentence of its own."""
    text = Residue(10, 60, BOX, ResidueReason.TEXT, 1.0)
    step = replace(text, reason=ResidueReason.STEP, evidence=4.0)
    elsewhere = Residue(20, 30, (200.0, 2.0, 290.0, 22.0), ResidueReason.UNERASED, 0.9)
    _, reasons, warnings = told(replace(SHARE, residual=True), residues=(text, step, elsewhere))
    assert reasons == [ResidueReason.STEP, ResidueReason.TEXT, ResidueReason.UNERASED]
    assert warnings == (
        "text is still seen in the place of 1 subtitle (at 0:00:00.4)",
        "text that comes and goes was not erased in 1 place (at 0:00:00.8)",
    )


def test_text_that_was_left_is_listed_with_what_would_take_it() -> None:
    """By time; a line that stands all film long says so, an error names no setting."""
    line = Event(0, 100, 0, 100, BOX, 12.0, 0.9)
    rejected = (
        (replace(line, start=40, stop=44), SHORT),
        (line, "never appears or disappears"),
        (replace(line, start=50, stop=70), "moves"),
        (replace(line, start=80, stop=90), TOO_LARGE),
        (replace(line, start=90, stop=99), "a reason that was thought of later"),
        (replace(line, start=91, stop=99, score=0.5), "moves"),  # hardly text
    )
    (failed,) = report_events(
        (SegmentRecord(0, 0, 100, (replace(SHARE, left="IndexError: 48"),)),), TIMELINE, BASE
    )
    texts = left_texts(Detection((), rejected, (), 100), (failed,), TIMELINE, BASE)
    assert [(text.start, text.setting, text.always) for text in texts] == [
        (0, "detect.regions", True),
        (10, "", False),
        (40, "detect.min_seconds", False),
        (50, "mask", False),
        (80, "mask", False),
        (90, "detect.regions", False),
    ]
    assert texts[1].reason == "IndexError: 48"
    assert texts[2].stop_seconds == pytest.approx(44 / 25)
    assert texts[2].box_xyxy == (1, 2, 90, 22)


def test_a_picture_between_bars_is_not_named_as_text() -> None:
    """A detector may take the picture's rectangle for one large letter."""
    area = PictureArea(0, 100, (53, 40, 373, 200), (53, 40, 373, 200))
    picture = Event(10, 30, 10, 30, (48.0, 25.0, 387.0, 212.0), 140.0, 0.9)
    title = replace(picture, box_xyxy=(80.0, 60.0, 340.0, 120.0))
    refused = ((picture, TOO_LARGE), (title, TOO_LARGE))
    detection = Detection((), refused, (), 100, (area,))
    (left,) = left_texts(detection, (), TIMELINE, BASE)
    assert left.box_xyxy == (80, 60, 340, 120)
