"""The demands on the product, and what the rows at hand say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median

from bench.detection import DetectionRow
from bench.diffusion import FlopsRow, WalkRow
from bench.quality import OURS, CleanRow, QualityRow
from bench.reading import ReadingRow
from bench.results import Results
from bench.scale import ScaleRow
from bench.score import Score
from bench.speed import MemoryRow, SpeedRow

LEAST_OVER_ORACLE_DB, MEAN_OVER_ORACLE_DB = -0.5, 7.0
MOST_OUTSIDE_LOSS_DB = 0.3
MOST_RESIDUAL = 0.01
MOST_CPU_RATIO = 2.5
MOST_PEAK_MIB, MOST_GROWTH = 1536, 0.05
MOST_CHARACTER_ERRORS = 0.05
MOST_SCAN_SECONDS, MOST_STATUS_SECONDS, MOST_CLAIM_LATE_SECONDS = 2.0, 0.1, 1.0
MOST_PARENT_MB, MOST_IDLE_CPU_SHARE = 80.0, 0.01
MOST_STRIP_SHARE, MOST_SELECTIVE_SHARE = 0.45, 0.15
MOST_BORDER_FRAMES, MOST_FADE_FRAMES = 1, 2


@dataclass(frozen=True, slots=True)
class Bar:
    """One demand on the product and what was measured."""

    demand: str
    found: str
    reached: bool


def bars(results: Results) -> list[Bar]:
    """The demands that the rows at hand can answer."""
    return [
        *_oracle_bars(_scores(results.quality, OURS), _scores(results.quality, "oracle")),
        *_quality_bars([row for row in results.quality if row.method == OURS]),
        *_clean_bars(results.clean),
        *_speed_bars(results.speed),
        *_memory_bars(results.memory),
        *_detection_bars(results.detection),
        *_reading_bars(results.reading),
        *_flops_bars(results.flops),
        *_walk_bars(results.walks),
        *(bar for row in results.scale for bar in _scale_bars(row)),
    ]


def _scores(rows: Sequence[QualityRow], method: str) -> dict[str, Score]:
    return {row.case: row.score for row in rows if row.method == method}


def _oracle_bars(ours: Mapping[str, Score], oracle: Mapping[str, Score]) -> list[Bar]:
    both = sorted(ours.keys() & oracle.keys())
    if not both:
        return []
    gains = {case: ours[case].psnr_mask - oracle[case].psnr_mask for case in both}
    worst, mean = min(gains, key=lambda case: gains[case]), fmean(gains.values())
    restless = [case for case in both if ours[case].flicker > oracle[case].flicker]
    return [
        Bar(
            f"in no case more than {-LEAST_OVER_ORACLE_DB:g} dB below oracle",
            f"{gains[worst]:+.2f} dB ({worst})",
            gains[worst] >= LEAST_OVER_ORACLE_DB,
        ),
        Bar(
            f"mean above oracle by at least {MEAN_OVER_ORACLE_DB:g} dB",
            f"{mean:+.2f} dB",
            mean >= MEAN_OVER_ORACLE_DB,
        ),
        Bar(
            "in no case more flicker than oracle",
            ", ".join(restless) or f"none of {len(both)}",
            not restless,
        ),
    ]


def _quality_bars(rows: Sequence[QualityRow]) -> list[Bar]:
    if not rows:
        return []
    residual = {row.case: row.score.residual or 0.0 for row in rows}
    damage = {row.case: row.score.scene_dmg or 0.0 for row in rows}
    found = [
        _most(f"residual text at most {MOST_RESIDUAL:g} in any case", residual, MOST_RESIDUAL),
        _most("no scene text damaged", damage, 0.0),
    ]
    losses = {
        row.case: row.plain_out_db - row.score.psnr_out
        for row in rows
        if row.plain_out_db is not None
    }
    if losses:
        demand = f"outside the boxes at most {MOST_OUTSIDE_LOSS_DB:g} dB below a plain transcode"
        found.append(_most(demand, losses, MOST_OUTSIDE_LOSS_DB))
    return found


def _clean_bars(rows: Sequence[CleanRow]) -> list[Bar]:
    if not rows:
        return []
    touched = [row.clip for row in rows if not row.untouched]
    text = ", ".join(touched) or "none touched"
    return [Bar("clean clips come back byte for byte", text, not touched)]


def _speed_bars(rows: Sequence[SpeedRow]) -> list[Bar]:
    if not rows:
        return []
    ratios = {row.film: row.timing.cpu_ratio for row in rows}
    return [_most(f"CPU at most {MOST_CPU_RATIO:g} x a plain transcode", ratios, MOST_CPU_RATIO)]


def _memory_bars(rows: Sequence[MemoryRow]) -> list[Bar]:
    if not rows:
        return []
    peaks = {row.film: row.peak_mib for row in rows}
    found = [_most(f"at most {MOST_PEAK_MIB} MiB", peaks, MOST_PEAK_MIB)]
    short, long = (pick(rows, key=lambda row: row.film_seconds) for pick in (min, max))
    if long.film_seconds > short.film_seconds:
        growth = long.peak_mib / short.peak_mib - 1
        found.append(
            Bar(
                f"memory grows by at most {MOST_GROWTH:.0%}",
                f"{growth:+.1%} from {short.film_seconds:.0f} to {long.film_seconds:.0f} s",
                growth <= MOST_GROWTH,
            )
        )
    return found


def _detection_bars(rows: Sequence[DetectionRow]) -> list[Bar]:
    if not rows:
        return []
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
    if not rows:
        return []
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


def _scale_bars(row: ScaleRow) -> list[Bar]:
    return [
        Bar(
            f"{row.files} files are looked at in {MOST_SCAN_SECONDS:g} s",
            f"{row.scan_seconds:.2f} s",
            row.scan_seconds <= MOST_SCAN_SECONDS,
        ),
        Bar(
            f"status, the whole command by the clock, takes {MOST_STATUS_SECONDS * 1000:g} ms",
            f"{row.status_seconds * 1000:.0f} ms",
            row.status_seconds <= MOST_STATUS_SECONDS,
        ),
        Bar(
            f"the daemon's own process stays under {MOST_PARENT_MB:g} MB",
            f"{row.parent_mb:.1f} MB",
            row.parent_mb < MOST_PARENT_MB,
        ),
        Bar(
            f"and under {MOST_IDLE_CPU_SHARE:.0%} of a core while nothing happens",
            f"{row.idle_cpu_share:.2%}",
            row.idle_cpu_share < MOST_IDLE_CPU_SHARE,
        ),
        Bar(
            f"a film is claimed {MOST_CLAIM_LATE_SECONDS:g} s after the settle time",
            f"{row.claim_late_seconds:.2f} s",
            row.claim_late_seconds <= MOST_CLAIM_LATE_SECONDS,
        ),
    ]


def _flops_bars(rows: Sequence[FlopsRow]) -> list[Bar]:
    if not rows:
        return []
    strips = sum(row.strip_tflop for row in rows)
    frames = sum(row.published_tflop * row.inked_frames / row.frames for row in rows)
    dearest = max(rows, key=lambda row: row.strip_share)
    share = sum(row.selective_tflop for row in rows) / sum(row.published_tflop for row in rows)
    return [
        Bar(
            f"diffused strips at most {MOST_STRIP_SHARE:.0%} of the published full frames",
            f"{strips / frames:.1%} of {len(rows)} cases, most "
            f"{dearest.strip_share:.0%} ({dearest.case})",
            strips <= MOST_STRIP_SHARE * frames,
        ),
        Bar(
            f"diffusion at most {MOST_SELECTIVE_SHARE:.0%} of the published recipe, all cases",
            f"{share:.1%} of {len(rows)} cases",
            share <= MOST_SELECTIVE_SHARE,
        ),
    ]


def _walk_bars(rows: Sequence[WalkRow]) -> list[Bar]:
    if not rows:
        return []
    ratios = {f"{row.windows_per_batch} at once": row.ratio for row in rows}
    return [_most("our walk over windows never slower than the plain one", ratios, 1.0)]
