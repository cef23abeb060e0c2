"""Text of a plan file: YAML with one line for each key, made to be edited."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields

from erasecore.errors import printable
from erasecore.plans import DetectionFacts, FilmPlan, PlannedObject
from erasecore.version import __version__

_HEAD = """\
# Plan of {name}, by subtitle-eraser {version}. The numbers are those on the contact sheet.
# It is obeyed if it lies beside the film as {name}.plan.yaml, or with: erase --plan FILE
#
# To be edited: erase (yes, no), start and stop (h:mm:ss.mmm), box (left, top, right, bottom in
# pixels of the picture as seen), approved. Objects may be added; they need erase, start, stop, box:
#   - {{erase: yes, start: 0:00:01.000, stop: 0:00:02.500, box: [100, 600, 500, 650]}}
# text is for your orientation. subtitle, exact and detection are measurements: leave them.
"""


def plan_text(plan: FilmPlan) -> str:
    """Return ``plan`` as YAML; ``reading.parse_plan`` gives back an equal plan."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: FilmPlan) -> Iterator[str]:
    name = printable(plan.film.name)
    yield _HEAD.format(name=name, version=__version__)
    yield f"schema: {plan.schema}"
    yield f"approved: {_flow(plan.approved)}"
    yield f"film: {_flow({**asdict(plan.film), 'name': name})}"
    yield f"expected: {_flow(asdict(plan.expected))}"
    yield "objects:" if plan.objects else "objects: []"
    for one in plan.objects:
        yield from _object_lines(one)
    yield "detection:"
    for field in fields(DetectionFacts):
        yield f"  {field.name}: {_flow(getattr(plan.detection, field.name))}"


def _object_lines(one: PlannedObject) -> Iterator[str]:
    """Yield the lines of one object, the editable keys first."""
    yield f"- id: {one.id}"
    yield f"  erase: {_flow(one.erase)}"
    yield f"  start: {clock(one.start)}"
    yield f"  stop: {clock(one.stop)}"
    yield f"  box: {_flow(one.box)}"
    yield f"  kind: {_flow(one.kind)}"
    yield f"  why: {_flow(one.why)}"
    yield f"  text: {_flow(one.text)}"
    yield f"  invent: {_flow(one.invent)}"
    yield f"  subtitle: {_flow(one.subtitle)}"
    if one.exact is not None:
        yield f"  exact: {_flow(one.exact)}"


def clock(seconds: float) -> str:
    """Return a time as ``h:mm:ss.mmm``, which YAML reads as a number of seconds."""
    sign, thousandths = "-" if seconds < 0 else "", round(abs(seconds) * 1000)
    minutes, rest = divmod(thousandths, 60_000)
    return f"{sign}{minutes // 60}:{minutes % 60:02d}:{rest // 1000:02d}.{rest % 1000:03d}"


def _flow(value: object) -> str:
    """Return a value in YAML's flow style, as safe loaders read it back exactly."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        return json.dumps(printable(value), ensure_ascii=False)
    return "null" if value is None else str(value)


def _number(value: float) -> str:
    """Return a float with a dot: YAML 1.1 takes ``1e-05`` for text. Whole numbers stay short."""
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    mantissa, letter, exponent = repr(value).partition("e")
    return f"{mantissa if '.' in mantissa else f'{mantissa}.0'}{letter}{exponent}"
