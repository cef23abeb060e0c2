"""Residual text: the text detector is run on erased frames before they are encoded.

Three frames of each event are probed at the event's own box, the middle one also in the rows
around it. Text found there is compared with the source shortly before and after the event: text
that shows then as well is part of the scene and was only hidden by the subtitle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from erasecore.detection.detector import Detector
from erasecore.detection.scaling import Scaler
from erasecore.isolation import EventFailure, isolate
from erasecore.model.boxes import area, overlap, shared_area, union
from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.model.residues import Residue
from erasecore.reports import ResidueReason
from erasecore.review.known_text import SAME_PLACE_OVERLAP, KnownText, letter_height_px
from erasecore.review.text_probe import TextProbe, correlation
from erasecore.settings import Region
from erasecore.video.color import Planes

_PROBES_PER_EVENT = 3  # frames of each event that are probed; a guess
_DISTANCE_FRAMES = 2  # from an event to the frames before and after it that are free of its ink
_ALIKE = 0.52
"""Correlation (-1 to 1) of fine structure from which text in one probe is the subtitle's.

Measured: 0.59 to 1 where text was left, -0.13 to 0.45 where the scene looked like writing.
"""
_MAX_PROBE_WIDTH_PX = 960  # larger probes are reduced to it; with 640 thin letters are missed


@dataclass(frozen=True, slots=True)
class Findings:
    """Text that the detector finds in an erased segment.

    Attributes:
        boxes_by_event: for each event with text in any of its probes, the boxes of that text.
        residual: events with text in most of their probes.
        missed: lines that detection had not found and that can be erased as a whole.
        probes_with_text: number of probes with text, over all events in ``boxes_by_event``.
        failed: events of which a check ended in an error, with the reason; they are to be left.
    """

    boxes_by_event: dict[Event, tuple[BoxXyxy, ...]] = field(default_factory=dict)
    residual: frozenset[Event] = frozenset()
    missed: tuple[Event, ...] = ()
    probes_with_text: int = 0
    failed: dict[Event, str] = field(default_factory=dict)
    residues_by_event: dict[Event, tuple[Residue, ...]] = field(default_factory=dict)
    unerased: tuple[Residue, ...] = ()

    @property
    def needs_second_pass(self) -> bool:
        """True if a second pass may improve the segment."""
        return bool(self.boxes_by_event or self.missed or self.failed or self.residues_by_event)

    @property
    def spoiled(self) -> frozenset[Event]:
        """Events with residue of any kind in their place."""
        return self.residual | frozenset(self.residues_by_event)

    def residues(self) -> tuple[Residue, ...]:
        """Return everything that is wrong in the segment."""
        text = [
            Residue(event.start, event.stop, _hull(boxes), ResidueReason.TEXT, 1.0)
            for event, boxes in self.boxes_by_event.items()
            if event in self.residual
        ]
        edges = [residue for found in self.residues_by_event.values() for residue in found]
        missed = [unerased_residue(event) for event in self.missed]
        return (*text, *edges, *missed, *self.unerased)

    def better_than(self, other: Findings) -> bool:
        """Return True if these findings show less text than ``other``."""
        return self.rank < other.rank

    @property
    def rank(self) -> tuple[int, int, int, float]:
        """Sort key: failed checks, events and lines left, probes with text, sum of the evidence."""
        lines = len(self.spoiled) + len(self.missed) + len(self.unerased)
        evidence = sum(one.evidence for found in self.residues_by_event.values() for one in found)
        return len(self.failed), lines, self.probes_with_text, round(evidence, 1)


@dataclass(slots=True)
class _EventProbes:
    """Planned frames of one event, and the probes that have been taken of them so far.

    Attributes:
        event: the event.
        frames: film frames in which it is probed, ascending.
        frames_without: film frames just before and after it, as far as they can be compared.
        result: probes of the erased frames, by film frame.
        source: probes of the same frames before erasing.
        without_event: probes of the source in ``frames_without``.
        residual_boxes: text found at the event's box, one list for each probe in ``result``.
        candidates: boxes in the middle probe that may be lines which detection has missed.
    """

    event: Event
    frames: tuple[int, ...]
    frames_without: tuple[int, ...]
    result: dict[int, TextProbe] = field(default_factory=dict)
    source: list[TextProbe] = field(default_factory=list)
    without_event: list[TextProbe] = field(default_factory=list)
    residual_boxes: list[list[BoxXyxy]] = field(default_factory=list)
    candidates: list[BoxXyxy] = field(default_factory=list)

    @property
    def middle_frame(self) -> int:
        """Film frame whose probe covers the rows around the event as well."""
        return self.frames[len(self.frames) // 2]


class ResidualTextChecker:
    """Probes the frames of one segment between erasing and encoding."""

    def __init__(
        self,
        picture: Picture,
        detection: Detection,
        detector: Detector,
        span: tuple[int, int],
        *,
        regions: Sequence[Region] = (),
        left: Collection[Event] = (),
    ) -> None:
        """Plan the probes of the events in ``span``.

        Args:
            picture: frame size and plane layout.
            detection: the film's events, cuts and rejected text.
            detector: finds text in a part of a frame.
            span: the segment's film frames, half-open.
            regions: parts of the picture in which subtitles may be; empty for all of it.
            left: events that were not erased, and are not checked.
        """
        self._detector = detector
        self._known = KnownText(picture, detection, regions)
        self._scaler = Scaler(picture.width, picture.height, picture.layout)
        self._findings = _FindingsCollector(detector)
        self._probed_at: dict[int, list[_EventProbes]] = defaultdict(list)
        self._compared_at: dict[int, list[_EventProbes]] = defaultdict(list)
        self._open: list[_EventProbes] = []
        self._failed: dict[Event, str] = {}
        for event in detection.events:
            if event.start < span[1] and event.stop > span[0] and event not in left:
                self._attempt(event, partial(self._plan, event, span))

    def check_frame(self, index: int, before: Planes, after: Planes) -> None:
        """Probe film frame ``index`` if that is planned.

        Args:
            index: number of the frame in the film; frames come in order.
            before: its planes before erasing.
            after: its planes after erasing.
        """
        for probes in self._compared_at.pop(index, []):
            self._attempt(probes.event, partial(self._probe_without, probes, before))
        for probes in self._probed_at.pop(index, []):
            self._attempt(probes.event, partial(self._probe_result, probes, index, before, after))
        for probes in [p for p in self._open if index > p.event.stop + _DISTANCE_FRAMES]:
            self._close(probes)

    def findings(self) -> Findings:
        """Return the findings, once every frame of the segment has been checked."""
        for probes in list(self._open):
            self._close(probes)
        return replace(self._findings.findings(), failed=dict(self._failed))

    def _attempt(self, event: Event, step: Callable[[], None]) -> None:
        """Take one step of checking ``event``, unless an earlier one has ended in an error."""
        if event in self._failed:
            return
        outcome = isolate(
            step, step="check", start=event.start, stop=event.stop, box=event.box_xyxy
        )
        if isinstance(outcome, EventFailure):
            self._failed[event] = outcome.reason

    def _plan(self, event: Event, span: tuple[int, int]) -> None:
        """Enter the frames of one event into the schedule."""
        probes = _plan_probes(event, span, self._known)
        for frame in probes.frames:
            self._probed_at[frame].append(probes)
        for frame in probes.frames_without:
            self._compared_at[frame].append(probes)
        self._open.append(probes)

    def _probe_without(self, probes: _EventProbes, before: Planes) -> None:
        """Probe a frame of the source that does not show the event."""
        probes.without_event.append(self._probe(probes.event, before))

    def _probe_result(
        self, probes: _EventProbes, index: int, before: Planes, after: Planes
    ) -> None:
        """Probe an erased frame; the middle one in the whole zone, others at the event only."""
        event = probes.event
        probes.source.append(self._probe(event, before))
        probe = probes.result[index] = self._probe(event, after)
        is_middle = index == probes.middle_frame
        boxes = probe.detect_text(self._detector, None if is_middle else event.box_xyxy)
        probes.residual_boxes.append(
            [box for box in boxes if self._known.is_residual(box, event, index)]
        )
        if is_middle:
            probes.candidates = [
                box for box in boxes if self._known.is_missed_line(box, event, index)
            ]

    def _probe(self, event: Event, planes: Planes) -> TextProbe:
        """Return the zone around ``event`` in one frame as a reduced BGR picture."""
        left, top, right, bottom = (int(side) for side in self._known.zone(event))
        scale = min(1.0, _MAX_PROBE_WIDTH_PX / (right - left))
        bgr = self._scaler.bgr(planes, (left, top, right, bottom), scale)
        return TextProbe(bgr, left, top, scale)

    def _close(self, probes: _EventProbes) -> None:
        """Evaluate an event whose frames are past, and release its pictures."""
        self._open.remove(probes)
        self._attempt(probes.event, partial(self._findings.add, probes))


class _FindingsCollector:
    """Decides for each event whether its text is left and whether lines beside it were missed."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._boxes_by_event: dict[Event, tuple[BoxXyxy, ...]] = {}
        self._residual: set[Event] = set()
        self._missed: list[Event] = []
        self._probes_with_text = 0

    def add(self, probes: _EventProbes) -> None:
        """Add the result of one event, all of whose probes have been taken.

        Text in most probes counts; text in fewer only if it has the subtitle's own strokes.
        """
        with_text = sum(1 for boxes in probes.residual_boxes if boxes)
        boxes = [box for boxes in probes.residual_boxes for box in boxes]
        in_most = 2 * with_text > len(probes.residual_boxes)
        is_text = boxes and (in_most or _has_subtitle_strokes(probes))
        if is_text and not self._is_scene_text(probes, boxes):
            self._boxes_by_event[probes.event] = tuple(boxes)
            self._probes_with_text += with_text
            if in_most:
                self._residual.add(probes.event)
        for box in probes.candidates:
            if self._shows_with_event(probes, box):
                self._missed.append(_neighbour_event(probes.event, box))

    def findings(self) -> Findings:
        """Return the findings about all events that were added."""
        return Findings(
            dict(self._boxes_by_event),
            frozenset(self._residual),
            tuple(self._missed),
            self._probes_with_text,
        )

    def _is_scene_text(self, probes: _EventProbes, boxes: Iterable[BoxXyxy]) -> bool:
        """Return True if the source shows text in ``boxes`` before or after the event, too."""
        scene_boxes = [
            scene
            for probe in probes.without_event
            for scene in probe.detect_text(self._detector, probes.event.box_xyxy)
        ]
        return any(
            overlap(scene_box, box) > SAME_PLACE_OVERLAP
            for scene_box in scene_boxes
            for box in boxes
        )

    def _shows_with_event(self, probes: _EventProbes, box: BoxXyxy) -> bool:
        """Return True if text is in ``box`` in every probe of the event and never without it."""
        known = any(overlap(box, event.box_xyxy) > SAME_PLACE_OVERLAP for event in self._missed)
        if known or not probes.without_event:
            return False
        with_event = (probe.detect_text(self._detector, box) for probe in probes.result.values())
        if not all(any(_is_same_line(other, box) for other in boxes) for boxes in with_event):
            return False
        without = (probe.detect_text(self._detector, box) for probe in probes.without_event)
        return not any(overlap(other, box) > 0.1 for boxes in without for other in boxes)


def _plan_probes(event: Event, span: tuple[int, int], known: KnownText) -> _EventProbes:
    """Choose the frames of ``span`` in which an event is probed, evenly over its full opacity.

    Frames before and after it are compared only if they are in the span and in the same shot and
    if no other event shows nearby.
    """
    first = max(span[0], min(event.full_start, event.stop - 1))
    last = max(first, min(span[1], event.full_stop) - 1)
    frames = {
        first + (last - first) * number // (_PROBES_PER_EVENT + 1)
        for number in range(1, _PROBES_PER_EVENT + 1)
    }
    without = [
        frame
        for frame, edge in (
            (event.start - _DISTANCE_FRAMES, event.start),
            (event.stop - 1 + _DISTANCE_FRAMES, event.stop - 1),
        )
        if span[0] <= frame < span[1]
        and not known.cut_between(frame, edge)
        and known.is_alone(event, frame)
    ]
    return _EventProbes(event, tuple(sorted(frames)), tuple(without))


def _has_subtitle_strokes(probes: _EventProbes) -> bool:
    """Return True if text found in a probe correlates with the subtitle in the same source frame.

    Scenes look like writing by chance; what is left of a subtitle looks like the subtitle, or like
    its negative where too much of a translucent layer was taken away.
    """
    line = probes.event.text_height_px
    pairs = zip(probes.residual_boxes, probes.result.values(), probes.source, strict=True)
    return any(
        abs(correlation(result.fine_structure(box, line), source.fine_structure(box, line)))
        > _ALIKE
        for boxes, result, source in pairs
        for box in boxes
    )


def _neighbour_event(event: Event, box: BoxXyxy) -> Event:
    """Return the event of a line in ``box`` that shows together with ``event``."""
    return Event(
        start=event.start,
        stop=event.stop,
        full_start=event.full_start,
        full_stop=event.full_stop,
        box_xyxy=box,
        text_height_px=letter_height_px(box),
        score=event.score,
    )


def unerased_residue(event: Event) -> Residue:
    """Return the residue that a line is which was not erased."""
    score = round(event.score, 2)
    return Residue(event.start, event.stop, event.box_xyxy, ResidueReason.UNERASED, score)


def _hull(boxes: Iterable[BoxXyxy]) -> BoxXyxy:
    left, top, right, bottom = union(boxes)
    return left, top, right, bottom


def _is_same_line(box: BoxXyxy, other: BoxXyxy) -> bool:
    """Return True if two text boxes have about the same place and size (a guess: 60 %)."""
    return shared_area(box, other) > 0.6 * max(area(box), area(other))
