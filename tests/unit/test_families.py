"""Families of lines: left-aligned captions, columns of characters, and what is no family."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.detection.columns import join_columns
from erasecore.detection.families import brief_captions
from erasecore.detection.spans import Edge, Span
from erasecore.detection.verdict import FilmFacts, TextLine, reconsider

FILM = FilmFacts(
    width=640,
    height=360,
    frames=500,
    clock=[k / 25 for k in range(501)],
    cuts=(),
    flash_candidates=frozenset(),
    min_seconds=0.4,
)


def _line(start: int, stop: int, box: tuple[float, float, float, float]) -> TextLine:
    """A line that comes and goes at once, by itself."""
    span = Span(start, stop, start, stop, Edge.ALONE, Edge.ALONE, True, True, True, True)
    side: NDArray[np.float64] = np.array(box, np.float64)
    height = min(side[2] - side[0], side[3] - side[1])
    return TextLine(
        *(span, side, float(height), False, 0.9, 60.0, 1.0, 0.0, False, 0.0),
        sightings=3,
        moving=-1.0,
    )


def _words(left: float, top: float, widths: list[float], step: int = 5) -> list[TextLine]:
    """Brief words with a common left edge, one after the other."""
    return [
        _line(10 + step * k, 10 + step * (k + 1), (left, top, left + wide, top + 20))
        for k, wide in enumerate(widths)
    ]


def test_brief_words_of_one_family() -> None:
    """Three are enough where captions stand, six elsewhere; one word has no family."""
    low = _words(280, 300, [60, 80, 50])
    assert brief_captions(low, FILM) == low
    assert brief_captions(low[:1], FILM) == []
    high = _words(40, 170, [60, 80, 50, 90, 70, 66])
    assert brief_captions(high[:3], FILM) == []
    assert brief_captions(high, FILM) == high


@pytest.mark.parametrize("change", ["size", "rows", "edge", "late"])
def test_what_makes_no_family(change: str) -> None:
    """Another size, other rows, no common edge, or a minute in between: no kin."""
    words = _words(280, 300, [60, 82, 50])
    moved = {
        "size": [(280, 300, 480, 336), (280, 290, 470, 330)],
        "rows": [(280, 330, 340, 350), (280, 270, 340, 290)],
        "edge": [(330, 300, 411, 320), (225, 300, 262, 320)],
        "late": [(280, 300, 340, 320), (280, 300, 340, 320)],
    }[change]
    starts = (400, 410) if change == "late" else (15, 20)
    others = [_line(at, at + 5, box) for at, box in zip(starts, moved, strict=True)]
    assert words[0] not in brief_captions([words[0], *others], FILM)


def test_left_aligned_lines_in_an_unusual_place() -> None:
    """Whole lines of several lengths with one left edge are captions; a clock's digits are not."""
    sentences = [
        _line(10 + 40 * k, 45 + 40 * k, (40, 170, 40 + wide, 190))
        for k, wide in enumerate((60, 120, 200))
    ]
    assert reconsider(sentences, FILM) == ["", "", ""]
    clock = [_line(25 * k, 25 * k + 25, (40, 170, 100, 190)) for k in range(4)]
    assert set(reconsider(clock, FILM)) == {"place"}


def test_characters_of_a_column_are_one_line() -> None:
    """Squares in a stack at the same times are one vertical line, one of them missed or not."""
    stack = [_line(10, 50, (600, 40 + 30 * k, 626, 66 + 30 * k)) for k in (0, 1, 3, 4)]
    apart = _line(10, 50, (500, 40, 526, 66))
    later = _line(60, 90, (600, 70, 626, 96))
    column, *rest = sorted(join_columns([*stack, apart, later]), key=lambda line: not line.vertical)
    assert column.vertical
    assert column.box.tolist() == [600, 40, 626, 186]
    assert {id(line) for line in rest} == {id(apart), id(later)}
    assert join_columns(stack[:2]) == stack[:2]
