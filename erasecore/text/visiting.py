"""Visit to a few frames of a film: objects are read (OCR) there, and small pictures are kept.

Frames are chosen so that few of them show all objects; each one is read from the film once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detection.recognizer import Recognizer
from erasecore.detection.scaling import Scaler
from erasecore.model.crop_stacks import CropCollector
from erasecore.model.events import Event
from erasecore.text.ocr import read_event
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import Frame, FrameReader
from erasecore.video.timeline import Timeline

THUMBNAIL_PX = 400
"""Longer side of the small pictures."""
_MIN_LETTERS = 0.45  # confidence of a reading that is shown; a guess
_JPEG_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 88]  # of small pictures while they are held in memory
_INSET_SHARE = 0.25  # of an object's opaque frames, at each end, that are not visited; a guess


@dataclass(frozen=True, slots=True)
class Visit:
    """Text and pictures from the visited frames.

    Attributes:
        texts: text of each object, by its position; "" if none was read.
        pictures: film frame -> small picture of the frame as seen, JPEG.
        levels: film frame -> the same in gray, uint8, few pixels.
    """

    texts: tuple[str, ...]
    pictures: dict[int, bytes]
    levels: dict[int, NDArray[np.uint8]]


def frames_to_visit(events: Sequence[Event]) -> list[int]:
    """Return the fewest frames in which each event is seen, about the middle of its life.

    Piercing of intervals: a frame is chosen as late as the event that ends first allows.
    """
    frames: list[int] = []
    for first, last in sorted(map(_middle, events), key=lambda span: span[1]):
        if not frames or frames[-1] < first:
            frames.append(last)
    return frames


def _middle(event: Event) -> tuple[int, int]:
    """Return the first and the last frame of an event's middle part at full opacity."""
    start, stop = event.full_start, event.full_stop
    if stop <= start:
        start, stop = event.start, event.stop
    inset = int(_INSET_SHARE * (stop - start))
    return start + inset, max(start + inset, stop - 1 - inset)


def visit_frames(
    video: VideoInfo,
    timeline: Timeline,
    frames: Sequence[int],
    events: Sequence[Event],
    recognizer: Recognizer | None,
    report: Callable[[int], None],
) -> Visit:
    """Read ``frames`` of the film, and in them the text of ``events``.

    Args:
        video: the film.
        timeline: of the film.
        frames: film frames, ascending.
        events: objects; each is read in the first of ``frames`` that shows it in full.
        recognizer: reads the text; ``None`` to not read it.
        report: progress callback, given the number of frames visited.
    """
    scaler = Scaler(video.width, video.height, video.layout)
    texts = [""] * len(events)
    kept: dict[int, bytes] = {}
    levels: dict[int, NDArray[np.uint8]] = {}
    unread = dict(enumerate(events)) if recognizer is not None else {}
    with FrameReader(video, timeline) as reader:
        for count, index in enumerate(frames, start=1):
            for frame in reader.read(index, index + 1):
                small = _small_picture(scaler, frame)
                kept[index] = cv2.imencode(".jpg", small, _JPEG_OPTIONS)[1].tobytes()
                levels[index] = _few_pixels(small)
                shown = [k for k, e in unread.items() if e.full_start <= index < e.full_stop]
                for k in shown:
                    assert recognizer is not None
                    texts[k] = _read(video, frame, unread.pop(k), recognizer)
            report(count)
    return Visit(tuple(texts), kept, levels)


def _read(video: VideoInfo, frame: Frame, event: Event, recognizer: Recognizer) -> str:
    """Return the text of ``event`` in one frame; "" if it cannot be read with any certainty."""
    whole = 0, 0, video.width, video.height
    collector = CropCollector(frame.index, frame.index + 1, whole, video.layout)
    collector.add(frame.index, frame.planes)
    span = range(frame.index, frame.index + 1)
    reading = read_event(
        collector.finish(), event, span, recognizer, pixel_aspect=video.seen_aspect
    )
    return reading.text if reading.score >= _MIN_LETTERS else ""


def _small_picture(scaler: Scaler, frame: Frame) -> NDArray[np.uint8]:
    """Return the frame as seen, its longer side ``THUMBNAIL_PX`` at most: BGR uint8."""
    width, height = scaler.width, scaler.height
    scale = min(1.0, THUMBNAIL_PX / max(width, height))
    return scaler.bgr(frame.planes, (0, 0, width, height), scale)


def _few_pixels(small: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture in gray and at a quarter of its size: uint8 ``(h, w)``."""
    size = max(1, small.shape[1] // 4), max(1, small.shape[0] // 4)
    gray = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(gray, size, interpolation=cv2.INTER_AREA), np.uint8)
