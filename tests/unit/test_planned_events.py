"""A plan is the detection, and what is edited in it counts; scripts and regions narrow it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from daemon.plans.reading import read_plan
from daemon.plans.writing import clock, plan_text
from erasecore.model.events import Detection, Event, PathPoint
from erasecore.model.picture_areas import PictureArea
from erasecore.planned_events import detection_of, facts_of, objects_of
from erasecore.planning.forecast import hidden_parts
from erasecore.plans import KEPT_BY_PLAN, FilmIdentity, FilmPlan, PlannedObject
from erasecore.selection.time_filter import OUTSIDE_TIMES, in_regions
from erasecore.settings import DetectSettings, Region, RegionUnit, Script, TimeRange
from erasecore.text.scripts import script_of
from erasecore.text.visiting import frames_to_visit
from erasecore.video.orientation import UPRIGHT, regions_as_seen

SECONDS = np.arange(101) / 25
PATH = PathPoint(10, 0, 7), PathPoint(11, 0, 3, 0.9)
LINE = Event(10, 40, 12, 38, (20.25, 80.1, 200.7, 99.9), 14.3, 0.93, PATH)
SIGN = Event(0, 100, 0, 100, (5.0, 5.0, 60.0, 20.0), 10.0, 0.8)
FOUND = Detection(
    events=(LINE,),
    rejected=((SIGN, "moves"),),
    cuts=(50,),
    frames=100,
    picture_areas=(PictureArea(0, 50, (0, 10, 320, 170), (0, 8, 320, 172)),),
    forbidden=(replace(SIGN, score=0.0),),
)


def plan_of(detection: Detection) -> FilmPlan:
    """Its plan, of a film of 320x180."""
    film = FilmIdentity(1000, "0" * 64, 320, 180, 100, 4.0, "film.mp4")
    objects = objects_of(detection, SECONDS)
    return FilmPlan(film, objects, detection=facts_of(detection, True, ()))


def with_object(plan: FilmPlan, number: int, changed: PlannedObject) -> FilmPlan:
    """The plan with one object exchanged."""
    objects = tuple(changed if one.id == number else one for one in plan.objects)
    return replace(plan, objects=objects)


def test_a_plan_that_nobody_edits_is_the_detection(tmp_path: object) -> None:
    """To the last digit, through the YAML file as well."""
    plan = plan_of(FOUND)
    assert detection_of(plan, SECONDS) == FOUND
    file = tmp_path / "film.plan.yaml"  # type: ignore[operator]
    file.write_text(plan_text(plan), "utf-8")
    again = read_plan(file, shown_as=file)
    assert again == plan
    assert detection_of(again, SECONDS) == FOUND


def test_strange_texts_survive(tmp_path: object) -> None:
    """Quotes, colons, other scripts, control characters; tiny and large numbers."""
    plan = plan_of(FOUND)
    text = 'say: "yes" # no\\ \u4f60\u597d \U0001f600'
    plan = with_object(plan, 2, replace(plan.objects[1], text=text, invent=1e-7))
    file = tmp_path / "film.plan.yaml"  # type: ignore[operator]
    file.write_text(plan_text(plan), "utf-8")
    assert read_plan(file, shown_as=file) == plan


def test_times_are_written_as_clocks() -> None:
    """To the millisecond; YAML reads them as seconds."""
    assert [clock(one) for one in (0.0, 1.25, 3723.5, 59.9996)] == [
        "0:00:00.000", "0:00:01.250", "1:02:03.500", "0:01:00.000",
    ]  # fmt: skip


def test_a_line_that_is_kept_is_text_that_stays() -> None:
    """No pixels are copied from it."""
    plan = plan_of(FOUND)
    line = next(one for one in plan.objects if one.erase)
    kept = detection_of(with_object(plan, line.id, replace(line, erase=False)), SECONDS)
    assert kept.events == ()
    assert (LINE, KEPT_BY_PLAN) in kept.rejected
    assert LINE in kept.forbidden


def test_a_sign_that_is_erased_is_no_forbidden_text() -> None:
    """Else its pixels would be left alone."""
    plan = plan_of(FOUND)
    sign = next(one for one in plan.objects if not one.erase)
    erased = detection_of(with_object(plan, sign.id, replace(sign, erase=True)), SECONDS)
    assert erased.events == (SIGN, LINE)
    assert erased.forbidden == ()
    assert erased.rejected == ()


def test_edited_times_and_boxes_count() -> None:
    """Fades keep their length; the path is that of the place it had."""
    plan = plan_of(FOUND)
    line = next(one for one in plan.objects if one.erase)
    later = replace(line, start=0.8, stop=2.0)
    (moved,) = detection_of(with_object(plan, line.id, later), SECONDS).events
    assert (moved.start, moved.full_start, moved.full_stop, moved.stop) == (20, 22, 48, 50)
    assert (moved.box_xyxy, moved.path) == (LINE.box_xyxy, ())
    wider = replace(line, box=(10.0, 80.0, 300.0, 100.0))
    (grown,) = detection_of(with_object(plan, line.id, wider), SECONDS).events
    assert (grown.start, grown.stop, grown.box_xyxy) == (10, 40, (10.0, 80.0, 300.0, 100.0))


def test_added_objects_are_events() -> None:
    """In the frames nearest to their times."""
    plan = plan_of(FOUND)
    added = PlannedObject(True, 1.99, 2.41, (100.0, 10.0, 200.0, 30.0))
    plan = replace(plan, objects=(*plan.objects, added))
    event = detection_of(plan, SECONDS).events[-1]
    assert (event.start, event.stop, event.box_xyxy) == (50, 60, (100.0, 10.0, 200.0, 30.0))


def test_few_frames_show_all_objects() -> None:
    """Lines that are on screen together are read in one frame."""
    spans = [(0, 30), (2, 28), (40, 60), (45, 80), (90, 91)]
    events = [replace(SIGN, start=a, full_start=a, stop=b, full_stop=b) for a, b in spans]
    frames = frames_to_visit(events)
    assert len(frames) == 3
    assert all(any(event.shows_at(frame) for frame in frames) for event in events)


def test_what_no_frame_shows_must_be_invented() -> None:
    """A line that fills its shot, and lines that follow each other in one place."""
    places = [(10, 40), (50, 100), (120, 150), (150, 200)]
    events = [replace(SIGN, start=a, stop=b) for a, b in places]
    hidden = hidden_parts(events, (50, 100), frames=200, rate=25)
    parts = [(part.event, part.start, part.stop) for part in hidden]
    assert parts == [(1, 50, 100), (3, 150, 200)]
    filled = [replace(SIGN, start=a, stop=b) for a, b in ((100, 150), (150, 200))]
    assert len(hidden_parts(filled, (100,), frames=200, rate=25)) == 2


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("\u4f60\u597d\u5417", Script.HAN),
        ("\u79c1\u306f\u5b66\u751f", Script.KANA),
        ("Where have you been?", Script.LATIN),
        ("OK \u90a3\u4e0d\u662f\u4ed6", Script.HAN),
        ("\u041f\u0440\u0438\u0432\u0435\u0442", Script.OTHER),
        ("12:30", Script.OTHER),
        ("", Script.OTHER),
    ],
)
def test_scripts(text: str, script: Script) -> None:
    """Of most letters; signs and digits have none."""
    assert script_of(text) is script


def test_regions_in_other_units() -> None:
    """Per cent and pixels are those of the picture; what reaches beyond it is cut off."""
    percent = Region(0, 50, 100, 100, RegionUnit.PERCENT)
    pixels = Region(0, 90, 400, 180, RegionUnit.PIXELS)
    detect = DetectSettings(regions=(percent, pixels))
    assert regions_as_seen(detect, UPRIGHT, (320, 180)) == (Region(0, 0.5, 1, 1),) * 2


def test_regions_with_times() -> None:
    """A line counts if one of its regions counts while it shows."""
    early = Region(0, 0.3, 1, 1, times=(TimeRange(0, 1),))
    late = Region(0, 0.3, 1, 1, times=(TimeRange(3, 4),))
    seconds_at = SECONDS.tolist().__getitem__
    assert in_regions(FOUND, [early], (320, 180), seconds_at) == FOUND
    assert in_regions(FOUND, [late, early], (320, 180), seconds_at) == FOUND
    without = in_regions(FOUND, [late], (320, 180), seconds_at)
    assert without.events == ()
    assert (LINE, OUTSIDE_TIMES) in without.rejected
