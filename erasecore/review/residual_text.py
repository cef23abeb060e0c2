"""Looking at what was erased with the detector's eyes, before it is encoded: is any text left?

Each event is looked at three times, in its own place and once in the rows around it. Text found
there is held against the source before and after the event: what shows then as well is part of
the scene, and came to light because the subtitle is gone.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from erasecore.detect.detector import LETTERS_SHARE, Detector
from erasecore.detect.scaling import Scaler
from erasecore.model.boxes import area, overlap, shared_area
from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.review.text_probe import TextProbe, likeness
from erasecore.settings import Region
from erasecore.video.color import Planes

_PROBES_PER_EVENT = 3  # frames of each event that are looked at
_BESIDE_FRAMES = 2  # before and after an event, where its ink is gone for certain
_OVERLAP = 0.3  # of the smaller box, for text to count as being in a place
_INSIDE = 0.6  # of a box that is taken for text of an event lies in the event's place
_HIGHER = 1.5  # times the event's height, such a box may be
_AIR = 0.35  # letter heights around an event that are its place
_ALIKE = 0.52  # measured: 0.59 to 1 where text was left, -0.13 to 0.45 where scene was seen
_WIDEST_PX = 960  # looks are no wider than this
_ROWS_AROUND = 3.2  # letter heights above and below an event: room for two more lines
_MIDDLE = (0.15, 0.85)  # of the picture's width: where a line that was missed may reach


@dataclass(frozen=True, slots=True)
class Findings:
    """What the detector sees in a segment that should be free of subtitles.

    Attributes:
        seen: for each event of which text was found in any look, where.
        left: those of which it was found in most looks.
        missed: lines that came and went with an event beside them, and that nobody had found.
        hits: in how many looks there was text; the fewer, the better the segment.
    """

    seen: dict[Event, tuple[BoxXyxy, ...]] = field(default_factory=dict)
    left: frozenset[Event] = frozenset()
    missed: tuple[Event, ...] = ()
    hits: int = 0

    @property
    def suspicious(self) -> bool:
        """Whether a second pass is worth while."""
        return bool(self.seen or self.missed)

    def better_than(self, other: Findings) -> bool:
        """Whether less text is left than ``other`` says."""
        return self._rank() < other._rank()

    def _rank(self) -> tuple[int, int]:
        return len(self.left) + len(self.missed), self.hits


@dataclass(slots=True)
class _EventProbes:
    """One event while its frames go by."""

    event: Event
    probes: dict[int, TextProbe] = field(default_factory=dict)  # of the result
    source: list[TextProbe] = field(default_factory=list)  # the same frames as they came
    without_event: list[TextProbe] = field(
        default_factory=list
    )  # of the source, the event being absent
    found: list[list[BoxXyxy]] = field(default_factory=list)  # text in its place, look by look
    strays: list[BoxXyxy] = field(default_factory=list)  # text around it in the middle look


class ResidualTextChecker:
    """Looks at the frames of one segment on their way to the encoder."""

    def __init__(
        self,
        picture: Picture,
        detection: Detection,
        detector: Detector,
        span: tuple[int, int],
        *,
        regions: Sequence[Region] = (),
    ) -> None:
        """Plan the looks for the events in ``span``, a half-open range of frames.

        Args:
            picture: what the frames look like.
            detection: the film's events, cuts, and scene text.
            detector: finds text in a part of a frame.
            span: the segment's frames.
            regions: where lines may be at all; empty for everywhere.
        """
        self._regions = regions
        self._detection, self._detector = detection, detector
        self._size = picture.width, picture.height
        self._scaler = Scaler(picture.width, picture.height, picture.layout)
        self._middle: set[tuple[int, Event]] = set()
        self._looks: dict[int, list[_EventProbes]] = defaultdict(list)
        self._beside: dict[int, list[_EventProbes]] = defaultdict(list)
        self._open: list[_EventProbes] = []
        self._seen: dict[Event, tuple[BoxXyxy, ...]] = {}
        self._left: set[Event] = set()
        self._missed: list[Event] = []
        self._hits = 0
        for event in detection.events:
            if event.start < span[1] and event.stop > span[0]:
                self._plan(_EventProbes(event), span)

    def check_frame(self, index: int, before: Planes, after: Planes) -> None:
        """Look at frame ``index``, as the film had it and as it goes."""
        for watched in self._beside.pop(index, []):
            watched.without_event.append(self._probe(watched.event, before))
        for watched in self._looks.pop(index, []):
            watched.source.append(self._probe(watched.event, before))
            self._probe_result(watched, index, after)
        for watched in [one for one in self._open if index > one.event.stop + _BESIDE_FRAMES]:
            self._close(watched)

    def findings(self) -> Findings:
        """What was seen, once every frame of the segment has gone by."""
        for watched in list(self._open):
            self._close(watched)
        return Findings(dict(self._seen), frozenset(self._left), tuple(self._missed), self._hits)

    # --- looking ------------------------------------------------------------------------------

    def _plan(self, watched: _EventProbes, span: tuple[int, int]) -> None:
        """Choose the frames of ``span`` in which the event is looked at, and those beside it."""
        event = watched.event
        first = max(span[0], min(event.full_start, event.stop - 1))
        last = max(first, min(span[1], event.full_stop) - 1)
        frames = sorted(
            {
                first + (last - first) * look // (_PROBES_PER_EVENT + 1)
                for look in range(1, _PROBES_PER_EVENT + 1)
            }
        )
        for frame in frames:
            self._looks[frame].append(watched)
        self._middle.add((frames[len(frames) // 2], event))
        for frame, edge in (
            (event.start - _BESIDE_FRAMES, event.start),
            (event.stop - 1 + _BESIDE_FRAMES, event.stop - 1),
        ):
            tells = span[0] <= frame < span[1] and not self._cut_between(frame, edge)
            if tells and not self._near_others(event, frame):
                self._beside[frame].append(watched)
        self._open.append(watched)

    def _cut_between(self, one: int, other: int) -> bool:
        first, last = min(one, other), max(one, other)
        return any(first < cut <= last for cut in self._detection.cuts)

    def _near_others(self, event: Event, frame: int) -> bool:
        """Whether another event shows in the rows around ``event`` in that frame."""
        zone = self._zone(event)
        return any(
            other.shows_at(frame) and overlap(other.box_xyxy, zone) > 0
            for other in self._detection.events
            if other != event
        )

    def _probe_result(self, watched: _EventProbes, index: int, after: Planes) -> None:
        event = watched.event
        look = watched.probes[index] = self._probe(event, after)
        wide = (index, event) in self._middle
        found = look.text(self._detector, None if wide else event.box_xyxy)
        watched.found.append([box for box in found if self._is_left(box, event, index)])
        if wide:
            watched.strays = [box for box in found if self._is_stray(box, event, index)]

    def _probe(self, event: Event, planes: Planes) -> TextProbe:
        """The rows around an event as a frame shows them."""
        left, top, right, bottom = (int(side) for side in self._zone(event))
        scale = min(1.0, _WIDEST_PX / (right - left))
        bgr = self._scaler.bgr(planes, (left, top, right, bottom), scale)
        return TextProbe(bgr, left, top, scale)

    def _zone(self, event: Event) -> BoxXyxy:
        """The rows around an event, in whole colour samples."""
        left, top, right, bottom = event.box_xyxy
        rows, side = _ROWS_AROUND * event.text_height_px, 2 * event.text_height_px
        width, height = self._size
        return (
            float(int(max(0, min(left - side, _MIDDLE[0] * width))) // 4 * 4),
            float(int(max(0, top - rows)) // 4 * 4),
            float(int(min(width, max(right + side, _MIDDLE[1] * width)))),
            float(int(min(height, bottom + rows))),
        )

    def _is_left(self, box: BoxXyxy, event: Event, frame: int) -> bool:
        if not _may_be_part(box, event):
            return False
        return not any(
            overlap(box, scene.box_xyxy) > overlap(box, event.box_xyxy)
            for scene in self._scene(frame)
        )

    def _is_stray(self, box: BoxXyxy, event: Event, frame: int) -> bool:
        known = [one for one in self._detection.events if one.shows_at(frame)]
        if any(overlap(box, one.box_xyxy) > _OVERLAP for one in (*known, *self._scene(frame))):
            return False
        return _belongs(box, event) and self._in_region(box)

    def _in_region(self, box: BoxXyxy) -> bool:
        x, y = (box[0] + box[2]) / 2 / self._size[0], (box[1] + box[3]) / 2 / self._size[1]
        return not self._regions or any(region.holds(x, y) for region in self._regions)

    def _scene(self, frame: int) -> list[Event]:
        rejected = self._detection.rejected
        return [event for event, _ in rejected if event.shows_at(frame)]

    # --- judging ------------------------------------------------------------------------------

    def _close(self, watched: _EventProbes) -> None:
        """Say what became of an event whose frames are past, and forget its pictures."""
        self._open.remove(watched)
        hits = sum(1 for boxes in watched.found if boxes)
        boxes = [box for look in watched.found for box in look]
        certain = 2 * hits > len(watched.found)
        if boxes and (certain or _as_it_came(watched)) and not self._was_there(watched, boxes):
            self._seen[watched.event] = tuple(boxes)
            self._hits += hits
            if certain:
                self._left.add(watched.event)
        for stray in watched.strays:
            if self._came_and_went(watched, stray):
                self._missed.append(_neighbour_event(watched.event, stray))

    def _was_there(self, watched: _EventProbes, boxes: Iterable[BoxXyxy]) -> bool:
        """Whether the source shows text in the event's place when the event is absent."""
        seen = [
            text
            for look in watched.without_event
            for text in look.text(self._detector, watched.event.box_xyxy)
        ]
        return any(overlap(text, box) > _OVERLAP for text in seen for box in boxes)

    def _came_and_went(self, watched: _EventProbes, stray: BoxXyxy) -> bool:
        """Whether a line shows in every look at the event, and not before or after it."""
        known = any(overlap(stray, one.box_xyxy) > _OVERLAP for one in self._missed)
        if known or not watched.without_event:
            return False
        shown = (look.text(self._detector, stray) for look in watched.probes.values())
        if not all(any(_same(box, stray) for box in boxes) for boxes in shown):
            return False
        absent = (look.text(self._detector, stray) for look in watched.without_event)
        return not any(overlap(box, stray) > 0.1 for boxes in absent for box in boxes)


def _as_it_came(watched: _EventProbes) -> bool:
    """Whether what the detector took for text has the strokes of the subtitle in that frame.

    A scene can look like writing by chance; what is left of a subtitle looks like the subtitle,
    or, where too much of a translucent layer was taken away, like its negative.
    """
    line = watched.event.text_height_px
    looks = zip(watched.found, watched.probes.values(), watched.source, strict=True)
    return any(
        abs(likeness(look.strokes(box, line), source.strokes(box, line))) > _ALIKE
        for boxes, look, source in looks
        for box in boxes
    )


def _neighbour_event(event: Event, box: BoxXyxy) -> Event:
    """A line that shows together with ``event``, in ``box``."""
    return Event(
        start=event.start,
        stop=event.stop,
        full_start=event.full_start,
        full_stop=event.full_stop,
        box_xyxy=box,
        text_height_px=_letters_px(box),
        score=event.score,
    )


def _letters_px(box: BoxXyxy) -> float:
    """The height of the letters in a detected box."""
    return LETTERS_SHARE * min(box[2] - box[0], box[3] - box[1])


def _belongs(box: BoxXyxy, event: Event) -> bool:
    """Whether a line of text stands right beside an event, in letters of its size."""
    if not 0.65 < _letters_px(box) / event.text_height_px < 1.5:
        return False
    left, top, right, bottom = event.box_xyxy
    apart_x = max(box[0] - right, left - box[2])
    apart_y = max(box[1] - bottom, top - box[3])
    line = event.text_height_px
    if apart_x < 0:  # above or below
        return apart_y < 1.2 * line
    return apart_y < -0.5 * (bottom - top) and apart_x < 1.5 * line


def _may_be_part(box: BoxXyxy, event: Event) -> bool:
    """Whether a box may be around letters of an event: inside its lines, and no higher."""
    thickness = min(box[2] - box[0], box[3] - box[1])
    line = min(event.box_xyxy[2] - event.box_xyxy[0], event.box_xyxy[3] - event.box_xyxy[1])
    air = _AIR * event.text_height_px
    left, top, right, bottom = event.box_xyxy
    place = left - air, top - air, right + air, bottom + air
    return thickness < _HIGHER * line and shared_area(box, place) > _INSIDE * area(box)


def _same(one: BoxXyxy, other: BoxXyxy) -> bool:
    """Whether two boxes are of the same line: much the same place and size."""
    return shared_area(one, other) > 0.6 * max(area(one), area(other))
