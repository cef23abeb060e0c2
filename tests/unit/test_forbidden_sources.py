"""Text that nobody accepted is no source of background, for any hole, in any frame."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from erasecore.detection.forbidden import Glimpses, forbidden_stretches
from erasecore.detection.passing import moves_with_scene
from erasecore.detection.spans import Edge, Span
from erasecore.detection.verdict import TextLine
from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.model.clips import Picture, Segment
from erasecore.model.crop_stacks import CropCollector
from erasecore.model.events import Event
from erasecore.model.patches import composite
from erasecore.recovery.clip_recovery import recover_clip
from erasecore.recovery.planning import keep_forbidden, plan_clips
from tests.clips import Caption, draw
from tests.detectors import GRAY, find_in

BOX = np.array([100.0, 140, 220, 160])


def _line(start: int, stop: int, box: NDArray[np.float64] = BOX) -> TextLine:
    span = Span(start, stop, start, stop, Edge.ALONE, Edge.ALONE)
    return TextLine(
        *(span, box, 20.0, False, 0.9, 60.0, 1.0, 0.0, False, 0.0),
        sightings=3,
        moving=1.0,
    )


def _stretches(
    refused: list[TextLine], accepted: list[TextLine], glimpses: Glimpses | None = None
) -> list[tuple[int, int]]:
    found = forbidden_stretches(
        (glimpses or Glimpses(6)).stretches(), refused, accepted, frames=200, rate=25.0
    )
    return [(stretch.start, stretch.stop) for stretch in found]


def test_a_refused_line_near_a_subtitle() -> None:
    """Its frames are forbidden, without those in which the subtitle stands there."""
    assert _stretches([_line(50, 60)], [_line(20, 45)]) == [(50, 60)]
    assert _stretches([_line(40, 60)], [_line(20, 45)]) == [(45, 60)]
    assert _stretches([_line(25, 40)], [_line(20, 45)]) == []


def test_a_sign_that_moves_with_the_scene_is_background() -> None:
    """It is where the scene is, so what is behind a subtitle may be copied from it."""
    sign = replace(_line(50, 60), with_scene=True)
    assert _stretches([sign], [_line(20, 45)]) == []


def test_far_text_is_no_source_anyway() -> None:
    """What is far away in time or place is not kept: the record stays small."""
    assert _stretches([_line(150, 160)], [_line(20, 45)]) == []
    assert _stretches([_line(50, 60, np.array([100.0, 2, 220, 10]))], [_line(20, 45)]) == []


def test_a_glimpse_is_forbidden_between_its_samples() -> None:
    """Text seen once may have been there since the sample before, and up to the next one."""
    glimpses = Glimpses(6)
    glimpses.note(60, BOX)
    assert set(_stretches([], [_line(20, 45)], glimpses)) == {(55, 61), (60, 66)}


def test_moving_glimpses_cover_the_way_between() -> None:
    """Two glimpses of one text cover all of its way, and its way before and after them."""
    glimpses = Glimpses(6)
    for index, shift in ((60, 0.0), (66, 80.0)):
        glimpses.note(index, BOX + np.array([shift, 0, shift, 0]))
    lefts = [s.box[0] for s in glimpses.stretches() if s.start <= 63 < s.stop]
    rights = [s.box[2] for s in glimpses.stretches() if s.start <= 63 < s.stop]
    assert min(lefts) <= 100
    assert max(rights) >= 300
    before = [s for s in glimpses.stretches() if s.start <= 57 < s.stop]
    assert min(s.box[0] for s in before) <= 20


def _event(start: int, stop: int, box: tuple[float, float, float, float]) -> Event:
    return Event(start, stop, start, stop, box, 14, 0.9)


def test_clips_keep_forbidden_text() -> None:
    """It is kept in the clip in which it shows; what lies behind a subtitle all along is not."""
    caption = _event(20, 45, (100, 140, 220, 160))
    (clip,) = plan_clips(
        Segment(0, 0, 90), [caption], Picture(320, 180, GRAY), frames=90, context=12
    )
    after, behind = _event(45, 70, (110, 140, 200, 160)), _event(0, 90, (120, 130, 260, 170))
    beside = replace(behind, box_xyxy=(240, 130, 260, 170))
    (kept,) = keep_forbidden([clip], [after, behind, beside])
    assert kept.kept == (after, beside)
    assert kept.events == (caption, after, beside)
    assert keep_forbidden([clip], [_event(80, 90, after.box_xyxy)]) == (clip,)
    assert keep_forbidden([], [after]) == ()


def _result(pictures: NDArray[np.uint8], event: Event, forbidden: list[Event]) -> NDArray[np.uint8]:
    """Luma of ``pictures`` with ``event`` erased."""
    frames, height, width = pictures.shape
    (planned,) = plan_clips(
        *(Segment(0, 0, frames), [event], Picture(width, height, GRAY)),
        frames=frames,
        context=14,
    )
    (clip,) = keep_forbidden([planned], forbidden)
    collector = CropCollector(clip.start, clip.stop, clip.box, GRAY)
    for index, luma in enumerate(pictures):
        collector.add(index, (luma,))
    recovery = recover_clip(collector.finish(), clip, (), PropagateEngine(), lambda _: None)
    made = pictures.copy()
    for frame, patch in recovery.patches.items():
        composite((made[frame],), [patch], GRAY)
    return made


@pytest.mark.parametrize("pan", [(0, 0), (1, 0)])
def test_no_letters_of_refused_text(pan: tuple[int, int]) -> None:
    """Another text stands where the subtitle stood, before it and after: none of it is copied."""
    words = [Caption("HERE", 0, 12), Caption("ABOUT", 12, 36), Caption("THERE", 36, 50)]
    words = [replace(word, size_px=26) for word in words]
    film = draw(320, 180, 50, captions=words, pan=pan, seed=4)
    luma = np.asarray(film.shown[..., 1])
    clean = np.asarray(film.clean[..., 1]).astype(float)
    rows, columns = np.nonzero(film.alpha[20] > 0)
    left, top, right, bottom = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
    box = float(left), float(top), float(right), float(bottom)
    wide = box[0] - 30, box[1] - 4, box[2] + 30, box[3] + 4
    event = replace(_event(12, 36, box), text_height_px=float(bottom - top))
    others = [
        replace(_event(*span, wide), text_height_px=event.text_height_px)
        for span in ((0, 12), (36, 50))
    ]
    ink = film.alpha[20] > 0
    errors = []
    for forbidden in ([], others):
        made = _result(luma, event, forbidden)
        errors.append(float(np.sqrt(np.square(made[14:34] - clean[14:34])[:, ink].mean())))
    copied, honest = errors
    assert copied > 30  # the letters of the other words
    assert honest < 0.5 * copied


def test_detection_forbids_what_it_refuses() -> None:
    """Words too short to be subtitles are no source for the line before them at their place."""
    words = [Caption("Where were you?", 6, 40), Caption("THE ONE", 40, 47)]
    film = draw(320, 180, 60, captions=words, seed=2)
    dim = np.minimum(film.clean, 170)
    pictures = np.where(film.alpha[..., None] > 0, film.shown, dim).astype(np.uint8)
    found = find_in(pictures)
    assert [(event.start, event.stop) for event in found.events] == [(6, 40)]
    shown = {f for event in found.forbidden for f in range(event.start, event.stop)}
    assert set(range(40, 47)) <= shown


def test_a_sign_behind_a_subtitle_is_background() -> None:
    """Larger letters on which a subtitle stands are the scene's, all along their way."""
    caption, sign = _line(20, 45), BOX + np.array([-60.0, -20, 60, 20])
    assert _stretches([_line(10, 60, sign)], [caption]) == []
    glimpses = Glimpses(6)
    for index, shift in ((36, 0.0), (42, 40.0), (48, 80.0), (54, 120.0)):
        glimpses.note(index, sign + np.array([shift, 0, shift, 0]))
    assert _stretches([], [caption], glimpses) == []
    assert _stretches([_line(50, 60, sign)], [caption]) == [(50, 60)]


@pytest.mark.parametrize(
    ("pan", "text_pan", "passes"), [(6, 6, True), (0, 6, False), (6, 0, False)]
)
def test_text_that_passes_with_the_scene(pan: int, text_pan: int, passes: bool) -> None:
    """A sign in a pan passes; text that moves over a still scene, or stands in a pan, stays."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 255, (60, 240)).astype(np.float32)
    scene = 90 + 3 * (cv2.GaussianBlur(noise, (0, 0), 3) - 127)
    strokes = np.flatnonzero(rng.random(60) < 0.3)
    crops = []
    for frame in (0, 1):
        crop = scene[:, 20 + pan * frame : 180 + pan * frame].copy()
        left = 50 - text_pan * frame
        crop[20:40, left + strokes] = 255
        crops.append(np.clip(crop, 0, 255).astype(np.uint8))
    text = np.zeros((60, 160), np.bool_)
    text[16:44, 46:114] = True
    none = np.zeros_like(text)
    assert moves_with_scene(crops[0], crops[1], text, none) == passes
    assert not moves_with_scene(crops[0], crops[1], text, ~none)
