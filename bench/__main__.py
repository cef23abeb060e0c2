"""Runs the bench: ``make bench``, or ``python -m bench`` with parts, cases and methods chosen."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import product
from pathlib import Path
from typing import TypeAlias

from rich.console import Console

from bench.bars import bars
from bench.cases import CLIPS, RECIPES, Case, case_folder, load_case
from bench.detection import run_bare, run_detection
from bench.fonts import check_fonts
from bench.media import BenchError
from bench.quality import ALL_METHODS, OURS, run_case, run_clean, run_real
from bench.reading import read_result
from bench.report import (
    COMPARISON_MARK,
    RESULTS_MARK,
    comparison,
    markdown,
    print_results,
    summary,
    write_into,
)
from bench.residual import TextJudge
from bench.results import Results, load_results, merged, save_results
from bench.scale import run_scale
from bench.speed import HEIGHTS_PX, JOINED, joined_film, run_memory, run_speed
from bench.wild import part as wild
from erasecore.detection.detector import Detector, RapidOcrDetector

PARTS = (
    *("cases", "detect", "quality", "clean", "real", "speed", "memory", "flops", "scale"),
    "wild",
)
DEFAULT_PARTS = ("detect", "quality", "speed", "memory")
MEMORY_HEIGHT_PX = 1080
TABLE_COLUMNS = 140  # what the widest table needs
BUILD = Path("build/bench")
RESULTS = BUILD / "results.json"
OURS_FOLDER = BUILD / "out" / OURS
PAGE = Path("docs/benchmarks.md")
README = Path("README.md")


Step: TypeAlias = Callable[[], Results]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and where things lie."""

    clips_folder: Path
    parts: tuple[str, ...]
    cases: tuple[str, ...]
    methods: tuple[str, ...]
    minutes: tuple[int, ...]
    wild: wild.WildPlan


def main(words: list[str]) -> int:
    """1 when a step failed or a bar is missed, 2 when the bench cannot run, else 0."""
    console = Console(width=max(TABLE_COLUMNS, Console().width))
    try:
        plan = _parse(words)
        _check(plan)
        failures = _run(plan) + _run_wild(plan)
        results = load_results(RESULTS)
        if set(plan.parts) == {"wild"}:  # whose rows and table are its own
            return 1 if failures else 0
        print_results(results, console)
        write_into(PAGE, RESULTS_MARK, markdown(results))
        write_into(README, COMPARISON_MARK, comparison(results) + "\n")
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    console.print(f"rows: {RESULTS}   page: {PAGE}")
    return 0 if not failures and all(bar.reached for bar in bars(results)) else 1


def _parse(words: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the clips")
    parser.add_argument("--parts", default="", help=f"of {', '.join(PARTS)}; comma between")
    parser.add_argument("--cases", default="", help="names of cases; comma between")
    parser.add_argument("--methods", default="", help=f"of {', '.join(ALL_METHODS)}")
    parser.add_argument("--minutes", default="1,10", help="lengths of the memory part's films")
    wild.add_options(parser)
    asked = parser.parse_args(words)
    return Plan(
        clips_folder=asked.data,
        parts=_choice(asked.parts, PARTS, DEFAULT_PARTS),
        cases=_choice(asked.cases, tuple(RECIPES), tuple(RECIPES)),
        methods=_choice(asked.methods, ALL_METHODS, ALL_METHODS),
        minutes=tuple(int(minutes) for minutes in asked.minutes.split(",")),
        wild=wild.wild_plan(asked),
    )


def _choice(asked: str, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name for name in asked.replace(" ", ",").split(",") if name)
    if unknown := [name for name in chosen if name not in known]:
        raise BenchError(f"{unknown[0]}: no such name; known: {', '.join(known)}")
    return chosen or default


def _check(plan: Plan) -> None:
    if set(plan.parts) == {"scale"}:
        return  # it needs no clips
    if not plan.clips_folder.is_dir():
        raise BenchError(f"{plan.clips_folder}: no such folder; name the clips with DATA=...")
    if set(plan.parts) != {"wild"}:  # which skips what it has no font for
        check_fonts()


def _run_wild(plan: Plan) -> int:
    """Run the judge, if asked for, and write its table; return the number of crashes."""
    if "wild" not in plan.parts:
        return 0
    crashes = wild.run_wild(plan.wild, plan.clips_folder)
    write_into(PAGE, wild.MARK, wild.wild_table(_machine()))
    return crashes


def _run(plan: Plan) -> int:
    """How many steps failed; what the others gave is saved at once, each by itself."""
    failures = 0
    for step in _steps(plan):
        try:
            row = step()
        except BenchError as error:
            failures += 1
            print(f"bench: {error}", file=sys.stderr, flush=True)
            continue
        made = datetime.now(tz=UTC).date().isoformat()
        row = replace(row, machine=_machine(), made=made)
        save_results(RESULTS, merged(load_results(RESULTS), row))
        if text := summary(row):
            print(text, flush=True)
    return failures


def _steps(plan: Plan) -> Iterator[Step]:
    """Everything that is asked for, one row at a time, none of them begun yet."""
    if "cases" in plan.parts:
        for name in plan.cases:
            yield partial(_build, plan, name)
    if "detect" in plan.parts:
        yield from _detect_steps(plan)
    if "quality" in plan.parts:
        judge = TextJudge()
        for name, method in product(plan.cases, plan.methods):
            yield partial(_quality, plan, name, method, judge)
    if "scale" in plan.parts:
        yield _scale
    yield from _diffusion_steps(plan)
    if OURS in plan.methods:
        yield from _clip_steps(plan)
        yield from _long_steps(plan)


def _detect_steps(plan: Plan) -> Iterator[Step]:
    """The finder alone: the cases, then everything that has no subtitle."""
    detector, judge = RapidOcrDetector(threads=1), TextJudge()
    for name in plan.cases:
        yield partial(_detect, plan, name, detector, judge)
    for clip in CLIPS:
        yield partial(_bare, f"{clip} (bare)", plan.clips_folder / f"{clip}.mp4", detector)
    for name in plan.cases:
        if RECIPES[name].take.logo:
            clean = BUILD / "cases" / name / "clean.mp4"
            yield partial(_bare, f"{name} (bare)", clean, detector)


def _diffusion_steps(plan: Plan) -> Iterator[Step]:
    """What diffusion costs, counted: the only part that needs torch."""
    if "flops" in plan.parts:
        yield _walks
        yield _footprints
        for name in plan.cases:
            yield partial(_flops, plan, name)


def _clip_steps(plan: Plan) -> Iterator[Step]:
    """Clips that only the product itself goes through."""
    if {"quality", "clean"} & set(plan.parts):
        for clip in CLIPS:
            yield partial(_clean, plan.clips_folder / f"{clip}.mp4")
    if {"quality", "real"} & set(plan.parts):
        judge = TextJudge()
        for film in sorted((plan.clips_folder / "hardsub").glob("*.mp4")):
            yield partial(_real, film, judge)


def _long_steps(plan: Plan) -> Iterator[Step]:
    """Films that take minutes."""
    if "speed" in plan.parts:
        for height_px in HEIGHTS_PX:
            yield partial(_speed, plan, height_px)
    if "memory" in plan.parts:
        for minutes in plan.minutes:
            yield partial(_memory, plan, minutes)


def _case(plan: Plan, name: str) -> Case:
    return load_case(case_folder(name, plan.clips_folder, BUILD / "cases"))


def _build(plan: Plan, name: str) -> Results:
    _case(plan, name)
    return Results()


def _quality(plan: Plan, name: str, method: str, judge: TextJudge) -> Results:
    case, folder = _case(plan, name), BUILD / "out" / method
    row = run_case(case, method, folder, judge)
    reading = (read_result(case, folder / f"{name}.mp4"),) if method == OURS else ()
    return Results(quality=(row,), reading=reading)


def _detect(plan: Plan, name: str, detector: Detector, judge: TextJudge) -> Results:
    return Results(detection=(run_detection(_case(plan, name), detector, judge),))


def _bare(name: str, film: Path, detector: Detector) -> Results:
    return Results(detection=(run_bare(name, film, detector),))


def _flops(plan: Plan, name: str) -> Results:
    from bench.survey import run_survey  # torch takes seconds to import

    return Results(flops=(run_survey(_case(plan, name)),))


def _footprints() -> Results:
    from bench.footprint import footprints  # torch takes seconds to import

    return Results(footprints=tuple(footprints()))


def _walks() -> Results:
    from bench.walk import walks  # torch takes seconds to import

    return Results(walks=tuple(walks()))


def _clean(clip: Path) -> Results:
    return Results(clean=(run_clean(clip, OURS_FOLDER / "clean"),))


def _real(film: Path, judge: TextJudge) -> Results:
    return Results(real=(run_real(film, OURS_FOLDER / "real", judge),))


def _speed(plan: Plan, height_px: int) -> Results:
    return Results(speed=(run_speed(_joined(plan, height_px, 1), OURS_FOLDER / "speed"),))


def _memory(plan: Plan, minutes: int) -> Results:
    film = _joined(plan, MEMORY_HEIGHT_PX, minutes)
    return Results(memory=(run_memory(film, OURS_FOLDER / "memory"),))


def _scale() -> Results:
    return Results(scale=(run_scale(BUILD / "scale"),))


def _joined(plan: Plan, height_px: int, minutes: int) -> Path:
    films = [_case(plan, name).hardsub for name in JOINED]
    return joined_film(films, height_px, minutes, BUILD / "films")


def _machine() -> str:
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
