"""Results as tables: one builder, printed by rich or written as markdown."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from rich.console import Console
from rich.table import Table

from bench.bars import bars
from bench.media import BenchError
from bench.quality import ALL_METHODS, QualityRow
from bench.results import Results

RESULTS_MARK = "results"
COMPARISON_MARK = "comparison"


_MEANS = "Methods, means over the cases that all of them went through"
_BARS = "Bars"
_SCALE = (
    *("files", "jobs", "look s", "status CPU ms", "status ms", "start CPU ms", "start ms"),
    *("daemon MB", "idle CPU", "claim late s"),
)
_READING = ("case", "events", "characters", "wrong", "error rate")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A titled table of words."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def sheets(results: Results) -> Iterator[Sheet]:
    """Every table that has rows, the means of the methods first."""
    quality = sorted(results.quality, key=lambda r: (r.case, ALL_METHODS.index(r.method)))
    every = (
        Sheet(_MEANS, ("method", "cases", *_MEASURES), _means(quality)),
        Sheet(
            "Quality by case",
            ("case", "method", *_MEASURES),
            tuple((row.case, row.method, *_measured(row)) for row in quality),
        ),
        Sheet(
            "Speed, against a plain x264 medium transcode run right before",
            ("film", "frames", "film s", "wall s", "CPU s", "wall ratio", "CPU ratio", "peak MiB"),
            _speed(results),
        ),
        Sheet(
            "Memory, whole process tree",
            ("film", "film s", "wall s", "peak MiB"),
            tuple(
                (r.film, f"{r.film_seconds:.0f}", f"{r.wall_seconds:.0f}", f"{r.peak_mib:.0f}")
                for r in results.memory
            ),
        ),
        Sheet("Clean clips", ("clip", "byte for byte"), _clean(results)),
        Sheet(
            "A film somebody else subtitled",
            ("film", "frames looked at", "with text", "with text left", "wall ratio", "CPU ratio"),
            _real(results),
        ),
        Sheet(
            "Detection, against the truth",
            ("film", "events", "missed", "false", "scene text", "borders", "fades", "CPU s"),
            _detection(results),
        ),
        Sheet("Recognised text", _READING, _reading(results)),
        Sheet("Scale", _SCALE, _scale(results)),
        Sheet(_BARS, ("demand", "found", "reached"), _bars(results)),
    )
    return (sheet for sheet in every if sheet.rows)


def print_results(results: Results, console: Console) -> None:
    """Print every table."""
    for sheet in sheets(results):
        table = Table(title=sheet.title, title_justify="left")
        for number, column in enumerate(sheet.columns):
            table.add_column(column, justify="left" if number == 0 else "right", no_wrap=True)
        for row in sheet.rows:
            table.add_row(*row)
        console.print(table)


def summary(results: Results) -> str:
    """The rows alone, a line each, to follow a run by."""
    every = [sheet for sheet in sheets(results) if sheet.title not in (_MEANS, _BARS)]
    return "\n".join("  ".join(row) for sheet in every for row in sheet.rows)


def markdown(results: Results) -> str:
    """Every table as markdown."""
    lines = [f"Last run: {results.made}, on {results.machine}.", ""]
    for sheet in sheets(results):
        lines += [f"### {sheet.title}", "", _line(sheet.columns)]
        lines.append(_line((":---", *["---:"] * (len(sheet.columns) - 1))))
        lines += [*map(_line, sheet.rows), ""]
    return "\n".join(lines)


def comparison(results: Results) -> str:
    """The methods' means as a short markdown table."""
    lines = [_line(("method", "text area", "text left", "signs damaged", "CPU"))]
    lines.append(_line((":---", *["---:"] * 4)))
    for method, _, mask_db, *_, residual, damage, _, cpu_ratio in _means(list(results.quality)):
        cells = (method, f"{mask_db} dB", residual, damage, f"{cpu_ratio} x")
        lines.append(_line(cells))
    return "\n".join(lines)


def write_into(page: Path, mark: str, text: str) -> None:
    """Put ``text`` between the two marks of a page, in place of what stood there."""
    begin, end = f"<!-- {mark}: written by make bench -->", f"<!-- end of {mark} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise BenchError(f"{page}: no place for the {mark}; put back {begin} and {end}")
    unfinished = page.with_suffix(".unfinished")
    unfinished.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")
    unfinished.replace(page)


_MEASURES = (
    "mask dB",
    "box dB",
    "SSIM",
    "flicker",
    "detail",
    "outside dB",
    "residual",
    "scene damage",
    "wall ratio",
    "CPU ratio",
)


def _numbers(row: QualityRow) -> tuple[float, ...]:
    score = row.score
    return (
        score.psnr_mask,
        score.psnr_box,
        score.ssim_box,
        score.flicker,
        score.detail,
        score.psnr_out,
        score.residual or 0.0,
        score.scene_dmg or 0.0,
        row.timing.wall_ratio,
        row.timing.cpu_ratio,
    )


_FORMATS = ("{:.2f}", "{:.2f}", "{:.4f}", "{:.2f}", "{:.2f}", "{:.2f}", "{:.2f}", "{:.2f}")
_FORMATS_ALL = (*_FORMATS, "{:.1f}", "{:.1f}")


def _show(numbers: tuple[float, ...]) -> tuple[str, ...]:
    return tuple(f.format(number) for f, number in zip(_FORMATS_ALL, numbers, strict=True))


def _measured(row: QualityRow) -> tuple[str, ...]:
    return _show(_numbers(row))


def _means(every_row: list[QualityRow]) -> tuple[tuple[str, ...], ...]:
    """Over the cases that every method has been through: means of others do not compare."""
    cases = [{r.case for r in every_row if r.method == method} for method in ALL_METHODS]
    shared = set.intersection(*[some for some in cases if some]) if any(cases) else set()
    rows = [row for row in every_row if row.case in shared]
    means = []
    for method in ALL_METHODS:
        numbers = [_numbers(row) for row in rows if row.method == method]
        if numbers:
            mean = tuple(map(fmean, zip(*numbers, strict=True)))
            means.append((method, str(len(numbers)), *_show(mean)))
    return tuple(means)


def _speed(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            row.film,
            str(row.frames),
            f"{row.film_seconds:.0f}",
            f"{row.timing.cost.wall_seconds:.1f}",
            f"{row.timing.cost.cpu_seconds:.1f}",
            f"{row.timing.wall_ratio:.2f}",
            f"{row.timing.cpu_ratio:.2f}",
            f"{row.timing.cost.peak_mib:.0f}",
        )
        for row in results.speed
    )


def _clean(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple((row.clip, "yes" if row.untouched else "NO") for row in results.clean)


def _real(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            row.film,
            str(row.frames_looked_at),
            str(row.frames_with_text),
            str(row.frames_with_text_left),
            f"{row.timing.wall_ratio:.1f}",
            f"{row.timing.cpu_ratio:.1f}",
        )
        for row in results.real
    )


def _detection(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            r.film,
            str(r.events),
            str(r.missed),
            str(r.false),
            str(r.scene_text),
            str(max(r.borders, default="")),
            str(max(r.fade_borders, default="")),
            f"{r.cpu_seconds:.1f}",
        )
        for r in results.detection
    )


def _reading(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (row.case, str(row.events), str(row.characters), str(row.errors), f"{row.error_rate:.1%}")
        if row.known_script
        else (row.case, str(row.events), "", "", f"{row.guessed} guessed at")
        for row in results.reading
    )


def _scale(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            str(row.files),
            str(row.jobs),
            f"{row.scan_seconds:.2f}",
            f"{row.status_cpu_seconds * 1000:.0f}",
            f"{row.status_seconds * 1000:.0f}",
            f"{row.start_cpu_seconds * 1000:.0f}",
            f"{row.start_seconds * 1000:.0f}",
            f"{row.parent_mb:.1f}",
            f"{row.idle_cpu_share:.2%}",
            f"{row.claim_late_seconds:.2f}",
        )
        for row in results.scale
    )


def _bars(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple((b.demand, b.found, "yes" if b.reached else "NO") for b in bars(results))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
