"""The judge's rows as markdown: what the engine cannot do today, and a table for each set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean

from bench.wild.halves import Half
from bench.wild.kinds import KINDS
from bench.wild.objects import CLEAR_FRAMES, Verdict
from bench.wild.rows import ObjectRow, WildRow
from bench.wild.tasks import SETS

COLUMNS = (
    *("set", "kind", "films", "objects", "found tuned", "found held", "half", "left"),
    *("source dB", "ours dB", "Telea dB", "gain dB", "letters", "frames gone", "scene harmed"),
    *("touched", "failures told", "false words", "crashes", "today"),
)
ALL = "all"  # stands for the kind in a set's own line
ALWAYS = ("kind", "films", "crashes", "today")  # columns that stand even if they are empty
CRASHES, LETTERS = "crashes", "paints other captions' letters"
PARTLY, LEAVES, CHANGES = "erases in part", "leaves", "changes what has no caption"
HARMS = "harms text of the scene"
FAULTS = (CRASHES, LETTERS, CHANGES, HARMS, PARTLY, LEAVES)  # worst first
GOOD_SHARE = 0.95  # of a kind's objects that must be found before it counts as done


@dataclass(frozen=True, slots=True)
class Group:
    """Rows of one line of the table."""

    part: str
    kind: str
    rows: tuple[WildRow, ...]

    @property
    def judged(self) -> list[WildRow]:
        """Rows that were run."""
        return [row for row in self.rows if not row.skipped]


def groups(rows: Iterable[WildRow]) -> Iterator[Group]:
    """Yield the rows of each set as a whole, then of each of its kinds."""
    ordered = sorted(rows, key=lambda row: (SETS.index(row.part), row.kind, row.name))
    for part, several in groupby(ordered, key=lambda row: row.part):
        members = tuple(several)
        yield Group(part, ALL, members)
        for kind, own in groupby(members, key=lambda row: row.kind):
            yield Group(part, kind, tuple(own))


def cells(group: Group) -> tuple[str, ...]:
    """Return the words of one line."""
    rows = group.judged
    return (
        group.part,
        group.kind,
        str(len(rows)),
        str(sum(len(row.objects) for row in rows) or ""),
        *(_share(_of_half(rows, half), Verdict.FOUND) for half in Half),
        *(_share(rows, state) for state in (Verdict.HALF, Verdict.LEFT)),
        *(_mean(rows, field) for field in ("source_db", "ours_db", "telea_db", "gain_db")),
        str(sum(row.letters_frames for row in rows) or ""),
        _gone(rows),
        _harmed(rows),
        _touched(group.part, rows),
        _told(rows),
        _false_words(rows),
        str(sum(bool(row.crash) for row in rows) or ""),
        today(group),
    )


def today(group: Group) -> str:
    """Return what the engine makes of a kind today, in words."""
    rows = group.judged
    if not rows:
        return f"not run: {group.rows[0].skipped}"
    faults = list(_faults(group, rows))
    kind = KINDS.get(group.kind)
    if kind is not None and kind.finding and faults:
        faults.append(f"finding {kind.finding}")
    return "; ".join(faults) or "right"


def _faults(group: Group, rows: Sequence[WildRow]) -> Iterator[str]:
    kind = KINDS.get(group.kind)
    objects = [item for row in rows for item in row.objects]
    half = sum(item.verdict is Verdict.HALF for item in objects)
    left = sum(item.verdict is Verdict.LEFT for item in objects)
    if any(row.crash for row in rows):
        yield CRASHES
    if any(row.letters_frames for row in rows):
        yield LETTERS
    if group.part in ("clean", "scene") and any(not row.untouched for row in rows):
        yield CHANGES
    if any(row.scene_harmed for row in rows):
        yield HARMS
    if objects and half > (1 - GOOD_SHARE) * len(objects):
        yield PARTLY
    if objects and left > (1 - GOOD_SHARE) * len(objects) and not (kind and kind.stays):
        yield LEAVES


def _of_half(rows: Sequence[WildRow], half: Half) -> list[WildRow]:
    return [row for row in rows if row.half is half]


def _share(rows: Sequence[WildRow], state: Verdict) -> str:
    objects = sum(len(row.objects) for row in rows)
    return f"{sum(row.count(state) for row in rows)}/{objects}" if objects else ""


def _mean(rows: Sequence[WildRow], field: str) -> str:
    values = [value for row in rows if (value := getattr(row, field)) is not None]
    return f"{fmean(values):.1f}" if values else ""


def _gone(rows: Sequence[WildRow]) -> str:
    """Return the caption frames gone of the labelled ones; real films only."""
    real = [row for row in rows if row.part == "real" and row.caption_frames]
    if not real:
        return ""
    gone = sum(row.caption_frames_gone for row in real)
    return f"{gone}/{sum(row.caption_frames for row in real)}"


def _harmed(rows: Sequence[WildRow]) -> str:
    """Return the scene text harmed: boxes in frames of real films, else films."""
    if any(row.part == "scene" for row in rows):
        return f"{sum(row.scene_harmed for row in rows)}/{len(rows)}"
    boxes = sum(row.scene_boxes for row in rows)
    return f"{sum(row.scene_harmed for row in rows)}/{boxes}" if boxes else ""


def _touched(part: str, rows: Sequence[WildRow]) -> str:
    if part not in ("clean", "scene") or not rows:
        return ""
    return f"{sum(not row.untouched for row in rows)}/{len(rows)}"


def _told(rows: Sequence[WildRow]) -> str:
    """Return how many of the objects that are not gone the report names."""
    failed = [item for row in rows if not row.crash for item in row.objects if item_failed(item)]
    return f"{sum(item.told for item in failed)}/{len(failed)}" if failed else ""


def _false_words(rows: Sequence[WildRow]) -> str:
    """Return how many of the films with nothing wrong the self-check speaks of."""
    good = [row for row in rows if not row.crash and not has_failed(row)]
    return f"{sum(row.told for row in good)}/{len(good)}" if good else ""


def item_failed(item: ObjectRow) -> bool:
    """Return True if an object is not gone."""
    return item.verdict is not Verdict.FOUND and item.clear_share < CLEAR_FRAMES


def has_failed(row: WildRow) -> bool:
    """Return True if something visible is wrong with a row's result that a report should tell."""
    return bool(row.letters_frames) or any(map(item_failed, row.objects))


def markdown(rows: Sequence[WildRow], heading: str) -> str:
    """Return a list of what fails and a table for each set, as markdown below the heading."""
    every = list(groups(rows))
    lines = [heading, "", *_cannot(every)]
    for part in SETS:
        table = [cells(group) for group in every if group.part == part]
        if table:
            lines += ["", f"Set *{part}*:", "", *_table(table)]
    return "\n".join([*lines, ""])


def _cannot(every: Sequence[Group]) -> Iterator[str]:
    """Yield what the engine cannot do today: a line for each fault, with its kinds."""
    kinds = [group for group in every if group.kind != ALL and group.judged]
    faulty: dict[str, dict[str, list[str]]] = {}
    for group in kinds:
        for fault in _faults(group, group.judged):
            faulty.setdefault(fault, {}).setdefault(group.part, []).append(group.kind)
    right = sum(not any(_faults(group, group.judged)) for group in kinds)
    yield f"Right today: {right} of {len(kinds)} kinds. What the engine cannot do today:"
    yield ""
    for fault in sorted(faulty, key=FAULTS.index):
        named = "; ".join(f"{part}: {', '.join(names)}" for part, names in faulty[fault].items())
        yield f"- {fault} ({named})"
    if not faulty:
        yield "- nothing that these films show"


def _table(table: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Yield the lines of one set's table, without its name and without empty columns."""
    used = [
        column
        for column in range(1, len(COLUMNS))
        if any(words[column] for words in table) or COLUMNS[column] in ALWAYS
    ]
    yield _line([COLUMNS[column] for column in used])
    yield _line([":---" if COLUMNS[column] in ("kind", "today") else "---:" for column in used])
    for words in table:
        yield _line([words[column] for column in used])


def _line(words: Sequence[str]) -> str:
    return f"| {' | '.join(words)} |"
