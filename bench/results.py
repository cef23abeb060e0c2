"""All rows of a run, merged with those of earlier runs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import dacite

from bench.detection import DetectionRow
from bench.diffusion import FlopsRow, FootprintRow, WalkRow
from bench.quality import CleanRow, QualityRow, RealRow
from bench.reading import ReadingRow
from bench.scale import ScaleRow
from bench.speed import MemoryRow, SpeedRow


class Keyed(Protocol):
    """A row that knows which older row it replaces."""

    @property
    def key(self) -> str:
        """The same for both."""
        ...


Row = TypeVar("Row", bound=Keyed)


@dataclass(frozen=True, slots=True)
class Results:
    """What ``results.json`` holds."""

    machine: str = ""
    made: str = ""  # date of the last run, which may have renewed a part only
    quality: tuple[QualityRow, ...] = ()
    clean: tuple[CleanRow, ...] = ()
    real: tuple[RealRow, ...] = ()
    speed: tuple[SpeedRow, ...] = ()
    memory: tuple[MemoryRow, ...] = ()
    detection: tuple[DetectionRow, ...] = ()
    reading: tuple[ReadingRow, ...] = ()
    flops: tuple[FlopsRow, ...] = ()
    footprints: tuple[FootprintRow, ...] = ()
    walks: tuple[WalkRow, ...] = ()
    scale: tuple[ScaleRow, ...] = ()


def load_results(path: Path) -> Results:
    """The results of earlier runs; empty ones when there are none."""
    if not path.is_file():
        return Results()
    raw = json.loads(path.read_text(encoding="utf-8"))
    return dacite.from_dict(Results, raw, dacite.Config(cast=[tuple], check_types=False))


def save_results(path: Path, results: Results) -> None:
    """Write the results whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(_rounded(asdict(results)), indent=1), encoding="utf-8")
    unfinished.replace(path)


def merged(old: Results, new: Results) -> Results:
    """The old results with every row that was measured anew replaced."""
    return replace(
        new,
        quality=_merge_rows(old.quality, new.quality),
        clean=_merge_rows(old.clean, new.clean),
        real=_merge_rows(old.real, new.real),
        speed=_merge_rows(old.speed, new.speed),
        memory=_merge_rows(old.memory, new.memory),
        detection=_merge_rows(old.detection, new.detection),
        reading=_merge_rows(old.reading, new.reading),
        flops=_merge_rows(old.flops, new.flops),
        footprints=_merge_rows(old.footprints, new.footprints),
        walks=_merge_rows(old.walks, new.walks),
        scale=_merge_rows(old.scale, new.scale),
    )


def _merge_rows(old: Iterable[Row], new: Iterable[Row]) -> tuple[Row, ...]:
    rows = {row.key: row for row in (*old, *new)}
    return tuple(rows[key] for key in sorted(rows))


def _rounded(value: object) -> object:
    """The value with every number rounded to four digits after the point."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_rounded(inner) for inner in value]
    return value
