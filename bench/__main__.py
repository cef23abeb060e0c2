"""Runs the bench: ``make bench``, or ``python -m bench`` with parts, cases and methods chosen."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bench.cases import CLIPS, RECIPES, case_folder, load_case
from bench.fonts import check_fonts
from bench.media import BenchError
from bench.quality import ALL_METHODS, OURS, QualityRow, run_case, run_clean, run_real
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
from bench.results import Results, bars, load_results, merged, save_results
from bench.speed import HEIGHTS_PX, JOINED, joined_film, run_memory, run_speed

PARTS = ("cases", "quality", "clean", "real", "speed", "memory")
DEFAULT_PARTS = ("quality", "speed", "memory")
MEMORY_HEIGHT_PX = 1080
TABLE_COLUMNS = 140  # what the widest table needs
BUILD = Path("build/bench")
OURS_FOLDER = BUILD / "out" / OURS
PAGE = Path("docs/benchmarks.md")
README = Path("README.md")


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be run, and where things lie."""

    clips_folder: Path
    parts: tuple[str, ...]
    cases: tuple[str, ...]
    methods: tuple[str, ...]
    minutes: tuple[int, ...]


def main(words: list[str]) -> int:
    """1 when a bar is missed, 2 when the bench cannot run, else 0."""
    console = Console(width=max(TABLE_COLUMNS, Console().width))
    try:
        plan = _parse(words)
        results = _run(plan, console)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print_results(results, console)
    write_into(PAGE, RESULTS_MARK, markdown(results))
    write_into(README, COMPARISON_MARK, comparison(results) + "\n")
    console.print(f"rows: {BUILD / 'results.json'}   page: {PAGE}")
    return 0 if all(bar.reached for bar in bars(results)) else 1


def _parse(words: list[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="the clips")
    parser.add_argument("--parts", default="", help=f"of {', '.join(PARTS)}; comma between")
    parser.add_argument("--cases", default="", help="names of cases; comma between")
    parser.add_argument("--methods", default="", help=f"of {', '.join(ALL_METHODS)}")
    parser.add_argument("--minutes", default="1,10", help="lengths of the memory part's films")
    asked = parser.parse_args(words)
    return Plan(
        clips_folder=asked.data,
        parts=_choice(asked.parts, PARTS, DEFAULT_PARTS),
        cases=_choice(asked.cases, tuple(RECIPES), tuple(RECIPES)),
        methods=_choice(asked.methods, ALL_METHODS, ALL_METHODS),
        minutes=tuple(int(minutes) for minutes in asked.minutes.split(",")),
    )


def _choice(asked: str, known: tuple[str, ...], default: tuple[str, ...]) -> tuple[str, ...]:
    chosen = tuple(name for name in asked.replace(" ", ",").split(",") if name)
    if unknown := [name for name in chosen if name not in known]:
        raise BenchError(f"{unknown[0]}: no such name; known: {', '.join(known)}")
    return chosen or default


def _run(plan: Plan, console: Console) -> Results:
    """Everything that is asked for; each row is saved as soon as it is there."""
    path = BUILD / "results.json"
    results = load_results(path)
    for row in _rows(plan):
        made = datetime.now(tz=UTC).date().isoformat()
        results = merged(results, replace(row, machine=_machine(), made=made))
        save_results(path, results)
        print(summary(row), flush=True)
    return results


def _rows(plan: Plan) -> Iterator[Results]:
    """Results of one row each."""
    if not plan.clips_folder.is_dir():
        raise BenchError(f"{plan.clips_folder}: no such folder; name the clips with DATA=...")
    check_fonts()
    if "cases" in plan.parts:
        for name in plan.cases:
            case_folder(name, plan.clips_folder, BUILD / "cases")
    if "quality" in plan.parts:
        yield from (Results(quality=(row,)) for row in _quality(plan))
    if OURS in plan.methods:
        yield from _ours_rows(plan)


def _quality(plan: Plan) -> Iterator[QualityRow]:
    judge = TextJudge()
    for name in plan.cases:
        case = load_case(case_folder(name, plan.clips_folder, BUILD / "cases"))
        for method in plan.methods:
            yield run_case(case, method, BUILD / "out" / method, judge)


def _ours_rows(plan: Plan) -> Iterator[Results]:
    """The parts that only the product itself goes through."""
    if {"quality", "clean"} & set(plan.parts):
        for clip in CLIPS:
            row = run_clean(plan.clips_folder / f"{clip}.mp4", OURS_FOLDER / "clean")
            yield Results(clean=(row,))
    if {"quality", "real"} & set(plan.parts):
        judge = TextJudge()
        for film in sorted((plan.clips_folder / "hardsub").glob("*.mp4")):
            yield Results(real=(run_real(film, OURS_FOLDER / "real", judge),))
    yield from _long_rows(plan)


def _long_rows(plan: Plan) -> Iterator[Results]:
    """The parts that take minutes."""
    if "speed" in plan.parts:
        for height_px in HEIGHTS_PX:
            row = run_speed(_joined(plan, height_px, 1), OURS_FOLDER / "speed")
            yield Results(speed=(row,))
    if "memory" in plan.parts:
        for minutes in plan.minutes:
            film = _joined(plan, MEMORY_HEIGHT_PX, minutes)
            yield Results(memory=(run_memory(film, OURS_FOLDER / "memory"),))


def _joined(plan: Plan, height_px: int, minutes: int) -> Path:
    cases = [case_folder(name, plan.clips_folder, BUILD / "cases") for name in JOINED]
    films = [folder / "hardsub.mp4" for folder in cases]
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
