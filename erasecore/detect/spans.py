"""The frames on which a line of text shows, exactly, and what its ends look like.

A frame's *gain* is how much of the template's strokes it holds. Text that switches shows a step
in the gain; a fade shows a ramp, which is followed down to the level of the frames without text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from erasecore.detect.line_changes import Piece
from erasecore.detect.patterns import Pattern, Presence
from erasecore.detect.tracks import Track

_BRIDGE = 3  # frames of doubt that are crossed when the text is there again behind them
_STILL = 4  # frames in which the gain stays where it is, once the text is gone
_FULL = 0.94  # of the gain inside: fully opaque
_CLEAN = 0.1  # a gain no larger is noise of the picture behind
_SHARP = 0.4  # of a text's likeness: below it in the next frame, it has gone at once
_FAINT = 0.03  # of the gain: the least that counts as ink, in a film without noise


class Edge(StrEnum):
    """What happens at an end of a line's span."""

    FILM = "film"  # the film itself begins or ends
    UNKNOWN = "unknown"  # it was there before the first frame we still hold
    ALONE = "alone"  # the text comes or goes, its surroundings stay
    TOGETHER = "together"  # it comes or goes with its surroundings: a cut, an occlusion


@dataclass(frozen=True, slots=True)
class Span:
    """When a line shows, and how it comes and goes."""

    start: int
    stop: int
    full_start: int
    full_stop: int
    comes: Edge
    goes: Edge
    switched_on: bool = False  # from one frame to the next, which shows in the change itself
    switched_off: bool = False
    sharp_on: bool = False  # all there from one frame to the next
    sharp_off: bool = False

    @property
    def alone(self) -> bool:
        """Whether it comes or goes while its surroundings stay."""
        return Edge.ALONE in (self.comes, self.goes)

    @property
    def plainly_alone(self) -> bool:
        """Whether it does so at once or in a fade, not bit by bit as what comes to light does."""
        comes = self.switched_on or self.sharp_on or self.full_start > self.start
        goes = self.switched_off or self.sharp_off or self.full_stop < self.stop
        return (self.comes is Edge.ALONE and comes) or (self.goes is Edge.ALONE and goes)


@dataclass(frozen=True, slots=True)
class _Step:
    """One frame on the way out of a line's life."""

    piece: Piece
    pattern: Pattern
    presence: Presence
    gone: bool


@dataclass(frozen=True, slots=True)
class _End:
    """One end of a line's life, as found by walking out of it."""

    visible: int  # the last frame, outwards, that shows any ink
    full: int  # the last frame, outwards, that shows all of it
    edge: Edge
    switch: bool = False  # told from the change between two frames
    sharp: bool = False  # all there, and nothing of it in the next frame outwards


def measure_span(track: Track, frames: int, max_ramp: int) -> Span:
    """The exact span of a finished track in a film of ``frames`` frames (so far)."""
    begin = _begin(track, _best(track), max_ramp)
    if begin.visible > track.birth:  # it has grown since: its first words come before its last
        early = track.as_first_seen()
        begin = _begin(early, _best(early), max_ramp)
    shown = _best(track, latest=True)
    tail = [piece for piece in track.tail if piece.index >= min(track.last_there, shown[0].index)]
    end = _end(track, _BoundarySearch(track, tail, shown), max_ramp)
    last = track.until_line_change([piece for piece in tail if piece.index >= track.last_there])[
        -1:
    ]
    if last and last[0].index <= end.visible and last[0].index < tail[-1].index:
        end = _End(last[0].index, min(end.full, last[0].index), Edge.ALONE, switch=True)
    comes = Edge.FILM if begin.visible == 0 else begin.edge
    goes = Edge.FILM if end.visible >= frames - 1 else end.edge
    start, stop = begin.visible, end.visible + 1
    return Span(
        start=start,
        stop=stop,
        full_start=min(begin.full, stop - 1),
        full_stop=max(end.full + 1, start + 1),
        comes=comes,
        goes=goes,
        switched_on=begin.switch,
        switched_off=end.switch,
        sharp_on=begin.sharp,
        sharp_off=end.sharp,
    )


def _begin(track: Track, shown: tuple[Piece, Presence], max_ramp: int) -> _End:
    """Where the line begins: at a switch from another line in the same place, if there is one."""
    head = [piece for piece in track.head if piece.index <= max(track.birth, shown[0].index)]
    begin = _end(track, _BoundarySearch(track, head[::-1], shown), max_ramp)
    until = [piece for piece in head if piece.index <= track.birth]
    first = track.since_line_change(until)[0].index if until else begin.visible
    if first < begin.visible or not until or first == until[0].index:
        return begin
    return _End(first, max(begin.full, first), Edge.ALONE, switch=True)


def _best(track: Track, *, latest: bool = False) -> tuple[Piece, Presence]:
    """The earliest (or latest) sample that shows all of the line, and the look of it."""
    samples = [(piece, track.presence_in(track.pattern(piece))) for piece in track.samples]
    level = 0.85 * float(np.median([look.gain for _, look in samples]))
    full = [sample for sample in samples if sample[1].gain >= level]
    return full[-1] if latest else full[0]


class _BoundarySearch:
    """Steps out of a line's life, taken one by one since each costs time.

    Args:
        track: the line.
        pieces: its frames outwards; the first shows the line.
        shown: a frame that shows all of it.
    """

    def __init__(
        self, track: Track, pieces: Sequence[Piece], shown: tuple[Piece, Presence]
    ) -> None:
        self._track, self._pieces, self._shown = track, pieces, shown
        self.steps: list[_Step] = []
        self.there = self._walk_inside()

    @property
    def gains(self) -> list[float]:
        """The opacity of the template in every step so far."""
        return [step.presence.gain for step in self.steps]

    def step(self) -> bool:
        """Take one more step; False at the end of what is held."""
        if len(self.steps) >= len(self._pieces):
            return False
        piece = self._pieces[len(self.steps)]
        pattern = self._track.pattern(piece)
        look = self._track.presence_in(pattern)
        gone = self._track.gone(piece, look, *self._shown)
        self.steps.append(_Step(piece, pattern, look, gone))
        return True

    def walk_outside(self, at_most: int) -> int:
        """Go on to where the gain stays; the step where it does (or is least)."""
        while len(self.steps) - self.there <= at_most and self.step():
            outside = self.gains[self.there + 1 :]
            if len(outside) >= 8 and np.ptp(outside[-_STILL:]) < 0.06:
                return len(self.steps) - _STILL
        outside = self.gains[self.there + 1 :]
        return self.there + 1 + int(np.argmin(outside)) if outside else self.there

    def _walk_inside(self) -> int:
        """Go on while the line is there, over short gaps too; the last step that shows it."""
        there = 0
        while self.step():
            here = len(self.steps) - 1
            if not self.steps[here].gone:
                there = here
            elif here - there > _BRIDGE:
                break
        return self._recoloured(there)

    def _recoloured(self, there: int) -> int:
        """The last step behind ``there`` of a line that has changed its colour word by word.

        It looks less and less like its template, never changes all along, and then goes at once.
        """
        last = there
        while len(self.steps) > last + 1 or self.step():
            shown, step = self.steps[last], self.steps[last + 1]
            if not step.presence.there:
                return last if step.presence.likeness < _SHARP * shown.presence.likeness else there
            if self._track.changed_along(shown.piece, step.piece):
                return there
            last += 1
        return there


def _end(track: Track, walk: _BoundarySearch, max_ramp: int) -> _End:
    """The end of a line's life that a walk out of it meets."""
    steps, there = walk.steps, walk.there
    if there + 1 >= len(steps):
        return _End(steps[-1].piece.index, steps[-1].piece.index, Edge.UNKNOWN)
    bare = walk.walk_outside(max_ramp)
    gains = np.array(walk.gains)
    full = _full(gains, there)
    alone = track.changed_alone(steps[bare].piece, steps[full].piece)
    if alone and abs(gains[bare]) > _CLEAN:  # what stays behind the text has strokes of its own
        ink = track.ink_gain(steps[full].pattern, steps[bare].pattern)
        gains = np.array([ink(step.pattern) for step in steps])
    alone = alone or track.changed_alone(steps[there + 1].piece, steps[there].piece)
    edge = Edge.ALONE if alone else Edge.TOGETHER
    visible = _visible(gains, there, bare)
    if visible == there and not _fading(gains, there):
        sharp = _is_sharp([step.presence for step in steps], there)
        return _End(steps[there].piece.index, steps[there].piece.index, edge, sharp=sharp)
    visible = min(visible + 1, len(steps) - 1)  # a fade's faintest frame is below any threshold
    return _End(steps[visible].piece.index, steps[_full(gains, there)].piece.index, edge)


def _is_sharp(looks: Sequence[Presence], there: int) -> bool:
    """Whether the text is plain up to ``there`` and nothing is left of it in the frames behind."""
    inside, outside = looks[max(0, there - 2) : there + 1], looks[there + 1 : there + 4]
    plain = min(look.likeness for look in inside)
    return bool(outside) and plain > 0.5 and all(look.likeness < _SHARP * plain for look in outside)


def _fading(gains: NDArray[np.float64], there: int) -> bool:
    """Whether the text is on its way out in the frames up to ``there``."""
    return bool(gains[there] < 0.85 * np.median(gains[max(0, there - 4) : max(1, there)]))


def _full(gains: NDArray[np.float64], there: int) -> int:
    """The last step, up to ``there``, that shows all of the text."""
    level = _FULL * float(np.median(gains[gains > 0.85 * gains[: there + 1].max()]))
    return max((k for k in range(there + 1) if gains[k] > level), default=0)


def _visible(gains: NDArray[np.float64], there: int, bare: int) -> int:
    """The last step that shows any ink: the end of the ramp behind ``there``, if there is one.

    Text that switches leaves its template's gain at another text's or the picture's own level
    from one frame to the next, which may be above the floor but goes no further down.
    """
    inside = float(np.median(gains[max(0, there - 4) : max(1, there)])) - gains[bare]
    scaled = (gains - gains[bare]) / max(0.05, inside)
    still = scaled[bare:]
    faint = max(_FAINT, min(4.5 * float(np.median(np.abs(still - np.median(still)))), 0.2))
    if scaled[there] > 0.85 and _is_step(scaled[there + 1 :], 3 * faint):
        return there
    visible = there
    for k in range(there + 1, len(scaled) - 1):
        slope = float(np.median(-np.diff(scaled[max(0, k - 3) : k + 1])))
        if scaled[k] < 0.5 * faint or scaled[k] - scaled[k + 1] < 0.3 * slope:
            break
        visible = k
    return visible


def _is_step(rest: NDArray[np.float64], faint: float) -> bool:
    """Whether the gain falls at once and then stays, where it is or at nothing.

    Args:
        rest: the gains behind the last frame that plainly shows the text, which has 1.
        faint: a gain that may be noise.
    """
    after = rest[1] if len(rest) > 1 else rest[0]
    return bool(rest[0] < faint or after > 0.75 * rest[0] or 1 - rest[0] > 8 * (rest[0] - after))
