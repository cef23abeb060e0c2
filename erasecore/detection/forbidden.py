"""Forbidden sources: text near subtitles that nobody accepted, from which no pixel is copied.

What was refused, was seen too briefly to be judged, moves, or is more tilted than subtitles are
stays in the film. Where such text stands, and on its way, the picture behind it is
not to be seen, so its pixels must not be taken for background anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np

from erasecore.detection.line_window import WorkBox
from erasecore.detection.verdict import TextLine
from erasecore.model.boxes import area, shared_area
from erasecore.model.events import swept_box

_MAX_GLIMPSES = 20_000  # glimpses that are kept; bounds memory
_COVERED_SHARE = 0.6  # of a box in accepted lines: it is theirs; guess
_MARGIN_LINES = 0.3  # thicknesses by which a box is enlarged: outline, glow, scaling; guess
_LINKED_SIZE = 0.7  # least ratio of the thicknesses of two glimpses of one text; guess
_LINKED_LENGTH = 0.5  # least ratio of their lengths; guess
_LINKED_ROWS = 0.6  # least overlap of their rows (or columns); guess
_LINKED_LENGTHS = 1.5  # box lengths that a text moves between two samples, at most; guess
_PATH_FRAMES = 4  # frames of a path that are forbidden as one box; guess
_LARGER_SIGN = 1.6  # of a subtitle's height: text behind it is at least so high; guess
_BEHIND_SHARE = 0.25  # of a subtitle's area on such text, at least; guess
_NEAR_SECONDS = 2.0  # seconds from an accepted line to text that may be a source for it; guess
_NEAR_LINES = 6.0  # thicknesses of a line from it to such text; guess


@dataclass(frozen=True, slots=True)
class Stretch:
    """A box in which text may stand on frames ``[start, stop)``; working pixels.

    ``text`` is equal for the stretches of one text.
    """

    start: int
    stop: int
    box: WorkBox
    text: int = -1


class Glimpses:
    """Sightings of text in single samples that no line was made of.

    Args:
        step: frames from one sample to the next.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._seen: list[tuple[int, WorkBox]] = []

    def note(self, index: int, box: WorkBox) -> None:
        """Note text in ``box`` (working pixels) of frame ``index``."""
        if len(self._seen) < _MAX_GLIMPSES:
            self._seen.append((index, box))

    def stretches(self) -> list[Stretch]:
        """Return where such text stood up to the samples before and after it was seen.

        Text that the next sample shows elsewhere has been anywhere between the two places; before
        the first and after the last of them it went on like that.
        """
        found: list[Stretch] = []
        order = sorted(self._seen, key=lambda glimpse: glimpse[0])
        texts: list[int] = []
        for k, (index, box) in enumerate(order):
            earlier = self._linked(order, range(k - 1, -1, -1), k)
            later = self._linked(order, range(k + 1, len(order)), k)
            texts.append(k if earlier is None else texts[earlier])
            before = None if earlier is None else order[earlier][1]
            after = None if later is None else order[later][1]
            ahead = after if after is not None else _mirrored(box, before)
            behind = before if before is not None else _mirrored(box, after)
            found.append(Stretch(index, index + self._step, _hull(box, ahead), texts[k]))
            found.append(Stretch(index - self._step + 1, index + 1, _hull(box, behind), texts[k]))
        return found

    def _linked(
        self, order: Sequence[tuple[int, WorkBox]], others: Iterable[int], number: int
    ) -> int | None:
        """Return the number of the same text in a sample next to its own, if it was seen there."""
        index, box = order[number]
        for k in others:
            at, other = order[k]
            if abs(at - index) > 1.5 * self._step:
                return None
            if at != index and _same_text(box, other):
                return k
        return None


def forbidden_stretches(
    seen: Sequence[Stretch],
    refused: Sequence[TextLine],
    accepted: Sequence[TextLine],
    *,
    frames: int,
    rate: float,
) -> list[Stretch]:
    """Return where text stands that is no source of background for ``accepted`` lines.

    Args:
        seen: text that no line was made of.
        refused: lines that stay in the film; those that were seen to move with what is around them
            are a part of the scene, and background like any other.
        accepted: the subtitles.
        frames: number of the film's frames.
        rate: frames a second.
    """
    own = [line for line in refused if not line.with_scene]
    lines = [part for k, line in enumerate(own) for part in _of_line(line, -2 - k)]
    everything = [*seen, *lines]
    behind = {part.text for part in everything if _lies_behind(part, accepted)}
    everything = [part for part in everything if part.text not in behind]
    near = [_limited(part, frames) for part in everything if _is_near(part, accepted, rate)]
    return [
        Stretch(part.start, part.stop, _enlarged(part.box))
        for each in near
        for part in _uncovered(each, accepted)
    ]


def _lies_behind(part: Stretch, accepted: Sequence[TextLine]) -> bool:
    """Return True if a subtitle stands on text of larger letters: that is a sign of the scene."""
    thickness = min(part.box[2] - part.box[0], part.box[3] - part.box[1])
    return any(
        line.span.start < part.stop
        and line.span.stop > part.start
        and thickness > _LARGER_SIGN * line.text_height
        and shared_area(part.box, line.box) > _BEHIND_SHARE * area(line.box)
        for line in accepted
    )


def _of_line(line: TextLine, text: int) -> list[Stretch]:
    """Return where a line stands, and the way it comes and goes."""
    parts = [Stretch(line.span.start, line.span.stop, line.box, text)]
    for first in range(0, len(line.path), _PATH_FRAMES):
        points = line.path[first : first + _PATH_FRAMES]
        box = np.array(swept_box(line.box.tolist(), points))
        parts.append(Stretch(points[0].frame, points[-1].frame + 1, box, text))
    return parts


def _limited(part: Stretch, frames: int) -> Stretch:
    return replace(part, start=max(0, part.start), stop=min(frames, part.stop))


def _is_near(part: Stretch, accepted: Sequence[TextLine], rate: float) -> bool:
    """Return True if text may be a source for a hole of an accepted line."""
    reach = round(_NEAR_SECONDS * rate)
    for line in accepted:
        if part.start >= line.span.stop + reach or part.stop <= line.span.start - reach:
            continue
        far = _NEAR_LINES * line.text_height
        box = line.swept + np.array([-far, -far, far, far])
        if shared_area(part.box, box) > 0:
            return True
    return False


def _uncovered(part: Stretch, accepted: Sequence[TextLine]) -> list[Stretch]:
    """Return the parts of a stretch in which accepted lines do not cover its box."""
    over = [
        line
        for line in accepted
        if line.span.start < part.stop
        and line.span.stop > part.start
        and shared_area(line.swept, part.box) > 0
    ]
    borders = {part.start, part.stop}
    for line in over:
        borders |= {line.span.start, line.span.stop}
    inside = sorted(frame for frame in borders if part.start <= frame <= part.stop)
    found: list[Stretch] = []
    for start, stop in pairwise(inside):
        shown = [line for line in over if line.span.start <= start < line.span.stop]
        shared = sum(shared_area(_enlarged(line.swept), part.box) for line in shown)
        if shared < _COVERED_SHARE * area(part.box):
            found.append(Stretch(start, stop, part.box))
    return found


def _same_text(one: WorkBox, other: WorkBox) -> bool:
    """Return True if two boxes may be one text that moves along its row or column."""
    sides = [sorted((box[2] - box[0], box[3] - box[1])) for box in (one, other)]
    (thin, thick), (short, length) = (sorted(side) for side in zip(*sides, strict=True))
    if thin < _LINKED_SIZE * thick or short < _LINKED_LENGTH * length:
        return False
    shifts = [abs(one[a] + one[a + 2] - other[a] - other[a + 2]) / 2 for a in (0, 1)]
    in_line = any(_shared_share(one, other, axis) > _LINKED_ROWS for axis in (0, 1))
    return bool(in_line and max(shifts) < _LINKED_LENGTHS * length)


def _shared_share(one: WorkBox, other: WorkBox, axis: int) -> float:
    shared = min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis])
    return float(shared / max(1e-6, min(b[axis + 2] - b[axis] for b in (one, other))))


def _mirrored(box: WorkBox, other: WorkBox | None) -> WorkBox | None:
    """Return ``box`` moved on by as much as it has moved from ``other``."""
    return None if other is None else box + (box - other)


def _hull(box: WorkBox, other: WorkBox | None) -> WorkBox:
    if other is None:
        return box
    return np.concatenate([np.minimum(box[:2], other[:2]), np.maximum(box[2:], other[2:])])


def _enlarged(box: WorkBox) -> WorkBox:
    margin = _MARGIN_LINES * min(box[2] - box[0], box[3] - box[1])
    return np.asarray(box + np.array([-margin, -margin, margin, margin]), np.float64)
