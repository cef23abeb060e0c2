"""The detect part: the finder alone over each case, held against the truth to the frame.

missed      true events of which less than most of the ink, or of the time, was found
false       events found where there is no subtitle; scene text: those that lie on text of the scene
borders     frames between the true and the found start, and stop, of each event; a hole in between
            counts too. Two lines of a subtitle may be two events, both must be exact.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeAlias

import numpy as np

from bench.boxes import Box, area, grow, intersection
from bench.cases import Case, Masks, TrueEvent
from bench.media import read_pictures, to_bgr
from bench.residual import TextJudge
from erasecore.detection.detector import Detector
from erasecore.detection.finder import EventFinder, find_events
from erasecore.model.events import Detection, Event
from erasecore.settings import DetectSettings, LimitSettings
from erasecore.video.probe import probe
from erasecore.video.reader import FrameReader

LEAST_INK = 0.8  # of an event's pixels that lie in or near the boxes found for it
LEAST_TIME = 0.5  # of its frames
INSIDE = 0.5  # of a found box's area that lies on the true one
NEAR_PX = 8


@dataclass(frozen=True, slots=True)
class DetectionRow:
    """What the finder found in one film."""

    film: str
    events: int  # true ones
    missed: int
    false: int
    scene_text: int  # of the false ones
    borders: tuple[int, ...]  # errors in frames, two an event; missed ones have none
    fade_borders: tuple[int, ...]  # of events that fade
    cpu_seconds: float
    notes: tuple[str, ...] = ()  # why missed events were left alone, what false ones are

    @property
    def key(self) -> str:
        """What a later run of the same replaces."""
        return self.film


Piece: TypeAlias = Event
"""A found event, as a part of the true one that it belongs to."""


def detect(film: Path, detector: Detector) -> Detection:
    """What the product finds in a film at its defaults."""
    video = probe(film, LimitSettings())
    finder = EventFinder(
        video.layout,
        (video.width, video.height),
        video.rate,
        settings=DetectSettings(),
        detector=detector,
    )
    with FrameReader(video) as reader:
        return find_events(reader, finder)


def run_detection(case: Case, detector: Detector, judge: TextJudge) -> DetectionRow:
    """The finder on a case's film with subtitles."""
    before = time.process_time()
    detection = detect(case.hardsub, detector)
    cpu_seconds = time.process_time() - before
    return compare(case, detection, judge, cpu_seconds)


def run_bare(name: str, film: Path, detector: Detector) -> DetectionRow:
    """The finder on a film without subtitles: every event is a false one."""
    before = time.process_time()
    found = detect(film, detector).events
    cpu_seconds = time.process_time() - before
    notes = tuple(_describe("false", event) for event in found)
    return DetectionRow(name, 0, 0, len(found), 0, (), (), cpu_seconds, notes)


def compare(
    case: Case, detection: Detection, judge: TextJudge, cpu_seconds: float = 0.0
) -> DetectionRow:
    """A case's row from what was found in it."""
    masks = case.masks()
    owners = [_owner(found, case.events) for found in detection.events]
    false = [f for f, owner in zip(detection.events, owners, strict=True) if owner is None]
    missed, notes = 0, [_describe("false", event) for event in false]
    borders: dict[bool, list[int]] = {False: [], True: []}
    for true in case.events:
        pieces = [f for f, owner in zip(detection.events, owners, strict=True) if owner is true]
        if _is_found(true, pieces, masks, case):
            borders[true.fades] += _border_errors(true, pieces)
        else:
            missed += 1
            notes.append(_why_missed(true, pieces, detection))
    return DetectionRow(
        film=case.name,
        events=len(case.events),
        missed=missed,
        false=len(false),
        scene_text=sum(_on_scene_text(case, event, judge) for event in false),
        borders=tuple(borders[False]),
        fade_borders=tuple(borders[True]),
        cpu_seconds=cpu_seconds,
        notes=tuple(notes),
    )


def _owner(found: Event, truth: Sequence[TrueEvent]) -> TrueEvent | None:
    """The true event that a found one belongs to: the longest on screen with it at its place."""
    near = [
        true
        for true in truth
        if intersection(found.box_xyxy, _near(true.box)) > INSIDE * area(found.box_xyxy)
    ]
    shared = {id(true): _shared(found, true) for true in near}
    best = max(near, key=lambda true: shared[id(true)], default=None)
    return best if best is not None and shared[id(best)] > 0 else None


def _near(box: Box) -> Box:
    return box[0] - NEAR_PX, box[1] - NEAR_PX, box[2] + NEAR_PX, box[3] + NEAR_PX


def _shared(found: Event, true: TrueEvent) -> int:
    return min(found.stop, true.stop) - max(found.start, true.start)


def _is_found(true: TrueEvent, pieces: Sequence[Piece], masks: Masks, case: Case) -> bool:
    left, top, right, bottom = true.box
    ink = masks.union(true.start, true.stop)[top:bottom, left:right]
    covered = np.zeros((case.height, case.width), bool)
    shown = np.zeros(case.frames, bool)
    for piece in pieces:
        x0, y0, x1, y1 = (int(side) for side in piece.box_xyxy)
        by_px = round(0.4 * piece.text_height_px)
        x0, y0, x1, y1 = grow((x0, y0, x1, y1), by_px, case.width, case.height)
        covered[y0:y1, x0:x1] = True
        shown[piece.start : piece.stop] = True
    share = float(covered[top:bottom, left:right][ink].mean())
    return share >= LEAST_INK and float(shown[true.start : true.stop].mean()) >= LEAST_TIME


def _border_errors(true: TrueEvent, pieces: Sequence[Piece]) -> list[int]:
    """How far start and stop are off in the worst line, holes counted to the stop."""
    lines = _lines(pieces)
    start_errors = [abs(min(p.start for p in line) - true.start) for line in lines]
    stop_errors = [max(abs(max(p.stop for p in line) - true.stop), _hole(line)) for line in lines]
    return [max(start_errors), max(stop_errors)]


def _lines(pieces: Sequence[Piece]) -> list[list[Piece]]:
    """The pieces, those of the same place together."""
    lines: list[list[Piece]] = []
    for piece in pieces:
        for line in lines:
            smaller = min(area(piece.box_xyxy), area(line[0].box_xyxy))
            if intersection(piece.box_xyxy, line[0].box_xyxy) > 0.3 * smaller:
                line.append(piece)
                break
        else:
            lines.append([piece])
    return lines


def _hole(line: Sequence[Piece]) -> int:
    """Frames between a line's first and last on which no piece shows it."""
    shown = {frame for piece in line for frame in range(piece.start, piece.stop)}
    return max(shown) + 1 - min(shown) - len(shown)


def _on_scene_text(case: Case, event: Event, judge: TextJudge) -> bool:
    frame = (event.start + event.stop) // 2
    picture = next(islice(read_pictures(case.clean), frame, None))
    return any(
        intersection(box, event.box_xyxy) > 0.3 * min(area(box), area(event.box_xyxy))
        for box in judge.pictures.find(to_bgr(picture))
    )


def _why_missed(true: TrueEvent, pieces: Sequence[Piece], detection: Detection) -> str:
    if pieces:
        return " ".join(["in part:", *(_describe(true.text, piece) for piece in pieces)])
    reasons = {
        why
        for event, why in detection.rejected
        if _shared(event, true) > 0 and intersection(event.box_xyxy, _near(true.box)) > 0
    }
    return f"{true.text!r} {true.start}-{true.stop}: {', '.join(sorted(reasons)) or 'never seen'}"


def _describe(what: str, event: Event) -> str:
    box = ",".join(str(round(side)) for side in event.box_xyxy)
    return f"{what} {event.start}-{event.stop} at {box}"
