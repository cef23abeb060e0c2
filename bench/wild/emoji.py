"""Captions with colour emoji, which libass cannot draw: painted by Pillow, blended by numpy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.media import I420, split, to_bgr, to_i420
from bench.metrics import pool
from bench.wild.scenes import Footage

EMOJI_STRIKE_PX = 109  # the one size that NotoColorEmoji.ttf holds
_TEXT_FONT = Path("/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf")
_CAPTIONS = (
    (0.3, 1.6, "So happy today", "\U0001f602\U0001f525"),
    (1.8, 3.2, "Love this flower", "\U0001f60d\U0001f338"),
    (3.4, 5.0, "Bye bye", "\U0001f44b"),
)


@dataclass(frozen=True, slots=True)
class Painted:
    """One painted caption: RGBA, uint8 ``(H, W, 4)``, and its time in seconds."""

    start: float
    stop: float
    layer: NDArray[np.uint8]


def emoji_font() -> Path | None:
    """Return the path of NotoColorEmoji.ttf; ``None`` if it is not installed."""
    return next(Path("/usr/share/fonts").rglob("NotoColorEmoji.ttf"), None)


def emoji_captions(width: int, height: int, font: Path) -> list[Painted]:
    """Return the captions for a picture of this size."""
    return [
        Painted(start, stop, _paint(width, height, text, signs, font))
        for start, stop, text, signs in _CAPTIONS
    ]


def _paint(width: int, height: int, text: str, signs: str, font: Path) -> NDArray[np.uint8]:
    letters = ImageFont.truetype(str(_TEXT_FONT), int(height * 0.065))
    strike = ImageFont.truetype(str(font), EMOJI_STRIKE_PX)
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    pen, side = ImageDraw.Draw(layer), int(height * 0.08)
    length = pen.textlength(text, font=letters)
    left = width / 2 - (length + len(signs) * side + 8) / 2
    white, black = (255, 255, 255, 255), (0, 0, 0, 255)
    place = (left, height * 0.84)
    pen.text(place, text, font=letters, fill=white, stroke_width=3, stroke_fill=black)
    left += length + 8
    for sign in signs:
        glyph = Image.new("RGBA", (136, 128), (0, 0, 0, 0))
        ImageDraw.Draw(glyph).text((0, 0), sign, font=strike, embedded_color=True)
        layer.alpha_composite(glyph.resize((side, side)), (int(left), int(height * 0.845)))
        left += side
    return np.asarray(layer)


def paint(footage: Footage, captions: list[Painted]) -> Footage:
    """Return the footage with the captions; pixels away from them keep their values."""
    pictures = footage.pictures.copy()
    for frame, picture in enumerate(pictures):
        seconds = frame / float(footage.rate)
        for caption in captions:
            if caption.start <= seconds < caption.stop:
                _blend(picture, caption.layer)
    return Footage(pictures, footage.rate)


def _blend(picture: I420, layer: NDArray[np.uint8]) -> None:
    """Blend one RGBA layer over a picture, in place."""
    alpha = layer[..., 3:4] / np.float32(255)
    bgr = to_bgr(picture) * (1 - alpha) + layer[..., 2::-1] * alpha
    blended = to_i420(np.clip(bgr, 0, 255).astype(np.uint8))
    near = cv2.dilate((alpha[..., 0] > 0).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    masks = (near, pool(near), pool(near))
    for old, new, mask in zip(split(picture), split(blended), masks, strict=True):
        old[mask] = new[mask]
