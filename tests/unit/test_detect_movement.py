"""Texts that are exchanged are told apart, and what moves is told from what stays."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from erasecore.detection.line_changes import line_changes
from erasecore.detection.line_window import Piece, TrackTiming
from erasecore.detection.movement import edges_are_static
from erasecore.detection.patterns import Template, strokes
from erasecore.detection.scaling import Luma
from erasecore.detection.sightings import Sighting
from erasecore.detection.tracks import Track
from tests.clips import U8, Caption, draw
from tests.detectors import BrightTextDetector, find_in

INNER = (60, 20, 260, 44)  # the line's place in the lower part of a 320 x 180 picture
TOP = 130


def _lower_parts(pictures: U8) -> list[Luma]:
    grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8) for picture in pictures]
    return [picture[TOP:] for picture in grey]


def _pieces(pictures: U8) -> list[Piece]:
    return [Piece(index, luma) for index, luma in enumerate(_lower_parts(pictures))]


def _template(lumas: Sequence[Luma]) -> Template:
    return Template([strokes(luma, 24.0) for luma in lumas], INNER, vertical=False)


def _around() -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
    around = np.ones((180 - TOP, 320), np.bool_)
    around[INNER[1] - 8 : INNER[3] + 6, INNER[0] - 30 : INNER[2] + 30] = False
    return around


def _faint(text: str, start: int, stop: int, opacity: float = 0.5) -> Caption:
    return Caption(text, start, stop, opacity=opacity, outline_px=0)


@pytest.mark.parametrize("pan", [(0, 0), (1, 0), (2, 1)])
def test_a_switch_is_seen_over_any_background(pan: tuple[int, int]) -> None:
    """A faint text is exchanged at one frame, whatever the picture behind it does meanwhile."""
    captions = [_faint("Where were you?", 0, 13), _faint("Not at home, I", 13, 30)]
    film = draw(320, 180, 30, captions=captions, pan=pan)
    pieces = _pieces(film.shown)
    template = _template([piece.luma for piece in pieces[2:12:3]])
    assert line_changes(pieces, template, _around()) == [13]


def test_a_cut_is_no_switch() -> None:
    """Where everything changes, nothing can be said of the text, which goes on here."""
    film = draw(320, 180, 24, captions=[_faint("Where were you?", 0, 24)], cuts=[12])
    pieces = _pieces(film.shown)
    assert line_changes(pieces, _template([pieces[5].luma]), _around()) == []


def test_a_word_that_is_recoloured_is_no_switch() -> None:
    """Karaoke changes one word in each step; the text stays the same."""
    white = draw(320, 180, 24, captions=[Caption("Where were you?", 0, 24)], pan=(0, 0))
    amber = Caption("Where were you?", 0, 24, color=(255, 170, 0))
    pictures = white.shown.copy()
    toned = draw(320, 180, 24, captions=[amber], pan=(0, 0)).shown
    for frame, edge in ((6, 130), (12, 180), (18, 270)):
        pictures[frame:, :, :edge] = toned[frame:, :, :edge]
    pieces = _pieces(pictures)
    assert line_changes(pieces, _template([pieces[3].luma]), _around()) == []


def _shown_at(text_x: float, scene_x: float) -> Luma:
    """Text in a textured scene, each moved to the right by a part of a pixel."""
    film = draw(360, 180, 1, captions=[Caption("Where were you?", 0, 1)], seed=3)
    scene, text = _moved(film.clean[0], scene_x), _moved(film.shown[0], text_x)
    ink = _moved((film.alpha[0] * 255).astype(np.uint8), text_x)
    mixed = np.where(ink[..., None] > 8, text, scene).astype(np.uint8)
    return _lower_parts(mixed[None, :, 20:340])[0]


def _moved(picture: U8, right_px: float) -> U8:
    shift = np.array([[1, 0, right_px], [0, 1, 0]], np.float32)
    moved = cv2.warpAffine(picture, shift, (360, 180), borderMode=cv2.BORDER_REFLECT)
    return moved.astype(np.uint8, copy=False)


def test_edges_that_stay_deny_a_motion() -> None:
    """A scene that creeps on behind the text pulls its template along, but not its edges."""
    lumas = [_shown_at(0.0, scene_x) for scene_x in (-1.0, 0.0, 1.0)]
    template = _template(lumas[1:2])
    shifts = [template.shift(strokes(luma, 24.0)) for luma in lumas]
    assert edges_are_static(lumas, shifts, INNER)


def test_edges_that_move_along_do_not() -> None:
    """A sign that creeps on with the scene has no edge that stays."""
    lumas = [_shown_at(x, x) for x in (-1.0, 0.0, 1.0)]
    template = _template(lumas[1:2])
    shifts = [template.shift(strokes(luma, 24.0)) for luma in lumas]
    assert shifts[2].dx - shifts[0].dx == pytest.approx(2, abs=0.4)
    assert not edges_are_static(lumas, shifts, INNER)


@pytest.mark.parametrize("speed", [0.4, 1.0, 2.5, 5.0])
def test_credits_that_scroll_are_left(speed: float) -> None:
    """Credits that roll through the picture are no subtitles, however fast they roll."""
    tall = draw(
        320,
        900,
        1,
        captions=[
            Caption(words, 0, 1, size_px=18, bottom_share=0.08 * k)
            for k, words in enumerate(("Directed by", "Jane Doe", "Written by", "John Roe") * 3)
        ],
    ).shown[0]
    still = draw(320, 180, 50, seed=4).clean
    pictures = still.copy()
    for frame in range(50):
        top = round(880 - 180 - 300 + speed * frame)
        rolled = tall[min(top, 720) : min(top, 720) + 180]
        bright = rolled.min(axis=-1) > 200
        pictures[frame][bright] = 255
        pictures[frame][~bright] = np.minimum(pictures[frame][~bright], 120)
    assert len(BrightTextDetector().detect(pictures[25])) > 1
    assert find_in(pictures).events == ()


@pytest.mark.parametrize("speed", [2.0, 4.0])
def test_a_ticker_is_left(speed: float) -> None:
    """News that run through the lower rows from right to left are no subtitles."""
    words = "Rain in the north and sun in the south, trains run late again today"
    wide = draw(1000, 180, 1, captions=[Caption(words, 0, 1, size_px=18)]).shown[0]
    still = np.minimum(draw(320, 180, 50, seed=4).clean, 150)
    for frame in range(50):
        left = round(150 + speed * frame)
        strip = wide[150:, left : left + 320]
        bright = strip.min(axis=-1) > 200
        still[frame, 150:][bright] = 255
    assert BrightTextDetector().detect(still[25])
    assert find_in(still).events == ()


@pytest.mark.parametrize(("text", "same"), [("Where were you?", True), ("Not at home, I", False)])
def test_a_line_in_doubt_is_known_again(text: str, same: bool) -> None:
    """Faint letters over another background are the same line to a detector's second sighting."""
    before = draw(320, 180, 6, captions=[_faint("Where were you?", 0, 6, 0.8)], seed=1).shown
    behind = draw(320, 180, 6, captions=[_faint(text, 0, 6, 0.8)], seed=2).shown
    lumas = [cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(np.uint8) for p in (*before, *behind)]
    box = np.array([INNER[0], TOP + INNER[1], INNER[2], TOP + INNER[3]], np.float64)
    held = list(enumerate(lumas[:6]))
    track = Track(5, Sighting(box, 0.9, 0.0), held=held, timing=TrackTiming(10, 60, 25))
    for index in range(6, 12):
        track.add(index, lumas[index])
    assert track.check()
    assert track.doubtful
    assert track.resume() == same
    assert track.doubtful != same
