"""Text that nobody knew of: detection runs again, on the erased frames and at other phases.

Detection looks at one frame in a quarter of a second, and at most of them in the usual rows only.
This check searches whole pictures, half way between two of its samples, one for eight of them. Text
away from all known places is tracked as detection tracks it, frame by frame, and judged by the same
measures: a line that comes and goes while its surroundings stay was drawn over the picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from erasecore.detection.detector import LETTERS_SHARE, Detector, TextBox
from erasecore.detection.line_window import TrackTiming, WorkBox
from erasecore.detection.scaling import LumaRing, Scaler
from erasecore.detection.sightings import Sighting
from erasecore.detection.spans import measure_span
from erasecore.detection.tracks import Track
from erasecore.detection.verdict import (
    MIN_HEIGHT_SHARE,
    SHORT,
    FilmFacts,
    TextLine,
    drawn_over,
    in_caption_place,
    line_of,
    refusal,
)
from erasecore.model.boxes import area, overlap, shared_area
from erasecore.model.clips import Picture
from erasecore.model.events import BoxXyxy, Detection, Event
from erasecore.review.known_text import SAME_PLACE_OVERLAP
from erasecore.settings import DetectSettings, Region
from erasecore.video.color import Planes

_EVERY_SAMPLES = 8  # detection's samples from one search to the next; by CPU: 0.8 % of a film's
_SEARCH_SIDE_PX = 480  # longer side of a searched picture; by CPU, as above
_RING_BYTES = 48_000_000  # bytes of working luma that are kept; a guess
_BACK_SECONDS = 1.2  # working luma kept before a sighting; by the search interval
_GONE_SECONDS = 0.2  # without the text, after which a line is over; a guess
_RAMP_SECONDS = 1.2  # longest fade; as in detection
_MIN_FRAMES = 3  # a line seen in fewer frames is a glimpse of texture; a guess
_MIN_SCORE = 0.6  # detector's score, 0 to 1, of text that is worth a word; a guess
_NEAR_FRAMES = 2  # around a known line's span, in which its place is known; a guess
_MAX_THICKNESS = 0.19  # of the shorter side; thicker text is no subtitle, as in detection
_MAX_TILT_DEGREES = 12.0  # as in detection
_MAX_TRACKS = 6  # lines that are tracked at a time: bounds the time a page of text takes; a guess


@dataclass(frozen=True, slots=True)
class UnerasedLine:
    """A line of text in the erased frames that was neither erased nor left knowingly.

    Attributes:
        event: its span and box.
        whole: True if the segment shows it come and go, so that all of it may be erased.
    """

    event: Event
    whole: bool


class UnerasedTextFinder:
    """Searches the erased frames of one segment for text that nobody knew of.

    Args:
        picture: frame size and plane layout.
        detection: events and rejected text, whose places are known.
        detector: finds text in one picture.
        span: the segment's film frames, half-open.
        rate: frames a second.
        regions: parts of the picture in which subtitles may be; empty for all of it.
    """

    def __init__(
        self,
        picture: Picture,
        detection: Detection,
        detector: Detector,
        span: tuple[int, int],
        rate: float,
        regions: Sequence[Region] = (),
    ) -> None:
        self._detection, self._detector, self._regions = detection, detector, regions
        self._span, self._rate = span, rate
        self._scaler = Scaler(picture.width, picture.height, picture.layout)
        self._step = max(1, round(DetectSettings().every_seconds * rate))
        back = max(8, round(_BACK_SECONDS * rate))
        self._ring = LumaRing(frames=back, max_bytes=_RING_BYTES)
        self._timing = TrackTiming(
            gone_frames=max(2, round(_GONE_SECONDS * rate)),
            frames_before=2 * back,
            frames_after=back,
        )
        self._live: list[Track] = []
        self._lines: list[tuple[TextLine, WorkBox]] = []

    def check_frame(self, index: int, after: Planes) -> None:
        """Take the next erased frame; frames come in order.

        Args:
            index: number of the frame in the film.
            after: its planes after erasing.
        """
        luma = self._scaler.luma(after)
        self._ring.add(index, luma)
        for track in self._live:
            track.add(index, luma)
        if self._live and index % self._step == 0:
            self._check_tracks()
        if self._is_searched(index):
            self._search(index, after)

    def lines(self) -> list[UnerasedLine]:
        """Return the lines found, once every frame has been taken."""
        for track in self._live:
            self._close(track)
        self._live = []
        if not self._lines:
            return []
        film = self._facts()
        return [
            UnerasedLine(self._event(line, box), self._is_whole(line, film))
            for line, box in self._lines
            if _comes_and_goes(line, film)
        ]

    def _is_searched(self, index: int) -> bool:
        """Return True half a search interval after detection's search of the whole picture."""
        interval = _EVERY_SAMPLES * self._step
        return (index - interval // 2) % interval == 0

    def _search(self, index: int, after: Planes) -> None:
        """Begin a track for each line of text at a place that is not known."""
        width, height = self._scaler.width, self._scaler.height
        scale = min(1.0, _SEARCH_SIDE_PX / max(width, height))
        bgr = self._scaler.bgr(after, (0, 0, width, height), scale)
        back = np.array([width / bgr.shape[1], height / bgr.shape[0]] * 2)
        for text in self._detector.detect(bgr):
            box = np.array(text.box_xyxy) * back
            if not self._may_be_subtitle(text, box) or len(self._live) >= _MAX_TRACKS:
                continue
            if not self._is_known(index, box):
                self._begin(index, box / self._scaler.factor, text.score, text.tilt_degrees)

    def _is_known(self, index: int, box: WorkBox) -> bool:
        """Return True if ``box``, pixels of the film, lies at known text or at a tracked line."""
        known = (*self._detection.events, *(event for event, _ in self._detection.rejected))
        shown = [
            event.box_xyxy
            for event in known
            if event.start - _NEAR_FRAMES <= index < event.stop + _NEAR_FRAMES
        ]
        if any(overlap(box, other) > SAME_PLACE_OVERLAP for other in shown):
            return True
        followed = [track.box * self._scaler.factor for track in self._live]
        return any(overlap(box, other) > SAME_PLACE_OVERLAP for other in followed)

    def _may_be_subtitle(self, text: TextBox, box: WorkBox) -> bool:
        """Return True if text in ``box``, pixels of the film, has a subtitle's size and place."""
        short_side = min(self._scaler.width, self._scaler.height)
        thickness = float(min(box[2] - box[0], box[3] - box[1])) / short_side
        if text.score < _MIN_SCORE or text.tilt_degrees >= _MAX_TILT_DEGREES:
            return False
        if not MIN_HEIGHT_SHARE < thickness < _MAX_THICKNESS:
            return False
        x = float(box[0] + box[2]) / 2 / self._scaler.width
        y = float(box[1] + box[3]) / 2 / self._scaler.height
        return not self._regions or any(region.holds(x, y) for region in self._regions)

    def _begin(self, index: int, box: WorkBox, score: float, tilt: float) -> None:
        size = self._scaler.work_width, self._scaler.work_height
        inside = shared_area(box, (0, 0, *size))
        if min(box[2] - box[0], box[3] - box[1]) < 4 or inside < 0.9 * area(box):
            return
        self._live.append(
            Track(index, Sighting(box, score, tilt), held=self._ring, timing=self._timing)
        )

    def _check_tracks(self) -> None:
        """Close the tracks that are over."""
        over = [track for track in self._live if not track.check()]
        for track in over:
            self._close(track)
        self._live = [track for track in self._live if track not in over]

    def _close(self, track: Track) -> None:
        """Measure a line that is over."""
        track.close()
        span = measure_span(track, self._span[1], round(_RAMP_SECONDS * self._rate))
        others = [other.box for other in self._live if other is not track]
        if span.stop - span.start >= _MIN_FRAMES:
            self._lines.append((line_of(track, span, others), track.box))

    def _facts(self) -> FilmFacts:
        """Return the facts that the verdict needs, of the film up to the segment's end."""
        cuts = self._detection.cuts
        return FilmFacts(
            width=self._scaler.work_width,
            height=self._scaler.work_height,
            frames=self._span[1],
            clock=(np.arange(self._span[1] + 1) / self._rate).tolist(),
            cuts=cuts,
            flash_candidates=frozenset(),
            min_seconds=0.0,
        )

    def _is_whole(self, line: TextLine, film: FilmFacts) -> bool:
        """Return True if the line comes and goes inside the segment, as a subtitle does."""
        span = line.span
        inside = self._span[0] < span.start and span.stop < self._span[1]
        seconds = film.seconds(span)
        return inside and span.plainly_alone and seconds >= DetectSettings().min_seconds

    def _event(self, line: TextLine, box: WorkBox) -> Event:
        """Return the event of a line, in pixels of the film."""
        factor = self._scaler.factor
        left, top, right, bottom = (float(side) * factor for side in box)
        sides: BoxXyxy = (left, top, right, bottom)
        span = line.span
        return Event(
            start=max(span.start, self._span[0]),
            stop=span.stop,
            full_start=span.full_start,
            full_stop=span.full_stop,
            box_xyxy=sides,
            text_height_px=LETTERS_SHARE * line.text_height * factor,
            score=line.score,
        )


def _comes_and_goes(line: TextLine, film: FilmFacts) -> bool:
    """Return True if a line was drawn over the picture, for however short a time."""
    if refusal(line, film) not in ("", SHORT):
        return False
    return drawn_over(line, film) and in_caption_place(line, film)
