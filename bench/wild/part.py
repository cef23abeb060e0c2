"""The part ``wild`` of the bench: options, tasks, and a run that can be stopped and resumed."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from random import SystemRandom

import cv2

from bench.media import BenchError
from bench.wild.halves import CLIPS
from bench.wild.kinds import KINDS
from bench.wild.objects import Verdict
from bench.wild.pictures import save_worst
from bench.wild.rows import WildRow, last_saved, load_row, load_rows, save_row
from bench.wild.table import item_failed, markdown
from bench.wild.tasks import (
    SETS,
    Places,
    Task,
    bar_tasks,
    clean_tasks,
    draw_tasks,
    kind_tasks,
    real_tasks,
    run_task,
)

FOLDER = Path("build/bench/wild")
MARK = "wild"
DRAWS, BARS, CLEAN, SCENE = 200, 60, 200, 40  # films a run
VARIANTS = 3  # scenes of each kind
_SEEDS = 10**6


@dataclass(frozen=True, slots=True)
class WildPlan:
    """Options of one run."""

    sets: tuple[str, ...]
    kinds: tuple[str, ...]
    clips: tuple[str, ...]
    films: tuple[str, ...]  # real ones
    variants: int
    draws: int
    bars: int
    clean: int
    scene: int
    seed: int
    jobs: int
    resume: bool
    table_only: bool


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the part's options to the bench's."""
    group = parser.add_argument_group("part wild")
    group.add_argument("--wild", default="", help=f"sets, of {', '.join(SETS)}; comma between")
    group.add_argument("--kinds", default="", help="kinds to draw; comma between")
    group.add_argument("--clips", default="", help=f"only scenes of these, of {', '.join(CLIPS)}")
    group.add_argument("--films", default="", help="real films, by name; comma between")
    group.add_argument("--variants", type=int, default=VARIANTS, help="scenes of each kind, 1 to 3")
    group.add_argument("--draws", type=int, default=DRAWS, help="films by chance")
    group.add_argument("--bars", type=int, default=BARS, help="films with bars, by chance")
    group.add_argument("--clean", type=int, default=CLEAN, help="cuts without captions")
    group.add_argument("--scene", type=int, default=SCENE, help="cuts with text of the scene")
    group.add_argument("--wild-seed", type=int, help="of draws and cuts; default: a new one")
    group.add_argument("--jobs", type=int, default=1, help="films at the same time")
    group.add_argument("--resume", action="store_true", help="keep rows of the same recipe")
    group.add_argument("--table-only", action="store_true", help="run nothing, write the table")


def wild_plan(asked: argparse.Namespace) -> WildPlan:
    """Return the plan of the options.

    Raises:
        BenchError: a name is not known.
    """
    return WildPlan(
        sets=_names(asked.wild, SETS) or SETS,
        kinds=_names(asked.kinds, tuple(KINDS)),
        clips=_names(asked.clips, CLIPS),
        films=_names(asked.films, None),
        variants=asked.variants,
        draws=asked.draws,
        bars=asked.bars,
        clean=asked.clean,
        scene=asked.scene,
        seed=SystemRandom().randrange(_SEEDS) if asked.wild_seed is None else asked.wild_seed,
        jobs=max(1, asked.jobs),
        resume=asked.resume,
        table_only=asked.table_only,
    )


def _names(asked: str, known: tuple[str, ...] | None) -> tuple[str, ...]:
    chosen = tuple(name for name in asked.replace(" ", ",").split(",") if name)
    unknown = [name for name in chosen if known is not None and name not in known]
    if unknown and known is not None:
        raise BenchError(f"{unknown[0]}: no such name; known: {', '.join(known)}")
    return chosen


def tasks(plan: WildPlan) -> list[Task]:
    """Return every film of a plan, in the order in which they are run."""
    found: list[Task] = []
    if "kinds" in plan.sets:
        found += kind_tasks(plan.kinds, plan.clips, plan.variants)
    if "real" in plan.sets:
        found += real_tasks(plan.films)
    if "draws" in plan.sets:
        found += draw_tasks(plan.seed, plan.draws)
    if "bars" in plan.sets:
        found += bar_tasks(plan.seed, plan.bars)
    if "clean" in plan.sets:
        found += clean_tasks(plan.seed, plan.clean, with_text=False)
    if "scene" in plan.sets:
        found += clean_tasks(plan.seed, plan.scene, with_text=True)
    return found


def run_wild(plan: WildPlan, clips_folder: Path, folder: Path = FOLDER) -> int:
    """Run a plan, print a line for each film, draw the worst; return the number of crashes."""
    if plan.table_only:
        return 0
    places = Places(clips_folder.resolve(), folder.resolve())
    print(f"wild: seed {plan.seed} (repeat with --wild-seed {plan.seed})", flush=True)
    every = tasks(plan)
    kept = [task for task in every if plan.resume and _is_measured(task, places)]
    rows = [row for task in kept if (row := load_row(places.rows, task.part, task.name))]
    for row in _run([task for task in every if task not in kept], places, plan.jobs):
        save_row(places.rows, row)
        rows.append(row)
        print(line(row), flush=True)
    for part in ("kinds", "draws", "bars"):
        own = [row for row in rows if row.part == part]
        for picture in save_worst(own, places.build / part, places.build / "worst" / part):
            print(f"worst of {part}: {picture}", flush=True)
    return sum(bool(row.crash) for row in rows)


def _is_measured(task: Task, places: Places) -> bool:
    row = load_row(places.rows, task.part, task.name)
    return row is not None and row.made_from == task.made_from and not (row.skipped or row.crash)


def _run(todo: list[Task], places: Places, jobs: int) -> Iterator[WildRow]:
    cv2.setNumThreads(1)
    if jobs == 1:
        yield from (run_task(task, places) for task in todo)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(run_task, task, places) for task in todo]):
            yield future.result()


def line(row: WildRow) -> str:
    """Return one row as a line of text."""
    words = [f"{row.part} {row.kind} {row.name} ({row.half}):"]
    if row.skipped or row.crash:
        return " ".join(
            [*words, f"skipped, {row.skipped}" if row.skipped else f"CRASH {row.crash}"]
        )
    if row.objects:
        counts = (f"{row.count(state)} {state}" for state in Verdict)
        words.append(f"{', '.join(counts)} of {len(row.objects)};")
    if row.ours_db is not None:
        words.append(f"{row.source_db} -> {row.ours_db} dB, {row.gain_db:+} over Telea;")
    if row.letters_frames:
        words.append(f"foreign letters in {row.letters_frames} frames;")
    if row.part == "real":
        words.append(f"gone {row.caption_frames_gone} of {row.caption_frames};")
    failed = [item for item in row.objects if item_failed(item)]
    if failed:
        words.append(f"{sum(item.told for item in failed)} of {len(failed)} failures told;")
    words.append(f"{row.events} events, self-check {'speaks' if row.told else 'silent'}")
    return " ".join(
        [*words, f"untouched, {row.cpu_seconds} s" if row.untouched else f"{row.cpu_seconds} s"]
    )


def wild_table(machine: str, folder: Path = FOLDER) -> str:
    """Return all rows measured so far as markdown, with the day of the newest.

    Args:
        machine: name of this machine, for the heading.
        folder: where the part keeps its files.

    Raises:
        BenchError: there are no rows.
    """
    stored = folder.resolve() / "rows"
    rows = load_rows(stored)
    if not rows:
        raise BenchError(f"{stored}: no rows; run the part first: python -m bench --parts wild")
    skipped = sorted({row.kind for row in rows if row.skipped})
    heading = f"Last run: {last_saved(stored)}, on {machine}; {len(rows)} films."
    if skipped:
        heading += f" Not run: {', '.join(skipped)}."
    return markdown(rows, heading)
