"""Self-check of one segment, on its frames between erasing and encoding.

Four checks, each with eyes of its own:

* ``ResidualTextChecker``: is text detected where a line was erased, or right beside it?
* ``EventEdgeChecker``: does a line's place change as it comes and goes, or do its letters show
  before or after it?
* ``BarChecker``: has a bar kept its colour and a straight edge where a line was erased?
* ``UnerasedTextFinder``: does text come and go elsewhere, at moments that detection has not seen?
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

from erasecore.detection.detector import Detector
from erasecore.isolation import EventFailure, isolate
from erasecore.model.boxes import overlap
from erasecore.model.clips import Picture
from erasecore.model.events import Detection, Event
from erasecore.model.residues import Residue
from erasecore.review.bar_check import BarChecker
from erasecore.review.event_edges import EventEdgeChecker
from erasecore.review.known_text import SAME_PLACE_OVERLAP
from erasecore.review.residual_text import Findings, ResidualTextChecker, unerased_residue
from erasecore.review.unerased_text import UnerasedLine, UnerasedTextFinder
from erasecore.settings import Region
from erasecore.video.color import Planes


@dataclass(frozen=True, slots=True)
class CheckPlan:
    """One segment, and what is known of it before its frames are checked.

    Attributes:
        picture: frame size and plane layout.
        detection: the film's events, cuts and rejected text.
        span: the segment's film frames, half-open.
        rate: frames a second.
        regions: parts of the picture in which subtitles may be; empty for all of it.
        left: events that were not erased, and are not checked.
        retried: events that were erased for the second time.
        searches: False if text may be left anywhere but at the events: under a mask, or where only
            some times of the film are wanted.
    """

    picture: Picture
    detection: Detection
    span: tuple[int, int]
    rate: float
    regions: tuple[Region, ...] = ()
    left: Collection[Event] = ()
    retried: Collection[Event] = ()
    searches: bool = True


class SelfCheck:
    """Runs all checks on the frames of one segment.

    Args:
        plan: the segment.
        detector: finds text in one picture.
    """

    def __init__(self, plan: CheckPlan, detector: Detector) -> None:
        picture, detection, span = plan.picture, plan.detection, plan.span
        self._text = ResidualTextChecker(
            picture, detection, detector, span, regions=plan.regions, left=plan.left
        )
        self._edges = EventEdgeChecker(picture, detection.cuts, span)
        self._bars = BarChecker(picture, detection.cuts, span)
        self._unerased = (
            UnerasedTextFinder(picture, detection, detector, span, plan.rate, plan.regions)
            if plan.searches
            else None
        )
        self._failed: dict[Event, str] = {}
        for event in detection.events:
            if event.start < span[1] and event.stop > span[0] and event not in plan.left:
                self._edges.plan(event, again=event in plan.retried)
                self._bars.plan(event)

    def check_frame(self, index: int, before: Planes, after: Planes) -> None:
        """Check film frame ``index`` as far as that is planned.

        Args:
            index: number of the frame in the film; frames come in order.
            before: its planes before erasing.
            after: its planes after erasing.
        """
        self._text.check_frame(index, before, after)
        checks = (self._edges, "check edges"), (self._bars, "check bars")
        for checker, step in checks:
            for event in checker.events_at(index):
                self._attempt(event, partial(checker.check, event, index, before, after), step)
            checker.release(index)
        self._search_again(index, after)

    def findings(self) -> Findings:
        """Return the findings, once every frame of the segment has been checked."""
        findings = self._text.findings()
        lines = [line for line in self._unerased_lines() if not _is_missed(line, findings)]
        whole = [line.event for line in lines if line.whole]
        return replace(
            findings,
            missed=(*findings.missed, *whole),
            failed={**findings.failed, **self._failed},
            residues_by_event=self._residues_by_event(),
            unerased=tuple(unerased_residue(line.event) for line in lines if not line.whole),
        )

    def _search_again(self, index: int, after: Planes) -> None:
        """Search one frame for unknown text; an error costs this search, and no event."""
        if self._unerased is None:
            return
        step = partial(self._unerased.check_frame, index, after)
        if isinstance(isolate(step, step="search again", frame=index), EventFailure):
            self._unerased = None

    def _unerased_lines(self) -> list[UnerasedLine]:
        """Return the unknown text that was found; none if the search has ended in an error."""
        if self._unerased is None:
            return []
        lines = isolate(self._unerased.lines, step="search again")
        return [] if isinstance(lines, EventFailure) else lines

    def _attempt(self, event: Event, check: Callable[[], None], step: str) -> None:
        """Check one frame of ``event``, unless an earlier check has ended in an error."""
        if event in self._failed:
            return
        outcome = isolate(check, step=step, start=event.start, stop=event.stop, box=event.box_xyxy)
        if isinstance(outcome, EventFailure):
            self._failed[event] = outcome.reason

    def _residues_by_event(self) -> dict[Event, tuple[Residue, ...]]:
        found: dict[Event, tuple[Residue, ...]] = {}
        for event, residue in (*self._edges.residues(), *self._bars.residues()):
            if event not in self._failed:
                found[event] = (*found.get(event, ()), residue)
        return found


def _is_missed(line: UnerasedLine, findings: Findings) -> bool:
    """Return True if the line is one that was missed beside an event."""
    return any(
        event.start < line.event.stop
        and event.stop > line.event.start
        and overlap(event.box_xyxy, line.event.box_xyxy) > SAME_PLACE_OVERLAP
        for event in findings.missed
    )
