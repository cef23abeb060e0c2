"""The measure of recognised text: which cue is which event's, and what counts as an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.bars import bars
from bench.cases import Case, TrueEvent
from bench.reading import ReadCue, ReadingRow, compare, distance, is_known, parse_srt, read_result
from bench.results import Results
from erasecore.text.srt import UNREADABLE, Cue, srt_of
from tests.clips import small_film

RATE = 25.0


def case(*events: tuple[int, int, str]) -> Case:
    """A case of which only the times and texts of its events matter."""
    true = tuple(TrueEvent(start, stop, (0, 0, 8, 8), text) for start, stop, text in events)
    return Case("drawn", Path("drawn"), 320, 180, 100, true)


def cue(start: int, stop: int, text: str) -> ReadCue:
    """A cue at frames ``[start, stop)``."""
    return ReadCue(start / RATE, stop / RATE, text)


TWO = case((0, 25, "Hello\\Nthere."), (25, 50, "Bye."))
ALL = (cue(0, 25, "Hello there."), cue(25, 50, "Bye."))
SIDES = (cue(0, 75, "It stays"), cue(0, 40, "One"), cue(40, 75, "Two"))
BESIDE = case((0, 75, "It stays"), (0, 40, "One"), (40, 75, "Two"))


@pytest.mark.parametrize(
    ("what", "of", "cues", "errors"),
    [
        ("all right", TWO, ALL, 0),
        ("lines as two cues", TWO, (cue(0, 25, "Hello"), cue(0, 25, "there."), ALL[1]), 0),
        ("a missed one counts whole", TWO, ALL[:1], 4),
        ("case counts", TWO, (cue(0, 25, "hello there."), ALL[1]), 1),
        ("a lost space", TWO, (cue(0, 25, "Hellothere."), ALL[1]), 1),
        ("nothing at all", TWO, (), 16),
        ("a cue where none is", TWO, (*ALL, cue(60, 80, "sign")), 4),
        ("no answer", case((0, 25, "No")), (cue(0, 25, UNREADABLE),), len(UNREADABLE)),
        ("at the same time", BESIDE, SIDES, 0),
    ],
)
def test_errors(what: str, of: Case, cues: tuple[ReadCue, ...], errors: int) -> None:
    """Each cue counts for the event whose time is most like its own."""
    assert compare(of, cues, RATE).errors == errors, what


def test_other_scripts_are_not_to_be_guessed_at() -> None:
    """Where the script is unknown, saying so is right and anything else is a guess."""
    arabic = case((0, 25, "لا أحد"), (25, 50, "هل أنت"))
    row = compare(arabic, [cue(0, 25, UNREADABLE), cue(25, 50, "J!")], RATE)
    assert (row.known_script, row.guessed) == (False, 1)


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("Où est-il ?", True),
        ("他到底 3", True),
        ("彼はノート", True),
        ("Где ты", False),
        ("ไหน", False),
    ],
)
def test_known_scripts(text: str, known: bool) -> None:
    """Latin, Chinese and Japanese are meant to be read; marks and digits belong to any script."""
    assert is_known(text) is known


WORDS = st.text("abc ", max_size=9)


@settings(deadline=None)
@given(WORDS, WORDS, WORDS)
def test_distance(one: str, other: str, third: str) -> None:
    """It is a distance, and never more than the longer text."""
    assert (distance(one, other) == 0) == (one == other)
    assert distance(one, other) == distance(other, one)
    assert distance(one, third) <= distance(one, other) + distance(other, third)
    assert abs(len(one) - len(other)) <= distance(one, other) <= max(len(one), len(other))


def test_what_the_product_writes_is_parsed(tmp_path: Path) -> None:
    """The measure reads the product's own files; without one, everything is missed."""
    (found,) = parse_srt(srt_of([Cue(1.24, 3661.5, ("Hello", "there."))]))
    assert found == ReadCue(1.24, 3661.5, "Hello there.")
    small_film(tmp_path / "hardsub.mp4")
    true = (TrueEvent(8, 30, (0, 0, 8, 8), "Hello there"),)
    of = Case("drawn", tmp_path, 320, 180, 38, true)
    assert read_result(of, tmp_path / "result.mp4").errors == len("Hello there")
    (tmp_path / "result.mp4.srt").write_text(srt_of([Cue(0.32, 1.2, ("Hello there",))]))
    assert read_result(of, tmp_path / "result.mp4").errors == 0


def test_bars() -> None:
    """The bar is over all characters of the known scripts; guesses have a bar of their own."""
    rows = (
        ReadingRow("a", True, 2, 60, 6, 0),
        ReadingRow("b", True, 2, 40, 0, 0),
        ReadingRow("c", False, 2, 40, 0, 1),
    )
    rate, guesses = bars(Results(reading=rows))
    assert (rate.found, rate.reached) == ("6.0% (6 of 100)", False)
    assert (guesses.found, guesses.reached) == ("1 events", False)
    assert all(bar.reached for bar in bars(Results(reading=rows[1:2])))
