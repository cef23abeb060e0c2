"""The quality part: methods over cases, clean clips that must stay as they are, a real film."""

from __future__ import annotations

import filecmp
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.baselines import CRF, METHODS
from bench.boxes import area, intersection
from bench.cases import Case
from bench.measure import Cost, measure
from bench.media import read_pictures, to_bgr, transcode_argv
from bench.reading import srt_path
from bench.residual import TextJudge
from bench.score import Score, outside_db, score_result
from erasecore.settings import EncodeSettings

OURS = "ours"
OUR_CRF = EncodeSettings().crf
ALL_METHODS = (*METHODS, OURS)
LOOK_EVERY_FRAMES = 8  # in the real film


@dataclass(frozen=True, slots=True)
class Timing:
    """What a method cost, and the plain transcode of the same film run right before it."""

    cost: Cost
    transcode: Cost
    wall_ratio: float
    cpu_ratio: float


@dataclass(frozen=True, slots=True)
class QualityRow:
    """One method on one case."""

    case: str
    method: str
    score: Score
    timing: Timing
    plain_out_db: float | None = None  # outside of a plain transcode at the product's crf

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return f"{self.case} {self.method}"


@dataclass(frozen=True, slots=True)
class CleanRow:
    """One clip without subtitles, sent through the eraser."""

    clip: str
    untouched: bool  # the result is the source, byte for byte

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.clip


@dataclass(frozen=True, slots=True)
class RealRow:
    """One film that somebody else subtitled: there is no truth, only text that is there or not."""

    film: str
    frames_looked_at: int
    frames_with_text: int  # in the source
    frames_with_text_left: int  # in the same places of the result
    timing: Timing

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.film


def ours_argv(source: Path, result: Path) -> list[str]:
    """The product's own command for one film, at its defaults whatever the machine's are."""
    defaults = result.with_name("config.yaml")
    # The subtitles' name shall not depend on what was read; see ``srt_path``.
    defaults.write_text("schema: 2\nfolders: {subtitle_names: film}\n", encoding="utf-8")
    argv = [sys.executable, "-m", "daemon", "erase", "--config", str(defaults)]
    return [*argv, str(source), str(result)]


def method_argv(method: str, case: Case, result: Path) -> list[str]:
    """The command that runs a method over a case, each in a process of its own."""
    if method == OURS:
        return ours_argv(case.hardsub, result)
    return [sys.executable, "-m", "bench.baselines", method, str(case.folder), str(result)]


def timed(argv: Sequence[str], source: Path, folder: Path, *, crf: float, log: Path) -> Timing:
    """The timing of a command, with a transcode of ``source`` run right before."""
    reference = folder / "transcode.mp4"
    transcode = measure(transcode_argv(source, reference, crf), folder / "transcode.log")
    reference.unlink()
    cost = measure(argv, log)
    return Timing(
        cost=cost,
        transcode=transcode,
        wall_ratio=cost.wall_seconds / transcode.wall_seconds,
        cpu_ratio=cost.cpu_seconds / transcode.cpu_seconds,
    )


def run_case(case: Case, method: str, folder: Path, judge: TextJudge) -> QualityRow:
    """One row: the method is run, timed and scored; its result stays in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / f"{case.name}.mp4"
    result.unlink(missing_ok=True)
    srt_path(result).unlink(missing_ok=True)  # the product never replaces one
    argv = method_argv(method, case, result)
    timing = timed(argv, case.hardsub, folder, crf=CRF, log=folder / f"{case.name}.log")
    plain = _plain_out_db(case, folder) if method == OURS else None
    return QualityRow(case.name, method, score_result(case, result, judge), timing, plain)


def _plain_out_db(case: Case, folder: Path) -> float:
    """How far a plain transcode at the product's own crf changes what is outside the boxes."""
    plain = folder / "plain.mp4"
    measure(transcode_argv(case.hardsub, plain, OUR_CRF), folder / "transcode.log")
    outside = outside_db(case, plain)
    plain.unlink()
    return outside


def run_clean(clip: Path, folder: Path) -> CleanRow:
    """Whether a clip without subtitles comes back as it was."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / clip.name
    result.unlink(missing_ok=True)
    measure(ours_argv(clip, result), folder / f"{clip.stem}.log")
    return CleanRow(clip.stem, filecmp.cmp(clip, result, shallow=False))


def run_real(film: Path, folder: Path, judge: TextJudge) -> RealRow:
    """How much text is left of a real film's subtitles."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / film.name
    result.unlink(missing_ok=True)
    srt_path(result).unlink(missing_ok=True)
    log = folder / f"{film.stem}.log"
    timing = timed(ours_argv(film, result), film, folder, crf=CRF, log=log)
    looks = list(_looks(film, result, judge))
    return RealRow(
        film=film.stem,
        frames_looked_at=len(looks),
        frames_with_text=sum(before for before, _ in looks),
        frames_with_text_left=sum(after for _, after in looks),
        timing=timing,
    )


def _looks(film: Path, result: Path, judge: TextJudge) -> Iterator[tuple[bool, bool]]:
    """Per sampled frame: is there text in the source, and still in its place in the result."""
    pairs = zip(read_pictures(film), read_pictures(result), strict=True)
    for frame, (source, made) in enumerate(pairs):
        if frame % LOOK_EVERY_FRAMES:
            continue
        before = judge.pictures.find(to_bgr(source))
        after = judge.pictures.find(to_bgr(made))
        left = any(intersection(a, b) > 0.3 * area(a) for a in after for b in before)
        yield bool(before), left
