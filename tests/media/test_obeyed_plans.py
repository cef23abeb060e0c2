"""A plan obeyed by the pipeline: edits make anew only the segments that they touch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from erasecore.errors import BadPlan
from erasecore.pipeline import erase
from erasecore.planning.film_plan import SHEET, plan_film
from erasecore.plans import FilmPlan, JobOptions
from erasecore.reports import EraseReport
from erasecore.resources import ModelCache
from erasecore.settings import Companions, DetectSettings, EraseSettings, Region, Script, TimeRange
from tests.clips import Caption, draw, write

SETTINGS = EraseSettings(segment_seconds=2, srt=False)
CAPTIONS = [Caption("Where have you been?", 6, 24), Caption("Nobody saw him", 44, 70)]


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two shots of a line each, which are two segments."""
    path = tmp_path_factory.mktemp("plans") / "film.mp4"
    write(path, draw(320, 176, 75, captions=CAPTIONS, cuts=(40,)).shown)
    return path


def plan_for(film: Path, folder: Path, tools: ModelCache, settings: EraseSettings) -> FilmPlan:
    """The plan of a film."""
    folder.mkdir()
    return plan_film(
        film, folder, settings, models=tools, observe=lambda _: None, companions=Companions()
    )


def obey(film: Path, folder: Path, tools: ModelCache, plan: FilmPlan) -> EraseReport:
    """Erase as the plan says, in a folder that may have finished segments."""
    folder.mkdir(exist_ok=True)
    return erase(
        film,
        folder,
        SETTINGS,
        models=tools,
        observe=lambda _: None,
        companions=Companions(plan="film.mp4.plan.yaml"),
        options=JobOptions(plan),
    )


def test_a_correction_makes_anew_what_it_touches(
    film: Path, tools: ModelCache, tmp_path: Path
) -> None:
    """The other segment is taken from the attempt before."""
    plan = plan_for(film, tmp_path / "plan", tools, SETTINGS)
    assert (tmp_path / "plan" / SHEET).read_bytes().startswith(b"\xff\xd8")
    first, second = (one for one in plan.objects if one.erase)
    others = tuple(one for one in plan.objects if not one.erase)
    report = obey(film, tmp_path / "job", tools, plan)
    assert (report.segments, report.segments_resumed, len(report.events)) == (2, 0, 2)
    before = [one.stat().st_mtime_ns for one in sorted((tmp_path / "job/segments").glob("*.mkv"))]
    left, top, right, bottom = second.box
    wider = replace(second, box=(left - 4, top - 2, right + 4, bottom))
    report = obey(film, tmp_path / "job", tools, replace(plan, objects=(first, wider, *others)))
    assert (report.segments, report.segments_resumed, len(report.events)) == (2, 1, 2)
    after = [one.stat().st_mtime_ns for one in sorted((tmp_path / "job/segments").glob("*.mkv"))]
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False]
    kept = replace(plan, objects=(replace(first, erase=False), wider, *others))
    report = obey(film, tmp_path / "job", tools, kept)
    assert (report.segments_resumed, len(report.events)) == (1, 1)
    assert ("the plan keeps it", "plan") in [(one.reason, one.setting) for one in report.left]


def test_a_plan_of_other_frames_is_refused(film: Path, tools: ModelCache, tmp_path: Path) -> None:
    """Whatever its digest says."""
    plan = plan_for(film, tmp_path / "plan", tools, SETTINGS)
    shorter = replace(plan, film=replace(plan.film, frames=74))
    with pytest.raises(BadPlan, match="is for 74 frames, and the film has 75"):
        obey(film, tmp_path / "job", tools, shorter)


def test_scripts_and_regions_narrow_a_plan(film: Path, tools: ModelCache, tmp_path: Path) -> None:
    """What another script or another time excludes stays, and the plan says why."""
    han = replace(SETTINGS, detect=DetectSettings(scripts=(Script.HAN,)))
    plan = plan_for(film, tmp_path / "han", tools, han)
    assert [one.why for one in plan.objects if one.erase or one.text] == ["another script"] * 2
    region = Region(0, 0.6, 1, 1, times=(TimeRange(0, 1),))
    early = replace(SETTINGS, detect=DetectSettings(regions=(region,)))
    plan = plan_for(film, tmp_path / "early", tools, early)
    verdicts = [(one.erase, one.why) for one in plan.objects]
    assert {(True, "subtitle"), (False, "outside the times asked for")} <= set(verdicts)
