"""Simpler ways to get rid of subtitles; delogo and oracle are told the truth.

usage: python -m bench.baselines METHOD CASE_FOLDER RESULT

identity  a plain transcode: the unit of time, and the quality of doing nothing
delogo    FFmpeg's delogo over each event's true box while it is on screen: the best that a
          user who typed in the box and the times could get
boxtelea  the recipe of detection + OpenCV inpainting tools: text is looked for in every 2nd
          frame (3rd from 30 a second, 4th from 60), boxes grow by 10 px, frames between two
          finds are filled in, spans widened by 3 frames, near-identical boxes merged, one mask
          per span, Telea with radius 3, everything in BGR
oracle    the exact changed pixels (grown by 2 px for coding noise) and Telea, frame by frame
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.boxes import Box, grow
from bench.cases import Case, Masks, load_case
from bench.media import (
    Bgr,
    open_film,
    read_pictures,
    run_ffmpeg,
    to_bgr,
    to_i420,
    write_film,
)
from bench.text import TextDetector

CRF = 18
X264 = ("-c:v", "libx264", "-preset", "medium", "-crf", str(CRF), "-c:a", "copy")
SAME_BOX_PX = 20  # boxes whose sides all lie this near are one box

Ink: TypeAlias = NDArray[np.uint8]
"""What to fill, uint8 ``(H, W)``: 0 keeps the pixel."""
Spans: TypeAlias = list[tuple[int, int]]
"""Runs of frames, first and last included."""


def identity(case: Case, result: Path) -> None:
    """Transcode and change nothing."""
    run_ffmpeg("-i", case.hardsub, *X264, result)


def delogo(case: Case, result: Path) -> None:
    """Smear each event's true box from its border."""
    chain = []
    for event in case.events:
        left, top, right, bottom = grow(event.box, 2, case.width, case.height)
        left, top = max(1, left), max(1, top)
        right, bottom = min(case.width - 1, right), min(case.height - 1, bottom)
        chain.append(
            f"delogo=x={left}:y={top}:w={right - left}:h={bottom - top}:"
            f"enable='between(n,{event.start},{event.stop - 1})'"
        )
    run_ffmpeg("-i", case.hardsub, "-vf", ",".join(chain), *X264, result)


def oracle(case: Case, result: Path) -> None:
    """Inpaint exactly what the burning has changed."""
    pictures = _filled_exactly(case, case.masks())
    write_film(result, map(to_i420, pictures), open_film(case.hardsub), crf=CRF)


def boxtelea(case: Case, result: Path) -> None:
    """Inpaint the boxes that a detector finds."""
    film = open_film(case.hardsub)
    boxes = _spread(*_detect(case, float(film.rate)))
    spans = _merge(_spans(boxes))
    masks = dict[int, Ink]()
    for number, (first, last) in enumerate(spans):
        before = spans[number - 1][1] + 1 if number else 0
        after = spans[number + 1][0] - 1 if number + 1 < len(spans) else case.frames - 1
        drawn = _draw([box for frame in range(first, last + 1) for box in boxes[frame]], case)
        wider = range(max(first - 3, before), min(last + 3, after) + 1)
        masks.update(dict.fromkeys(wider, drawn))
    pictures = (
        _inpaint(to_bgr(picture), masks[frame]) if frame in masks else to_bgr(picture)
        for frame, picture in enumerate(read_pictures(case.hardsub))
    )
    write_film(result, map(to_i420, pictures), film, crf=CRF)


METHODS: dict[str, Callable[[Case, Path], None]] = {
    "identity": identity,
    "delogo": delogo,
    "boxtelea": boxtelea,
    "oracle": oracle,
}


def _inpaint(picture: Bgr, ink: Ink) -> Bgr:
    filled = cv2.inpaint(picture, ink, 3, cv2.INPAINT_TELEA)
    return filled.astype(np.uint8, copy=False)


def _filled_exactly(case: Case, masks: Masks) -> Iterator[Bgr]:
    two_px = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    for frame, source in enumerate(read_pictures(case.hardsub)):
        picture = to_bgr(source)
        if masks.any_at(frame):
            ink = cv2.dilate(masks[frame].astype(np.uint8), two_px).astype(np.uint8)
            rows, columns = np.nonzero(ink)
            where = np.s_[
                max(0, rows.min() - 8) : rows.max() + 9,
                max(0, columns.min() - 8) : columns.max() + 9,
            ]
            strip, hole = np.ascontiguousarray(picture[where]), np.ascontiguousarray(ink[where])
            picture[where] = _inpaint(strip, hole)
        yield picture


def _detect(case: Case, rate: float) -> tuple[dict[int, list[Box]], int]:
    """Boxes of the frames looked at that have text, and how many frames lie between looks."""
    detector = TextDetector(736, "min")
    step = 4 if rate >= 60 else 3 if rate >= 29.9 else 2
    found = {
        frame: boxes
        for frame, picture in enumerate(read_pictures(case.hardsub))
        if frame % step == 0 and (boxes := detector.find(to_bgr(picture)))
    }
    return found, step


def _spread(found: dict[int, list[Box]], step: int) -> dict[int, list[Box]]:
    """Boxes for the frames between two finds too, snapped onto those of the frame before."""
    boxes = dict[int, list[Box]]()
    frames = sorted(found)
    for frame, following in zip(frames, [*frames[1:], None], strict=True):
        near = following is not None and following - frame <= 2 * step
        stop = following if near and following is not None else frame + 1
        boxes.update(dict.fromkeys(range(frame, stop), found[frame]))
    before = list[Box]()
    for frame in sorted(boxes):
        boxes[frame] = before = [
            next((old for old in before if _same(old, box)), box) for box in boxes[frame]
        ]
    return boxes


def _same(one: Box, other: Box) -> bool:
    return all(abs(a - b) <= SAME_BOX_PX for a, b in zip(one, other, strict=True))


def _spans(boxes: dict[int, list[Box]]) -> Spans:
    spans = Spans()
    for frame in sorted(boxes):
        if spans and frame == spans[-1][1] + 1 and boxes[frame] == boxes[frame - 1]:
            spans[-1] = (spans[-1][0], frame)
        else:
            spans.append((frame, frame))
    return spans


def _merge(spans: Spans) -> Spans:
    """The spans with short neighbours joined, so that they share one mask."""
    merged = Spans()
    for first, last in spans:
        if merged and first == merged[-1][1] + 1:
            begun, ended = merged[-1]
            if min(last - first, ended - begun) < 9:
                merged[-1] = (begun, last)
                continue
        merged.append((first, last))
    return merged


def _draw(boxes: list[Box], case: Case) -> Ink:
    ink = np.zeros((case.height, case.width), np.uint8)
    for left, top, right, bottom in boxes:
        if (bottom - top) - (right - left) <= 10:  # taller than wide is not a subtitle
            corner = (max(0, int(left) - 10), max(0, int(top) - 10))
            cv2.rectangle(ink, corner, (int(right) + 10, int(bottom) + 10), 255, -1)
    return ink


def main(words: list[str]) -> int:
    """Run one method over one case."""
    method, folder, result = words
    METHODS[method](load_case(Path(folder)), Path(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
