"""What an erased line of text said: its best pictures, read several times if need be, and voted on.

A subtitle stands still while the scene behind it moves, so the median of some of its frames shows
the letters sharp and the scene blurred away. That picture is read first; where the recogniser is
not sure of every letter, other crops and single frames are read, too, and the words that most
readings agree on are taken.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from erasecore.detect.detector import Bgr
from erasecore.detect.recognizer import Recognizer
from erasecore.detect.scaling import Scaler
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import NOTHING, Event, Reading
from erasecore.video.color import Box, Plane, plane_window

_FRAMES = 9  # whose median is read
_SURE = 0.85  # a reading whose weakest letter is as sure as this needs no second one
_AIR = 0.2  # of the letters' height, before the first letter and after the last
_LOOSE = 1.6  # a box so many times as high as its letters is too high
_FITTING = 1.42  # the usual height of a box, in heights of its letters
_UPRIGHT = 1.6  # a box so many times as high as wide is written from top to bottom


@dataclass(frozen=True, slots=True)
class _CropVariant:
    """One way to look at a line."""

    air: float  # above and below the box, of the letters' height
    stretch: float  # narrow letters are told apart better when they are wider
    tight: bool = True  # in a box that is too high for its letters, only the rows with strokes
    single: bool = False  # the middle frame alone, not the median


_CROP_VARIANTS = (
    _CropVariant(0.0, 1.15),
    _CropVariant(0.1, 1.3, tight=False),
    _CropVariant(-0.1, 1.0, single=True),
    _CropVariant(0.05, 1.5),
)


def read_event(
    crop: CropStack,
    event: Event,
    span: range,
    recognizer: Recognizer,
    *,
    pixel_aspect: float = 1.0,
) -> Reading:
    """What ``event`` says, as far as the frames ``span`` of the film show it at its clearest.

    Args:
        crop: the pixels around it, ink and all; not modified.
        event: one line of text.
        span: frames of the film that may be looked at.
        recognizer: reads a line.
        pixel_aspect: how many times as wide as high the film's pixels are shown.
    """
    first = max(event.full_start, span.start, crop.start)
    last = min(event.full_stop, span.stop, crop.stop)
    if first >= last:
        return NOTHING
    line = _Line(crop, event, range(first, last), pixel_aspect)
    readings: list[Reading] = []
    for picture in line.pictures():
        readings.append(recognizer.read(picture))
        if readings[-1].weakest >= _SURE:
            return readings[-1]
    return most_agreed(readings)


def is_upright(box_xyxy: tuple[float, float, float, float]) -> bool:
    """Whether the line in this box is written from top to bottom."""
    left, top, right, bottom = box_xyxy
    return bottom - top > _UPRIGHT * (right - left)


def most_agreed(readings: list[Reading]) -> Reading:
    """The reading whose words have the most votes, each vote weighing its score."""
    votes: dict[str, float] = defaultdict(float)
    for reading in readings:
        votes[reading.text] += reading.score
    return max(readings, key=lambda r: (votes[r.text], r.score), default=NOTHING)


class _Line:
    """The pictures of one line of text, turned so that it runs from left to right."""

    def __init__(self, crop: CropStack, event: Event, frames: range, pixel_aspect: float) -> None:
        self._cutout = crop
        self._height = event.text_height_px
        left, top, right, bottom = event.box_xyxy
        room = 0.3 * self._height
        self._window = self._inside((left - room, top - room, right + room, bottom + room))
        x, y = crop.box[0] + self._window[0], crop.box[1] + self._window[1]
        self._box = left - x, top - y, right - x, bottom - y
        self._upright = is_upright(event.box_xyxy)
        self._aspect = pixel_aspect
        if self._upright:  # a quarter turn to the left
            self._aspect = 1 / pixel_aspect
            across = self._window[2] - self._window[0]
            self._box = top - y, across - (right - x), bottom - y, across - (left - x)
        count = min(_FRAMES, len(frames))
        places = np.linspace(0, len(frames) - 1, count + 2)[1:-1]
        self._frames = [frames[round(place)] for place in places]

    def pictures(self) -> Iterator[Bgr]:
        """Every look at the line, the most promising first."""
        median = self._picture(self._frames)
        whole, tight = self._box[1::2], self._tight_rows(median)
        for look in _CROP_VARIANTS:
            picture = median
            if look.single:
                picture = self._picture(self._frames[len(self._frames) // 2 :][:1])
            rows = tight if look.tight else whole
            line = self._cropped(picture, rows, look.air)
            yield _stretched(line, look.stretch * self._aspect)

    def _picture(self, frames: list[int]) -> Bgr:
        planes = tuple(self._median(index, frames) for index in range(len(self._cutout.planes)))
        height, width = planes[0].shape
        scaler = Scaler(width, height, self._cutout.layout)
        picture = scaler.bgr(planes, (0, 0, width, height), 1.0)
        return np.ascontiguousarray(np.rot90(picture)) if self._upright else picture

    def _median(self, index: int, frames: list[int]) -> Plane:
        stack = self._cutout.planes[index]
        rows, columns = plane_window(self._window, index, self._cutout.layout)
        part = stack[[frame - self._cutout.start for frame in frames], rows, columns]
        middle: Plane = np.sort(part, axis=0)[len(frames) // 2]
        return middle

    def _inside(self, box: tuple[float, float, float, float]) -> Box:
        """``box`` in the cutout's pixels, in whole colour samples, within its borders."""
        layout = self._cutout.layout
        height, width = self._cutout.size
        step_x, step_y = 1 << layout.shift_x, 1 << layout.shift_y
        left = max(0, int(box[0] - self._cutout.box[0]) // step_x * step_x)
        top = max(0, int(box[1] - self._cutout.box[1]) // step_y * step_y)
        right = min(width, int(box[2] - self._cutout.box[0]) + 1)
        bottom = min(height, int(box[3] - self._cutout.box[1]) + 1)
        return left, top, max(left + 1, right), max(top + 1, bottom)

    def _tight_rows(self, median: Bgr) -> tuple[float, float]:
        """The box's rows; of a box that is too high for its letters, those with most strokes."""
        left, top, right, bottom = (max(0, int(side)) for side in self._box)
        if bottom - top <= _LOOSE * self._height:
            return self._box[1], self._box[3]
        gray = cv2.cvtColor(median[top:bottom, left:right], cv2.COLOR_BGR2GRAY).astype(np.float32)
        strokes = np.abs(np.diff(gray, axis=1)).sum(axis=1)
        rows = max(1, min(len(strokes), round(_FITTING * self._height)))
        first = top + int(np.convolve(strokes, np.ones(rows), "valid").argmax())
        return float(first), float(first + rows)

    def _cropped(self, picture: Bgr, rows: tuple[float, float], air: float) -> Bgr:
        """The line with so much air above and below it."""
        beside, above = _AIR * self._height, air * self._height
        left, right = max(0, int(self._box[0] - beside)), int(self._box[2] + beside) + 1
        top, bottom = max(0, int(rows[0] - above)), int(rows[1] + above) + 1
        return picture[top : max(1, bottom), left : max(1, right)]


def _stretched(line: Bgr, times: float) -> Bgr:
    size = max(1, round(line.shape[1] * times)), line.shape[0]
    return np.asarray(cv2.resize(line, size), np.uint8)
