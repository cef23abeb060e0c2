"""Builds a case of one kind: both films, and the exact pixels that each object changes.

A case's folder holds
  hardsub.*    what the product gets
  clean.*      the same pictures without captions, encoded alike
  masks.npz    changed pixels by lane and frame (difference before encoding), as bits
  case.json    the objects, and what the case was made from; written last: the case is whole
"""

from __future__ import annotations

import json
import math
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.cases import changed_pixels
from bench.media import I420, BenchError, ffmpeg_path, read_pictures, split, to_bgr, to_i420
from bench.metrics import Mask, pool
from bench.wild.emoji import emoji_captions, emoji_font, paint
from bench.wild.kinds import Coding, Kind
from bench.wild.objects import grown
from bench.wild.scenes import Footage, filtered, shoot
from bench.wild.script import Canvas, Caption, Line, ass_script, lanes

UPSCALED_HALO_PX = 6  # around a web rip's scaled ink, where compression leaves a halo; guess
WEBRIP = Coding(options="-crf 30 -preset medium")
GRAIN = "noise=alls=4:allf=t:all_seed=5"  # of a web rip, before it is scaled up


class Missing(BenchError):
    """A font that the kind needs is not installed; the case is skipped."""


@dataclass(frozen=True, slots=True)
class WildObject:
    """One object: frames ``[start, stop)`` in which it changes pixels of its lane."""

    name: str
    lane: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class WildCase:
    """A case as it lies on the disk."""

    name: str
    folder: Path
    suffix: str
    width: int
    height: int
    frames: int
    noise_levels: float  # RMS difference that encoding makes in the clean film's luma
    objects: tuple[WildObject, ...]

    @property
    def hardsub(self) -> Path:
        """Path of the film with captions."""
        return self.folder / f"hardsub{self.suffix}"

    @property
    def clean(self) -> Path:
        """Path of the film without."""
        return self.folder / f"clean{self.suffix}"

    def lane_masks(self) -> LaneMasks:
        """Return the changed pixels."""
        with np.load(self.folder / "masks.npz") as stored:
            return LaneMasks(stored["bits"], self.width)


class LaneMasks:
    """Changed pixels, bits ``(lanes, T, H, ceil(W / 8))``."""

    def __init__(self, bits: NDArray[np.uint8], width: int) -> None:
        self._bits = bits
        self._width = width

    def of(self, item: WildObject, frame: int) -> Mask:
        """Return the pixels of one object in a frame in which it is on screen, ``(H, W)``."""
        return self._unpack(self._bits[item.lane, frame])

    def every(self, frame: int) -> Mask:
        """Return the pixels that any object changes in a frame, ``(H, W)``."""
        return self._unpack(np.bitwise_or.reduce(self._bits[:, frame]))

    def _unpack(self, bits: NDArray[np.uint8]) -> Mask:
        return np.unpackbits(bits, axis=-1, count=self._width).astype(bool)


def build_case(
    name: str, kind: Kind, folder: Path, clips_folder: Path, fonts_folder: Path | None = None
) -> WildCase:
    """Return the case, built unless ``folder`` holds the same one already.

    Args:
        name: of the case.
        kind: what to draw.
        folder: of this case alone; made if missing.
        clips_folder: holds the clips as ``NAME.mp4``.
        fonts_folder: fonts for libass besides those of the system.

    Raises:
        BenchError: a clip or font is missing, or nothing was drawn.
    """
    made_from = repr(facts_of(kind))
    facts = folder / "case.json"
    if facts.is_file() and json.loads(facts.read_text("utf-8"))["made_from"] == made_from:
        return load_case(folder)
    raw = shoot(kind.scene, clips_folder, kind.before)
    facts.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    case = _Build(name, kind, folder, raw, fonts_folder).run()
    written = asdict(case) | {"folder": "", "made_from": made_from}
    facts.write_text(json.dumps(written, ensure_ascii=False, indent=1), encoding="utf-8")
    return case


def load_case(folder: Path) -> WildCase:
    """Return the case that ``build_case`` has left in ``folder``."""
    facts = json.loads((folder / "case.json").read_text(encoding="utf-8"))
    del facts["made_from"]
    objects = tuple(WildObject(**item) for item in facts["objects"])
    return WildCase(**facts | {"folder": folder, "objects": objects})


def facts_of(kind: Kind) -> tuple[object, ...]:
    """Return what decides the pixels of a case; lines stand for the function that writes them."""
    scene = kind.scene
    lines = [] if kind.emoji else kind.write(Canvas(scene.width, scene.height, 4.0))
    values = (getattr(kind, item.name) for item in fields(kind) if item.name != "write")
    return (*values, *lines)


class _Build:
    """The steps of one build, which share the kind and the clean footage."""

    def __init__(
        self, name: str, kind: Kind, folder: Path, raw: Footage, fonts_folder: Path | None
    ) -> None:
        self._name, self._kind, self._folder = name, kind, folder
        self._raw, self._fonts_folder = raw, fonts_folder
        self._canvas = Canvas(*self._raw.size, self._raw.seconds)

    def run(self) -> WildCase:
        """Write both films and the masks."""
        kind, raw = self._kind, self._raw
        clean = self._finish(raw)
        rows, whole = self._burned()
        burned = [self._finish(footage) for footage in (*whole[1:], whole[0])]
        masks = [_changed(clean, footage) for footage in burned]
        if kind.upscaled:
            inks = [_changed(raw, footage) for footage in (*whole[1:], whole[0])]
            masks = [_near(ink, mask) for ink, mask in zip(inks, masks, strict=True)]
        bits = np.stack([np.packbits(mask, -1) for mask in (masks[:-1] or masks)])
        np.savez_compressed(self._folder / "masks.npz", bits=bits)
        films = {"hardsub": burned[-1], "clean": clean}
        for film, footage in films.items():
            encode(self._folder / f"{film}{kind.coding.suffix}", footage, kind.coding)
        slower = clean.seconds / raw.seconds  # interlacing halves the length
        objects = _objects(rows, masks[:-1] or masks, float(clean.rate) * slower)
        if not objects:
            raise BenchError(f"{self._name}: libass drew nothing; is there a font?")
        width, height = clean.size
        return WildCase(
            name=self._name,
            folder=self._folder,
            suffix=kind.coding.suffix,
            width=width,
            height=height,
            frames=len(clean.pictures),
            noise_levels=_noise(clean, self._folder / f"clean{kind.coding.suffix}"),
            objects=objects,
        )

    def _burned(self) -> tuple[list[list[Caption]], list[Footage]]:
        """Return the lanes, and the footage with all captions, then with those of each lane.

        A single lane is drawn once only.
        """
        if self._kind.emoji:
            return self._painted()
        lines = [line for line in self._kind.write(self._canvas) if line.stop > line.start]
        rows = lanes(lines)
        parts = [lines]
        if len(rows) > 1:
            names = [{caption.name for caption in row} for row in rows]
            parts += [[line for line in lines if line.owner in own] for own in names]
        return rows, [self._burn(part) for part in parts]

    def _painted(self) -> tuple[list[list[Caption]], list[Footage]]:
        font = emoji_font()
        if font is None:
            raise Missing("NotoColorEmoji.ttf: apt-get install fonts-noto-color-emoji")
        painted = emoji_captions(self._canvas.width, self._canvas.height, font)
        row = [Caption(f"{k}", item.start, item.stop) for k, item in enumerate(painted)]
        return [row], [paint(self._raw, painted)]

    def _burn(self, lines: Sequence[Line]) -> Footage:
        script = self._folder / "subs.ass"
        script.write_text(ass_script(self._canvas, self._kind.look, lines), encoding="utf-8")
        fonts = f":fontsdir={self._fonts_folder}" if self._fonts_folder else ""
        burned = filtered(self._raw, f"ass={script}{fonts}", self._raw.rate)
        return _woven(self._raw, burned) if self._kind.jitter else burned

    def _finish(self, footage: Footage) -> Footage:
        """Return the footage after all that happens to a film once its captions are drawn."""
        kind = self._kind
        if kind.upscaled:
            small = _recoded(filtered(footage, GRAIN), WEBRIP)
            return filtered(small, f"scale={kind.upscaled[0]}:{kind.upscaled[1]}:flags=bicubic")
        return filtered(footage, kind.after, kind.rate_after) if kind.after else footage


def _woven(clean: Footage, burned: Footage) -> Footage:
    """Return the captions shifted by up to 3 px from frame to frame over a steady picture."""
    width, height = clean.size
    pictures = []
    for frame, (below, above) in enumerate(zip(clean.pictures, burned.pictures, strict=True)):
        right = 2 * math.sin(frame * 1.3) + math.sin(frame * 3.7)
        down = 1.5 * math.sin(frame * 0.9 + 2)
        shift = np.array([[1, 0, right], [0, 1, down]], np.float32)
        scene, text = to_bgr(below).astype(np.float32), to_bgr(above).astype(np.float32)
        alpha = np.clip(np.abs(text - scene).max(2) / 30, 0, 1)
        alpha = cv2.warpAffine(cv2.GaussianBlur(alpha, (0, 0), 0.7), shift, (width, height))
        moved = cv2.warpAffine(text, shift, (width, height))
        mixed = scene * (1 - alpha[..., None]) + moved * alpha[..., None]
        drawn = to_i420(np.clip(mixed, 0, 255).astype(np.uint8))
        near = alpha > 0
        pictures.append(_where(near, drawn, below))
    return Footage(np.stack(pictures), clean.rate)


def _where(mask: Mask, inside: I420, outside: I420) -> I420:
    """Return one picture inside the mask and another one outside, plane by plane."""
    made = outside.copy()
    half = pool(mask)
    for old, new, chosen in zip(split(made), split(inside), (mask, half, half), strict=True):
        old[chosen] = new[chosen]
    return made


def encode(path: Path, footage: Footage, coding: Coding) -> None:
    """Encode the footage to ``path``."""
    width, height = footage.size
    argv = [ffmpeg_path(), "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    argv += ["-s", f"{width}x{height}", "-r", str(footage.rate), "-i", "-"]
    argv += ["-c:v", coding.codec, *coding.options.split(), "-pix_fmt", "yuv420p", str(path)]
    given = footage.pictures.tobytes()
    done = subprocess.run(argv, input=given, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"{path}: encoding failed: {done.stderr.decode()[-1000:]}")


def _recoded(footage: Footage, coding: Coding) -> Footage:
    """Return the footage as it comes back from an encoder."""
    with tempfile.TemporaryDirectory() as folder:
        film = Path(folder) / "film.mp4"
        encode(film, footage, coding)
        return Footage(np.stack(list(read_pictures(film))), footage.rate)


def _changed(clean: Footage, burned: Footage) -> Mask:
    """Return the pixels that the captions change, ``(T, H, W)``."""
    pairs = zip(clean.pictures, burned.pictures, strict=True)
    return np.stack([changed_pixels(one, other) for one, other in pairs])


def _near(ink: Mask, changed: Mask) -> Mask:
    """Return the changed pixels of a web rip that lie near its ink; others are coding noise.

    Args:
        ink: pixels that the captions change before encoding, small ``(T, h, w)``.
        changed: pixels that differ after both films were encoded and scaled up, ``(T, H, W)``.
    """
    size = changed.shape[2], changed.shape[1]
    kept = []
    for frame in range(len(ink)):
        near: Mask = cv2.resize(ink[frame].astype(np.uint8), size).astype(bool)
        kept.append(grown(near, UPSCALED_HALO_PX) & changed[frame])
    return np.stack(kept)


def _objects(
    rows: Sequence[Sequence[Caption]], masks: Sequence[Mask], rate: float
) -> tuple[WildObject, ...]:
    """Return the objects with the frames in which they really change pixels.

    Args:
        rows: captions of each lane, one after another.
        masks: changed pixels of each lane.
        rate: frames of the finished film for each second of the canvas.
    """
    found = []
    for lane, (row, mask) in enumerate(zip(rows, masks, strict=True)):
        live = np.asarray(mask.any((1, 2)))
        borders = [0, *_borders(row, rate), len(mask)]
        for caption, start, stop in zip(row, borders, borders[1:], strict=False):
            frames = np.flatnonzero(live[start:stop])
            if len(frames):
                first, last = start + int(frames[0]), start + int(frames[-1])
                found.append(WildObject(caption.name, lane, first, last + 1))
    return tuple(sorted(found, key=lambda item: (item.start, item.name)))


def _borders(row: Sequence[Caption], rate: float) -> list[int]:
    """Return the first frame of each caption but the first; in a pause, the frame in its middle."""
    middles = ((old.stop + new.start) / 2 for old, new in pairwise(row))
    return [math.ceil(middle * rate - 0.02) for middle in middles]


def _noise(clean: Footage, film: Path) -> float:
    height = clean.size[1]
    pairs = zip(clean.pictures, read_pictures(film), strict=False)
    squares = [
        float(np.square(one[:height].astype(np.float32) - other[:height]).mean())
        for one, other in pairs
    ]
    return float(np.sqrt(np.mean(squares))) if squares else 0.0
