"""A case: a clean clip, the same with subtitles burned in, and the exact truth about them.

A case's folder holds
  hardsub.mp4  what a method gets (libx264 crf 16, the source's sound copied)
  clean.mp4    the same pictures without subtitles, encoded alike
  masks.npz    per frame the pixels that the burning changed (lossless difference)
  events.json  clip, style, rate, events [{start, end, bbox, text}], frames, end exclusive
  subs.ass     what was burned in
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.boxes import PixelBox
from bench.media import I420, BenchError, Film, FilmWriter, open_film, read_burned, read_pictures
from bench.metrics import Mask
from bench.styles import STYLES, Cue, Style, ass_script, schedule

CASE_CRF = 16
CHANGED_LEVELS = 3  # a sample has changed when it differs by this much


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a case is made of."""

    clip: str
    style: str
    start_seconds: float  # when the first subtitle appears
    to_end: bool = False  # the last one stays until the film ends


RECIPES = {
    "bbb_white": Recipe("bigbuckbunny", "white", 0.40),
    "deex1_white": Recipe("de_ex1", "white", 0.40),
    "cartoon0_cjk": Recipe("mm_cartoon0", "cjk", 0.24),
    "cartoon1_yellow": Recipe("mm_cartoon1", "yellow", 0.24),
    "normal5_white": Recipe("mm_normal5", "white", 0.40),
    "sample1_box": Recipe("pp_sample1", "box", 0.24),
    "sample1_fade": Recipe("pp_sample1", "fade", 0.24),
    "sample2_yellow": Recipe("pp_sample2", "yellow", 0.24),
    "sample2_karaoke": Recipe("pp_sample2", "karaoke", 0.0, to_end=True),
    "deex1_top": Recipe("de_ex1", "top", 0.24),
}
CLIPS = tuple(sorted({recipe.clip for recipe in RECIPES.values()}))


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One burned-in subtitle: frames ``[start, stop)`` and the box of its changed pixels."""

    start: int
    stop: int
    box: PixelBox
    text: str


class Masks:
    """The changed pixels of every frame, kept as bits."""

    def __init__(self, bits: NDArray[np.uint8], width: int) -> None:
        self._bits = bits
        self._width = width

    def __len__(self) -> int:
        return len(self._bits)

    def __getitem__(self, frame: int) -> Mask:
        return self._unpack(self._bits[frame])

    def any_at(self, frame: int) -> bool:
        """Whether the burning changed anything in this frame."""
        return bool(self._bits[frame].any())

    def union(self, start: int, stop: int) -> Mask:
        """The pixels that were changed in any frame of ``[start, stop)``."""
        return self._unpack(np.bitwise_or.reduce(self._bits[start:stop]))

    def save(self, path: Path) -> None:
        """Write the masks as ``load`` reads them."""
        frames, height, _ = self._bits.shape
        np.savez_compressed(path, bits=self._bits, shape=np.array([frames, height, self._width]))

    @staticmethod
    def load(path: Path) -> Masks:
        """The masks of a case."""
        with np.load(path) as stored:
            return Masks(stored["bits"], int(stored["shape"][2]))

    def _unpack(self, bits: NDArray[np.uint8]) -> Mask:
        return np.unpackbits(bits, axis=-1, count=self._width).astype(bool)


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it lies on the disk."""

    name: str
    folder: Path
    width: int
    height: int
    frames: int
    events: tuple[TrueEvent, ...]

    @property
    def hardsub(self) -> Path:
        """The film with subtitles."""
        return self.folder / "hardsub.mp4"

    @property
    def clean(self) -> Path:
        """The film without."""
        return self.folder / "clean.mp4"

    def masks(self) -> Masks:
        """The changed pixels."""
        return Masks.load(self.folder / "masks.npz")

    def event_at(self, frame: int) -> TrueEvent | None:
        """The event on screen in a frame, if any."""
        return next((e for e in self.events if e.start <= frame < e.stop), None)


def load_case(folder: Path) -> Case:
    """The case that ``build_case`` has left in ``folder``."""
    facts = json.loads((folder / "events.json").read_text(encoding="utf-8"))
    events = (
        TrueEvent(e["start"], e["end"], (*e["bbox"],), e["text"])  # four numbers
        for e in facts["events"]
    )
    return Case(
        name=facts["case"],
        folder=folder,
        width=facts["width"],
        height=facts["height"],
        frames=facts["frames"],
        events=tuple(events),
    )


def case_folder(name: str, clips_folder: Path, cases_folder: Path) -> Path:
    """The folder of a named case, built first when it is not there yet."""
    folder = cases_folder / name
    if not (folder / "events.json").is_file():
        recipe = RECIPES[name]
        clip = clips_folder / f"{recipe.clip}.mp4"
        if not clip.is_file():
            raise BenchError(f"{clip}: no such clip; name their folder with DATA=...")
        build_case(folder, clip, recipe, STYLES[recipe.style])
    return folder


def build_case(
    folder: Path, clip: Path, recipe: Recipe, style: Style, fonts_folder: Path | None = None
) -> None:
    """Fill ``folder`` with a case; ``events.json`` comes last and says that it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    film = open_film(clip)
    film_seconds = float((film.frames_estimate or _count_frames(clip)) / film.rate)
    cues = schedule(film_seconds, recipe.start_seconds, recipe.to_end, style.words)
    (folder / "subs.ass").write_text(ass_script(film, style, cues), encoding="utf-8")
    masks = _burn(film, folder, fonts_folder)
    masks.save(folder / "masks.npz")
    facts = {
        "case": folder.name,
        "clip": recipe.clip,
        "style": recipe.style,
        "width": film.width,
        "height": film.height,
        "frames": len(masks),
        "fps": str(film.rate),
        "events": _describe(masks, cues, float(film.rate)),
    }
    written = json.dumps(facts, ensure_ascii=False, indent=1)
    (folder / "events.json").write_text(written, encoding="utf-8")


def _count_frames(clip: Path) -> int:
    return sum(1 for _ in read_pictures(clip))


def _burn(film: Film, folder: Path, fonts_folder: Path | None) -> Masks:
    """Write both films of a case; returns the pixels in which they differ."""
    bits = []
    burned_pictures = read_burned(film, folder / "subs.ass", fonts_folder)
    with (
        FilmWriter(folder / "clean.mp4", film, crf=CASE_CRF) as clean_writer,
        FilmWriter(folder / "hardsub.mp4", film, crf=CASE_CRF) as burned_writer,
    ):
        for clean, burned in zip(read_pictures(film.path), burned_pictures, strict=True):
            clean_writer.write(clean)
            burned_writer.write(burned)
            bits.append(np.packbits(changed_pixels(clean, burned), -1))
    masks = Masks(np.stack(bits), film.width)
    if not masks.union(0, len(masks)).any():
        raise BenchError(f"{film.path}: libass drew nothing; is there a font?")
    return masks


def changed_pixels(clean: I420, burned: I420) -> Mask:
    """The pixels whose luma, or whose share of a colour plane, the burning has changed."""
    changed = np.abs(clean.astype(np.int16) - burned) >= CHANGED_LEVELS
    rows, width = changed.shape
    height = rows * 2 // 3
    colour = changed[height:].reshape(2, height // 2, width // 2).any(0)
    spread = colour.repeat(2, 0).repeat(2, 1)
    either: Mask = changed[:height] | spread
    return either


def _describe(masks: Masks, cues: Sequence[Cue], rate: float) -> list[dict[str, object]]:
    """Each cue as an event, with the frames and the box that really changed."""
    starts = [_first_frame(cue.start_seconds, rate) for cue in cues] + [len(masks)]
    events = []
    for number, cue in enumerate(cues):
        start = starts[number]
        stop = min(len(masks), _first_frame(cue.stop_seconds, rate))
        while stop < starts[number + 1] and masks.any_at(stop):  # stamps rounded at 29.97
            stop += 1
        live = [frame for frame in range(start, stop) if masks.any_at(frame)]
        rows, columns = np.nonzero(masks.union(start, stop))
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        events.append(
            {
                "start": live[0],
                "end": live[-1] + 1,
                "text": cue.text,
                "bbox": [int(side) for side in box],
            }
        )
    return events


def _first_frame(seconds: float, rate: float) -> int:
    return math.ceil(seconds * rate - 0.02)
