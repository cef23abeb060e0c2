"""Subtitles are found to the frame, and scene text is not found at all."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.detection.detector import RapidOcrDetector
from erasecore.detection.finder import TOO_LARGE
from erasecore.settings import DetectSettings, Region
from tests.clips import U8, Caption, draw
from tests.detectors import find_in, spans


def _covered(found: list[tuple[int, int]], truth: list[tuple[int, int]]) -> bool:
    """Whether spans match in order, none too short and none longer by more than a frame."""
    return len(found) == len(truth) and all(
        t0 - 1 <= f0 <= t0 and t1 <= f1 <= t1 + 1
        for (f0, f1), (t0, t1) in zip(found, truth, strict=True)
    )


@settings(max_examples=10, deadline=None)
@given(start=st.integers(1, 30), length=st.integers(14, 40), seed=st.integers(0, 20))
def test_span_is_exact(start: int, length: int, seed: int) -> None:
    """Wherever a subtitle begins and ends over a moving scene, so does its event."""
    caption = Caption("Where were you?", start, start + length)
    film = draw(320, 180, start + length + 12, captions=[caption], seed=seed)
    dim = np.minimum(film.clean, 180)  # nothing in the scene is as bright as text
    pictures = np.where(film.alpha[..., None] > 0, film.shown, dim).astype(np.uint8)
    events = find_in(pictures).events
    assert {(event.start, event.stop) for event in events} == {(start, start + length)}
    assert {(event.full_start, event.full_stop) for event in events} == {(start, start + length)}


def test_box_holds_the_ink() -> None:
    """The event's box lies around the ink."""
    film = draw(320, 180, 40, captions=[Caption("Where were you?", 5, 30)])
    (event,) = find_in(film.shown).events
    rows, columns = np.nonzero(film.alpha[15] > 0.5)
    left, top, right, bottom = event.box_xyxy
    assert left <= columns.min() + 2 and right >= columns.max() - 2
    assert top <= rows.min() + 2 and bottom >= rows.max() - 2
    assert 10 < event.text_height_px < 40


def test_back_to_back() -> None:
    """Two texts without a gap between them are two events."""
    film = draw(
        320, 180, 60, captions=[Caption("First of them", 4, 27), Caption("Another", 27, 50)]
    )
    assert spans(find_in(film.shown)) == [(4, 27), (27, 50)]


def test_back_to_back_over_a_still_scene() -> None:
    """The same holds where nothing else moves."""
    captions = [Caption("First of them", 4, 27), Caption("Another", 27, 50)]
    film = draw(320, 180, 60, captions=captions, pan=(0, 0))
    assert spans(find_in(film.shown)) == [(4, 27), (27, 50)]


@pytest.mark.parametrize("pan", [(2, 1), (0, 0)])
def test_fade(pan: tuple[int, int]) -> None:
    """A fade is covered from its faintest frame on, and only the opaque part counts as full."""
    caption = Caption("It comes and goes", 8, 42, fade_frames=6)
    film = draw(320, 180, 56, captions=[caption], pan=pan)
    (event,) = find_in(film.shown).events
    assert _covered([(event.start, event.stop)], [(8, 42)])
    assert 12 <= event.full_start <= 17
    assert 33 <= event.full_stop <= 38


def test_first_and_last_frame() -> None:
    """Subtitles on the film's first and last frame are covered to the border."""
    captions = [Caption("From the first", 0, 20), Caption("To the last one", 28, 50)]
    film = draw(320, 180, 50, captions=captions)
    assert spans(find_in(film.shown)) == [(0, 20), (28, 50)]


def test_always_there_over_a_moving_scene() -> None:
    """A centred subtitle that never leaves is found where the scene moves behind it."""
    film = draw(320, 180, 50, captions=[Caption("It stays all along", 0, 50)])
    assert spans(find_in(film.shown)) == [(0, 50)]


def test_always_there_for_long_over_a_moving_scene() -> None:
    """The same holds for longer than anybody reads, and a banner in a still scene is left."""
    moving = draw(320, 180, 60, captions=[Caption("It stays all along", 0, 60)])
    assert spans(find_in(moving.shown, frame_seconds=0.4)) == [(0, 60)]
    still = draw(320, 180, 60, captions=[Caption("It stays all along", 0, 60)], pan=(0, 0))
    assert find_in(still.shown, frame_seconds=0.4).events == ()


def test_frames_that_last_long_are_searched_by_the_clock() -> None:
    """Where a film of varying rate shows few frames a second, short subtitles are not skipped."""
    film = draw(320, 180, 40, captions=[Caption("Where were you?", 10, 15)])
    assert spans(find_in(film.shown, frame_seconds=0.2)) == [(10, 15)]


def test_larger_text_is_left_and_told() -> None:
    """Letters of a third of the picture are a title; the log can say that they were left alone."""
    film = draw(640, 360, 70, captions=[Caption("TITLE", 5, 66, size_px=110, bottom_share=0.4)])
    found = find_in(film.shown, detector=RapidOcrDetector(threads=1))
    assert found.events == ()
    assert TOO_LARGE in [why for _, why in found.rejected]


def test_line_changes_while_the_other_stays() -> None:
    """The upper line changes, the lower one stays: three events."""
    captions = [
        Caption("The lower one stays", 5, 60),
        Caption("Upper line", 5, 30, bottom_share=0.2),
        Caption("Now another", 30, 60, bottom_share=0.2),
    ]
    film = draw(320, 180, 70, captions=captions)
    assert sorted(spans(find_in(film.shown))) == [(5, 30), (5, 60), (30, 60)]


def test_across_a_cut() -> None:
    """A subtitle goes on over a cut as one event, and the cut is told."""
    film = draw(320, 180, 60, captions=[Caption("It goes on and on", 6, 48)], cuts=[25])
    found = find_in(film.shown)
    assert spans(found) == [(6, 48)]
    assert found.cuts == (25,)


def test_recolouring_keeps_one_event() -> None:
    """Words that change colour one after another are one event."""
    plain = draw(320, 180, 60, captions=[Caption("Sing along now", 5, 50)])
    toned = draw(320, 180, 60, captions=[Caption("Sing along now", 5, 50, color=(255, 210, 60))])
    pictures = plain.shown.copy()
    for t in range(5, 50):
        edge = 80 + (t - 5) * 4
        pictures[t, :, :edge] = toned.shown[t, :, :edge]
    assert spans(find_in(pictures)) == [(5, 50)]


@pytest.mark.parametrize("still", [False, True])
def test_a_line_that_grows_dark_word_by_word_ends_where_it_goes(*, still: bool) -> None:
    """However little the last frames look like the first, as long as no step changes all of it."""
    text, pan = "Sing along with me now", (0, 0) if still else (2, 1)
    plain = draw(320, 180, 60, captions=[Caption(text, 5, 50)], pan=pan)
    toned = draw(320, 180, 60, captions=[Caption(text, 5, 50, color=(150, 95, 40))], pan=pan)
    pictures = plain.shown.copy()
    for first, edge in ((20, 110), (30, 150), (43, 200), (46, 320)):
        pictures[first:50, :, :edge] = toned.shown[first:50, :, :edge]
    assert spans(find_in(pictures)) == [(5, 50)]


def _sign(frames: int, step: float) -> U8:
    """A sign in the lower part of a scene, both moving by ``step`` pixels a frame."""
    wide = draw(700, 180, 1, captions=[Caption("OPEN ALL DAY", 0, 1, size_px=22)]).shown[0]
    out = []
    for t in range(frames):
        shift = np.array([[1, 0, -190 - step * (t - frames / 2)], [0, 1, 0]], np.float32)
        out.append(cv2.warpAffine(wide, shift, (320, 180), flags=cv2.INTER_LINEAR))
    return np.stack(out).astype(np.uint8)


@pytest.mark.parametrize("step", [0.12, 0.4, 1.0, 3.0])
def test_sign_in_a_moving_scene_is_left(step: float) -> None:
    """Text that moves with the scene, however slowly, is no subtitle."""
    assert find_in(_sign(60, step)).events == ()


def test_sign_in_a_still_shot_is_left() -> None:
    """Text that comes with one cut and goes with the next, in still shots, is no subtitle."""
    before, after = draw(320, 180, 20, seed=5).clean, draw(320, 180, 20, seed=6).clean
    pictures = np.concatenate([before, _sign(40, 0.0), after])
    found = find_in(pictures)
    assert found.events == ()
    assert "part of the scene" in [why for _, why in found.rejected]


def test_plates_that_come_together_are_found() -> None:
    """Two lines on dark plates change their own surroundings; that they come at once is enough."""
    plates = [
        Caption("Upper line", 20, 44, plate_alpha=0.8, bottom_share=0.2),
        Caption("The lower one", 20, 44, plate_alpha=0.8),
    ]
    events = find_in(draw(320, 180, 60, captions=plates).shown).events
    assert {(event.start, event.stop) for event in events} == {(20, 44)}
    assert {round(event.box_xyxy[1] / 30) for event in events} == {4, 5}


def test_logo_is_left_unless_asked_for() -> None:
    """A static logo in a corner stays; a region around it makes it an event."""
    film = draw(320, 180, 50, captions=[Caption("CHANNEL", 0, 50, size_px=16)])
    pictures = np.stack([np.roll(picture, (-150, 110), (0, 1)) for picture in film.shown])
    assert find_in(pictures).events == ()
    asked = DetectSettings(regions=(Region(0.6, 0.0, 1.0, 0.3),))
    assert spans(find_in(pictures, asked)) == [(0, 50)]


def test_regions_narrow() -> None:
    """Text outside the given regions is not looked for."""
    film = draw(320, 180, 40, captions=[Caption("First of them", 4, 27)])
    top = DetectSettings(regions=(Region(0.0, 0.0, 1.0, 0.4),))
    assert find_in(film.shown, top).events == ()
    assert spans(find_in(film.shown)) == [(4, 27)]


def test_lines_are_found_in_searched_frames_and_followed_to_both_ends() -> None:
    """A line that shows in frames that are not searched only is passed over.

    One found in a frame that is searched has its whole span, also where nothing is searched.
    """
    captions = [Caption("First of them", 4, 27), Caption("Another", 35, 60)]
    film = draw(320, 180, 70, captions=captions)
    assert spans(find_in(film.shown, searched=range(40, 48))) == [(35, 60)]


def test_short_appearance_is_left() -> None:
    """What shows for less than the least time is no subtitle."""
    film = draw(320, 180, 40, captions=[Caption("Blink", 10, 17)])
    assert find_in(film.shown).events == ()


@pytest.mark.parametrize("frames", [0, 1, 2, 3])
def test_tiny_films(frames: int) -> None:
    """Films of no frame or a few end in an empty record, not in an error."""
    pictures = draw(64, 48, max(1, frames)).clean[:frames]
    found = find_in(pictures)
    assert (found.events, found.frames) == ((), frames)
