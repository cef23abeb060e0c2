"""The worst films of a run as pictures: source, result and truth side by side, whole and close."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from bench.media import Bgr, read_pictures, to_bgr
from bench.wild.build import WildCase, load_case
from bench.wild.objects import Verdict
from bench.wild.product import REPORT
from bench.wild.rows import WildRow

WIDTH_PX = 480  # of each column
GAP_PX = 6
CLOSE_MARGIN_PX = 16  # around the changed pixels in the close-up


def worst(rows: Sequence[WildRow], count: int) -> list[WildRow]:
    """Return the rows to look at first: crashes, foreign letters, half erased, far below Telea."""
    judged = [row for row in rows if row.crash or row.ours_db is not None]
    return sorted(judged, key=_badness, reverse=True)[:count]


def _badness(row: WildRow) -> tuple[bool, int, float, float]:
    share = len(row.objects) and 1 - row.count(Verdict.FOUND) / len(row.objects)
    half = row.count(Verdict.HALF) / max(1, len(row.objects))
    return bool(row.crash), row.letters_frames, half + 0.5 * share, -(row.gain_db or 0.0)


def save_worst(rows: Sequence[WildRow], films: Path, target: Path, count: int = 10) -> list[Path]:
    """Write PNGs of the worst rows in place of those of earlier runs; crashes have no picture.

    Args:
        rows: rows of one set.
        films: folder of the set's cases and results.
        target: folder of the pictures.
        count: number of rows at most.
    """
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.png"):
        old.unlink()
    written = []
    for place, row in enumerate(worst(rows, count), start=1):
        picture = target / f"{place:02d}_{row.kind.replace(' ', '_')}_{row.name}.png"
        if save_case_picture(row, films / row.name, picture):
            written.append(picture)
    return written


def save_case_picture(row: WildRow, folder: Path, picture: Path) -> bool:
    """Write one row's worst frame; return False if there is no result to show."""
    if row.crash or not (folder / "result" / REPORT).is_file():
        return False
    case = load_case(folder / "case")
    result = next((folder / "result").glob("result.*"))
    films = (case.hardsub, result, case.clean)
    shown = [to_bgr(next(islice(read_pictures(film), row.worst_frame, None))) for film in films]
    close = _close_up(case, row.worst_frame)
    columns = [np.vstack([_wide(bgr), _gap(GAP_PX, WIDTH_PX), _wide(bgr[close])]) for bgr in shown]
    gap = _gap(columns[0].shape[0], GAP_PX)
    joined = np.hstack([columns[0], gap, columns[1], gap, columns[2]])
    return bool(cv2.imwrite(str(picture), joined))


def _close_up(case: WildCase, frame: int) -> tuple[slice, slice]:
    rows, columns = np.nonzero(case.lane_masks().every(frame))
    if not len(rows):
        return slice(None), slice(None)
    top, left = max(0, rows.min() - CLOSE_MARGIN_PX), max(0, columns.min() - CLOSE_MARGIN_PX)
    return np.s_[top : rows.max() + CLOSE_MARGIN_PX, left : columns.max() + CLOSE_MARGIN_PX]


def _wide(bgr: Bgr) -> Bgr:
    height = max(1, round(bgr.shape[0] * WIDTH_PX / bgr.shape[1]))
    way = cv2.INTER_AREA if bgr.shape[1] > WIDTH_PX else cv2.INTER_CUBIC
    return cv2.resize(bgr, (WIDTH_PX, height), interpolation=way).astype(np.uint8, copy=False)


def _gap(height: int, width: int) -> Bgr:
    return np.full((height, width, 3), 128, np.uint8)
