"""What a look at an erased segment says: text left, lines missed, and what is scene after all."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pytest

from erasecore.ink.strokes import Ink
from erasecore.model.clips import Picture
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.recovery.second_pass import MaskDilation, dilate_ink, dilations_for
from erasecore.review.residual_text import Findings, ResidualTextChecker
from erasecore.settings import Region
from tests.clips import U8, Caption, DrawnFilm, draw
from tests.detectors import GRAY, BrightTextDetector

FIRST = Caption("Where were you?", 8, 30)
ABOVE = Caption("Oh, where were you", 8, 30, bottom_share=0.2)


def film_of(*captions: Caption, cuts: Sequence[int] = ()) -> DrawnFilm:
    """A dim scene with bright captions, so that the quick detector sees just these."""
    film = draw(320, 180, 40, captions=captions, cuts=cuts)
    dim = np.minimum(film.clean, 170)
    shown = np.where(film.alpha[..., None] > 0, film.shown, dim).astype(np.uint8)
    return DrawnFilm(dim, shown, film.alpha, film.captions)


def box_of(caption: Caption) -> BoxXyxy:
    """Where a caption's ink is."""
    alpha = draw(320, 180, 40, captions=[caption]).alpha[20]
    rows, columns = np.nonzero(alpha > 0.5)
    return tuple(float(v) for v in (columns.min(), rows.min(), columns.max(), rows.max()))  # type: ignore[return-value]


def event_of(caption: Caption) -> Event:
    """The event that a caption is."""
    start, stop = caption.start, caption.stop
    box = box_of(caption)
    return Event(start, stop, start, stop, box, 0.7 * (box[3] - box[1]), 0.9)


def look(before: U8, after: U8, detection: Detection, regions: tuple[Region, ...] = ()) -> Findings:
    """What is found in a segment that was ``before`` and is ``after``."""
    picture, span = Picture(320, 180, GRAY), (0, len(before))
    watch = ResidualTextChecker(picture, detection, BrightTextDetector(), span, regions=regions)
    for index, (one, other) in enumerate(zip(before, after, strict=True)):
        watch.check_frame(index, (gray(one),), (gray(other),))
    return watch.findings()


def gray(rgb: U8) -> U8:
    """The luma of a picture."""
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY).astype(np.uint8)


def detection_of(*events: Event, cuts: tuple[int, ...] = ()) -> Detection:
    """A film's detection, nothing rejected."""
    return Detection(events, (), cuts, 40)


def test_text_that_is_gone_is_not_seen() -> None:
    """A segment erased well raises no suspicion."""
    film = film_of(FIRST)
    findings = look(film.shown, film.clean, detection_of(event_of(FIRST)))
    assert findings == Findings()
    assert not findings.needs_second_pass


def test_text_that_stays_is_left() -> None:
    """A subtitle that is still there is seen where it is, in every look."""
    film, event = film_of(FIRST), event_of(FIRST)
    findings = look(film.shown, film.shown, detection_of(event))
    assert findings.residual == {event}
    assert findings.probes_with_text == 3
    left, top, right, bottom = np.median(findings.boxes_by_event[event], axis=0)
    assert np.abs(np.array(event.box_xyxy) - (left, top, right, bottom)).max() < 12


def test_text_in_one_look_calls_for_a_second_pass_but_is_not_called_left() -> None:
    """A glimpse is worth another try, and no reason to warn anybody."""
    film, event = film_of(FIRST), event_of(FIRST)
    after = film.clean.copy()
    after[12:16] = film.shown[12:16]
    findings = look(film.shown, after, detection_of(event))
    assert findings.needs_second_pass
    assert findings.residual == frozenset()
    assert findings.probes_with_text == 1


def test_a_glimpse_of_scene_is_none() -> None:
    """Writing in one look that has not the subtitle's strokes is part of the scene behind it."""
    film, other = film_of(FIRST), film_of(Caption("HI, OTHER WALL", 8, 30, size_px=14))
    after = film.clean.copy()
    after[12:16] = other.shown[12:16]
    findings = look(film.shown, after, detection_of(event_of(FIRST)))
    assert not findings.needs_second_pass


def test_scene_text_that_comes_to_light_is_no_residual() -> None:
    """What the film shows in the same place before the subtitle comes was under it all along."""
    sign = Caption("Where were you?", 0, 40)
    film = film_of(sign)
    assert look(film.shown, film.shown, detection_of(event_of(FIRST))).boxes_by_event == {}


def test_a_line_that_came_and_went_beside_an_event_was_missed() -> None:
    """A second line that nobody had found is told, with the span of the first.

    Not where regions were asked for and it stands outside them.
    """
    film = film_of(FIRST, ABOVE)
    after = film.clean.copy()
    rows = slice(0, int(box_of(FIRST)[1]) - 2)
    after[:, rows] = film.shown[:, rows]
    findings = look(film.shown, after, detection_of(event_of(FIRST)))
    below = (Region(0.0, 0.8, 1.0, 1.0),)
    assert look(film.shown, after, detection_of(event_of(FIRST)), below).missed == ()
    (missed,) = findings.missed
    assert (missed.start, missed.stop) == (8, 30)
    assert np.abs(np.subtract(missed.box_xyxy, box_of(ABOVE))).max() < 12


@pytest.mark.parametrize(
    ("beside", "cuts"),
    [
        (Caption("Oh, where were you", 0, 40, bottom_share=0.2), ()),  # there before and after
        (Caption("Oh, where were you", 8, 22, bottom_share=0.2), ()),  # gone earlier
        (Caption("Oh, where were you", 8, 30, bottom_share=0.6), ()),  # far away
        (Caption("OH", 8, 30, bottom_share=0.2, size_px=40), ()),  # of another size
        (ABOVE, (8, 30)),  # came and went with a cut, as signs do
    ],
)
def test_other_text_beside_an_event_is_left_alone(beside: Caption, cuts: tuple[int, ...]) -> None:
    """Signs near a subtitle are not taken for lines of it."""
    film = film_of(FIRST, beside, cuts=cuts)
    after = film.clean.copy()
    rows = slice(0, int(box_of(FIRST)[1]) - 2)
    after[:, rows] = film.shown[:, rows]
    assert look(film.shown, after, detection_of(event_of(FIRST), cuts=cuts)).missed == ()


def test_rejected_text_beside_an_event_is_not_missed() -> None:
    """What detection has seen and turned down stays turned down."""
    film, other = film_of(FIRST, ABOVE), event_of(ABOVE)
    detection = Detection((event_of(FIRST),), ((other, "moves"),), (), 40)
    after = film.clean.copy()
    rows = slice(0, int(box_of(FIRST)[1]) - 2)
    after[:, rows] = film.shown[:, rows]
    assert look(film.shown, after, detection).missed == ()


A, B = event_of(FIRST), event_of(ABOVE)
BOX = (0.0, 0.0, 9.0, 9.0)
NOTHING = Findings()
GLIMPSE = Findings({A: (BOX,)}, probes_with_text=1)
LEFT = Findings({A: (BOX,)}, frozenset({A}), probes_with_text=2)
LEFT_MORE = Findings({A: (BOX,)}, frozenset({A}), probes_with_text=3)
LINE = Findings(missed=(B,))


@pytest.mark.parametrize(
    ("one", "other", "better"),
    [
        (NOTHING, GLIMPSE, True),
        (NOTHING, LINE, True),
        (GLIMPSE, LEFT, True),
        (LEFT, LEFT_MORE, True),
        (LEFT, LINE, False),  # one place each, but text in fewer looks
        (GLIMPSE, GLIMPSE, False),  # a tie keeps the first
        (LEFT, GLIMPSE, False),
    ],
)
def test_the_better_of_two_passes(one: Findings, other: Findings, *, better: bool) -> None:
    """Fewer places with text are better, then fewer looks with text; a tie keeps the first."""
    assert one.better_than(other) is better


def test_hypotheses_take_what_was_seen_for_ink() -> None:
    """The seen boxes with some air; without any ink the event's own box as well."""
    findings = Findings({A: (BOX,)}, frozenset({A}), (), 2)
    plain = dilations_for(findings, frozenset())[A]
    assert len(plain.boxes) == 1
    left, top, right, bottom = plain.boxes[0]
    assert left < BOX[0] and top < BOX[1] and right > BOX[2] and bottom > BOX[3]
    assert plain.radius_px >= 2
    assert len(dilations_for(findings, frozenset({A}))[A].boxes) == 2


def test_ink_is_strengthened_in_the_cutouts_own_coordinates() -> None:
    """Strokes get wider by so many pixels, boxes are set as a whole, what lies outside is cut."""
    planes = (np.zeros((2, 40, 80), np.uint8),)
    thumbnails = np.zeros((2, 8, 8), np.float32)
    crop = CropStack(0, (100, 50, 180, 90), planes, thumbnails, 10.0, GRAY)
    mask = np.zeros((40, 80), bool)
    mask[20, 40] = True
    boxes = ((90.0, 40.0, 105.0, 55.0), (160.0, 80.0, 300.0, 300.0))
    grown = dilate_ink(Ink(A, mask, None), MaskDilation(3, boxes), crop).mask
    assert grown[20, 37:44].all() and not grown[20, 36] and not grown[16, 40]
    assert grown[:5, :5].all() and not grown[5:, 5:20].any()
    assert grown[30:, 60:].all() and not grown[29, 60:].any()
