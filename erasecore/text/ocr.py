"""OCR of erased lines: the clearest pictures of each line are read, and the readings vote.

A subtitle stands still while the scene behind it moves, so the temporal median of some of its
frames shows the letters sharp and the scene blurred. It is read first. Only where the recognizer is
unsure of a letter, other crops and a single frame are read as well; the text with most votes wins.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from erasecore.detection.detector import Bgr
from erasecore.detection.recognizer import Recognizer
from erasecore.detection.scaling import Scaler
from erasecore.model.boxes import mostly_inside
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import NO_READING, Event, Reading
from erasecore.video.color import Box, Plane, plane_window

_MEDIAN_FRAMES = 9  # largest number of frames whose median is read; a guess
_SURE_SCORE = 0.85  # least confidence of all letters with which one reading is enough; a guess
_SIDE_MARGIN_LINES = 0.2  # margin left and right of the line, letter heights; a guess
_LOOSE_BOX_LINES = 1.6  # height of a box from which it is tightened, letter heights; a guess
_USUAL_BOX_LINES = 1.42
"""Height of a tightened box, letter heights: as of the detector's usual boxes, about
1 / ``LETTERS_SHARE``."""

_UPRIGHT_ASPECT = 1.6  # height / width from which a line is written top to bottom; a guess
_WINDOW_MARGIN_LINES = 0.3  # margin of the pictures around a box, letter heights; a guess


@dataclass(frozen=True, slots=True)
class _CropVariant:
    """One way to crop a line.

    Attributes:
        margin_lines: margin above and below the box, letter heights.
        stretch: factor of the width; narrow letters are recognized better when stretched.
        tight: True to reduce a box that is too high for its letters to the rows with strokes.
        single: True for the middle frame in place of the median.
    """

    margin_lines: float
    stretch: float
    tight: bool = True
    single: bool = False


_CROP_VARIANTS = (
    _CropVariant(0.0, 1.15),
    _CropVariant(0.1, 1.3, tight=False),
    _CropVariant(-0.1, 1.0, single=True),
    _CropVariant(0.05, 1.5),
)
"""Crops in the order in which they are read; the numbers are guesses."""


def read_event(
    crop: CropStack,
    event: Event,
    span: range,
    recognizer: Recognizer,
    *,
    pixel_aspect: float = 1.0,
) -> Reading:
    """Read the text of ``event`` in the frames that show it at full opacity.

    Args:
        crop: the pixels around the event, before erasing; not modified.
        event: one line of text.
        span: film frames that may be used.
        recognizer: reads a picture of one line.
        pixel_aspect: sample aspect ratio of the film, width / height.

    Returns:
        The first reading with sure letters only, else the one with most votes; ``NO_READING`` if
        no frame shows the event at full opacity, or if most of its box is outside the crop (its
        outline or shadow may still reach in).
    """
    if not mostly_inside(event.box_xyxy, crop.box):
        return NO_READING
    first = max(event.full_start, span.start, crop.start)
    last = min(event.full_stop, span.stop, crop.stop)
    if first >= last:
        return NO_READING
    line = _LinePictures(crop, event, range(first, last), pixel_aspect)
    readings: list[Reading] = []
    for picture in line.pictures():
        readings.append(recognizer.read(picture))
        if readings[-1].weakest >= _SURE_SCORE:
            return readings[-1]
    return most_agreed(readings)


def is_upright(box_xyxy: tuple[float, float, float, float]) -> bool:
    """Return True if the line in this box is written from top to bottom."""
    left, top, right, bottom = box_xyxy
    return bottom - top > _UPRIGHT_ASPECT * (right - left)


def most_agreed(readings: list[Reading]) -> Reading:
    """Return the reading whose text has the largest sum of scores (weighted vote)."""
    votes: dict[str, float] = defaultdict(float)
    for reading in readings:
        votes[reading.text] += reading.score
    return max(readings, key=lambda r: (votes[r.text], r.score), default=NO_READING)


class _LinePictures:
    """Pictures of one line of text; an upright line is turned to run from left to right.

    Args:
        crop: the pixels around the event, before erasing.
        event: the line.
        frames: film frames to choose from, at least one.
        pixel_aspect: sample aspect ratio of the film, width / height.
    """

    def __init__(self, crop: CropStack, event: Event, frames: range, pixel_aspect: float) -> None:
        self._crop = crop
        self._height = event.text_height_px
        left, top, right, bottom = event.box_xyxy
        margin = _WINDOW_MARGIN_LINES * self._height
        self._window = self._crop_window(
            (left - margin, top - margin, right + margin, bottom + margin)
        )
        x, y = crop.box[0] + self._window[0], crop.box[1] + self._window[1]
        self._box = left - x, top - y, right - x, bottom - y
        self._upright = is_upright(event.box_xyxy)
        self._aspect = pixel_aspect
        if self._upright:  # a quarter turn to the left
            self._aspect = 1 / pixel_aspect
            width = self._window[2] - self._window[0]
            self._box = top - y, width - (right - x), bottom - y, width - (left - x)
        count = min(_MEDIAN_FRAMES, len(frames))
        positions = np.linspace(0, len(frames) - 1, count + 2)[1:-1]
        self._frames = [frames[round(position)] for position in positions]

    def pictures(self) -> Iterator[Bgr]:
        """Yield a picture for each of ``_CROP_VARIANTS``."""
        median = self._median_picture(self._frames)
        box_rows, tight_rows = self._box[1::2], self._tight_rows(median)
        for variant in _CROP_VARIANTS:
            picture = median
            if variant.single:
                picture = self._median_picture(self._frames[len(self._frames) // 2 :][:1])
            rows = tight_rows if variant.tight else box_rows
            line = self._cut_line(picture, rows, variant.margin_lines)
            yield _stretch(line, variant.stretch * self._aspect)

    def _median_picture(self, frames: list[int]) -> Bgr:
        """Return the temporal median of film frames ``frames`` in the window, turned."""
        planes = tuple(self._median_plane(index, frames) for index in range(len(self._crop.planes)))
        height, width = planes[0].shape
        scaler = Scaler(width, height, self._crop.layout)
        picture = scaler.bgr(planes, (0, 0, width, height), 1.0)
        return np.ascontiguousarray(np.rot90(picture)) if self._upright else picture

    def _median_plane(self, index: int, frames: list[int]) -> Plane:
        """Return the temporal median of plane ``index``, the upper one for an even count."""
        stack = self._crop.planes[index]
        rows, columns = plane_window(self._window, index, self._crop.layout)
        part = stack[[frame - self._crop.start for frame in frames], rows, columns]
        middle: Plane = np.sort(part, axis=0)[len(frames) // 2]
        return middle

    def _crop_window(self, box: tuple[float, float, float, float]) -> Box:
        """Return ``box`` (pixels of the film) in pixels of the crop.

        It is clipped to the crop and starts at a whole chroma sample.
        """
        layout = self._crop.layout
        height, width = self._crop.size
        step_x, step_y = 1 << layout.shift_x, 1 << layout.shift_y
        left = max(0, int(box[0] - self._crop.box[0]) // step_x * step_x)
        top = max(0, int(box[1] - self._crop.box[1]) // step_y * step_y)
        right = min(width, int(box[2] - self._crop.box[0]) + 1)
        bottom = min(height, int(box[3] - self._crop.box[1]) + 1)
        return left, top, max(left + 1, right), max(top + 1, bottom)

    def _tight_rows(self, median: Bgr) -> tuple[float, float]:
        """Return the first and last row of the line in the median picture.

        These are the box's rows; of a box that is too high for its letters, the rows with the
        strongest horizontal gradients.
        """
        left, top, right, bottom = (max(0, int(side)) for side in self._box)
        if bottom - top <= _LOOSE_BOX_LINES * self._height:
            return self._box[1], self._box[3]
        gray = cv2.cvtColor(median[top:bottom, left:right], cv2.COLOR_BGR2GRAY).astype(np.float32)
        strokes = np.abs(np.diff(gray, axis=1)).sum(axis=1)
        rows = max(1, min(len(strokes), round(_USUAL_BOX_LINES * self._height)))
        first = top + int(np.convolve(strokes, np.ones(rows), "valid").argmax())
        return float(first), float(first + rows)

    def _cut_line(self, picture: Bgr, rows: tuple[float, float], margin_lines: float) -> Bgr:
        """Return the line's ``rows`` with ``margin_lines`` letter heights above and below."""
        margin_x, margin_y = _SIDE_MARGIN_LINES * self._height, margin_lines * self._height
        left, right = max(0, int(self._box[0] - margin_x)), int(self._box[2] + margin_x) + 1
        top, bottom = max(0, int(rows[0] - margin_y)), int(rows[1] + margin_y) + 1
        return picture[top : max(1, bottom), left : max(1, right)]


def _stretch(line: Bgr, factor: float) -> Bgr:
    size = max(1, round(line.shape[1] * factor)), line.shape[0]
    return np.asarray(cv2.resize(line, size), np.uint8)
