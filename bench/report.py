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
    *("files", "jobs", "look s", "status ms", "status CPU ms", "bare Python ms"),
    *("daemon MB", "idle CPU", "claim late s"),
)
_FLOPS = "Diffusion: TFLOP by case; published is the full frame at 960x536, all frames"
_FLOPS_COLUMNS = (
    *("case", "frames", "with ink", "diffused", "networks see"),
    *("published / frame", "strip / frame", "share", "ours / frame", "share"),
)
_FOOTPRINTS = "Diffusion: peak memory in GiB of each rung around two lines, float16, estimated"
_FOOTPRINT_COLUMNS = ("film", "strip", "rung", "weights", "denoise", "encode", "decode", "card")
_WALKS = "Diffusion: our walk over windows against the plain one, tiny networks, CPU seconds"
_WALK_COLUMNS = ("windows at once", "frames", "plain", "ours", "ratio")
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
        *_diffusion_sheets(results),
        Sheet(_BARS, ("demand", "found", "reached"), _bars(results)),
    )
    return (sheet for sheet in every if sheet.rows)


def _diffusion_sheets(results: Results) -> Iterator[Sheet]:
    yield Sheet(_FLOPS, _FLOPS_COLUMNS, _flops(results))
    yield Sheet(_FOOTPRINTS, _FOOTPRINT_COLUMNS, _footprints(results))
    yield Sheet(_WALKS, _WALK_COLUMNS, _walks(results))


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
            f"{row.status_seconds * 1000:.0f}",
            f"{row.status_cpu_seconds * 1000:.0f}",
            f"{row.start_seconds * 1000:.0f}",
            f"{row.parent_mb:.1f}",
            f"{row.idle_cpu_share:.2%}",
            f"{row.claim_late_seconds:.2f}",
        )
        for row in results.scale
    )


def _flops(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            *(row.case, str(row.frames), str(row.inked_frames), str(row.diffused_frames)),
            row.sizes,
            f"{row.published_tflop / row.frames:.1f}",
            f"{row.strip_tflop / max(row.inked_frames, 1):.1f}",
            f"{row.strip_share:.0%}",
            f"{row.selective_tflop / row.frames:.2f}",
            f"{row.selective_share:.1%}",
        )
        for row in results.flops
    )


def _footprints(results: Results) -> tuple[tuple[str, ...], ...]:
    widest = {row.film: row.width for row in sorted(results.footprints, key=lambda r: r.width)}
    rows = sorted(results.footprints, key=lambda r: (widest[r.film], -r.width, -r.total_gib))
    return tuple(
        (
            *(row.film, f"{row.width}x{row.height}", row.rung, f"{row.weights_gib:.2f}"),
            *(f"{row.denoise_gib:.2f}", f"{row.encode_gib:.2f}", f"{row.decode_gib:.2f}"),
            f"{row.total_gib:.1f}",
        )
        for row in rows
    )


def _walks(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            str(row.windows_per_batch),
            str(row.frames),
            f"{row.plain_seconds:.2f}",
            f"{row.ours_seconds:.2f}",
            f"{row.ratio:.2f}",
        )
        for row in results.walks
    )


def _bars(results: Results) -> tuple[tuple[str, ...], ...]:
    return tuple((b.demand, b.found, "yes" if b.reached else "NO") for b in bars(results))


def _line(cells: tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
