"""All rows of a run, merged with those of earlier runs, and the bars they are held against."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean, median
from typing import Protocol, TypeVar

import dacite

from bench.detection import DetectionRow
from bench.quality import OURS, CleanRow, QualityRow, RealRow
from bench.reading import ReadingRow
from bench.speed import MemoryRow, SpeedRow


class Keyed(Protocol):
    """A row that knows which older row it replaces."""

    @property
    def key(self) -> str:
        """The same for both."""
        ...


Row = TypeVar("Row", bound=Keyed)

MOST_BELOW_ORACLE_DB = -3.0
MEAN_ABOVE_ORACLE_DB = 4.0
MOST_RESIDUAL = 0.05
MOST_CHARACTER_ERRORS = 0.05
MOST_BORDER_FRAMES, MOST_FADE_FRAMES = 1, 2


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


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand on the product and what was measured."""

    demand: str
    found: str
    reached: bool


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
    )


def bars(results: Results) -> list[Bar]:
    """The demands that the rows at hand can answer."""
    found = list[Bar]()
    ours = {row.case: row.score for row in results.quality if row.method == OURS}
    oracle = {row.case: row.score for row in results.quality if row.method == "oracle"}
    gains = {case: ours[case].psnr_mask - oracle[case].psnr_mask for case in ours if case in oracle}
    if gains:
        worst = min(gains, key=lambda case: gains[case])
        mean = fmean(gains.values())
        found += [
            Bar(
                f"no case below oracle by more than {-MOST_BELOW_ORACLE_DB:g} dB",
                f"{gains[worst]:+.2f} dB ({worst})",
                gains[worst] >= MOST_BELOW_ORACLE_DB,
            ),
            Bar(
                f"mean above oracle by at least {MEAN_ABOVE_ORACLE_DB:g} dB",
                f"{mean:+.2f} dB",
                mean >= MEAN_ABOVE_ORACLE_DB,
            ),
        ]
    if ours:
        residual = {case: score.residual or 0.0 for case, score in ours.items()}
        damage = {case: score.scene_dmg or 0.0 for case, score in ours.items()}
        found += [
            _most("residual text at most 0.05 in any case", residual, MOST_RESIDUAL),
            _most("no scene text damaged", damage, 0.0),
        ]
    if results.clean:
        touched = [row.clip for row in results.clean if not row.untouched]
        text = ", ".join(touched) or "none touched"
        found.append(Bar("clean clips come back byte for byte", text, not touched))
    found += _detection_bars(results.detection) if results.detection else []
    return found + (_reading_bars(results.reading) if results.reading else [])


def _detection_bars(rows: Sequence[DetectionRow]) -> list[Bar]:
    missed, false = sum(row.missed for row in rows), sum(row.false for row in rows)
    borders = [error for row in rows for error in row.borders]
    fades = [error for row in rows for error in row.fade_borders]
    worst, worst_fade = max(borders, default=0), max(fades, default=0)
    middle = median([*borders, *fades] or [0])
    return [
        Bar("no subtitle missed", f"{missed} of {sum(row.events for row in rows)}", not missed),
        Bar("no event where there is no subtitle", f"{false} in {len(rows)} films", not false),
        Bar("borders exact in the median", f"{middle:g} frames", middle == 0),
        Bar(
            f"borders off by at most {MOST_BORDER_FRAMES} frame, {MOST_FADE_FRAMES} for fades",
            f"{worst}, {worst_fade}",
            worst <= MOST_BORDER_FRAMES and worst_fade <= MOST_FADE_FRAMES,
        ),
    ]


def _reading_bars(rows: Sequence[ReadingRow]) -> list[Bar]:
    known = [row for row in rows if row.known_script]
    errors, characters = sum(r.errors for r in known), sum(r.characters for r in known)
    rate = errors / max(1, characters)
    guessed = sum(row.guessed for row in rows)
    return [
        Bar(
            f"recognised text: at most {MOST_CHARACTER_ERRORS:.0%} wrong characters",
            f"{rate:.1%} ({errors} of {characters})",
            rate <= MOST_CHARACTER_ERRORS,
        ),
        Bar("no guesses at scripts that cannot be read", f"{guessed} events", not guessed),
    ]


def _most(demand: str, values: dict[str, float], limit: float) -> Bar:
    worst = max(values, key=lambda case: values[case])
    return Bar(demand, f"{values[worst]:.2f} ({worst})", values[worst] <= limit)


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
