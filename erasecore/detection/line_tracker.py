"""Tracks of a film's lines of text: begun by sightings, checked, ended and measured."""

from __future__ import annotations

from collections import deque
from dataclasses import replace

from erasecore.detection.busy_rows import Band, BusyRows
from erasecore.detection.line_window import TrackTiming, WorkBox
from erasecore.detection.passing import moves_with_scene
from erasecore.detection.pops import MAX_POP_SECONDS
from erasecore.detection.row_growth import extend_along_row
from erasecore.detection.scaling import Luma, LumaRing
from erasecore.detection.searching import TextSearch, same_place
from erasecore.detection.sightings import Sighting
from erasecore.detection.slides import MAX_SLIDE_SECONDS, Slide
from erasecore.detection.spans import Edge, measure_span
from erasecore.detection.tracks import Track
from erasecore.detection.verdict import TextLine, line_of
from erasecore.model.boxes import area, shared_area

_BACK_SECONDS = 2.8  # seconds of working luma that are kept; guess
_MIN_BACK_FRAMES = 12  # frames of it in films of few frames a second; guess
_AFTER_SECONDS = 1.0  # seconds after a line's first sighting of which crops are kept; guess
_MIN_AFTER_FRAMES = 6  # frames of it in films of few frames a second; guess
_GONE_SECONDS = 0.4  # seconds without the text after which a track is over; guess
_MIN_GONE_FRAMES = 3  # frames of it in films of few frames a second; guess
_BRIEF_SHARE = 0.4  # of the least duration; a line seen once for less is dropped unmeasured; guess
_MIN_WORD_FRAMES = 2  # frames that a word of a caption stands, at least; guess
_RAMP_SECONDS = 1.2  # seconds that the longest fade lasts; guess
_FEW_SAMPLES = 2  # samples of a line that may be passing, at most; guess
_MAX_NOTED = 6  # texts with which a new one is compared: the same one has moved; guess
_MAX_PAST = 12  # finished tracks whose boxes are kept, as neighbours of later ones; guess


def track_timing(rate: float) -> TrackTiming:
    """Return the durations of tracking in a film of ``rate`` frames a second."""
    return TrackTiming(
        gone_frames=max(_MIN_GONE_FRAMES, round(_GONE_SECONDS * rate)),
        frames_before=max(_MIN_BACK_FRAMES, round(_BACK_SECONDS * rate)),
        frames_after=max(_MIN_AFTER_FRAMES, round(_AFTER_SECONDS * rate)),
        slide_frames=max(2, round(MAX_SLIDE_SECONDS * rate)),
        pop_frames=max(2, round(MAX_POP_SECONDS * rate)),
    )


class LineTracker:
    """Follows the lines of text of one film from their first sighting to their end.

    Args:
        rate: frames a second.
        min_seconds: least duration of a subtitle.
        width: of the working picture.
        ring: the newest frames' working luma, the current one included.
        search: is told of rows in which lines have stood, and of text that was too brief.

    Attributes:
        live: tracks of the lines that are on screen, or were a moment ago.
        lines: what was measured of those that are over.
        busy: rows in which one text follows another at once.
    """

    def __init__(
        self, rate: float, min_seconds: float, *, width: int, ring: LumaRing, search: TextSearch
    ) -> None:
        self._timing = track_timing(rate)
        self._brief_frames = max(2, round(_BRIEF_SHARE * min_seconds * rate))
        self._ramp_frames = round(_RAMP_SECONDS * rate)
        self._ring, self._search = ring, search
        self.live: list[Track] = []
        self.lines: list[TextLine] = []
        self.busy = BusyRows(rate, width)
        self._leaving: list[Track] = []  # over, and sliding out when they were last seen
        self._fresh: list[Track] = []  # begun since the last check
        self._noted: deque[Track] = deque(maxlen=_MAX_NOTED)  # that stood for a moment
        self._past: list[tuple[int, int, WorkBox]] = []  # start, stop, box of finished tracks

    def add(self, index: int, luma: Luma) -> None:
        """Take the next frame's working luma."""
        for track in self.live:
            track.add(index, luma)
            if index - track.birth == self._timing.frames_after and not track.doubtful:
                track.follow_back(self._ring)

    def check(self, frames: int) -> None:
        """Check the newest frame for each line; end the tracks that are over.

        Args:
            frames: number of the film's frames so far.
        """
        for track in self._fresh:
            if track.is_brief(_MIN_WORD_FRAMES):
                continue  # text that moves with the scene
            if not any(other.appearance.shows_text_of(track.appearance) for other in self._noted):
                self.busy.note(track.birth, track.box)
            self._noted.append(track)
        self._fresh = []
        leaving, self._leaving = self._leaving, []
        over = [track for track in self.live if not track.check()]
        for track in (*leaving, *over):
            self._close(track, frames)
        self.live = [track for track in self.live if track not in over]

    def assign(self, index: int, sighting: Sighting) -> None:
        """Add a sighting in the newest frame to the track it belongs to, or begin one with it."""
        for track in self.live:
            if not same_place(track.box, sighting.box):
                continue
            if not track.doubtful or (
                track.sample_count < 4 and _same_bounds(track.box, sighting.box) and track.resume()
            ):
                track.sighted(sighting)
                return
        track = Track(index, sighting, held=self._ring, timing=self._timing)
        self.live.append(track)
        self._fresh.append(track)

    def knows_line(self, band: Band, index: int, luma: Luma) -> bool:
        """Return True if a known line stands in busy rows on frame ``index``."""
        if any(start <= index < stop and band.holds(box) for start, stop, box in self._past):
            return True
        return any(band.holds(t.box) and t.shown_in(index, luma) for t in self.live)

    def look_back(self, index: int, sighting: Sighting, frames: int) -> None:
        """Follow a line that an earlier frame shows, unless a track covers it, to the newest one.

        Args:
            index: the earlier frame's; it is held in the ring.
            sighting: what it shows.
            frames: number of the film's frames so far.
        """
        held = list(self._ring)
        until = [(at, luma) for at, luma in held if at <= index]
        if self._covered(index, until[-1][1], sighting.box):
            return
        track = Track(index, sighting, held=until, timing=self._timing)
        for at, luma in held[len(until) :]:
            track.add(at, luma)
            if not track.check():
                self._close(track, frames)
                return
        self.live.append(track)

    def finish(self, frames: int) -> list[TextLine]:
        """End all tracks; return the lines of the film.

        Args:
            frames: number of the film's frames.
        """
        for track in (*self.live, *self._leaving):
            self._close(track, frames, final=True)
        self.live, self._leaving = [], []
        return self.lines

    def _covered(self, index: int, luma: Luma, box: WorkBox) -> bool:
        """Return True if a known line stands in ``box`` on frame ``index``."""
        if any(start <= index < stop and same_place(b, box) for start, stop, b in self._past):
            return True
        return any(same_place(t.box, box) and t.shown_in(index, luma) for t in self.live)

    def _passes(self, track: Track) -> bool:
        """Return True if a line and its surroundings move together, other lines left aside."""
        others = [other for other in self.live if other is not track and other.sample_count > 1]
        held = {piece.index: piece.luma for piece in (*track.held.head, *track.held.tail)}
        masks = track.text_mask, ~track.window.context_mask([other.box for other in others])
        beside = (held[at] for at in (track.birth + 1, track.birth - 1) if at in held)
        return any(moves_with_scene(held[track.birth], luma, *masks) for luma in beside)

    def _slides(self, track: Track) -> tuple[Slide, Slide]:
        """Return how a line that is over comes and goes."""
        if track.comes is None:
            track.settle(list(self._ring))
        if track.comes is None:
            track.follow_back(self._ring)
        return track.comes or Slide(), track.follow_on(self._ring)

    def _close(self, track: Track, frames: int, *, final: bool = False) -> None:
        """Measure a line that is over, and keep its record; later if it slides out just now.

        Args:
            track: of the line.
            frames: number of the film's frames so far.
            final: no more frames will come.
        """
        is_edge = track.birth < self._brief_frames or track.last_there >= frames - 1
        once = track.last_there == track.birth and not is_edge
        busy = self.busy.holds(track.birth, track.box)
        if once and track.is_brief(_MIN_WORD_FRAMES if busy else self._brief_frames):
            if not self._passes(track):  # else it is background like any other
                self._search.glimpses.note(track.birth, track.box)
            return  # the most frequent end by far: scene text that has moved on
        comes, goes = self._slides(track)
        if not final and goes.path and goes.path[-1].frame >= frames - 1:
            self._leaving.append(track)
            return
        track.close()
        span = measure_span(track, frames, self._ramp_frames)
        if track.life is not None and span.full_stop == track.life.stop:
            span = replace(span, stop=span.full_stop)  # what follows is another text, no fade
        others = [other.box for other in self.live if other is not track]
        others += [box for start, stop, box in self._past if stop > span.start < span.stop > start]
        self._past = [*self._past[-(_MAX_PAST - 1) :], (span.start, span.stop, track.box)]
        line = line_of(track, span, others, (comes, goes))
        if track.sample_count <= _FEW_SAMPLES and not line.with_scene:
            line = replace(line, with_scene=self._passes(track))
        line = replace(line, box=self._grown_box(line))
        self.lines.append(line)
        if line.keeps_still:
            self._search.learn(line.box)

    def _grown_box(self, line: TextLine) -> WorkBox:
        """Return the line's box, with letters of its row that come or go as it does."""
        held, span = dict(self._ring), line.span
        ends = (
            (span.full_stop - 2, span.full_stop - 1, span.stop, span.goes),
            (span.full_start + 1, span.full_start, span.start - 1, span.comes),
        )
        for *numbers, edge in ends:
            if edge is Edge.ALONE and all(number in held for number in numbers) and not line.path:
                earlier, shown, bare = (held[number] for number in numbers)
                return extend_along_row(
                    line.box, (earlier, shown, bare), line.text_height, vertical=line.vertical
                )
        return line.box


def _same_bounds(one: WorkBox, other: WorkBox) -> bool:
    """Return True if two boxes share most of the larger one's area."""
    return shared_area(one, other) > 0.8 * max(area(one), area(other))
