"""A static mark is left whole, and lines that the film's ends cut off are subtitles."""

from __future__ import annotations

import numpy as np
import pytest

from erasecore.detection.marks import MARK
from erasecore.detection.merging import attach
from erasecore.detection.spans import Edge, Span
from erasecore.detection.stroke_signature import SAME_TEXT, StrokeSignature, likeness, signature_of
from erasecore.detection.verdict import TextLine
from tests.clips import U8, Caption, DrawnFilm, draw
from tests.detectors import find_in, spans


def _dim(film: DrawnFilm) -> U8:
    """The pictures with a scene in which nothing is as bright as text."""
    dim = np.minimum(film.clean, 170)
    return np.asarray(np.where(film.alpha[..., None] > 0, film.shown, dim), np.uint8)


def _shown(text: str, *runs: tuple[int, int], bottom_share: float = 0.45) -> list[Caption]:
    return [Caption(text, *run, bottom_share=bottom_share) for run in runs]


@pytest.mark.parametrize("seed", [1, 6])
def test_a_mark_that_is_hidden_now_and_then(seed: int) -> None:
    """A mark in the middle is there from first to last but for what passes: no part is erased."""
    captions = _shown("stock footage", (0, 28), (34, 62), (68, 100))
    found = find_in(_dim(draw(320, 180, 100, captions=captions, seed=seed)))
    assert found.events == ()
    assert [why for _, why in found.rejected] == [MARK] * 3


def test_a_caption_that_comes_again_is_no_mark() -> None:
    """One text that comes three times, with pauses as long, is three subtitles."""
    captions = _shown("Help me now!", (4, 20), (40, 56), (76, 92), bottom_share=0.06)
    found = find_in(_dim(draw(320, 180, 100, captions=captions)))
    assert spans(found) == [(4, 20), (40, 56), (76, 92)]


def test_different_texts_at_one_place_are_no_mark() -> None:
    """A film whose captions follow each other from first to last has no mark."""
    captions = [
        Caption("Where were you?", 0, 30),
        Caption("In the garden", 34, 64),
        Caption("I don't believe it", 68, 100),
    ]
    found = find_in(_dim(draw(320, 180, 100, captions=captions)))
    assert spans(found) == [(0, 30), (34, 64), (68, 100)]


def test_looks() -> None:
    """One text looks alike from boxes a little off, another text does not."""
    random = np.random.default_rng(5)
    patterns = random.normal(0, 30, (2, 40, 200)).astype(np.float32)
    box = np.array([50.0, 80, 230, 110])
    looks = [signature_of(pattern[5:35, 10:190], box) for pattern in patterns]
    inner = signature_of(patterns[0][7:35, 14:180], box + np.array([4, 2, -10, 0]))
    assert likeness(looks[0], looks[0]) > 0.99
    assert likeness(looks[0], inner) > SAME_TEXT
    assert likeness(*looks) < 0.3
    assert likeness(looks[0], signature_of(patterns[0][:20], np.array([50.0, 150, 250, 170]))) == 0


@pytest.mark.parametrize("seed", [0, 9])
def test_the_films_ends_cut_lines_off(seed: int) -> None:
    """The last frames of a line at the film's start count, and the first ones at its end."""
    captions = [
        Caption("Where were you?", 0, 6),
        Caption("In the garden", 20, 50),
        Caption("I don't believe it", 70, 77),
    ]
    found = find_in(_dim(draw(320, 180, 77, captions=captions, seed=seed)))
    assert spans(found) == [(0, 6), (20, 50), (70, 77)]


def test_elsewhere_short_lines_are_left() -> None:
    """Away from the film's ends the least duration counts as before."""
    captions = [Caption("Where were you?", 20, 50), Caption("No!", 60, 66)]
    found = find_in(_dim(draw(320, 180, 90, captions=captions)))
    assert spans(found) == [(20, 50)]


def _line(start: int, stop: int, signature: StrokeSignature, shift: float = 0.0) -> TextLine:
    box = np.array([50.0 + shift, 80, 230 + shift, 110])
    span = Span(start, stop, start, stop, Edge.ALONE, Edge.TOGETHER)
    return TextLine(
        *(span, box, 20.0, False, 0.9, 60.0, 1.0, 0.0, False, 0.0),
        sightings=3,
        moving=1.0,
        signature=signature,
    )


def test_frames_beyond_a_cut_belong_to_their_line() -> None:
    """A brief line of one text and place with a line, right before or after it, is part of it."""
    random = np.random.default_rng(8)
    one, other = (
        signature_of(
            random.normal(0, 30, (30, 180)).astype(np.float32), np.array([50.0, 80, 230, 110])
        )
        for _ in range(2)
    )
    line = _line(20, 60, one)
    for part, span in ((_line(60, 63, one), (20, 63)), (_line(17, 20, one), (17, 60))):
        (whole,) = attach([line], [part])
        assert (whole.span.start, whole.span.stop) == span
    others = [_line(60, 63, other), _line(66, 69, one), _line(60, 63, one, shift=90)]
    (same,) = attach([line], others)
    assert same is line
