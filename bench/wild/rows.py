"""Rows of the judge, one JSON file each, so that a run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import dacite

from bench.wild.halves import Half
from bench.wild.objects import Verdict


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """Outcome for one object of a film."""

    name: str
    frames: int
    clear_share: float  # of its frames in which it is gone
    verdict: Verdict
    told: bool = False  # the report names it, as residue or as text that was left


@dataclass(frozen=True, slots=True)
class WildRow:
    """Outcome for one film of the judge; a field that its set does not measure is ``None``."""

    part: str  # kinds, draws, real, clean or scene
    name: str
    kind: str
    half: Half
    made_from: str  # recipe; a row of another recipe is stale
    crash: str = ""
    skipped: str = ""  # why it was not run
    cpu_seconds: float = 0.0
    events: int = 0
    told: bool = False  # the self-check speaks of residue
    untouched: bool = False  # the result is the source, byte for byte
    objects: tuple[ObjectRow, ...] = ()
    source_db: float | None = None  # PSNR in the changed pixels: doing nothing
    ours_db: float | None = None
    telea_db: float | None = None  # OpenCV's Telea with the true mask, on sampled frames
    gain_db: float | None = None  # ours over Telea, on the sampled frames
    outside_db: float | None = None  # against the source, away from the captions
    letters_frames: int = 0  # with another caption's letters
    worst_frame: int = 0  # with the largest error in the changed pixels
    caption_frames: int = 0  # of real films: labelled frames examined
    caption_frames_gone: int = 0
    scene_boxes: int = 0  # boxes or frames of scene text examined
    scene_harmed: int = 0

    def count(self, verdict: Verdict) -> int:
        """Return the number of objects with this verdict."""
        return sum(item.verdict is verdict for item in self.objects)


def save_row(folder: Path, row: WildRow) -> None:
    """Write a row as ``FOLDER/PART/NAME.json``, whole or not at all."""
    path = _path(folder, row.part, row.name)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(json.dumps(asdict(row), ensure_ascii=False, indent=1), "utf-8")
    unfinished.replace(path)


def load_row(folder: Path, part: str, name: str) -> WildRow | None:
    """Return the row; ``None`` if it has not been measured."""
    path = _path(folder, part, name)
    return _read(path) if path.is_file() else None


def load_rows(folder: Path) -> list[WildRow]:
    """Return every row of earlier runs, sorted by part and name."""
    return list(_all_rows(folder))


def last_saved(folder: Path) -> str:
    """Return the day on which the newest row was saved, as ``YYYY-MM-DD``; UTC."""
    newest = max(path.stat().st_mtime for path in folder.glob("*/*.json"))
    return datetime.fromtimestamp(newest, tz=UTC).date().isoformat()


def _all_rows(folder: Path) -> Iterator[WildRow]:
    for path in sorted(folder.glob("*/*.json")):
        yield _read(path)


def _path(folder: Path, part: str, name: str) -> Path:
    return folder / part / f"{name}.json"


def _read(path: Path) -> WildRow:
    config = dacite.Config(cast=[tuple, Verdict, Half], check_types=False)
    return dacite.from_dict(WildRow, json.loads(path.read_text(encoding="utf-8")), config)
