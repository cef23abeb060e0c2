"""Scenes: the pictures below the captions, cut from the clips or joined of several of them."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from bench.media import BenchError, ffmpeg_path, open_film
from bench.wild.halves import CLIPS, TUNED_CLIPS, Half, half_of, other_clips

Pictures: TypeAlias = NDArray[np.uint8]
"""All I420 pictures of a film, uint8 ``(T, H * 3 / 2, W)``."""


@dataclass(frozen=True, slots=True)
class Footage:
    """Pictures in memory, and their rate."""

    pictures: Pictures
    rate: Fraction  # frames a second

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return self.pictures.shape[2], self.pictures.shape[1] * 2 // 3

    @property
    def seconds(self) -> float:
        """Length."""
        return len(self.pictures) / float(self.rate)


@dataclass(frozen=True, slots=True)
class Scene:
    """One or more clips, scaled to fill the size; ``montage`` names how they are joined."""

    clips: tuple[str, ...]
    width: int
    height: int  # with the bars
    frames: int  # at most; a short clip gives fewer
    bar_px: int = 0  # of the black bars above and below
    montage: str = "clip"  # of MONTAGES
    start: float = 0.0  # seconds into the clip
    seed: int = 1  # of what is drawn by chance

    @property
    def half(self) -> Half:
        """Half of the material that it belongs to; drawn smoke by its seed."""
        if not self.clips:
            return Half.TUNED if self.seed % 2 else Half.HELD
        return half_of(self.clips)


def variants(scene: Scene, kind: str) -> list[Scene]:
    """Return the scene and two more like it, one of each half."""
    if not scene.clips:
        return [scene, replace(scene, seed=2), replace(scene, seed=3)]
    if len(scene.clips) == 1:
        others = other_clips(kind, scene.clips[0])
        return [scene, *(replace(scene, clips=(clip,), start=0.0) for clip in others)]
    count = len(scene.clips)
    halves = (sorted(TUNED_CLIPS), [clip for clip in CLIPS if clip not in TUNED_CLIPS])
    return [scene, *(replace(scene, clips=_cycled(half, count)) for half in halves)]


def _cycled(names: Sequence[str], count: int) -> tuple[str, ...]:
    return tuple(names[k % len(names)] for k in range(count))


def shoot(scene: Scene, clips_folder: Path, filters: str = "") -> Footage:
    """Return the scene's pictures.

    Args:
        scene: what to show.
        clips_folder: holds the clips as ``NAME.mp4``.
        filters: FFmpeg's, applied to the scaled picture, for scenes of one clip or two shots.

    Raises:
        BenchError: a clip is missing.
    """
    return MONTAGES[scene.montage](scene, clips_folder, filters)


def read_raw(
    clip: Path, filters: Sequence[str], *, start: float = 0.0, frames: int | None = None
) -> bytes:
    """Return I420 pictures that FFmpeg's filters make of a clip, without lost or doubled frames."""
    if not clip.is_file():
        raise BenchError(f"{clip}: no such clip; name their folder with --data")
    head = [ffmpeg_path(), "-nostdin", "-v", "error", "-ss", f"{start:g}", "-i", str(clip)]
    tail = ["-frames:v", str(frames)] if frames else []
    tail += ["-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    chain = ",".join(filter(None, filters))
    return _output([*head, "-map", "0:v:0", "-vf", chain, *tail], b"")


def filtered(footage: Footage, filters: str, rate: Fraction | None = None) -> Footage:
    """Return the footage as FFmpeg's ``filters`` change it, in size or frame count too."""
    width, height = footage.size
    argv = [ffmpeg_path(), "-v", "error", "-f", "rawvideo", "-pix_fmt", "yuv420p"]
    argv += ["-s", f"{width}x{height}", "-r", str(footage.rate), "-i", "-", "-vf", filters]
    argv += ["-fps_mode", "passthrough", "-f", "nut", "-c:v", "rawvideo", "-pix_fmt", "yuv420p"]
    made = _output([*argv, "-"], footage.pictures.tobytes())
    return Footage(_from_nut(made), rate or footage.rate)


def _from_nut(film: bytes) -> Pictures:
    """Return the pictures of a raw film whose container says its size."""
    with av.open(io.BytesIO(film), mode="r") as container:
        pictures = [frame.to_ndarray(format="yuv420p") for frame in container.decode(video=0)]
    return np.stack(pictures).astype(np.uint8, copy=False)


def _output(argv: Sequence[str], given: bytes) -> bytes:
    done = subprocess.run(argv, input=given, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"ffmpeg failed: {done.stderr.decode(errors='replace')[-2000:]}")
    return done.stdout


def _as_pictures(raw: bytes, width: int, height: int) -> Pictures:
    return np.frombuffer(raw, np.uint8).reshape(-1, height * 3 // 2, width)


def _fill(width: int, height: int) -> str:
    """Return filters that scale a picture until it fills the size, and crop the rest."""
    scale = f"scale={width}:{height}:force_original_aspect_ratio=increase"
    return f"{scale},crop={width}:{height},setsar=1"


def _clip(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    clip = clips_folder / f"{scene.clips[0]}.mp4"
    if not clip.is_file():
        raise BenchError(f"{clip}: no such clip; name their folder with --data")
    rate = open_film(clip).rate
    inner = scene.height - 2 * scene.bar_px
    pad = f"pad={scene.width}:{scene.height}:0:{scene.bar_px}" if scene.bar_px else ""
    chain = [f"setpts=N/({rate})/TB", _fill(scene.width, inner), pad, filters]
    raw = read_raw(clip, chain, start=scene.start, frames=scene.frames)
    return Footage(_as_pictures(raw, scene.width, scene.height), rate)


def _part(scene: Scene, clips_folder: Path, number: int, start: float, frames: int) -> Pictures:
    """Return the first ``frames`` pictures from ``start`` seconds of the scene's n-th clip."""
    clip = clips_folder / f"{scene.clips[number]}.mp4"
    raw = read_raw(clip, [_fill(scene.width, scene.height)], start=start, frames=frames)
    return _as_pictures(raw, scene.width, scene.height)


_CUT_PARTS = ((0, 14), (0.3, 11), (1, 12), (1.5, 10), (1, 13), (1, 12), (1, 14))


def _cuts(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    """Shots of 10 to 14 frames, the length at which titles are edited."""
    parts = [_part(scene, clips_folder, k, *part) for k, part in enumerate(_CUT_PARTS)]
    return Footage(np.concatenate(parts), Fraction(25))


def _two_shots(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    starts = (0.2, 2.0)
    parts = [_part(scene, clips_folder, k, start, 45) for k, start in enumerate(starts)]
    joined = Footage(np.concatenate(parts), Fraction(25))
    return filtered(joined, filters) if filters else joined


def _dissolve(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    """Two shots that dissolve into each other from frame 35 to frame 60 of 100."""
    first = _part(scene, clips_folder, 0, 0.5, 60).astype(np.float32)
    second = _part(scene, clips_folder, 1, 1, 70).astype(np.float32)
    mixed = []
    for frame in range(100):
        share = min(1.0, max(0.0, (frame - 35) / 25))
        old = first[min(frame, len(first) - 1)]
        new = second[min(max(frame - 35, 0), len(second) - 1)]
        mixed.append(((1 - share) * old + share * new + 0.5).astype(np.uint8))
    return Footage(np.stack(mixed), Fraction(25))


def _still(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    """One picture for twelve seconds, with the noise of a sensor."""
    picture = _part(scene, clips_folder, 0, 0, 1)[0].astype(np.int16)
    chance = np.random.default_rng(scene.seed)
    noise = (chance.normal(0, 1.2, picture.shape) for _ in range(scene.frames))
    noisy = [np.clip(picture + np.round(n), 0, 255).astype(np.uint8) for n in noise]
    return Footage(np.stack(noisy), Fraction(12))


def _smoke(scene: Scene, clips_folder: Path, filters: str) -> Footage:
    """Drawn smoke: four layers of blurred noise that drift at different speeds."""
    chance, (width, height) = np.random.default_rng(scene.seed), (scene.width, scene.height)
    layers = []
    for sigma, weight in ((40, 1.0), (16, 0.7), (7, 0.5), (3, 0.3)):
        noise = chance.normal(size=(height * 2, width + 200)).astype(np.float32)
        soft = cv2.GaussianBlur(noise, (0, 0), sigma)
        layers.append(soft / soft.std() * weight)
    pictures = []
    for frame in range(scene.frames):
        value = np.zeros((height, width), np.float32)
        for k, layer in enumerate(layers):
            down = int(frame * (2 + 2.3 * k)) % height
            right = int(60 + 40 * np.sin(frame * 0.07 * (k + 1)))
            value += layer[down : down + height, right : right + width]
        heat = 1 / (1 + np.exp(-1.2 * value))
        fire = np.dstack([40 + 60 * heat**4, 30 + 170 * heat**2, 30 + 225 * heat])
        bgr = np.clip(fire, 0, 255).astype(np.uint8)
        pictures.append(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).astype(np.uint8))
    return Footage(np.stack(pictures), Fraction(25))


MONTAGES: dict[str, Callable[[Scene, Path, str], Footage]] = {
    "clip": _clip,
    "cuts": _cuts,
    "twoshots": _two_shots,
    "dissolve": _dissolve,
    "still": _still,
    "smoke": _smoke,
}
