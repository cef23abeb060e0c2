"""Clean cuts: parts of the clips without captions, changed at random; nothing may be erased."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random

import numpy as np

from bench.media import BenchError, Bgr, open_film, to_bgr, to_i420
from bench.wild.build import encode
from bench.wild.camera import MOVES, camera_path, moved, scene_track
from bench.wild.halves import CLIPS, Half, half_of
from bench.wild.kinds import Coding
from bench.wild.scene_text import PLACES, compose, draw_scene_text
from bench.wild.scenes import Footage, read_raw

LEAST_SECONDS = 1.2  # of a shot, with text; it ends where its track is lost
ATTEMPTS = 3  # at a place of the scene that can be followed, for each start
START_SHARES = (0.0, 0.2, 0.4, 0.5)  # of the clip, tried if the drawn start lies before a cut
_GRADES = (
    *("", "", "eq=contrast=0.6:brightness=0.1", "eq=saturation=0", "eq=brightness=-0.2"),
    *("hue=h=40", "gblur=sigma=1.5", "noise=alls=12:allf=t:all_seed=3", "negate", "hflip"),
)
_SIZES = ((854, 480), (640, 360), (960, 540), (1280, 720), (480, 854), (640, 480))


@dataclass(frozen=True, slots=True)
class CleanCut:
    """One part of a clip; ``place`` names the text of the scene that is drawn into it."""

    clip: str
    start_share: float  # of the clip's length
    seconds: float  # before the change of speed
    speed: Fraction
    crop: float  # share of the picture's width and height that is kept
    across: float  # of the room that the crop leaves, 0 to 1
    down: float
    size: tuple[int, int]
    grade: str  # FFmpeg filters
    move: str  # of the camera
    crf: int
    seed: int  # of the camera move and the text
    place: str = ""  # of PLACES

    @property
    def half(self) -> Half:
        """Half of the material that it belongs to."""
        return half_of([self.clip])


def clean_cut(seed: int, *, with_text: bool) -> CleanCut:
    """Return the cut of a seed; nothing but the seed decides."""
    chance = Random(f"clean {seed} {with_text}")
    moves = MOVES[1:] if with_text else MOVES
    return CleanCut(
        clip=chance.choice(CLIPS),
        start_share=chance.uniform(0, 0.4),
        seconds=chance.uniform(1.8, 3.2),
        speed=Fraction(chance.choice((10, 10, 10, 8, 13, 15)), 10),
        crop=chance.uniform(0.6, 1.0),
        across=chance.random(),
        down=chance.random(),
        size=chance.choice(_SIZES),
        grade=chance.choice(_GRADES),
        move=chance.choice(moves),
        crf=chance.choice((16, 20, 24, 28)),
        seed=seed,
        place=PLACES[seed % len(PLACES)] if with_text else "",
    )


def build_cut(cut: CleanCut, film: Path, clips_folder: Path) -> None:
    """Write the cut's film.

    Raises:
        BenchError: the clip is missing, or no place in the scene could be followed.
    """
    chance = Random(cut.seed)
    pictures, rate = _shot(cut, clips_folder, chance)
    path = camera_path(cut.move, len(pictures), cut.size, chance)
    shown = [moved(picture, step) for picture, step in zip(pictures, path, strict=True)]
    footage = Footage(np.stack([to_i420(picture) for picture in shown]), rate)
    film.parent.mkdir(parents=True, exist_ok=True)
    encode(film, footage, Coding(options=f"-crf {cut.crf} -preset medium"))


def _shot(cut: CleanCut, clips_folder: Path, chance: Random) -> tuple[list[Bgr], Fraction]:
    """Return the pictures before the camera move, with their text, and their rate."""
    if not cut.place:
        return _pictures(cut, clips_folder)
    for start_share in (cut.start_share, *START_SHARES):
        pictures, rate = _pictures(replace(cut, start_share=start_share), clips_folder)
        shown = _with_text(cut, pictures, chance)
        if len(shown) >= LEAST_SECONDS * float(rate / cut.speed):
            return shown, rate
    raise BenchError(f"{cut.clip}: no place of the scene could be followed")


def _pictures(cut: CleanCut, clips_folder: Path) -> tuple[list[Bgr], Fraction]:
    clip = clips_folder / f"{cut.clip}.mp4"
    if not clip.is_file():
        raise BenchError(f"{clip}: no such clip; name their folder with --data")
    film = open_film(clip)
    start = cut.start_share * film.frames_estimate / float(film.rate)
    frames = round(cut.seconds * float(film.rate))
    width, height = cut.size
    kept = (
        f"crop=iw*{cut.crop:.3f}:ih*{cut.crop:.3f}:(iw-ow)*{cut.across:.3f}:(ih-oh)*{cut.down:.3f}"
    )
    fill = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height}"
    chain = [kept, fill, cut.grade]
    raw = read_raw(clip, chain, start=start, frames=frames)
    shot = np.frombuffer(raw, np.uint8).reshape(-1, height * 3 // 2, width)
    return [to_bgr(picture) for picture in shot], film.rate * cut.speed


def _with_text(cut: CleanCut, pictures: Sequence[Bgr], chance: Random) -> list[Bgr]:
    """Return the longest shot with a text, up to the first cut or to where its place is lost."""
    text, track = max(
        (
            (text, scene_track(pictures, text.box))
            for text in (draw_scene_text(cut.place, cut.size, chance) for _ in range(ATTEMPTS))
        ),
        key=lambda pair: len(pair[1]),
    )
    return compose(pictures[: len(track)], text, track)
