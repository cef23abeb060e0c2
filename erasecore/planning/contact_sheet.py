"""Contact sheet: one JPEG with small pictures of a film and the numbered boxes of its objects.

Red boxes are erased, green ones stay; the numbers are those of the plan.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.plans import PlannedObject
from erasecore.report_builder import clock_time
from erasecore.system.atomic_files import whole_file

MAX_PICTURES = 120
"""Largest number of pictures on a sheet; of more, every second, third... is shown. A guess."""
_COLUMNS = 3  # of landscape pictures; portrait ones are narrower, so there are more
_GAP_PX = 8
_CAPTION_PX = 20  # height of the line below each picture
_HEAD_PX = 30
_BACKGROUND = (28, 28, 28)  # BGR
_INK = (215, 215, 215)  # BGR, of captions
_ERASED = (60, 60, 255)  # BGR
_KEPT = (80, 200, 80)  # BGR
_FONT = cv2.FONT_HERSHEY_SIMPLEX
_JPEG_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 85]

Bgr = NDArray[np.uint8]


def save_contact_sheet(
    path: Path,
    title: str,
    pictures: Mapping[int, bytes],
    objects: Sequence[PlannedObject],
    *,
    size: tuple[int, int],
    times: Mapping[int, float],
) -> None:
    """Write the contact sheet (JPEG).

    Args:
        path: the file to write.
        title: line above the pictures; ASCII.
        pictures: film frame -> small picture, JPEG.
        objects: of the plan.
        size: width and height of the film's picture as seen, px.
        times: film frame -> seconds.
    """
    frames = sorted(pictures)
    frames = frames[:: max(1, -(-len(frames) // MAX_PICTURES))]
    tiles = [
        _tile(_decoded(pictures[frame]), times[frame], _shown_at(objects, times[frame]), size)
        for frame in frames
    ]
    picture = _headed(_grid(tiles), title)
    with whole_file(path) as part:
        part.write_bytes(cv2.imencode(".jpg", picture, _JPEG_OPTIONS)[1].tobytes())


def _decoded(jpeg: bytes) -> Bgr:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def _shown_at(objects: Sequence[PlannedObject], seconds: float) -> list[PlannedObject]:
    """Return the objects that show at a time, kept ones first: erased ones are drawn above."""
    shown = [one for one in objects if one.start <= seconds + 0.0005 and seconds < one.stop]
    return sorted(shown, key=lambda one: one.erase)


def _tile(picture: Bgr, seconds: float, shown: list[PlannedObject], size: tuple[int, int]) -> Bgr:
    """Return one picture with boxes and a caption."""
    height, width = picture.shape[:2]
    scale = width / size[0]
    for one in shown:
        left, top, right, bottom = (round(side * scale) for side in one.box)
        color = _ERASED if one.erase else _KEPT
        cv2.rectangle(picture, (left, top), (right, bottom), color, 1)
        _label(picture, str(one.id or "+"), (left, top), color)
    tile = np.full((height + _CAPTION_PX, width, 3), _BACKGROUND, np.uint8)
    tile[:height] = picture
    _write(tile, _caption(seconds, shown), (2, height + 14), 0.42)
    return tile


def _caption(seconds: float, shown: list[PlannedObject]) -> str:
    invented = max((one.invent for one in shown if one.erase), default=0.0)
    hint = f"   {invented:.0%} to invent" if invented >= 0.01 else ""
    return f"{clock_time(seconds)}{hint}"


def _label(picture: Bgr, text: str, corner: tuple[int, int], color: tuple[int, int, int]) -> None:
    """Draw a number on a filled plate to the left of a box, else above it."""
    (width, height), _ = cv2.getTextSize(text, _FONT, 0.42, 1)
    beside = corner[0] >= width + 4
    left = corner[0] - width - 4 if beside else max(0, corner[0])
    bottom = corner[1] + height + 5 if beside else corner[1]
    bottom = min(max(bottom, height + 5), picture.shape[0])
    plate = (left, bottom - height - 5), (left + width + 4, bottom)
    cv2.rectangle(picture, *plate, color, -1)
    cv2.putText(picture, text, (left + 2, bottom - 3), _FONT, 0.42, (0, 0, 0), 1, cv2.LINE_AA)


def _grid(tiles: list[Bgr]) -> Bgr:
    """Return the tiles in rows; they have one size, that of the film."""
    height, width = tiles[0].shape[:2] if tiles else (1, 1)
    columns = max(_COLUMNS, round(_COLUMNS * 400 / max(width, 1)))
    columns = min(columns, max(1, len(tiles)))
    rows = -(-len(tiles) // columns)
    sheet = np.full(
        (rows * (height + _GAP_PX) + _GAP_PX, columns * (width + _GAP_PX) + _GAP_PX, 3),
        _BACKGROUND,
        np.uint8,
    )
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        top, left = _GAP_PX + row * (height + _GAP_PX), _GAP_PX + column * (width + _GAP_PX)
        sheet[top : top + height, left : left + width] = tile
    return sheet


def _headed(sheet: Bgr, title: str) -> Bgr:
    """Return the sheet below its title."""
    (needed, _), _ = cv2.getTextSize(title, _FONT, 0.5, 1)
    width = max(sheet.shape[1], needed + 2 * _GAP_PX)
    picture = np.full((_HEAD_PX + sheet.shape[0], width, 3), _BACKGROUND, np.uint8)
    picture[_HEAD_PX:, : sheet.shape[1]] = sheet
    _write(picture, title, (_GAP_PX, 20), 0.5)
    return picture


def _write(picture: Bgr, text: str, place: tuple[int, int], size: float) -> None:
    cv2.putText(picture, text, place, _FONT, size, _INK, 1, cv2.LINE_AA)
