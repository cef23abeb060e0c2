"""Bars in the result: a damaged one is told, a whole one is not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from erasecore.model.clips import Picture
from erasecore.model.events import Event
from erasecore.model.residues import Residue
from erasecore.reports import ResidueReason
from erasecore.review.bar_check import BarChecker
from tests import geometry
from tests.clips import draw
from tests.detectors import GRAY

Film = NDArray[np.uint8]

BAR = 140
LINE = Event(8, 30, 8, 30, (60.0, 128.0, 260.0, 150.0), 16.0, 0.9)


def barred(level: int = 16) -> Film:
    """Luma of a moving scene with a bar below row 140."""
    film = draw(320, 180, 40).clean[..., 1].copy()
    film[:, BAR:] = level
    return film


def turned(film: Film, turns: int) -> Film:
    """The film turned by quarters."""
    return np.rot90(film, turns, axes=(1, 2)).copy()


def checked(before: Film, after: Film, event: Event = LINE) -> list[Residue]:
    """Check the result of a film."""
    height, width = before.shape[1:]
    checker = BarChecker(Picture(width, height, GRAY), (), (0, len(before)))
    checker.plan(event)
    for index, (source, result) in enumerate(zip(before, after, strict=True)):
        for each in checker.events_at(index):
            checker.check(each, index, (source,), (result,))
        checker.release(index)
    return [residue for _, residue in checker.residues()]


def written(film: Film) -> Film:
    """The film with a line over the edge of its bar."""
    shown = film.copy()
    shown[8:30, 132:148, 64:256:6] = 235
    shown[8:30, 132:148, 65:256:6] = 235
    return shown


@pytest.mark.parametrize("level", [16, 90, 235])
def test_a_whole_bar_is_not_told(level: int) -> None:
    """What is as it was, but for a little noise of coding, is no residue."""
    film = barred(level)
    random = np.random.default_rng(0)
    noise = random.integers(-2, 3, film.shape)
    after = np.clip(film.astype(np.int16) + noise, 0, 255).astype(np.uint8)
    assert checked(written(film), np.where(written(film) != film, after, film)) == []


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_picture_in_a_bar_is_told(turns: int) -> None:
    """On any side of the frame."""
    film = barred()
    after = film.copy()
    after[8:30, BAR : BAR + 6, 100:200] = film[8:30, BAR - 8 : BAR - 2, 100:200]
    boxes = (60, 128, 260, 150), (128, 60, 150, 260), (60, 30, 260, 52), (30, 60, 52, 260)
    left, top, right, bottom = boxes[turns]
    line = Event(8, 30, 8, 30, (left, top, right, bottom), 16.0, 0.9)
    (residue,) = checked(turned(written(film), turns), turned(after, turns), line)
    assert residue.reason is ResidueReason.BAR


def test_a_dented_edge_is_told() -> None:
    """The bar has grown into the picture where the line was."""
    film = barred()
    after = film.copy()
    after[8:30, BAR - 5 : BAR, 70:250] = 16
    (residue,) = checked(written(film), after)
    assert (residue.start, residue.stop, residue.reason) == (8, 30, ResidueReason.BAR)


def test_films_without_bars_and_fades_are_not_told() -> None:
    """Neither a film that fades to black with its line nor a film without bars."""
    film = draw(320, 180, 40).clean[..., 1].copy()
    share = np.linspace(1, 0, 40)[:, None, None]
    faded = np.asarray(16 + (barred() - 16.0) * share, np.uint8)
    for clean in (film, faded):
        assert checked(written(clean), clean) == []


@settings(max_examples=25, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_any_geometry(data: st.DataObject, size: tuple[int, int]) -> None:
    """Events of any box in pictures of any size are checked without an error."""
    event = data.draw(geometry.events(size))
    random = np.random.default_rng(1)
    film = random.integers(16, 18, (12, size[1], size[0])).astype(np.uint8)
    after = np.where(random.random(film.shape) < 0.2, 200, film).astype(np.uint8)
    checked(film, after, event)
