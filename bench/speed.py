"""The speed and memory parts: films of a minute and more, joined from hard-subtitled cases."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import ffmpeg

from bench.measure import measure
from bench.media import ffmpeg_path as bundled
from bench.media import open_film, read_pictures, run_ffmpeg
from bench.quality import OUR_CRF, Timing, ours_argv, timed

JOINED = ("bbb_white", "cartoon0_cjk", "cartoon1_yellow")  # all 1280 x 720 at 25 frames a second
FILM_CRF = 18
HEIGHTS_PX = (720, 1080)


@dataclass(frozen=True, slots=True)
class SpeedRow:
    """One film of about a minute, erased, and transcoded at our crf right before."""

    film: str
    frames: int
    film_seconds: float
    timing: Timing

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.film


@dataclass(frozen=True, slots=True)
class MemoryRow:
    """The most memory that erasing took, worker included."""

    film: str
    film_seconds: float
    wall_seconds: float
    peak_mib: float

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.film


def joined_film(cases: Sequence[Path], height_px: int, minutes: int, folder: Path) -> Path:
    """A film of at least that many minutes: the cases one after the other, again and again.

    Args:
        cases: the hard-subtitled films to join, one size and rate.
        height_px: the height to scale to; the width follows.
        minutes: how long the film is at least.
        folder: where it is kept for the next run.
    """
    film = folder / f"{height_px}p_{minutes}min.mp4"
    if not film.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        once, unfinished = folder / f"once_{film.name}", folder / f"unfinished_{film.name}"
        _join(cases, height_px, once)
        more = math.ceil(60 * minutes / _seconds(once)) - 1
        run_ffmpeg("-stream_loop", str(more), "-i", once, "-c", "copy", unfinished)
        once.unlink()
        unfinished.rename(film)
    return film


def _join(cases: Sequence[Path], height_px: int, result: Path) -> None:
    """Encode the cases' pictures, scaled, one after the other."""
    pictures = [
        ffmpeg.input(str(case)).video.filter("scale", -2, height_px).filter("setsar", 1)
        for case in cases
    ]
    graph = ffmpeg.concat(*pictures, v=1, a=0).output(
        str(result), vcodec="libx264", preset="medium", crf=FILM_CRF, pix_fmt="yuv420p", v="error"
    )
    graph.overwrite_output().run(cmd=[bundled(), "-nostdin"])


def run_speed(film: Path, folder: Path) -> SpeedRow:
    """What erasing a film costs, against transcoding it."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / film.name
    result.unlink(missing_ok=True)
    log = folder / f"{film.stem}.log"
    timing = timed(ours_argv(film, result), film, folder, crf=OUR_CRF, log=log)
    frames = sum(1 for _ in read_pictures(result))
    result.unlink()
    return SpeedRow(film.stem, frames, _seconds(film), timing)


def run_memory(film: Path, folder: Path) -> MemoryRow:
    """How much memory erasing a film takes."""
    folder.mkdir(parents=True, exist_ok=True)
    result = folder / film.name
    result.unlink(missing_ok=True)
    cost = measure(ours_argv(film, result), folder / f"{film.stem}.log")
    result.unlink()
    return MemoryRow(film.stem, _seconds(film), cost.wall_seconds, cost.peak_mib)


def _seconds(path: Path) -> float:
    film = open_film(path)
    return float(film.frames_estimate / film.rate)
