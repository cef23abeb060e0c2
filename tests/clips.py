"""Films made on the spot, with their truth: what lies under the text, where and when it is shown.

:func:`draw` makes the pictures, :func:`write` encodes them into any container and codec,
:func:`make_film` does both. :func:`ffmpeg` runs the bundled program for films that only it makes.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import av
import cv2
import imageio_ffmpeg
import numpy as np
from av.codec.context import Flags
from av.video.stream import VideoStream
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

U8: TypeAlias = NDArray[np.uint8]
F32: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Caption:
    """One subtitle to be burned in, shown on frames ``[start, stop)``.

    Lines are centred near the bottom edge (``bottom_share`` of the height below them). With
    ``plate_alpha`` above 0 a translucent plate lies under the text. ``opacity`` below 1 makes the
    whole text translucent; over ``fade_frames`` at both ends it fades. With ``slide`` it comes from
    so many pixels right and down of its place within so many frames: ``(right, down, frames)``.
    With ``pop`` its first frames show it in these sizes, about its middle.
    """

    text: str
    start: int
    stop: int
    size_px: int = 0  # 0: a twelfth of the picture's height
    color: tuple[int, int, int] = (255, 255, 255)
    outline_px: int = 2
    plate_alpha: float = 0.0
    opacity: float = 1.0
    fade_frames: int = 0
    bottom_share: float = 0.06
    slide: tuple[int, int, float] = (0, 0, 0)
    pop: tuple[float, ...] = ()
    left_px: float = 0.0  # of its left edge; 0: centred

    def scale_at(self, frame: int) -> float:
        """Its size on ``frame``, of the size in which it rests."""
        return dict(enumerate(self.pop, start=self.start)).get(frame, 1.0)

    def offset_at(self, frame: int) -> tuple[int, int]:
        """How far right and down of its place it is on ``frame``."""
        right, down, frames = self.slide
        rest = max(0.0, 1 - (frame - self.start) / frames) if frames else 0.0
        return round(right * rest), round(down * rest)

    def opacity_at(self, frame: int) -> float:
        """How opaque the text is on ``frame``: 0 outside its span."""
        if not self.start <= frame < self.stop:
            return 0.0
        nearest = min(frame - self.start, self.stop - 1 - frame) + 1
        fade = min(1.0, nearest / (self.fade_frames + 1))
        return self.opacity * fade


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFilm:
    """Drawn pictures and their truth. All RGB, uint8, ``(T, H, W, 3)``; full range."""

    clean: U8  # without text
    shown: U8  # with text
    alpha: F32  # ``(T, H, W)``: how much of each pixel is ink, 0 to 1
    captions: tuple[Caption, ...]

    @property
    def frames(self) -> int:
        """How many pictures there are."""
        return len(self.shown)


def draw(
    width: int = 320,
    height: int = 180,
    frames: int = 38,
    *,
    captions: Sequence[Caption] = (),
    seed: int = 0,
    pan: tuple[int, int] = (2, 1),
    cuts: Sequence[int] = (),
) -> DrawnFilm:
    """Pictures of a textured scene that moves by ``pan`` pixels a frame, text burned in.

    Args:
        width: of the picture.
        height: of the picture.
        frames: how many.
        captions: what is burned in.
        seed: another seed, another scene.
        pan: pixels right and down that the camera moves each frame; ``(0, 0)`` holds it still.
        cuts: first frames of further shots, each with a scene of its own.
    """
    clean = np.stack([_scene(width, height, seed, pan, cuts, t) for t in range(frames)])
    shown, alpha = clean.copy(), np.zeros((frames, height, width), np.float32)
    for caption in captions:
        ink, cover = _caption_layers(caption, width, height)
        for t in range(max(0, caption.start), min(frames, caption.stop)):
            color, shape = (
                _scaled(_shifted(layer, caption.offset_at(t)), cover, caption.scale_at(t))
                for layer in (ink, cover)
            )
            share = (shape * caption.opacity_at(t)).astype(np.float32)
            mixed = shown[t] * (1 - share[..., None]) + color * share[..., None]
            shown[t] = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
            alpha[t] = 1 - (1 - alpha[t]) * (1 - share)
    return DrawnFilm(clean, shown, alpha, tuple(captions))


@dataclass(frozen=True, slots=True)
class Coding:
    """How pictures are written.

    ``pts`` are stamps in ``time_base`` (one a frame, any rhythm); without them frame ``i`` is at
    ``i / rate``. ``options`` go to the encoder, ``mux_options`` to the container.
    """

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    rate: Fraction = Fraction(25)
    pts: tuple[int, ...] | None = None
    time_base: Fraction | None = None
    options: dict[str, str] = field(default_factory=lambda: {"preset": "veryfast", "crf": "12"})
    mux_options: dict[str, str] = field(default_factory=dict)
    sample_aspect: Fraction | None = None
    rotation: int = 0  # degrees, counter-clockwise
    full_range: bool = False
    color: tuple[int, int, int] = (2, 2, 2)  # primaries, transfer, matrix; FFmpeg's numbers
    interlaced: bool = False
    max_b_frames: int | None = None


def write(path: Path, pictures: U8, coding: Coding | None = None) -> Path:
    """``path``, now a film of ``pictures`` (RGB) in the container its suffix names."""
    coding = coding or Coding()
    base = coding.time_base or 1 / coding.rate
    height, width = pictures.shape[1:3]
    with av.open(str(path), "w", container_options=coding.mux_options) as container:
        stream = container.add_stream(coding.codec, rate=coding.rate, options=coding.options)
        assert isinstance(stream, VideoStream)
        _configure(stream, coding, (width, height), base)
        for index, rgb in enumerate(pictures):
            picture = to_picture(rgb, coding)
            picture.time_base = base
            picture.pts = coding.pts[index] if coding.pts else index
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def to_picture(rgb: U8, coding: Coding) -> av.VideoFrame:
    """One picture in the format and range of ``coding``."""
    span = "JPEG" if coding.full_range or coding.pix_fmt.startswith("yuvj") else "MPEG"
    picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
    if coding.pix_fmt == "rgb24":
        return picture
    matrix = "ITU709" if coding.color[2] == 1 else None
    return picture.reformat(
        format=coding.pix_fmt,
        src_color_range="JPEG",
        dst_color_range=span,
        dst_colorspace=matrix,
        interpolation="BICUBIC",
    )


def make_film(
    path: Path,
    captions: Sequence[Caption] = (),
    *,
    width: int = 320,
    height: int = 180,
    frames: int = 38,
    seed: int = 0,
    coding: Coding | None = None,
) -> DrawnFilm:
    """The truth of the film now at ``path``; 1.5 seconds of 320x180 unless said otherwise."""
    film = draw(width, height, frames, captions=captions, seed=seed)
    write(path, film.shown, coding)
    return film


def small_film(path: Path, *, text: str = "Hello there", seed: int = 0) -> DrawnFilm:
    """The truth of the film now at ``path``: 38 frames at 25 a second, ``text`` on ``[8, 30)``."""
    return make_film(path, [Caption(text, 8, 30)], seed=seed)


def clean_film(path: Path, *, seed: int = 0) -> DrawnFilm:
    """The truth of the film now at ``path``: as :func:`small_film`, but without any text."""
    return make_film(path, seed=seed)


def ffmpeg(*arguments: str | Path) -> None:
    """Run the bundled ffmpeg program quietly; fails the test with its words if it fails."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-nostdin", "-v", "error", "-y"]
    done = subprocess.run(
        [*command, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]


def _configure(stream: VideoStream, coding: Coding, size: tuple[int, int], base: Fraction) -> None:
    context = stream.codec_context
    context.width, context.height = size
    context.pix_fmt = coding.pix_fmt
    context.time_base = base
    context.thread_count = 2
    context.color_range = 2 if coding.full_range else 1
    context.color_primaries, context.color_trc, context.colorspace = coding.color
    if coding.sample_aspect is not None:
        context.sample_aspect_ratio = coding.sample_aspect
    if coding.max_b_frames is not None:
        context.max_b_frames = coding.max_b_frames
    if coding.interlaced:
        context.flags |= Flags.interlaced_dct | Flags.interlaced_me
        context.field_order = 2  # top field first
    if coding.rotation:
        stream.set_display_rotation(coding.rotation)


def _scene(
    width: int, height: int, seed: int, pan: tuple[int, int], cuts: Sequence[int], frame: int
) -> U8:
    """One clean picture: a window that moves over a large still texture."""
    shot = sum(frame >= cut for cut in cuts)
    texture = _texture(width + 256, height + 256, seed * 101 + shot)
    x, y = (128 + pan[0] * frame) % 256, (128 + pan[1] * frame) % 256
    return texture[y : y + height, x : x + width]


@lru_cache(maxsize=8)
def _texture(width: int, height: int, seed: int) -> U8:
    """Soft blotches, medium grain and straight edges, none of it like writing."""
    random = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for cell, weight in ((96, 70.0), (24, 30.0), (6, 12.0)):
        rows, columns = height // cell + 2, width // cell + 2
        gray = random.standard_normal((rows, columns, 1)).astype(np.float32)
        tint = random.standard_normal((rows, columns, 3)).astype(np.float32)
        coarse = 0.8 * gray + 0.25 * tint
        total += weight * cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    picture = np.ascontiguousarray(np.clip(total + 118, 12, 235).astype(np.uint8))
    for _ in range(14):
        x, y, w, h = (int(v) for v in random.integers(12, max(40, height // 6), 4))
        shade = tuple(int(v) for v in random.integers(30, 220, 3))
        corner = (x * 37 % width, y * 29 % height)
        cv2.rectangle(picture, corner, (corner[0] + w, corner[1] + h), shade, -1)
    return picture


def _shifted(layer: F32, offset: tuple[int, int]) -> F32:
    """``layer``, moved right and down; zeros come in."""
    if offset == (0, 0):
        return layer
    moved = np.asarray([(1, 0, offset[0]), (0, 1, offset[1])], np.float32)
    size = layer.shape[1], layer.shape[0]
    return np.asarray(cv2.warpAffine(layer, moved, size, flags=cv2.INTER_NEAREST), np.float32)


def _scaled(layer: F32, cover: F32, scale: float) -> F32:
    """``layer`` in another size, about the middle of what ``cover`` shows; zeros come in."""
    if scale == 1:
        return layer
    rows, columns = np.nonzero(cover > 0)
    middle = float(columns.min() + columns.max()) / 2, float(rows.min() + rows.max()) / 2
    grown = cv2.getRotationMatrix2D(middle, 0.0, scale)
    size = layer.shape[1], layer.shape[0]
    return np.asarray(cv2.warpAffine(layer, grown, size, flags=cv2.INTER_LINEAR), np.float32)


def _caption_layers(caption: Caption, width: int, height: int) -> tuple[F32, F32]:
    """Colour (H, W, 3) and cover (H, W) of a caption at full opacity, all layers flattened."""
    size = caption.size_px or max(12, height // 12)
    font = ImageFont.load_default(size)
    place = (width / 2, height * (1 - caption.bottom_share))
    fill = _stencil(caption, width, height, font, place, 0)
    outline = _stencil(caption, width, height, font, place, caption.outline_px)
    plate = np.zeros((height, width), np.float32)
    if caption.plate_alpha:
        rows, columns = np.nonzero(outline > 0)
        margin = size // 3
        top, left = max(0, rows.min() - margin), max(0, columns.min() - margin)
        plate[top : rows.max() + margin + 1, left : columns.max() + margin + 1] = 1
    ink, cover = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for color, layer in (
        ((0, 0, 0), plate * caption.plate_alpha),
        ((0, 0, 0), outline),
        (caption.color, fill),
    ):
        # Both kept premultiplied by cover until the end.
        ink = ink * (1 - layer[..., None]) + np.array(color, np.float32) * layer[..., None]
        cover = cover * (1 - layer) + layer
    return (ink / np.maximum(cover, 1e-6)[..., None]).astype(np.float32), cover


def _stencil(
    caption: Caption,
    width: int,
    height: int,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    place: tuple[float, float],
    outline_px: int,
) -> F32:
    """Cover of the text, grown by ``outline_px``; anti-aliased, 0 to 1."""
    canvas = Image.new("L", (width, height))
    ImageDraw.Draw(canvas).multiline_text(
        place, caption.text, fill=255, font=font, anchor="md", align="center",
        stroke_width=outline_px, stroke_fill=255,
    )  # fmt: skip
    return (np.asarray(canvas) / 255).astype(np.float32)
