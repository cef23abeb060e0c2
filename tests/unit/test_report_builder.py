"""What is said of a film's events, from the records of its segments."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from erasecore.checkpoints import SegmentRecord, ShareRecord
from erasecore.model.events import Reading
from erasecore.report_builder import (
    clock_time,
    error_warnings,
    hardest_previews,
    memory_warnings,
    report_events,
)
from erasecore.reports import EventReport, LadderReport, ResidueReason, ResidueReport
from erasecore.residue_report import residue_warnings
from tests.timelines import TIMELINE

SHARE = ShareRecord(
    10, 60, (1.0, 2.0, 30.0, 12.0), 0, 80, 20, 0.5, residual=False, passes=1, preview="a.png"
)
BASE = Fraction(1, 25)


def reports(*shares: tuple[ShareRecord, ...]) -> tuple[EventReport, ...]:
    """The reports of segments with these shares."""
    records = tuple(SegmentRecord(k, 50 * k, 50 * k + 50, some) for k, some in enumerate(shares))
    return report_events(records, TIMELINE, BASE)


def test_an_event_in_two_segments_is_one_report() -> None:
    """Pixels add up; one look with text left, or one second pass, counts for the whole event."""
    later = replace(SHARE, propagated=0, invented=100, residual=True, passes=2)
    (event,) = reports((SHARE,), (later,))
    assert (event.share_propagated, event.share_invented) == (0.4, 0.6)
    assert (event.residual, event.passes, event.ink_found) == (True, 2, True)
    assert event.start_seconds == pytest.approx(0.4)


def test_of_several_readings_the_fullest_counts() -> None:
    """Where segments show an event in parts, the one that shows most of it says what it was."""
    part = replace(SHARE, reading=Reading("Where", 0.99, 0.9, 0.3))
    whole = replace(SHARE, reading=Reading("Where were you?", 0.97, 0.8, 1.0))
    (event,) = reports((part,), (whole,))
    assert (event.text, event.text_score) == ("Where were you?", 0.97)
    (unread,) = reports((SHARE,), (SHARE,))
    assert (unread.text, unread.text_score) == ("", 0.0)


def test_an_event_without_ink_is_not_called_sure() -> None:
    """Nothing found is confidence 0 and ``ink_found: false``, not a perfect score."""
    (event,) = reports((replace(SHARE, propagated=0, invented=0, confidence=0.0),))
    assert (event.ink_found, event.confidence) == (False, 0.0)


def test_warnings_name_the_times() -> None:
    """Text left and ink not found are two sentences, each with the first few times."""
    (event,) = reports((SHARE,))
    assert error_warnings((event,)) == residue_warnings((event,), ()) == ()
    left = tuple(replace(event, residual=True, start_seconds=float(61 * k)) for k in range(1, 9))
    inkless = replace(event, ink_found=False, start=70, stop=90)
    seen = ResidueReport(10, 60, 0.4, 2.4, event.box_xyxy, ResidueReason.TEXT, 1.0)
    first, second = residue_warnings((*left, inkless), (seen,))
    assert "8 subtitles (at 0:01:01.0, 0:02:02.0," in first
    assert first.endswith(", ...)")
    assert second.startswith("no ink was found")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00:00.0"), (59.96, "0:01:00.0"), (3723.44, "1:02:03.4")]
)
def test_times_as_people_write_them(seconds: float, text: str) -> None:
    """Hours, minutes and seconds with a tenth; rounding carries over."""
    assert clock_time(seconds) == text


def test_the_preview_begins_with_what_is_left() -> None:
    """Text left comes first, however sure its filling was; then the least certain."""
    shares = (
        replace(SHARE, confidence=0.4, preview="b.png"),
        replace(SHARE, confidence=0.1, preview="c.png"),
        replace(SHARE, confidence=0.9, residual=True, preview="a.png"),
        replace(SHARE, confidence=0.0, preview=""),
    )
    record = SegmentRecord(0, 0, 100, shares)
    hardest = hardest_previews((record,), Path("folder"), TIMELINE, BASE)
    assert [path.name for path, _ in hardest] == ["a.png", "c.png", "b.png"]
    assert [caption for _, caption in hardest] == [
        "0:00:00.4  text is still seen",
        "0:00:00.4",
        "0:00:00.4",
    ]


def test_a_film_that_memory_was_too_short_for_says_so() -> None:
    """Going down to smaller pieces is no matter for a person; holes that were not painted are."""
    ladder = LadderReport("diffueraser 768x256 cuda L4", "vae tiles", 4, 9, 4)
    assert memory_warnings((ladder,)) == ()
    (warning,) = memory_warnings((ladder, replace(ladder, rung="propagate", position=8)))
    assert "768x256" in warning
