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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.boxes import PixelBox
from bench.media import (
    I420,
    BenchError,
    FilmFile,
    FilmWriter,
    open_film,
    read_burned,
    read_pictures,
)
from bench.metrics import Mask
from bench.styles import STYLES, Lane, Style, ass_script, schedule
from bench.takes import PORTRAIT_CROP, Take, make_take

CASE_CRF = 16
CHANGED_LEVELS = 3  # a sample has changed when it differs by this much
BESIDE_SECONDS = 0.4  # how much later a second style begins


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a case is made of."""

    clip: str
    style: str
    start_seconds: float  # when the first subtitle appears
    to_end: bool = False  # the last one stays until the film ends
    beside: str = ""  # a second style, whose subtitles are on screen at the same time
    take: Take = field(default_factory=Take)


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
    # One of each kind of text that films have; short, so that all of them can be run often.
    "bbb_thin": Recipe("bigbuckbunny", "thin", 0.32, take=Take(2.0)),
    "cartoon1_grey": Recipe("mm_cartoon1", "grey", 0.32, take=Take(0, 2.4)),
    "deex1_arabic": Recipe("de_ex1", "arabic", 0.27, take=Take(1.0)),
    "cartoon0_thai": Recipe("mm_cartoon0", "thai", 0.0, take=Take(0, 2.8)),
    "sample1_cyrillic": Recipe("pp_sample1", "cyrillic", 0.24),
    "cartoon1_vertical": Recipe("mm_cartoon1", "vertical", 0.0, to_end=True),
    "bbb_portrait": Recipe(
        "bigbuckbunny", "portrait", 0.32, take=Take(0, 3.6, PORTRAIT_CROP, logo=True)
    ),
    "deex1_always": Recipe("de_ex1", "always", 0.0, to_end=True, take=Take(0, 3.4, logo=True)),
    "sample1_lines": Recipe("pp_sample1", "below", 0.2, beside="above"),
    "cartoon0_plates": Recipe("mm_cartoon0", "plates", 0.24, take=Take(0, 2.9)),
    "normal5_opaque": Recipe("mm_normal5", "opaque", 0.4, take=Take(0, 2.9, "scale=960:-2")),
    "sample2_glow": Recipe("pp_sample2", "glow", 0.2),
    "bbb_small": Recipe("bigbuckbunny", "small", 0.0, to_end=True, take=Take(0, 3.3)),
    "cartoon0_large": Recipe("mm_cartoon0", "large", 0.24, to_end=True),
    "deex1_dense": Recipe("de_ex1", "dense", 0.2, take=Take(1.2)),
}
CLIPS = tuple(sorted({recipe.clip for recipe in RECIPES.values()}))


@dataclass(frozen=True, slots=True)
class TrueEvent:
    """One burned-in subtitle: frames ``[start, stop)`` and the box of its changed pixels."""

    start: int
    stop: int
    box: PixelBox
    text: str
    fades: bool = False


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

    def events_at(self, frame: int) -> tuple[TrueEvent, ...]:
        """The events on screen in a frame."""
        return tuple(e for e in self.events if e.start <= frame < e.stop)


def load_case(folder: Path) -> Case:
    """The case that ``build_case`` has left in ``folder``."""
    facts = json.loads((folder / "events.json").read_text(encoding="utf-8"))
    events = (
        TrueEvent(e["start"], e["end"], (*e["bbox"],), e["text"], e.get("fades", False))
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
    folder, recipe = cases_folder / name, RECIPES[name]
    styles = [STYLES[style] for style in (recipe.style, recipe.beside) if style]
    if not _is_built(folder, recipe, styles):
        clip = clips_folder / f"{recipe.clip}.mp4"
        if not clip.is_file():
            raise BenchError(f"{clip}: no such clip; name their folder with DATA=...")
        build_case(folder, clip, recipe, styles)
    return folder


def _is_built(folder: Path, recipe: Recipe, styles: Sequence[Style]) -> bool:
    facts = folder / "events.json"
    if not facts.is_file():
        return False
    made_from = json.loads(facts.read_text(encoding="utf-8")).get("made_from")
    return bool(made_from == repr((recipe, styles)))


def build_case(
    folder: Path,
    clip: Path,
    recipe: Recipe,
    styles: Sequence[Style],
    fonts_folder: Path | None = None,
) -> None:
    """Fill ``folder`` with a case; ``events.json`` comes last and says that it is whole."""
    folder.mkdir(parents=True, exist_ok=True)
    source = clip if recipe.take.whole else make_take(clip, recipe.take, folder)
    film = open_film(source)
    film_seconds = _count_frames(source) / float(film.rate)
    starts = (recipe.start_seconds, recipe.start_seconds + BESIDE_SECONDS)
    lanes = [
        Lane(style, schedule(film_seconds, start, recipe.to_end, style))
        for style, start in zip(styles, starts, strict=False)
    ]
    masks = _burn(film, folder, lanes, fonts_folder)
    masks[-1].save(folder / "masks.npz")
    events = [
        event
        for lane, own in zip(lanes, masks, strict=False)
        for event in _describe(own, lane, float(film.rate))
    ]
    facts = {
        "case": folder.name,
        "clip": recipe.clip,
        "style": " ".join(filter(None, (recipe.style, recipe.beside))),
        "made_from": repr((recipe, list(styles))),
        "width": film.width,
        "height": film.height,
        "frames": len(masks[-1]),
        "fps": str(film.rate),
        "events": sorted(events, key=lambda event: (event["start"], event["end"])),
    }
    written = json.dumps(facts, ensure_ascii=False, indent=1)
    (folder / "events.json").write_text(written, encoding="utf-8")
    if source != clip:
        source.unlink()


def _count_frames(clip: Path) -> int:
    return sum(1 for _ in read_pictures(clip))


def _burn(
    film: FilmFile, folder: Path, lanes: Sequence[Lane], fonts_folder: Path | None
) -> list[Masks]:
    """Write both films of a case; the pixels that each lane changes, and all of them last."""
    everything = folder / "subs.ass"
    scripts = {everything: lanes}
    if len(lanes) > 1:  # each by itself, so that it is known which pixels are whose
        scripts = {folder / f"lane{k}.ass": [lane] for k, lane in enumerate(lanes)} | scripts
    for path, drawn in scripts.items():
        path.write_text(ass_script(film.width, film.height, drawn), encoding="utf-8")
    bits: list[list[NDArray[np.uint8]]] = [[] for _ in scripts]
    burned_films = [read_burned(film, path, fonts_folder) for path in scripts]
    with (
        FilmWriter(folder / "clean.mp4", film, crf=CASE_CRF) as clean_writer,
        FilmWriter(folder / "hardsub.mp4", film, crf=CASE_CRF) as burned_writer,
    ):
        for clean, *burned in zip(read_pictures(film.path), *burned_films, strict=True):
            clean_writer.write(clean)
            burned_writer.write(burned[-1])
            for own, picture in zip(bits, burned, strict=True):
                own.append(np.packbits(changed_pixels(clean, picture), -1))
    masks = [Masks(np.stack(own), film.width) for own in bits]
    if not all(own.union(0, len(own)).any() for own in masks):
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


def _describe(masks: Masks, lane: Lane, rate: float) -> list[dict[str, Any]]:
    """Each cue as an event, with the frames and the box that really changed."""
    cues = lane.cues
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
                "fades": lane.style.fades,
                "bbox": [int(side) for side in box],
            }
        )
    return events


def _first_frame(seconds: float, rate: float) -> int:
    return math.ceil(seconds * rate - 0.02)
