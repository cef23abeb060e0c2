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

from erasecore.detect.patterns import Presence
from erasecore.detect.tracks import Box, Piece, Track

_BRIDGE = 3  # frames of doubt that are crossed when the text is there again behind them
_FULL = 0.85  # of the template's strokes: fully opaque
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


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far from a frame that shows the text others show it too, in frames."""

    there: int  # the last frame that plainly shows it
    visible: int  # the last frame that shows any of it
    beyond: bool  # whether there is a frame without it
    faded: bool  # whether it goes by degrees


def measure_span(track: Track, frames: int, max_ramp: int) -> Span:
    """The exact span of a finished track in a film of ``frames`` frames (so far)."""
    head = [(piece, track.look(track.pattern(piece))) for piece in track.head]
    tail = [(piece, track.look(track.pattern(piece))) for piece in track.tail]
    at = next(k for k, (piece, _) in enumerate(head) if piece.index == track.birth)
    back = _walk([look for _, look in reversed(head[: at + 1])], max_ramp)
    last = max(k for k, (piece, _) in enumerate(tail) if piece.index <= track.last_there)
    on = _walk([look for _, look in tail[last:]], max_ramp)
    start = head[at - back.visible][0].index
    stop = tail[last + on.visible][0].index + 1
    full_start, full_stop = start, stop
    if back.faded:
        full_start = _first_full(head, start, default=head[at - back.there][0].index)
    if on.faded:
        full_stop = _first_full(tail[::-1], stop - 1, default=tail[last + on.there][0].index) + 1
    comes, goes = Edge.UNKNOWN, Edge.UNKNOWN
    if start == 0:
        comes = Edge.FILM
    elif back.beyond:
        inside = _at(head, min(full_start, head[-1][0].index))
        comes = _edge(track, _at(head, start - 1), inside)
    if stop >= frames:
        goes = Edge.FILM
    elif on.beyond:
        inside = _at(tail, max(full_stop - 1, tail[0][0].index))
        goes = _edge(track, _at(tail, stop), inside)
    return Span(start, stop, min(full_start, stop - 1), max(full_stop, start + 1), comes, goes)


def _walk(looks: Sequence[Presence], max_ramp: int) -> _Walk:
    there = 0
    for k, look in enumerate(looks):
        if look.there:
            if k - there > _BRIDGE + 1:
                break
            there = k
    rest = looks[there + 1 :]
    if not rest:
        return _Walk(there, there, beyond=False, faded=False)
    gains = np.array([look.gain for look in rest])
    far = gains[3:16] if len(gains) >= 6 else gains[-2:]
    floor = float(np.median(far))
    noise = 1.5 * float(np.median(np.abs(far - floor)))
    visible = there
    previous = looks[there].gain
    for gain in gains[:max_ramp]:
        if gain - floor < max(_FAINT, 3 * noise) or gain > previous + 0.05:
            break
        visible += 1
        previous = float(gain)
    faded = visible > there or looks[there].gain < 0.75
    if faded and visible + 1 < len(looks):
        visible += 1  # the faintest frame of a fade is below any threshold
    return _Walk(there, visible, beyond=visible + 1 < len(looks), faded=faded)


def _first_full(looks: Sequence[tuple[Piece, Presence]], begin: int, *, default: int) -> int:
    """The first frame, in the order given and from ``begin`` on, that shows all of the text."""
    started = False
    for piece, look in looks:
        started = started or piece.index == begin
        if started and look.gain > _FULL:
            return piece.index
    return default


def _at(looks: Sequence[tuple[Piece, Presence]], index: int) -> Piece:
    return next(piece for piece, _ in looks if piece.index == index)


def _edge(track: Track, without: Piece, inside: Piece) -> Edge:
    """Whether the text alone has changed between two frames, or all around it too."""
    change = np.abs(without.luma.astype(np.int16) - inside.luma)
    around = surroundings(track, ())
    if not around.any():
        return Edge.TOGETHER
    left, top, right, bottom = track.inner
    text = float(np.percentile(change[top:bottom, left:right], 85))
    return Edge.ALONE if float(change[around].mean()) < 0.3 * text else Edge.TOGETHER


def surroundings(track: Track, others: Sequence[Box]) -> NDArray[np.bool_]:
    """The pixels of a track's window that are away from its text and from ``others``."""
    left, top, right, bottom = track.window
    around = np.ones((bottom - top, right - left), np.bool_)
    pad = 0.25 * track.text_height
    for box in (track.box, *others):
        x0, y0 = max(0, int(box[0] - left - pad)), max(0, int(box[1] - top - pad))
        x1, y1 = int(box[2] - left + pad), int(box[3] - top + pad)
        if x1 > 0 and y1 > 0:
            around[y0:y1, x0:x1] = False
    return around
