"""How what was found is held against the truth."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from bench.bars import bars
from bench.cases import Case, Masks, TrueEvent
from bench.detection import DetectionRow, compare
from bench.media import FilmFile, write_film
from bench.residual import TextJudge
from bench.results import Results
from erasecore.model.events import Detection, Event

SIZE = (120, 200)
FRAMES = 60
UPPER, LOWER = (40, 60, 160, 75), (40, 80, 160, 95)


@pytest.fixture(scope="module")
def judge() -> TextJudge:
    """The detectors that the bench judges with."""
    return TextJudge()


@pytest.fixture
def case(tmp_path: Path) -> Case:
    """A subtitle of two lines in frames 10 to 30, and one of one line right behind it, to 50."""
    pixels = np.zeros((FRAMES, *SIZE), bool)
    pixels[10:30, 60:75, 40:160] = pixels[10:50, 80:95, 40:160] = True
    Masks(np.packbits(pixels, -1), SIZE[1]).save(tmp_path / "masks.npz")
    events = (TrueEvent(10, 30, (40, 60, 160, 95), "two"), TrueEvent(30, 50, LOWER, "one"))
    return Case("drawn", tmp_path, SIZE[1], SIZE[0], FRAMES, events)


def _event(start: int, stop: int, box: tuple[int, int, int, int]) -> Event:
    left, top, right, bottom = map(float, box)
    return Event(start, stop, start, stop, (left, top, right, bottom), 12.0, 0.9)


def _row(case: Case, judge: TextJudge, *events: Event) -> DetectionRow:
    return compare(case, Detection(events, (), (), FRAMES), judge)


def test_two_lines_may_be_two_events(case: Case, judge: TextJudge) -> None:
    """Each line by itself counts, and the worse border of the two is the event's."""
    found = _event(10, 30, UPPER), _event(11, 30, LOWER), _event(30, 50, LOWER)
    row = _row(case, judge, *found)
    assert (row.missed, row.false, row.borders) == (0, 0, (1, 0, 0, 0))


def test_a_line_left_out_is_a_miss(case: Case, judge: TextJudge) -> None:
    """Half of a subtitle's ink is not the subtitle."""
    row = _row(case, judge, _event(10, 30, UPPER), _event(30, 50, LOWER))
    assert (row.missed, row.false, row.borders) == (1, 0, (0, 0))


def test_two_subtitles_taken_for_one_miss_one(case: Case, judge: TextJudge) -> None:
    """An event over two different texts belongs to one of them, and is late for its end."""
    row = _row(case, judge, _event(10, 30, UPPER), _event(10, 50, LOWER))
    assert (row.missed, row.borders) == (1, (0, 20))


def test_what_is_no_subtitle_is_false(case: Case, judge: TextJudge) -> None:
    """An event at another place, or at another time, is false; bare grass is no scene text."""
    like = FilmFile(case.clean, SIZE[1], SIZE[0], Fraction(25), FRAMES, False, ())
    grey = np.full(like.picture_shape, 128, np.uint8)
    write_film(case.clean, [grey] * FRAMES, like)
    found = _event(10, 30, (40, 60, 160, 95)), _event(30, 50, LOWER)
    row = _row(case, judge, *found, _event(10, 30, (10, 5, 90, 20)), _event(52, 58, LOWER))
    assert (row.missed, row.false, row.scene_text, row.borders) == (0, 2, 0, (0, 0, 0, 0))


def test_a_hole_counts(case: Case, judge: TextJudge) -> None:
    """Frames that no piece of a line covers are an error of its end."""
    lower = _event(10, 16, LOWER), _event(19, 30, LOWER)
    row = _row(case, judge, _event(10, 30, UPPER), *lower, _event(30, 50, LOWER))
    assert row.borders == (0, 3, 0, 0)


def test_demands_on_detection(case: Case, judge: TextJudge) -> None:
    """Nothing missed, nothing false, and borders that are exact: each bar is told by its own."""
    good = _row(case, judge, _event(10, 30, (40, 60, 160, 95)), _event(30, 50, LOWER))
    assert all(bar.reached for bar in bars(Results(detection=(good,))))
    late = _row(case, judge, _event(12, 30, (40, 60, 160, 95)), _event(32, 50, LOWER))
    reached = [bar.reached for bar in bars(Results(detection=(late,)))]
    assert reached == [True, True, False, False]
