"""Span of a line of text: its exact first and last frame, and how it comes and goes.

A frame's *gain* is the opacity at which it shows the template's strokes. Text that switches shows a
step in the gain; a fade shows a ramp, which is followed down to the level of the frames without
text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.appearance import Appearance
from erasecore.detection.line_window import Piece
from erasecore.detection.patterns import Pattern, Presence
from erasecore.detection.tracks import Track

_GAP_FRAMES = 3  # frames without the text that are crossed if it is there again after them; guess
_STILL_FRAMES = 4  # frames of nearly constant gain that show that the text is gone; guess
_FULL_GAIN = 0.94  # of the gain inside the span: fully opaque from here on; guess
_CLEAN_GAIN = 0.1  # opacity; a gain no larger is noise of the picture behind; guess
_SHARP_RATIO = 0.4  # of a text's likeness: with less in the next frame it has gone at once; guess
_FAINT_GAIN = 0.03  # opacity; least that counts as ink, in a film without noise; guess


class Edge(StrEnum):
    """Kind of an end of a line's span."""

    FILM = "film"  # the film itself begins or ends
    UNKNOWN = "unknown"  # it was there before the first frame we still hold
    ALONE = "alone"  # the text comes or goes, its surroundings stay
    TOGETHER = "together"  # it comes or goes with its surroundings: a cut, an occlusion


@dataclass(frozen=True, slots=True)
class Span:
    """Frames ``[start, stop)`` on which a line shows, and how it comes and goes.

    It is fully opaque on ``[full_start, full_stop)``.
    """

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
        """True if it comes or goes while its surroundings stay."""
        return Edge.ALONE in (self.comes, self.goes)

    @property
    def plainly_alone(self) -> bool:
        """True if it does so at once or in a fade, and not bit by bit as an uncovered sign does."""
        comes = self.switched_on or self.sharp_on or self.full_start > self.start
        goes = self.switched_off or self.sharp_off or self.full_stop < self.stop
        return (self.comes is Edge.ALONE and comes) or (self.goes is Edge.ALONE and goes)


@dataclass(frozen=True, slots=True)
class _Step:
    """One frame on the walk out of a line's life."""

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
    """Return the exact span of a finished track.

    Args:
        track: the line.
        frames: number of the film's frames, so far.
        max_ramp: frames that the longest fade lasts.
    """
    appearance = track.appearance
    begin = _begin(track, appearance, max_ramp)
    if begin.visible > track.birth:  # it has grown since: its first words come before its last
        begin = _begin(track, appearance.as_first_seen(), max_ramp)
    shown = _full_sample(appearance, latest=True)
    first_index = min(track.last_there, shown[0].index)
    tail = [piece for piece in track.held.tail if piece.index >= first_index]
    end = _end(appearance, _BoundarySearch(appearance, tail, shown), max_ramp)
    after = [piece for piece in tail if piece.index >= track.last_there]
    last = appearance.until_line_change(after)[-1:]
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


def _begin(track: Track, appearance: Appearance, max_ramp: int) -> _End:
    """Beginning of the line: a switch from another line in the same place, if there is one."""
    shown = _full_sample(appearance)
    last_index = max(track.birth, shown[0].index)
    head = [piece for piece in track.held.head if piece.index <= last_index]
    begin = _end(appearance, _BoundarySearch(appearance, head[::-1], shown), max_ramp)
    until = [piece for piece in head if piece.index <= track.birth]
    first = appearance.since_line_change(until)[0].index if until else begin.visible
    if first < begin.visible or not until or first == until[0].index:
        return begin
    return _End(first, max(begin.full, first), Edge.ALONE, switch=True)


def _full_sample(appearance: Appearance, *, latest: bool = False) -> tuple[Piece, Presence]:
    """Earliest (or latest) sample that shows the line at full opacity, and its presence there."""
    samples = [
        (piece, appearance.presence_in(appearance.pattern(piece))) for piece in appearance.samples
    ]
    level = 0.85 * float(np.median([presence.gain for _, presence in samples]))
    full = [sample for sample in samples if sample[1].gain >= level]
    return full[-1] if latest else full[0]


class _BoundarySearch:
    """Walk out of a line's life, frame by frame on demand since each costs time.

    Args:
        appearance: of the line.
        pieces: crops of its frames outwards; the first shows the line.
        shown: a crop that shows all of it, and its presence there.

    Attributes:
        steps: the frames walked so far.
        there: index of the last of them that shows the line.
    """

    def __init__(
        self, appearance: Appearance, pieces: Sequence[Piece], shown: tuple[Piece, Presence]
    ) -> None:
        self._appearance, self._pieces, self._shown = appearance, pieces, shown
        self.steps: list[_Step] = []
        self.there = self._walk_inside()

    @property
    def gains(self) -> list[float]:
        """Opacity of the template in every step so far, 1 as in the template."""
        return [step.presence.gain for step in self.steps]

    def step(self) -> bool:
        """Walk one frame further; return False if no more is held."""
        if len(self.steps) >= len(self._pieces):
            return False
        piece = self._pieces[len(self.steps)]
        pattern = self._appearance.pattern(piece)
        presence = self._appearance.presence_in(pattern)
        gone = self._appearance.gone(piece, presence, *self._shown)
        self.steps.append(_Step(piece, pattern, presence, gone))
        return True

    def walk_outside(self, at_most: int) -> int:
        """Walk on until the gain is constant; return the first step where it is, else the least.

        Args:
            at_most: steps beyond the last one that shows the line.
        """
        while len(self.steps) - self.there <= at_most and self.step():
            outside = self.gains[self.there + 1 :]
            if len(outside) >= 8 and np.ptp(outside[-_STILL_FRAMES:]) < 0.06:
                return len(self.steps) - _STILL_FRAMES
        outside = self.gains[self.there + 1 :]
        return self.there + 1 + int(np.argmin(outside)) if outside else self.there

    def _walk_inside(self) -> int:
        """Walk on while the line is there, over short gaps; return the last step that shows it."""
        there = 0
        while self.step():
            here = len(self.steps) - 1
            if not self.steps[here].gone:
                there = here
            elif here - there > _GAP_FRAMES:
                break
        return self._extend_recoloured(there)

    def _extend_recoloured(self, there: int) -> int:
        """Last step of a line that changes its colour word by word (karaoke); else ``there``.

        It matches its template less and less, never changes all along, and then goes at once
        (docs/decisions.md 87).
        """
        last = there
        while len(self.steps) > last + 1 or self.step():
            shown, step = self.steps[last], self.steps[last + 1]
            if not step.presence.there:
                at_once = step.presence.likeness < _SHARP_RATIO * shown.presence.likeness
                return last if at_once else there
            if self._appearance.changed_along(shown.piece, step.piece):
                return there
            last += 1
        return there


def _end(appearance: Appearance, walk: _BoundarySearch, max_ramp: int) -> _End:
    """End of a line's life that a walk out of it meets."""
    steps, there = walk.steps, walk.there
    if there + 1 >= len(steps):
        return _End(steps[-1].piece.index, steps[-1].piece.index, Edge.UNKNOWN)
    bare = walk.walk_outside(max_ramp)
    gains = np.array(walk.gains)
    full = _full_step(gains, there)
    alone = appearance.changed_alone(steps[bare].piece, steps[full].piece)
    if alone and abs(gains[bare]) > _CLEAN_GAIN:  # the picture behind has strokes of its own
        ink = appearance.ink_gain(steps[full].pattern, steps[bare].pattern)
        gains = np.array([ink(step.pattern) for step in steps])
    alone = alone or appearance.changed_alone(steps[there + 1].piece, steps[there].piece)
    edge = Edge.ALONE if alone else Edge.TOGETHER
    visible = _visible_step(gains, there, bare)
    if visible == there and not _fading(gains, there):
        sharp = _is_sharp([step.presence for step in steps], there)
        return _End(steps[there].piece.index, steps[there].piece.index, edge, sharp=sharp)
    visible = min(visible + 1, len(steps) - 1)  # a fade's faintest frame is below any threshold
    return _End(steps[visible].piece.index, steps[_full_step(gains, there)].piece.index, edge)


def _is_sharp(presences: Sequence[Presence], there: int) -> bool:
    """Return True if the text matches well up to ``there`` and not at all in the steps after it."""
    inside = presences[max(0, there - 2) : there + 1]
    outside = presences[there + 1 : there + 4]
    plain = min(presence.likeness for presence in inside)
    absent = all(presence.likeness < _SHARP_RATIO * plain for presence in outside)
    return bool(outside) and plain > 0.5 and absent


def _fading(gains: NDArray[np.float64], there: int) -> bool:
    """Return True if the gain at ``there`` is already below that of the steps before."""
    return bool(gains[there] < 0.85 * np.median(gains[max(0, there - 4) : max(1, there)]))


def _full_step(gains: NDArray[np.float64], there: int) -> int:
    """Last step, up to ``there``, that shows the text at full opacity."""
    level = _FULL_GAIN * float(np.median(gains[gains > 0.85 * gains[: there + 1].max()]))
    return max((k for k in range(there + 1) if gains[k] > level), default=0)


def _visible_step(gains: NDArray[np.float64], there: int, bare: int) -> int:
    """Last step that shows any ink: the end of the ramp after ``there``, if there is one.

    Where text switches, the gain drops from one frame to the next to the level of another text or
    of the picture, which may be above the floor but goes no further down.

    Args:
        gains: float64 ``(steps,)``; opacity in each step.
        there: last step that shows the line.
        bare: step without any of it.
    """
    inside = float(np.median(gains[max(0, there - 4) : max(1, there)])) - gains[bare]
    scaled = (gains - gains[bare]) / max(0.05, inside)
    still = scaled[bare:]
    faint = max(_FAINT_GAIN, min(4.5 * float(np.median(np.abs(still - np.median(still)))), 0.2))
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
    """Return True if the gain falls at once and then stays constant.

    Args:
        rest: float64 ``(steps,)``; gains after the last frame that shows the text, whose is 1.
        faint: gain that may be noise.
    """
    after = rest[1] if len(rest) > 1 else rest[0]
    return bool(rest[0] < faint or after > 0.75 * rest[0] or 1 - rest[0] > 8 * (rest[0] - after))
