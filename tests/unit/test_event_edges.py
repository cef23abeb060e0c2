"""Edges of events: a line that is gone leaves no step, one that is half gone does."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Event
from erasecore.model.residues import Residue
from erasecore.reports import ResidueReason
from erasecore.review.event_edges import EventEdgeChecker, Step
from erasecore.video.color import PlaneLayout
from tests import geometry
from tests.clips import U8, Caption, DrawnFilm, draw
from tests.detectors import GRAY
from tests.geometry import picture

FRAMES = 40
LINE = Caption("Where were you?", 8, 30)


def gray(rgb: U8) -> U8:
    """The luma of a picture."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8)


def event_of(film: DrawnFilm, caption: Caption) -> Event:
    """The event that a caption is."""
    rows, columns = np.nonzero(film.alpha[(caption.start + caption.stop) // 2] > 0.5)
    sides = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    box: BoxXyxy = tuple(float(side) for side in sides)  # type: ignore[assignment]
    start, stop = caption.start, caption.stop
    return Event(start, stop, start, stop, box, 0.7 * (box[3] - box[1]), 0.9)


def check(film: DrawnFilm, after: U8, event: Event, cuts: tuple[int, ...] = ()) -> list[Residue]:
    """What is found at the edges of ``event`` in a film erased to ``after``."""
    height, width = after.shape[1:3]
    checker = EventEdgeChecker(Picture(width, height, GRAY), cuts, (0, len(after)))
    checker.plan(event)
    for index, (one, other) in enumerate(zip(film.shown, after, strict=True)):
        for planned in checker.events_at(index):
            checker.check(planned, index, (gray(one),), (gray(other),))
        checker.release(index)
    return [residue for found, residue in checker.residues() if found == event]


def mixed(film: DrawnFilm, share: float) -> U8:
    """The film with ``share`` of the text's contrast left."""
    left = film.clean + share * (film.shown.astype(np.float32) - film.clean)
    return np.rint(left).astype(np.uint8)


@pytest.mark.parametrize("pan", [(0, 0), (2, 1), (7, 3)])
def test_a_line_that_is_gone_leaves_no_step(pan: tuple[int, int]) -> None:
    """In a still scene and in moving ones; noise of a few levels is none either."""
    film = draw(480, 270, FRAMES, captions=[LINE], pan=pan)
    noise = np.random.default_rng(1).normal(0, 3, film.clean.shape)
    after = np.where(film.shown != film.clean, film.clean + noise, film.clean)
    after = np.clip(np.rint(after), 0, 255).astype(np.uint8)
    assert check(film, after, event_of(film, LINE)) == []


@pytest.mark.parametrize("pan", [(0, 0), (2, 1)])
def test_half_erased_letters_are_a_step(pan: tuple[int, int]) -> None:
    """A third of the contrast that is left has the letters' shape, and is seen to come and go.

    Where the picture moves, so much changes anyway that the coming and going is hidden.
    """
    film = draw(480, 270, FRAMES, captions=[LINE], pan=pan)
    event = event_of(film, LINE)
    found = check(film, mixed(film, 0.35), event)
    wanted = {ResidueReason.LETTERS} if any(pan) else {ResidueReason.LETTERS, ResidueReason.STEP}
    assert {residue.reason for residue in found} == wanted
    places = {(residue.start, residue.stop, residue.box_xyxy) for residue in found}
    assert places == {(event.start, event.stop, event.box_xyxy)}


def test_a_patch_is_a_step() -> None:
    """A grey patch where the letters were comes and goes with them."""
    film = draw(480, 270, FRAMES, captions=[LINE], pan=(1, 0))
    grown = np.stack([cv2.dilate(alpha, np.ones((9, 9))) for alpha in film.alpha]) > 0
    after = np.where(grown[..., None], np.uint8(20), film.clean)
    reasons = [residue.reason for residue in check(film, after, event_of(film, LINE))]
    assert reasons == [ResidueReason.STEP]


def test_a_second_pass_is_doubted_sooner() -> None:
    """A step that passes for movement the first time is residue in a line that was bad before."""
    assert not Step(30.0, 15.0).is_residue()
    assert Step(30.0, 15.0).is_residue(again=True)
    assert not Step(15.0, 15.0).is_residue(again=True)
    assert not Step(9.0, 0.5).is_residue(again=True)  # nobody sees so little


def test_a_cut_hides_a_step() -> None:
    """Across a cut everything changes: two cuts leave no step, and a patch is no letter."""
    film = draw(480, 270, FRAMES, captions=[LINE], cuts=(8, 30))
    grown = np.stack([cv2.dilate(alpha, np.ones((9, 9))) for alpha in film.alpha]) > 0
    after = np.where(grown[..., None], np.uint8(20), film.clean)
    assert check(film, after, event_of(film, LINE), cuts=(8, 30)) == []


@pytest.mark.parametrize("cut", [(), (30,)])
def test_letters_that_outlast_their_event(cut: tuple[int, ...]) -> None:
    """A line that hangs over a cut, or was given too short a span, is found after its end."""
    long = replace(LINE, stop=34)
    film = draw(480, 270, FRAMES, captions=[long], cuts=cut)
    after = film.clean.copy()
    after[30:34] = film.shown[30:34]
    event = event_of(film, LINE)
    found = {residue.reason: residue for residue in check(film, after, event, cut)}
    late = found[ResidueReason.OUTLASTS]
    assert late.stop > event.stop
    assert np.abs(np.subtract(late.box_xyxy, event.box_xyxy)).max() < 12


def test_another_line_at_the_same_place_is_no_outlasting_one() -> None:
    """Other letters that follow do not correlate with those that were erased."""
    other = Caption("Never mind, it rained", 31, 40)
    film = draw(480, 270, FRAMES, captions=[LINE, other])
    after = film.clean.copy()
    after[31:] = film.shown[31:]
    event = event_of(film, LINE)
    reasons = {residue.reason for residue in check(film, after, event)}
    assert ResidueReason.OUTLASTS not in reasons


@settings(max_examples=100, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts)
def test_any_geometry(data: st.DataObject, size: tuple[int, int], layout: PlaneLayout) -> None:
    """Any event in any segment is checked; what is found is finite."""
    event = data.draw(geometry.events(size))
    start = data.draw(st.integers(0, 6))
    stop = data.draw(st.integers(start + 1, 14))
    checker = EventEdgeChecker(Picture(*size, layout), (5,), (start, stop))
    checker.plan(event)
    for frame in range(start, stop):
        for planned in checker.events_at(frame):
            before = picture(layout, size, frame, text=(4, 4, 90, 20))
            checker.check(planned, frame, before, picture(layout, size, frame + 1))
        checker.release(frame)
    assert all(np.isfinite(residue.evidence) for _, residue in checker.residues())
