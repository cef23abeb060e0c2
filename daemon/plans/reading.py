"""Reading of plan files, which are untrusted: every mistake is named with its line."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from daemon.config.config_file import repeated_keys
from daemon.config.parsing import Problem, problems_of, read_record
from daemon.config.yaml_files import YamlFile, read_yaml
from erasecore.errors import BadPlan
from erasecore.plans import (
    PLAN_SCHEMA,
    DetectionFacts,
    FilmIdentity,
    FilmPlan,
    PlannedObject,
)

MAX_PLAN_BYTES = 16_000_000
"""Largest plan file, bytes: about 40,000 objects; a guess."""
_MAX_NAMED = 12  # mistakes that one error names; a guess
_MAX_KIND_CHARACTERS = 100
_LARGEST = 1e9  # of all numbers; counts of frames and pixels stay far below


def read_plan(file: Path, *, shown_as: Path) -> FilmPlan:
    """Return the plan in a file.

    Args:
        file: the plan file.
        shown_as: its path in error texts: the one that its owner knows.

    Raises:
        BadPlan: the file is not a valid plan; all mistakes are named, with their lines.
        OSError: its disk or share does not work.
    """

    def complain(text: str) -> BadPlan:
        return BadPlan(shown_as, text.removeprefix(f"{file}: "))

    yaml = read_yaml(file, error=complain, max_bytes=MAX_PLAN_BYTES)
    problems = [*repeated_keys(yaml), *_schema_problems(yaml), *problems_of(FilmPlan, yaml.values)]
    if not problems:
        plan = read_record(FilmPlan, yaml.values, error=complain)
        problems = list(_problems(plan))
        if not problems:
            return plan
    raise complain(_in_lines(yaml, problems))


def _in_lines(yaml: YamlFile, problems: list[Problem]) -> str:
    """Return the problems as one text, each with its line."""
    texts = []
    for problem in problems[:_MAX_NAMED]:
        line = yaml.line_of(problem.key)
        texts.append(f"line {line}: {problem}" if line else str(problem))
    if len(problems) > _MAX_NAMED:
        texts.append(f"and {len(problems) - _MAX_NAMED} more mistakes.")
    return " ".join(texts)


def _schema_problems(yaml: YamlFile) -> Iterator[Problem]:
    """Yield a problem if the file is of another schema: its keys may mean something else."""
    schema = yaml.values.get("schema")
    if schema != PLAN_SCHEMA:
        yield Problem("schema", f"must be {PLAN_SCHEMA}; make a new plan with this release.")


def _problems(plan: FilmPlan) -> Iterator[Problem]:
    """Yield everything in a plan of the right types that makes no sense."""
    film = plan.film
    if min(film.width, film.height, film.frames) < 1 or not _finite(film.seconds):
        yield Problem("film", "leave it as it was written.")
        return
    seen: set[int] = set()
    for index, one in enumerate(plan.objects):
        key = f"objects[{index}]"
        if one.id and one.id in seen:
            yield Problem(f"{key}.id", f"{one.id} is given twice; leave it out for a new object.")
        seen.add(one.id)
        yield from _object_problems(one, film, key)
    yield from _facts_problems(plan.detection, film)


def _object_problems(one: PlannedObject, film: FilmIdentity, key: str) -> Iterator[Problem]:
    """Yield the problems of one object."""
    if not _finite(one.start, one.stop) or not one.start < one.stop:
        yield Problem(f"{key}.stop", "must be after start.")
    elif one.stop <= 0 or one.start >= film.seconds:
        yield Problem(f"{key}.start", f"must be before the film's end, {film.seconds:g} seconds.")
    if not _is_box(one.box, film):
        size = f"0 <= left < right <= {film.width} and 0 <= top < bottom <= {film.height}"
        # A box that detection measured may reach over the edge; rounded, it need not be valid.
        if one.exact is None or one.box != _rounded(one.exact.get("box_xyxy")):
            yield Problem(f"{key}.box", f"needs [left, top, right, bottom], {size} (pixels).")
    if one.exact is not None and not _is_exact(one.exact, film):
        yield Problem(f"{key}.exact", "is damaged; leave it as it was written, or remove it.")
    if len(one.kind) > _MAX_KIND_CHARACTERS:
        yield Problem(f"{key}.kind", f"has more than {_MAX_KIND_CHARACTERS} characters.")


def _facts_problems(facts: DetectionFacts, film: FilmIdentity) -> Iterator[Problem]:
    """Yield the problems of what nobody is asked to edit."""
    measured = facts.measured
    cuts, texts = measured.get("cuts"), measured.get("forbidden", [])
    sound = (
        _are_numbers(measured)
        and isinstance(cuts, list)
        and all(isinstance(cut, int) for cut in cuts)
        and all(a < b for a, b in pairwise([0, *cuts, film.frames]))
        and isinstance(texts, list)
        and all(_is_exact(text, film) for text in texts)
    )
    if not sound:
        yield Problem("detection.measured", "is damaged; leave it as it was written.")


def _is_box(box: tuple[float, ...], film: FilmIdentity) -> bool:
    """Return True if a box lies in the picture and has an area."""
    if len(box) != 4 or not _finite(*box):
        return False
    left, top, right, bottom = box
    return 0 <= left < right <= film.width and 0 <= top < bottom <= film.height


def _is_exact(exact: object, film: FilmIdentity) -> bool:
    """Return True if the measurements of an object are possible ones."""
    if not isinstance(exact, dict) or not _are_numbers(exact):
        return False
    try:
        start, stop = int(exact["start"]), int(exact["stop"])
        full_start, full_stop = int(exact["full_start"]), int(exact["full_stop"])
        left, top, right, bottom = map(float, exact["box_xyxy"])
        height = float(exact["text_height_px"])
    except (KeyError, TypeError, ValueError):
        return False
    far = 2 * max(film.width, film.height)
    return (
        0 <= start < stop <= film.frames
        and start <= full_start
        and full_stop <= stop
        and left < right
        and top < bottom
        and max(map(abs, (left, top, right, bottom))) <= far
        and 0 < height <= far
    )


def _are_numbers(value: object) -> bool:
    """Return True if all that a value holds are finite numbers of a usual size."""
    if isinstance(value, dict):
        return all(map(_are_numbers, value.values()))
    if isinstance(value, list):
        return all(map(_are_numbers, value))
    if value is None or isinstance(value, bool | str):
        return True
    return isinstance(value, int | float) and abs(value) < _LARGEST


def _rounded(box: object) -> tuple[float, ...] | None:
    """Return a measured box in whole pixels, as a plan shows it."""
    if not isinstance(box, list) or not all(isinstance(side, int | float) for side in box):
        return None
    return tuple(float(round(side)) for side in box)


def _finite(*numbers: float) -> bool:
    return all(math.isfinite(number) for number in numbers)
