"""Conversion between a detection and the objects of a plan, edits included.

An object whose times and box are as the plan was written gives back exactly the event that
detection measured, so a plan that nobody edited is the detection itself.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.detector import LETTERS_SHARE
from erasecore.model.boxes import overlap
from erasecore.model.events import Detection, Event
from erasecore.plans import (
    ERASED_BECAUSE,
    KEPT_BY_PLAN,
    DetectionFacts,
    FilmPlan,
    PlannedObject,
    seconds_rounded,
)
from erasecore.video.probe import VideoInfo
from erasecore.video.timeline import Timeline

_SAME_PLACE = 0.3  # overlap from which unjudged text is the object that a plan erases; a guess
_ADDED_SCORE = 1.0  # confidence of an object that a person has added


def frame_seconds(video: VideoInfo, timeline: Timeline) -> NDArray[np.float64]:
    """Return when each frame is shown, and the film's end: float64 ``(frames + 1,)``, seconds."""
    stamps = np.append(timeline.pts, timeline.stamp_of(len(timeline)))
    seconds: NDArray[np.float64] = stamps.astype(np.float64) * float(video.time_base)
    return seconds - float(video.clock_zero)


# --- detection -> plan --------------------------------------------------------------------------


def objects_of(detection: Detection, seconds: NDArray[np.float64]) -> tuple[PlannedObject, ...]:
    """Return all events and all rejected text as objects, by start, numbered from 1."""
    return tuple(
        PlannedObject(
            id=number,
            erase=erase,
            start=_shown_at(seconds, event.start),
            stop=_shown_at(seconds, event.stop),
            box=_shown_box(event),
            why=why,
            subtitle=erase,
            exact=json.loads(json.dumps(asdict(event))),
        )
        for number, (event, erase, why) in enumerate(texts_in_order(detection), start=1)
    )


def texts_in_order(detection: Detection) -> list[tuple[Event, bool, str]]:
    """Return all events and rejected text, by start: each with the verdict and its reason."""
    found = [(event, True, ERASED_BECAUSE) for event in detection.events]
    found += [(event, False, why) for event, why in detection.rejected]
    return sorted(found, key=lambda item: item[0].start)  # stable: each kind keeps its order


def facts_of(detection: Detection, everywhere: bool, warnings: tuple[str, ...]) -> DetectionFacts:
    """Return what a plan keeps of ``detection`` besides its objects."""
    measured = json.loads(replace(detection, events=(), rejected=()).to_json())
    return DetectionFacts(everywhere, warnings, measured)


def _shown_at(seconds: NDArray[np.float64], frame: int) -> float:
    """Return the time of a frame as a plan shows it."""
    return seconds_rounded(float(seconds[frame]))


def _shown_box(event: Event) -> tuple[float, ...]:
    """Return the box of an event as a plan shows it: whole pixels."""
    return tuple(float(round(side)) for side in event.box_xyxy)


# --- plan -> detection --------------------------------------------------------------------------


def detection_of(plan: FilmPlan, seconds: NDArray[np.float64]) -> Detection:
    """Return the detection that ``plan`` stands for.

    Lines that the plan keeps and detection would erase become text that stays, and no pixels are
    copied from them. Objects that the plan erases against detection's verdict are no longer
    unjudged text.

    Args:
        plan: for this film; its times and boxes are in range.
        seconds: when each frame is shown, and the film's end.

    Raises:
        ValueError: the measurements in the plan are damaged.
    """
    found = _measured(plan)
    measured = iter(found.events)
    pairs = [
        (one, _edited(one, next(measured) if one.exact is not None else None, seconds))
        for one in plan.objects
    ]
    events = [event for one, event in pairs if one.erase]
    wanted = [event for one, event in pairs if one.erase and not one.subtitle]
    demoted = [event for one, event in pairs if one.subtitle and not one.erase]
    rejected = [
        (event, KEPT_BY_PLAN if one.subtitle else one.why)
        for one, event in pairs
        if not one.erase and one.exact is not None
    ]
    return replace(
        found,
        events=tuple(sorted(events, key=_order)),
        rejected=tuple(rejected),
        forbidden=(*_still_forbidden(found.forbidden, wanted), *demoted),
    )


def _measured(plan: FilmPlan) -> Detection:
    """Return the detection with the objects' events as measured, in the order of the objects.

    Raises:
        ValueError: they are damaged.
    """
    events = [one.exact for one in plan.objects if one.exact is not None]
    raw = {**plan.detection.measured, "events": events, "rejected": [], "frames": plan.film.frames}
    return Detection.from_json(json.dumps(raw))


def _order(event: Event) -> tuple[int, float, float]:
    """Sort key: by time, then from top to bottom, then from left to right, as detection sorts."""
    return event.start, event.box_xyxy[1], event.box_xyxy[0]


def _edited(planned: PlannedObject, event: Event | None, seconds: NDArray[np.float64]) -> Event:
    """Return the event of one object: as detected, with the times and the box that were edited.

    Args:
        planned: the object.
        event: as measured; ``None`` for an object that was added by hand.
        seconds: when each frame is shown, and the film's end.
    """
    if event is None:
        return _added(planned, seconds)
    shown = _shown_at(seconds, event.start), _shown_at(seconds, event.stop)
    if (planned.start, planned.stop) != shown:
        event = _with_times(event, *_frames_of(planned, seconds))
    if planned.box != _shown_box(event):
        left, top, right, bottom = planned.box
        grown = min(right - left, bottom - top) / _thickness(event)
        height = event.text_height_px * min(1.0, grown)  # a larger box holds no larger letters
        event = replace(event, box_xyxy=(left, top, right, bottom), text_height_px=height, path=())
    return event


def _added(planned: PlannedObject, seconds: NDArray[np.float64]) -> Event:
    """Return the event of an object that a person has added."""
    start, stop = _frames_of(planned, seconds)
    left, top, right, bottom = planned.box
    height = LETTERS_SHARE * min(right - left, bottom - top)
    return Event(start, stop, start, stop, (left, top, right, bottom), height, _ADDED_SCORE)


def _with_times(event: Event, start: int, stop: int) -> Event:
    """Return ``event`` in the frames ``[start, stop)``; it fades as long as it did."""
    full_start = start + event.full_start - event.start
    full_stop = stop - (event.stop - event.full_stop)
    if full_start >= full_stop:
        full_start, full_stop = start, stop
    path = tuple(point for point in event.path if start <= point[0] < stop)
    return replace(
        event, start=start, stop=stop, full_start=full_start, full_stop=full_stop, path=path
    )


def _frames_of(planned: PlannedObject, seconds: NDArray[np.float64]) -> tuple[int, int]:
    """Return the frames ``[start, stop)`` nearest to an object's times, at least one."""
    last = len(seconds) - 2
    start = min(last, int(np.abs(seconds - planned.start).argmin()))
    stop = int(np.abs(seconds - planned.stop).argmin())
    return start, max(start + 1, stop)


def _thickness(event: Event) -> float:
    left, top, right, bottom = event.box_xyxy
    return max(1.0, min(right - left, bottom - top))


def _still_forbidden(forbidden: Iterable[Event], wanted: Sequence[Event]) -> list[Event]:
    """Return the unjudged text that is not one of the objects that the plan erases after all."""
    return [
        text
        for text in forbidden
        if not any(
            text.start < event.stop
            and event.start < text.stop
            and overlap(text.box_xyxy, event.box_xyxy) > _SAME_PLACE
            for event in wanted
        )
    ]
