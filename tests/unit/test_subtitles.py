"""The subtitle file: which readings are believed, which lines make a cue, what SRT looks like."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.model.events import Reading
from erasecore.reports import EventReport
from erasecore.text.srt import UNREADABLE, Cue, cues_of, legible, srt_of

LINE = (100, 400, 500, 440)
BELOW = (120, 450, 480, 490)


def event(
    text: str, start: float, stop: float, box: tuple[int, int, int, int] = LINE
) -> EventReport:
    """A line of text as the pipeline reports it, 25 frames a second."""
    return EventReport(
        round(start * 25), round(stop * 25), start, stop, box,
        share_unblended=0.0, share_propagated=1.0, share_invented=0.0, confidence=0.9,
        text=text, text_score=0.99,
    )  # fmt: skip


def shown(*events: EventReport) -> list[tuple[float, float, str]]:
    """The cues of ``events``, each line after a slash."""
    return [
        (cue.start_seconds, cue.stop_seconds, "/".join(cue.lines)) for cue in cues_of(list(events))
    ]


CUES: list[tuple[str, list[EventReport], list[tuple[float, float, str]]]] = [
    ("one line is one cue", [event("Hello.", 1, 2)], [(1, 2, "Hello.")]),
    (
        "two lines that come and go together are one cue, the upper one first",
        [event("there.", 1, 2, BELOW), event("Hello", 1.04, 2.08)],
        [(1, 2.08, "Hello/there.")],
    ),
    (
        "a line that stays while the other changes is there once, and overlaps both",
        [
            event("First", 0, 1),
            event("stays", 0, 2, BELOW),
            event("Second", 1, 2),
        ],
        [(0, 1, "First"), (0, 2, "stays"), (1, 2, "Second")],
    ),
    (
        "back to back without a gap: two cues",
        [event("One.", 0, 1), event("Two.", 1, 2)],
        [(0, 1, "One."), (1, 2, "Two.")],
    ),
    (
        "a text that was lost for a moment goes on as one cue",
        [event("One.", 0, 1), event("One.", 1.04, 2)],
        [(0, 2, "One.")],
    ),
    (
        "a text that is said again after a pause is said twice",
        [event("No!", 0, 1), event("No!", 1.5, 2)],
        [(0, 1, "No!"), (1.5, 2, "No!")],
    ),
    (
        "two pieces of one row are one line, from left to right",
        [event("world", 0, 1, (300, 402, 400, 440)), event("Hello", 0, 1, (100, 400, 250, 440))],
        [(0, 1, "Hello world")],
    ),
    (
        "upright columns are read from the right",
        [event("左", 0, 1, (100, 40, 130, 400)), event("右", 0, 1, (140, 40, 170, 400))],
        [(0, 1, "右/左")],
    ),
    (
        "what cannot be read keeps its time and says so",
        [event("", 0, 1), event("", 1, 2)],
        [(0, 1, UNREADABLE), (1, 2, UNREADABLE)],
    ),
    (
        "two lines that cannot be read say so once",
        [event("", 0, 1), event("", 0, 1, BELOW)],
        [(0, 1, UNREADABLE)],
    ),
    (
        "a readable line keeps its place beside an unreadable one",
        [event("", 0, 1), event("Hello", 0, 1, BELOW)],
        [(0, 1, f"{UNREADABLE}/Hello")],
    ),
]


@pytest.mark.parametrize(("what", "events", "cues"), CUES, ids=[one[0] for one in CUES])
def test_cues(what: str, events: list[EventReport], cues: list[tuple[float, float, str]]) -> None:
    """Lines that come and go together are one cue; each text is there once, at its own times."""
    assert shown(*events) == cues, what


def test_late_films_keep_the_players_clock() -> None:
    """Where the picture begins after the sound, cues are as late as the picture."""
    (cue,) = cues_of([event("Hello", 1, 2)], shift_seconds=0.5)
    assert (cue.start_seconds, cue.stop_seconds) == (1.5, 2.5)


def test_srt() -> None:
    """Numbered from 1, comma before the milliseconds, an empty line between cues."""
    cues = (Cue(0.24, 1.36, ("Hello", "there.")), Cue(3661.9999999, 3662.5, ("他到底",)))
    assert srt_of(cues) == (
        "1\n00:00:00,240 --> 00:00:01,360\nHello\nthere.\n\n"
        "2\n01:01:02,000 --> 01:01:02,500\n他到底\n"
    )
    assert srt_of([]) == ""


@pytest.mark.parametrize(
    ("line", "tame"),
    [
        ("a --> b", "a -> b"),  # else a reader takes it for times
        ("a ----> b", "a -> b"),
        ("two\nlines", "two lines"),  # an empty line would end the cue
        ("  \u2028 ", UNREADABLE),
        ("bell\x07 and \x00zero", "bell and zero"),
        ("lone \ud800surrogate", "lone surrogate"),  # cannot be written as UTF-8
    ],
)
def test_no_text_breaks_the_format(line: str, tame: str) -> None:
    """Whatever was read, the file can still be parsed."""
    assert srt_of([Cue(0, 1, (line,))]).splitlines()[2] == tame


TIMES = st.floats(0, 40_000, allow_nan=False)
BOXES = st.tuples(*[st.integers(0, 900)] * 4).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3]))
EVENTS = st.builds(
    lambda text, start, length, box: event(text, start, start + length, box),
    st.text(max_size=12), TIMES, st.floats(0.05, 20), BOXES,
)  # fmt: skip
BLOCK = re.compile(
    r"(\d+)\n(\d{2,}:\d\d:\d\d,\d{3}) --> (\d{2,}:\d\d:\d\d,\d{3})\n((?:[^\n]+\n)+)(?:\n|$)"
)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(EVENTS, max_size=12))
def test_every_event_is_told(events: list[EventReport]) -> None:
    """Any events: a file that parses, numbered in order, by start, covering each event's time."""
    text = srt_of(cues_of(events))
    text.encode("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert "".join(block.group() for block in blocks) == text
    assert [int(block.group(1)) for block in blocks] == list(range(1, len(blocks) + 1))
    starts = [block.group(2) for block in blocks]
    assert all(seconds(a) <= seconds(b) for a, b in pairwise(starts))
    for one in events:
        assert any(
            seconds(block.group(2)) <= one.start_seconds + 1e-4
            and one.stop_seconds - 0.0011 <= seconds(block.group(3))
            for block in blocks
        )


def seconds(stamp: str) -> float:
    """An SRT time in seconds."""
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


WORDS = Reading("Hello there", 0.99, 0.9, 1.0)
UNKNOWN = Reading(", ?", 0.9, 0.8, 0.2)  # Cyrillic: only the marks are known
TAKEN_FOR_LATIN = Reading("Bce xopo", 0.85, 0.6, 0.85)
GREEK = Reading("Kαλημρα, τι κνει:", 0.8, 0.5, 1.0)  # noqa: RUF001 - Greek it is
BARRED = Reading("Anh đã đâu sut thi gian qua?", 0.98, 0.9, 1.0)  # Vietnamese, maimed
HORNED = Reading("Đng quay li như xưa", 0.98, 0.9, 1.0)  # Vietnamese, maimed
CROATIAN = Reading("Dođi ovamo, čekaj!", 0.98, 0.9, 1.0)
CHINESE = Reading("他到底去了", 0.99, 0.9, 1.0)
GARBLED = Reading("AEUKgTUTKUUT", 0.5, 0.2, 1.0)  # Thai


@pytest.mark.parametrize(
    ("readings", "believed"),
    [
        ([], ()),
        ([WORDS], (True,)),
        ([UNKNOWN, GARBLED], (False, False)),
        ([GREEK], (False,)),
        ([TAKEN_FOR_LATIN, WORDS], (True, True)),  # a film in Latin script
        ([TAKEN_FOR_LATIN, UNKNOWN, UNKNOWN, WORDS], (False, False, False, True)),
        ([HORNED, BARRED, WORDS, CHINESE], (False, False, False, True)),  # Vietnamese and Chinese
        ([HORNED, *[WORDS] * 9], (True,) * 10),  # a slip
        ([CROATIAN] * 3, (True,) * 3),
    ],
)
def test_legible(readings: list[Reading], believed: tuple[bool, ...]) -> None:
    """Unknown scripts are told by what was left out; a film of them is not believed lightly."""
    assert legible(readings) == believed
