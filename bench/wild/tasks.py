"""One task is one film: built, sent through the product, and judged; its row is its answer."""

from __future__ import annotations

import filecmp
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench.media import BenchError, read_pictures
from bench.wild.barred import barred_kind
from bench.wild.build import Missing, WildCase, build_case, facts_of
from bench.wild.cuts import CleanCut, build_cut, clean_cut
from bench.wild.draws import drawn_kind
from bench.wild.fonts import has_cjk_font
from bench.wild.halves import Half, half_of
from bench.wild.judge import Scores, judge
from bench.wild.kinds import KINDS, Kind, drawn_on
from bench.wild.objects import CLEAR_FRAMES, Verdict
from bench.wild.product import Outcome, Place, run_product
from bench.wild.real import Labels, all_labels, examined, line_states, score_real
from bench.wild.rows import ObjectRow, WildRow

SETS = ("kinds", "real", "draws", "bars", "clean", "scene")
NO_CJK = "Noto Sans CJK is not installed: apt-get install fonts-noto-cjk"


@dataclass(frozen=True, slots=True)
class Task:
    """One film to be judged."""

    part: str  # of SETS
    name: str
    kind: str  # the table has a row for each
    half: Half
    recipe: Kind | CleanCut | Labels

    @property
    def made_from(self) -> str:
        """Text that changes with the recipe: a stored row of another text is stale."""
        return repr(facts_of(self.recipe)) if isinstance(self.recipe, Kind) else repr(self.recipe)


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of a run."""

    clips: Path  # holds the seven clips, ``wild/`` and ``hardsub/``
    build: Path  # everything that the run makes

    @property
    def rows(self) -> Path:
        """Folder of the rows."""
        return self.build / "rows"


def kind_tasks(names: tuple[str, ...], clips: tuple[str, ...], variants: int) -> list[Task]:
    """Return a task for each chosen kind and scene; no names or clips chosen: all of them."""
    tasks = [
        Task("kinds", name, kind, drawn.scene.half, drawn)
        for kind in (names or tuple(KINDS))
        for name, drawn in drawn_on(KINDS[kind])[:variants]
    ]
    return [task for task in tasks if _is_on(task, clips)]


def _is_on(task: Task, clips: tuple[str, ...]) -> bool:
    return not clips or (
        isinstance(task.recipe, Kind) and bool({*task.recipe.scene.clips} & {*clips})
    )


def real_tasks(names: tuple[str, ...]) -> list[Task]:
    """Return a task for each labelled film, or for those named."""
    return [
        Task("real", labels.name, labels.name, half_of([labels.name]), labels)
        for labels in all_labels()
        if not names or labels.name in names
    ]


def draw_tasks(seed: int, count: int) -> list[Task]:
    """Return ``count`` drawn films, from ``seed`` on."""
    return _drawn_tasks("draws", drawn_kind, seed, count)


def bar_tasks(seed: int, count: int) -> list[Task]:
    """Return ``count`` drawn films with bars, from ``seed`` on."""
    return _drawn_tasks("bars", barred_kind, seed, count)


def _drawn_tasks(part: str, draw: Callable[[int], Kind], seed: int, count: int) -> list[Task]:
    drawn = {number: draw(number) for number in range(seed, seed + count)}
    return [
        Task(part, f"{number}", kind.name, kind.scene.half, kind) for number, kind in drawn.items()
    ]


def clean_tasks(seed: int, count: int, *, with_text: bool) -> list[Task]:
    """Return ``count`` cuts without captions, from ``seed`` on."""
    part = "scene" if with_text else "clean"
    cuts = {n: clean_cut(n, with_text=with_text) for n in range(seed, seed + count)}
    return [
        Task(part, f"{number}", cut.place or cut.move, cut.half, cut)
        for number, cut in cuts.items()
    ]


def run_task(task: Task, places: Places) -> WildRow:
    """Return the row of a task; what is missing, or a crash, is a row too."""
    row = WildRow(task.part, task.name, task.kind, task.half, task.made_from)
    folder = places.build / task.part / task.name
    try:
        return _RUNS[type(task.recipe)](task, row, folder, places.clips)
    except Missing as missing:
        return replace(row, skipped=str(missing))
    except BenchError as error:
        return replace(row, skipped=str(error).splitlines()[-1][:300])


def _run_kind(task: Task, row: WildRow, folder: Path, clips: Path) -> WildRow:
    assert isinstance(task.recipe, Kind)
    if task.recipe.needs_cjk and not has_cjk_font():
        raise Missing(NO_CJK)
    case = build_case(task.name, task.recipe, folder / "case", clips)
    outcome = run_product(case.hardsub, folder / "result")
    frames = [(item.name, item.stop - item.start) for item in case.objects]
    row = replace(_with_outcome(row, outcome), objects=_all_left(frames))
    if outcome.film is None:
        return row
    try:
        scores = judge(case, outcome.film)
    except BenchError as error:  # another number of frames, or another size
        return replace(row, crash=str(error))
    row = _with_scores(row, case, scores)
    return replace(row, objects=_with_told(row.objects, _object_places(case), outcome))


def _object_places(case: WildCase) -> tuple[Place, ...]:
    """Return where each object stands in the middle of its life."""
    masks = case.lane_masks()
    places = []
    for item in case.objects:
        rows, columns = np.nonzero(masks.of(item, (item.start + item.stop) // 2))
        box = (0.0, 0.0, 0.0, 0.0)
        if len(rows):
            box = (columns.min(), rows.min(), columns.max() + 1.0, rows.max() + 1.0)
        places.append(Place(item.start, item.stop, box))
    return tuple(places)


def _with_told(
    objects: Sequence[ObjectRow], places: Sequence[Place], outcome: Outcome
) -> tuple[ObjectRow, ...]:
    """Return the objects with what the report names of them."""
    return tuple(
        replace(item, told=outcome.names(place.start, place.stop, place.box))
        for item, place in zip(objects, places, strict=True)
    )


def _all_left(lines: Sequence[tuple[str, int]]) -> tuple[ObjectRow, ...]:
    """Return the objects of a film that crashed, from their names and numbers of frames."""
    return tuple(ObjectRow(name, frames, 0.0, Verdict.LEFT) for name, frames in lines)


def _with_outcome(row: WildRow, outcome: Outcome) -> WildRow:
    return replace(
        row,
        crash=outcome.crash,
        cpu_seconds=round(outcome.cpu_seconds, 1),
        events=outcome.events,
        told=bool(outcome.residue or outcome.residual_events),
        untouched=outcome.untouched,
    )


def _with_scores(row: WildRow, case: WildCase, scores: Scores) -> WildRow:
    ours, telea = scores.ours_sampled.psnr_db(), scores.telea.psnr_db()
    return replace(
        row,
        objects=scores.objects(),
        source_db=round(scores.source.psnr_db(), 2),
        ours_db=round(scores.ours.psnr_db(), 2),
        telea_db=round(telea, 2),
        gain_db=round(ours - telea, 2),
        outside_db=round(scores.outside.psnr_db(), 2),
        letters_frames=len(scores.letters),
        worst_frame=scores.worst_frame,
        caption_frames=sum(item.stop - item.start for item in case.objects),
    )


def _run_real(task: Task, row: WildRow, folder: Path, clips: Path) -> WildRow:
    assert isinstance(task.recipe, Labels)
    labels, source = task.recipe, clips / task.recipe.film
    if not source.is_file():
        raise Missing(f"{source}: no such film")
    outcome = run_product(source, folder / "result")
    counts = [(label.text, len(examined(label))) for label in labels.captions]
    row = replace(
        _with_outcome(row, outcome),
        objects=_all_left(counts),
        caption_frames=sum(frames for _, frames in counts),
    )
    if outcome.film is None:
        return row
    try:
        score = score_real(labels, source, outcome.film)
    except BenchError as error:
        return replace(row, crash=str(error))
    lines = list(line_states(score))
    return replace(
        row,
        objects=_with_told(
            [
                ObjectRow(label.text, frames, round(share, 3), _line_verdict(share))
                for label, frames, share in lines
            ],
            [Place(label.start, label.stop, label.box) for label, _, _ in lines],
            outcome,
        ),
        caption_frames_gone=sum(round(frames * share) for _, frames, share in lines),
        letters_frames=score.letters_frames,
        scene_boxes=score.scene_frames,
        scene_harmed=score.scene_harmed,
    )


def _line_verdict(gone_share: float) -> Verdict:
    if gone_share >= CLEAR_FRAMES:
        return Verdict.FOUND
    return Verdict.LEFT if gone_share <= 1 - CLEAR_FRAMES else Verdict.HALF


def _run_cut(task: Task, row: WildRow, folder: Path, clips: Path) -> WildRow:
    """Return the row of a film without captions; its files are removed if it came back whole."""
    assert isinstance(task.recipe, CleanCut)
    film = folder / "film.mp4"
    build_cut(task.recipe, film, clips)
    outcome = run_product(film, folder / "result")
    is_same = outcome.film is not None and filecmp.cmp(film, outcome.film, shallow=False)
    row = replace(_with_outcome(row, outcome), untouched=is_same)
    if is_same:
        shutil.rmtree(folder)
    if not task.recipe.place:
        return row
    frames = sum(1 for _ in read_pictures(film)) if not is_same else 0
    harmed = outcome.film is not None and not is_same
    return replace(row, scene_boxes=max(1, frames), scene_harmed=int(harmed))


Run = Callable[[Task, WildRow, Path, Path], WildRow]
_RUNS: dict[type, Run] = {Kind: _run_kind, CleanCut: _run_cut, Labels: _run_real}
