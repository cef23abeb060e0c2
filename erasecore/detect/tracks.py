"""One line of text, followed from frame to frame; what is kept of it while it lasts.

A track holds small pieces of luma, never pictures: the frames around its first sighting, those
of about the last second, and a few samples spread over its life. The strokes of the samples,
taken together, are its template; the pieces at both ends are what its first and last frame are
later read from.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.detect.line_changes import Piece, line_changed, line_changes
from erasecore.detect.patterns import Pattern, Presence, Template, strokes
from erasecore.detect.scaling import Luma, average

WorkBox: TypeAlias = NDArray[np.float64]
"""Left, top, right, bottom in working pixels."""

_MAX_SAMPLES = 8
_MAX_TAIL_BYTES = 6_000_000
_RESUMED = 0.4  # likeness of strokes that the detector, too, takes for text of the same extent
_SIDE_MARGIN = 2.0  # of the window around the box along the line, in text heights
_EDGE_MARGIN = 0.6  # and across it


@dataclass(frozen=True, slots=True)
class Pace:
    """How many frames the spans of time that tracking needs last, in this film."""

    gone: int  # without the text before a track is over
    look_back: int  # kept before the first sighting, and of the tail
    look_on: int  # kept after the first sighting


class Track:
    """A line of text that was seen at ``index`` in ``box``.

    Args:
        index: the frame.
        box: where, in working pixels.
        seen: the detector's score, 0 to 1, and the tilt in degrees.
        held: the frames before and up to ``index``, oldest first, as ``(index, luma)``.
        pace: how long things last.
        averaged: how many of the newest frames it was found in the average of.

    Attributes:
        birth: the frame of its first sighting.
        doubtful: the newest frame looked at does not show it, and it may still come back.
        boxes, scores, tilts: of the last sightings, oldest first.
        vertical: it runs downwards.
        text_height: working pixels across the line, as detected.
        window: left, top, right, bottom of what is kept of each frame, in working pixels.
        head: pieces from before its first sighting to some frames after it, oldest first.
        tail: the newest pieces, oldest first.
        samples: a few pieces that show it, spread over its life.
    """

    def __init__(
        self,
        index: int,
        box: WorkBox,
        *,
        seen: tuple[float, float],
        held: Iterable[tuple[int, Luma]],
        pace: Pace,
        averaged: int = 1,
    ) -> None:
        self.birth = index
        self.doubtful = False
        self.boxes = [box]
        self._first_box = box
        self.scores = [seen[0]]
        self.tilts = [seen[1]]
        self._pace = pace
        wide, high = box[2] - box[0], box[3] - box[1]
        self.vertical = bool(high > 1.5 * wide)
        self.text_height = float(max(4.0, wide if self.vertical else min(wide, high)))
        pictures = list(held)
        self.window = self._window(box, pictures[-1][1].shape)
        self.head = [Piece(at, self._cut(luma)) for at, luma in pictures]
        piece_bytes = max(1, self.head[-1].luma.nbytes)
        kept = max(pace.gone + 6, min(pace.look_back, _MAX_TAIL_BYTES // piece_bytes))
        self.tail = deque(self.head, maxlen=kept)
        self._known: dict[tuple[int, int], Pattern] | None = None
        self._averaged = averaged
        self._first = self._newest(self.head)
        self.samples = [self._first]
        self._patterns = [self.pattern(self._first)]
        self._stride, self._skipped = 1, 0
        self._template: Template | None = None
        self._last = self._first  # the newest frame that shows the line
        self._last_look = Presence(gain=1.0, likeness=1.0, cells=1.0)

    @property
    def last_there(self) -> int:
        """The newest frame that was seen to show the line."""
        return self._last.index

    @property
    def box(self) -> WorkBox:
        """Where the line is: the median of its sightings, in working pixels."""
        box: WorkBox = np.median(np.stack(self.boxes), axis=0)
        return box

    @property
    def inner(self) -> tuple[int, int, int, int]:
        """The line's place inside the window."""
        left, top, right, bottom = self.window
        x0, y0, x1, y1 = (round(float(side)) for side in self.box)
        x0, y0 = max(0, x0 - left), max(0, y0 - top)
        x1, y1 = min(right - left, x1 - left), min(bottom - top, y1 - top)
        return x0, y0, max(x1, x0 + 2), max(y1, y0 + 2)

    @property
    def template(self) -> Template:
        """The line's strokes, from the samples so far."""
        if self._template is None:
            self._template = Template(self._patterns, self.inner, vertical=self.vertical)
        return self._template

    def pattern(self, piece: Piece) -> Pattern:
        """The strokes of one piece."""
        if self._known is None:
            return strokes(piece.luma, self.text_height)
        key = piece.index, piece.averaged
        if key not in self._known:
            self._known[key] = strokes(piece.luma, self.text_height)
        return self._known[key]

    def close(self) -> None:
        """Take no more frames; from now on patterns are kept, since each is asked for often."""
        self._known = {}

    def as_first_seen(self) -> Track:
        """The track as its first sighting alone would have it."""
        early = copy(self)
        early.boxes, early.samples = [self._first_box], [self._first]
        early._patterns, early._template = [self.pattern(self._first)], None
        return early

    def add(self, index: int, luma: Luma) -> None:
        """Keep the window of one more frame."""
        piece = Piece(index, self._cut(luma))
        self.tail.append(piece)
        if index - self.birth <= self._pace.look_on:
            self.head.append(piece)

    def presence_in(self, pattern: Pattern) -> Presence:
        """How much of the line a frame shows."""
        return self.template.presence_in(pattern)

    def check(self) -> bool:
        """Look whether the newest frame shows the line; False when the track is over."""
        piece = self._newest(self.tail)
        pattern = self.pattern(piece)
        look = self.presence_in(pattern)
        if self._line_changed(piece):
            return False
        if self.gone(piece, look, self._last, self._last_look):
            self.doubtful = True
            return piece.index - self.last_there <= self._pace.gone
        if self.doubtful and self._was_away(piece.index):
            return False
        self.doubtful = False
        self._last, self._last_look = piece, look
        self._sample(piece, pattern)
        return True

    def since_line_change(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, in order of time, from the last switch of the text on."""
        found = line_changes(pieces, self.template, self.context_mask(()))
        return [piece for piece in pieces if not found or piece.index >= found[-1]]

    def until_line_change(self, pieces: Sequence[Piece]) -> list[Piece]:
        """The pieces, in order of time, up to the first switch of the text."""
        found = line_changes(pieces, self.template, self.context_mask(()))
        return [piece for piece in pieces if not found or piece.index < found[0]]

    def _line_changed(self, piece: Piece) -> bool:
        """Whether another text has taken the line's place since it was last seen."""
        changed = self.template.cell_changes(self._last.luma, piece.luma)
        if float(np.median(changed)) < 0.35 * self.template.contrast:
            return False
        since = [held for held in self.tail if held.index >= self._last.index - 1]
        return any(
            at > self._last.index
            for at in line_changes(since, self.template, self.context_mask(()))
        )

    def resume(self) -> bool:
        """Whether the newest frame, in which the detector sees text here again, shows this one.

        A picture that moves behind faint letters may hide them from a template of few samples.
        """
        piece = self._newest(self.tail)
        pattern = self.pattern(piece)
        if self.presence_in(pattern).likeness < _RESUMED or self._line_changed(piece):
            return False
        self.doubtful = False
        self._last, self._last_look = piece, self.presence_in(pattern)
        self._sample(piece, pattern)
        return True

    def gone(self, piece: Piece, look: Presence, shown: Piece, shown_look: Presence) -> bool:
        """Whether the line is no longer there in ``piece``, as it was in ``shown``."""
        if not look.there:
            return True
        less = look.likeness < shown_look.likeness - 0.12 or look.gain < 0.7 * shown_look.gain
        return less and self.changed_alone(piece, shown)

    def is_brief(self, frames: int) -> bool:
        """Whether fewer than so many frames around the first sighting show the line."""
        around = {piece.index: piece for piece in (*self.head, *self.tail)}
        shown = 1
        for direction in (-1, 1):
            at = self.birth + direction
            while at in around and self.presence_in(self.pattern(around[at])).there:
                shown += 1
                at += direction
                if shown >= frames:
                    return False
        return True

    def changed_alone(self, one: Piece, other: Piece) -> bool:
        """Whether the strokes differ between two frames, and their surroundings do not."""
        strokes_levels = self.template.change(one.luma, other.luma)
        if strokes_levels < max(8.0, 0.4 * self.template.contrast):
            return False
        around = self.context_mask(())
        if not around.any():
            return False
        return float(cv2.absdiff(one.luma, other.luma)[around].mean()) < 0.2 * strokes_levels

    def changed_along(self, one: Piece, other: Piece) -> bool:
        """Whether the strokes differ between two frames all along the line, not word by word."""
        return line_changed(
            self.template.cell_changes(one.luma, other.luma), self.template.contrast
        )

    def context_mask(self, others: Sequence[WorkBox]) -> NDArray[np.bool_]:
        """The window's pixels away from the line and from ``others``."""
        left, top, right, bottom = self.window
        around = np.ones((bottom - top, right - left), np.bool_)
        pad = 0.25 * self.text_height
        for box in (self.box, *others):
            x0, y0 = max(0, int(box[0] - left - pad)), max(0, int(box[1] - top - pad))
            x1, y1 = int(box[2] - left + pad), int(box[3] - top + pad)
            if x1 > 0 and y1 > 0:
                around[y0:y1, x0:x1] = False
        return around

    def ink_gain(self, full: Pattern, bare: Pattern) -> Callable[[Pattern], float]:
        """A measure of opacity from a frame with all of the ink and one with none."""
        left, top, right, bottom = self.inner
        part = np.s_[top:bottom, left:right]
        none = bare[part]
        ink = full[part] - none
        power = float((ink * ink).sum()) + 1e-6
        return lambda pattern: float(((pattern[part] - none) * ink).sum()) / power

    def sighted(self, box: WorkBox, score: float, tilt: float) -> None:
        """Note that the detector has found the line again."""
        self.boxes = [*self.boxes[-14:], box]
        self.scores = [*self.scores[-14:], score]
        self.tilts = [*self.tilts[-14:], tilt]
        self._template = None

    def _was_away(self, index: int) -> bool:
        """Whether the line truly vanished between its last sighting and frame ``index``."""
        between = [piece for piece in self.tail if self.last_there < piece.index < index]
        looks = [self.presence_in(self.pattern(piece)) for piece in between]
        away = (
            look.gain < 0.2 or self.gone(piece, look, self._last, self._last_look)
            for piece, look in zip(between, looks, strict=True)
        )
        return sum(away) >= 2

    def _sample(self, piece: Piece, pattern: Pattern) -> None:
        """Keep one sighting of several, fewer the longer the line lasts: memory is bounded."""
        self._skipped += 1
        if self._skipped < self._stride:
            return
        self._skipped = 0
        self.samples.append(piece)
        self._patterns.append(pattern)
        self._template = None
        if len(self.samples) > _MAX_SAMPLES:  # thin them out: half as many, twice as far apart
            self.samples, self._patterns = self.samples[::2], self._patterns[::2]
            self._stride *= 2

    def _newest(self, pieces: Sequence[Piece]) -> Piece:
        """The newest piece, or the average of the newest, if the line was found in one."""
        if self._averaged == 1:
            return pieces[-1]
        newest = [piece.luma for piece in islice(reversed(pieces), self._averaged)]
        return Piece(pieces[-1].index, average(newest), len(newest))

    def _cut(self, luma: Luma) -> Luma:
        left, top, right, bottom = self.window
        return luma[top:bottom, left:right].copy()

    def _window(self, box: WorkBox, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """The rectangle that is kept of each frame: the line, with room for its surroundings."""
        along, across = _SIDE_MARGIN * self.text_height, _EDGE_MARGIN * self.text_height
        grow_x, grow_y = (across, along) if self.vertical else (along, across)
        return (
            max(0, int(box[0] - grow_x)),
            max(0, int(box[1] - grow_y)),
            min(shape[1], int(np.ceil(box[2] + grow_x))),
            min(shape[0], int(np.ceil(box[3] + grow_y))),
        )
