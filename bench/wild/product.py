"""Runs the product's pipeline over one film, at its defaults, and leaves its report as JSON.

usage: python -m bench.wild.product SOURCE FOLDER

A process of its own for each film: a crash is the film's row, not the end of the bench.
"""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from bench.boxes import area, intersection
from bench.measure import measure
from bench.media import BenchError
from erasecore.pipeline import erase
from erasecore.resources import ModelCache
from erasecore.settings import EraseSettings, HostSettings

REPORT = "report.json"
LOG = "product.log"
THREADS = 2  # of the networks and the encoder
SAME_PLACE = 0.3  # least share of the smaller of two boxes that they share; guess


@dataclass(frozen=True, slots=True)
class Place:
    """Something that a report names: frames ``[start, stop)``, half-open box in pixels."""

    start: int
    stop: int
    box: tuple[float, float, float, float]

    def names(self, start: int, stop: int, box: tuple[float, float, float, float]) -> bool:
        """Return True if it shares frames and a part of its box with an object."""
        if self.start >= stop or self.stop <= start:
            return False
        return intersection(self.box, box) > SAME_PLACE * min(area(self.box), area(box))


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result and report of the product for one film."""

    film: Path | None  # None: it crashed
    crash: str = ""  # last line that the crashed process printed
    cpu_seconds: float = 0.0
    untouched: bool = False
    events: int = 0
    residual_events: int = 0  # events with residue in their place
    warnings: tuple[str, ...] = ()
    residue: tuple[Place, ...] = ()  # what the self-check found
    left: tuple[Place, ...] = ()  # text that the report says was left

    def names(self, start: int, stop: int, box: tuple[float, float, float, float]) -> bool:
        """Return True if the report names what stands in ``box`` in frames ``[start, stop)``."""
        return any(place.names(start, stop, box) for place in (*self.residue, *self.left))


def run_product(source: Path, folder: Path) -> Outcome:
    """Return what the product makes of ``source`` in an emptied ``folder``."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    argv = [sys.executable, "-m", "bench.wild.product", str(source), str(folder)]
    try:
        cost = measure(argv, folder.parent / f"{folder.name}.{LOG}")
    except BenchError as error:
        return Outcome(None, crash=str(error).strip().splitlines()[-1][:300])
    report = json.loads((folder / REPORT).read_text(encoding="utf-8"))
    return Outcome(
        film=folder / report["result"],
        cpu_seconds=cost.cpu_seconds,
        untouched=report["untouched"],
        events=len(report["events"]),
        residual_events=report["residual_events"],
        warnings=tuple(report["warnings"]),
        residue=_places(report["residue"]),
        left=_places(report["left"]),
    )


def _places(entries: list[dict[str, Any]]) -> tuple[Place, ...]:
    return tuple(Place(one["start"], one["stop"], tuple(one["box_xyxy"])) for one in entries)


def main(words: list[str]) -> int:
    """Erase one film."""
    source, folder = map(Path, words)
    models = ModelCache.load(HostSettings(threads=THREADS))
    report = erase(source, folder, EraseSettings(), models=models, observe=lambda _: None)
    written = json.dumps(asdict(report), ensure_ascii=False, indent=1)
    (folder / REPORT).write_text(written, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
