"""Text detectors for tests: as quick as a threshold, honest to the protocol, and a scripted one."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.detector import Bgr, Detector, TextBox
from erasecore.detection.finder import EventFinder
from erasecore.model.events import Detection
from erasecore.settings import DetectSettings
from erasecore.video.color import PlaneLayout, Planes

GRAY = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
RATE = Fraction(25)


class BrightTextDetector:
    """Takes for text what is nearly white and has dark edges: drawn captions, nothing else."""

    def detect(self, bgr: Bgr) -> list[TextBox]:
        """The drawn lines of text in the picture."""
        gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
        bright = (gray > 200).astype(np.uint8)
        solid = cv2.erode(bright, np.ones((6, 6), np.uint8))  # no stroke is as thick
        blocks = np.asarray(cv2.dilate(solid, np.ones((14, 14), np.uint8)), np.uint8)
        strokes = bright & (1 - blocks)
        joined = cv2.dilate(strokes, np.ones((3, 13), np.uint8))
        count, _, stats, _ = cv2.connectedComponentsWithStats(joined)
        boxes = []
        for left, top, width, height, _ in stats[1:count].tolist():
            if width > 1.5 * height and height > 6:
                boxes.append(_text_box(left, top, width, height, gray.shape))
        return boxes


def _text_box(left: int, top: int, width: int, height: int, shape: tuple[int, ...]) -> TextBox:
    hull = (
        float(max(0, left - 2)),
        float(max(0, top - 2)),
        float(min(shape[1], left + width + 2)),
        float(min(shape[0], top + height + 2)),
    )
    return TextBox(hull, 0.9)


class ShownPlanes:
    """A frame as the finder takes it."""

    def __init__(self, planes: Planes) -> None:
        self._planes = planes

    @property
    def planes(self) -> Planes:
        """Luma, and no colour."""
        return self._planes


def find_in(
    pictures: NDArray[np.uint8],
    settings: DetectSettings | None = None,
    detector: Detector | None = None,
    *,
    searched: range | None = None,
    frame_seconds: float = 0.04,
) -> Detection:
    """What is found in pictures ``(T, H, W, 3)``, RGB, at 25 a second; all searched, or some.

    With ``frame_seconds`` each is shown for so long, whatever the film's rate is said to be.
    """
    height, width = pictures.shape[1:3]
    finder = EventFinder(
        GRAY,
        (width, height),
        RATE,
        settings=settings or DetectSettings(),
        detector=detector or BrightTextDetector(),
    )
    for index, picture in enumerate(pictures):
        shown = ShownPlanes((cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.uint8),))
        wanted = searched is None or index in searched
        finder.add(shown, search=wanted, seconds=index * frame_seconds)
    return finder.finish()


def spans(detection: Detection) -> Sequence[tuple[int, int]]:
    """The events' spans, in order."""
    return [(event.start, event.stop) for event in detection.events]
