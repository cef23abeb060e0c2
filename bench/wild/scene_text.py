"""Text of the scene that moves with it: signs, scoreboards, screens, jerseys, credits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bench.media import Bgr
from bench.wild.camera import Affine

PLACES = ("sign", "scoreboard", "screen", "jersey", "credits")
_FONTS = Path("/usr/share/fonts/truetype/dejavu")
_WORDS = {
    "sign": ("OPEN ALL DAY", "HOTEL", "EXIT 24", "NO PARKING", "BAKERY"),
    "scoreboard": ("HOME 2 : 1 GUEST", "34:12  2ND HALF", "LAP 12 / 50"),
    "screen": ("Loading 48 %", "Inbox (3)", "C:\\> run test", "12:45 ON AIR"),
    "jersey": ("SMITH\n10", "ROSSI\n7", "KEEPER\n1"),
    "credits": ("Directed by\nJOHN SMITH", "a film by\nANNA MEYER", "Music\nPAUL KLEIN"),
}
_PLATES = {
    "sign": ((250, 245, 230, 255), (30, 30, 120, 255)),
    "scoreboard": ((10, 10, 10, 255), (255, 190, 30, 255)),
    "screen": ((20, 40, 60, 255), (190, 240, 255, 255)),
    "jersey": ((170, 30, 30, 110), (255, 255, 255, 255)),
    "credits": ((0, 0, 0, 0), (255, 255, 255, 255)),
}
Homography = NDArray[np.integer | np.floating]
"""Transform of homogeneous pixel coordinates, ``(3, 3)``."""
LETTER_PX = 64  # height of the texture's letters, before it is warped


@dataclass(frozen=True, slots=True)
class SceneText:
    """A texture with text, and its four corners in the first frame."""

    place: str  # of PLACES
    texture: NDArray[np.uint8]  # RGBA, uint8 ``(h, w, 4)``
    corners: NDArray[np.float32]  # pixels, ``(4, 2)``: clockwise from the upper left

    @property
    def box(self) -> tuple[int, int, int, int]:
        """Bounding box of the corners."""
        low, high = self.corners.min(0), self.corners.max(0)
        return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def draw_scene_text(place: str, size: tuple[int, int], chance: Random) -> SceneText:
    """Return a text for a picture of this size, somewhere in its inner part, in perspective."""
    width, height = size
    texture = _texture(chance.choice(_WORDS[place]), *_PLATES[place])
    rows, columns = texture.shape[:2]
    tall = height * chance.uniform(0.09, 0.2)
    wide = min(tall * columns / rows, width * 0.5)
    left = chance.uniform(0.15 * width, 0.85 * width - wide)
    top = chance.uniform(0.15 * height, 0.85 * height - tall)
    skew = chance.uniform(-0.12, 0.12) if place != "credits" else 0.0
    corners = [[0, 0], [wide, skew * tall], [wide, tall * (1 - skew)], [0, tall]]
    return SceneText(
        place, texture, np.array(corners, np.float32) + np.array([left, top], np.float32)
    )


def _texture(
    text: str, plate: tuple[int, int, int, int], ink: tuple[int, int, int, int]
) -> NDArray[np.uint8]:
    font = ImageFont.truetype(str(_FONTS / "DejaVuSans-Bold.ttf"), LETTER_PX)
    left, top, right, bottom = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox(
        (0, 0), text, font=font, align="center"
    )
    margin = LETTER_PX // 3
    size = int(right - left) + 2 * margin, int(bottom - top) + 2 * margin
    image = Image.new("RGBA", size, plate)
    place = (margin - left, margin - top)
    ImageDraw.Draw(image).multiline_text(place, text, font=font, fill=ink, align="center")
    return np.asarray(image)


def compose(pictures: Sequence[Bgr], text: SceneText, track: Sequence[Affine]) -> list[Bgr]:
    """Return the pictures with the text moved along the track; both have the same length."""
    rows, columns = text.texture.shape[:2]
    source = np.array([[0, 0], [columns, 0], [columns, rows], [0, rows]], np.float32)
    made = []
    for picture, transform in zip(pictures, track, strict=True):
        corners = text.corners @ transform[:, :2].T + transform[:, 2]
        homography = cv2.getPerspectiveTransform(source, corners.astype(np.float32))
        made.append(_over(picture, text.texture, homography))
    return made


def _over(picture: Bgr, texture: NDArray[np.uint8], homography: Homography) -> Bgr:
    size = picture.shape[1], picture.shape[0]
    layer = texture.astype(np.float32)
    layer[..., :3] *= layer[..., 3:] / 255  # premultiplied, so that edges keep their colour
    warped = cv2.warpPerspective(layer, homography, size, flags=cv2.INTER_AREA)
    mixed = picture * (1 - warped[..., 3:] / 255) + warped[..., 2::-1]
    return np.clip(mixed, 0, 255).astype(np.uint8)
