"""The times of subtitle files as they come, well made and not, and of the ranges made from them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasecore.errors import BadSubtitleFile, Remedy
from erasecore.model.events import Detection, Event
from erasecore.selection.cues import MAX_CUE_FILE_BYTES, MAX_CUES, read_cues
from erasecore.selection.time_filter import (
    OUTSIDE_TIMES,
    SEARCH_LEAD_SECONDS,
    TimeFilter,
    merge_ranges,
)
from erasecore.settings import TimeRange

FILM = Path("film.mp4")
TWO = "1\n00:00:10,000 --> 00:00:12,500\nHello\n\n2\n00:01:00,000 --> 00:01:02,000\nThere\n"


def write(folder: Path, content: bytes | str) -> Path:
    """A subtitle file."""
    path = folder / "film.srt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        TWO.encode(),
        TWO.replace("\n", "\r\n").encode(),
        TWO.encode("utf-8-sig"),
        TWO.encode("utf-16"),  # with a byte order mark
        b"\xfe\xff" + TWO.encode("utf-16-be"),
        TWO.replace("Hello", "Grüße").encode("cp1252"),
        TWO.replace(",", ".").encode(),  # as some editors write it
        TWO.replace("1\n00", "00").replace("2\n00", "00").encode(),  # no numbers
        TWO.replace("\n\n2", "\n2").encode(),  # no empty line between
        TWO.replace("00:01:02,000", "00:01:02,000 X1:63 X2:223 Y1:43 Y2:58").encode(),
        TWO.replace("Hello", "a --&gt; b <i>{\\an8}</i>").encode(),
    ],
)
def test_times_are_read_whatever_the_encoding(tmp_path: Path, content: bytes) -> None:
    """Both cues with a second more on each side, nothing passed over."""
    cues = read_cues(write(tmp_path, content), FILM)
    assert cues.ranges.spans == (TimeRange(9.0, 13.5), TimeRange(59.0, 63.0))
    assert (cues.count, cues.skipped, cues.warnings) == (2, 0, ())


@pytest.mark.parametrize(
    "extra",
    [
        "3\n00:02:00 --> sometime\nno times\n",
        "3\n00:02:05,000 --> 00:02:01,000\nended before it began\n",
        "3\n00:02:05,000 --> 00:02:06,000" + " x" * 200 + "\nfar too long\n",
        "3\n--> 00:02:06,000\nno beginning\n",
    ],
)
def test_broken_cues_are_passed_over_and_told(tmp_path: Path, extra: str) -> None:
    """The others count, and the report has a warning."""
    cues = read_cues(write(tmp_path, TWO + "\n" + extra), FILM)
    assert (cues.count, cues.skipped) == (2, 1)
    assert "1 cue of the .srt" in cues.warnings[0]


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "no times"),
        (b"\x00\x01\x02" * 100, "no times"),
        (b"WEBVTT\n\nnothing here", "no times"),
        (b"1\nxx --> yy\nHello\n", "no cue whose times"),
        (TWO.encode() * (MAX_CUES // 2 + 1), "larger than|more than"),
        (b"x" * (MAX_CUE_FILE_BYTES + 1), "larger than"),
    ],
)
def test_a_file_without_any_times_is_an_error(tmp_path: Path, content: bytes, word: str) -> None:
    """It names the film, says what is wrong, and what to do."""
    with pytest.raises(BadSubtitleFile, match=word) as caught:
        read_cues(write(tmp_path, content), FILM)
    assert str(caught.value).startswith("film.mp4: its subtitle file ")
    assert "take it away" in str(caught.value)
    assert caught.value.remedy is Remedy.FIX_INPUT


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    """A link leads nowhere, and a pipe does not make us wait."""
    write(tmp_path, TWO)
    (tmp_path / "link.srt").symlink_to(tmp_path / "film.srt")
    os.mkfifo(tmp_path / "pipe.srt")
    for name, word in (("link.srt", "cannot be read"), ("pipe.srt", "not a regular file")):
        with pytest.raises(BadSubtitleFile, match=word):
            read_cues(tmp_path / name, FILM)
    assert read_cues(tmp_path / "film.srt", FILM).count == 2


def test_hostile_text_costs_nothing(tmp_path: Path) -> None:
    """Megabytes that would make tag and number patterns run wild are not parsed at all."""
    text = "<a" * 500_000 + "\n" * 1_000_000 + "<" * 500_000 + "b"
    assert read_cues(write(tmp_path, TWO + text), FILM).count == 2


@pytest.mark.parametrize(
    ("start", "stop", "wanted"),
    [
        (1.0, 9.9, False),  # over before
        (1.0, 10.1, True),  # reaches into it
        (11.0, 12.0, True),
        (19.9, 40.0, True),  # begins in its last moment
        (20.0, 40.0, False),  # begins when it is over
        (1.0, 100.0, True),  # around it
    ],
)
def test_a_line_is_wanted_if_it_shows_in_the_range(
    start: float, stop: float, *, wanted: bool
) -> None:
    """Half-open ranges: a moment in common is enough, touching is not."""
    assert TimeFilter((TimeRange(10.0, 20.0),)).wants(start, stop) is wanted


def test_search_begins_early_enough_for_a_line_that_reaches_in() -> None:
    """So that it is found from its first frame; after the range nothing new is looked for."""
    times = TimeFilter((TimeRange(100.0, 110.0),))
    looked = [
        times.covers(t) for t in (99.0 - SEARCH_LEAD_SECONDS, 101.0 - SEARCH_LEAD_SECONDS, 110.0)
    ]
    assert looked == [False, True, False]
    assert [times.wants_at(t) for t in (99.0, 100.0, 110.0)] == [False, True, False]


def test_cues_and_times_both_narrow() -> None:
    """What is wanted lies in both."""
    times = TimeFilter((TimeRange(0.0, 60.0),), merge_ranges([TimeRange(50.0, 70.0)]))
    assert [times.wants(t, t + 1) for t in (10, 55, 65)] == [False, True, False]
    assert not times.covers(10)
    assert TimeFilter(()).covers(1e6)


@given(
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 30)), max_size=12),
    st.integers(0, 260),
    st.integers(1, 30),
)
def test_joined_ranges_hold_what_any_of_them_holds(
    spans: list[tuple[int, int]], start: int, length: int
) -> None:
    """Joining and the search by halves change nothing but the speed."""
    ranges = [TimeRange(float(a), float(a + n)) for a, n in spans]
    made = merge_ranges(ranges)
    assert made.contain(start) == any(r.start_seconds <= start < r.stop_seconds for r in ranges)
    stop = start + length
    assert made.intersect(start, stop) == any(
        r.start_seconds < stop and start < r.stop_seconds for r in ranges
    )
    gaps = zip(made.spans, made.spans[1:], strict=False)
    assert all(one.stop_seconds < other.start_seconds for one, other in gaps)


def test_events_that_are_not_wanted_are_left_alone_with_the_reason() -> None:
    """They stand among the rejected, in order, and the others are unchanged."""
    events = tuple(
        Event(25 * k, 25 * k + 20, 25 * k, 25 * k + 20, (0.0, 0.0, 9.0, 9.0), 9.0, 1.0)
        for k in range(4)
    )
    detection = Detection(events, ((events[3], "moves"),), (), 100)
    applied = TimeFilter((TimeRange(1.0, 2.0),)).apply(detection, lambda frame: frame / 25)
    assert applied.events == (events[1],)
    reasons = [OUTSIDE_TIMES, OUTSIDE_TIMES, "moves", OUTSIDE_TIMES]
    assert sorted(why for _, why in applied.rejected) == sorted(reasons)
