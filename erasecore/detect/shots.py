"""The cuts of a film, from small pictures of its frames, one by one."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_WIDE, _HIGH = 32, 18  # blocks of a small picture
_CHANGED_LEVELS = 10.0  # a block that differs by more has changed
_CHANGED_SHARE = 0.42  # of the blocks, at a cut; a subtitle covers far fewer
_CUT_LEVELS = 9.0  # mean difference over the blocks, at least
_PEAK_RATIO = 2.2  # of a cut's difference to that of the frames around it: a pan has no peak
_JOLT, _JOLT_LEVELS, _JOLT_SHARE = 1.6, 3.0, 0.2  # above the usual: more than a subtitle makes
_AFTER = 4  # frames looked at after a candidate, to tell a flash from a cut
_BEFORE = 6


@dataclass(frozen=True, slots=True)
class _FrameSample:
    """A frame as the finder remembers it."""

    index: int
    blocks: NDArray[np.float32]
    difference: float  # from the frame before
    changed: float  # share of the blocks


class ShotFinder:
    """Finds hard cuts; ``add`` every frame's luma in order, then ``finish``.

    A cut is a frame whose picture differs from the one before over most of its area, far more
    than the frames around differ from each other (a pan differs all the time), and to which the
    picture does not return within a few frames (a flash does).
    """

    def __init__(self) -> None:
        self._looks: deque[_FrameSample] = deque(maxlen=_BEFORE + _AFTER + 1)
        self._cuts: list[int] = []
        self._jolts: list[int] = []
        self._next = 0

    def add(self, luma: NDArray[np.uint8]) -> None:
        """Look at the next frame, any size, as 8-bit luma."""
        step = max(1, min(luma.shape[0] // (4 * _HIGH), luma.shape[1] // (4 * _WIDE)))
        few = np.ascontiguousarray(luma[::step, ::step])  # a block's mean needs no more of them
        blocks = cv2.resize(few, (_WIDE, _HIGH), interpolation=cv2.INTER_AREA).astype(np.float32)
        difference, changed = 0.0, 0.0
        if self._looks:
            change = np.abs(blocks - self._looks[-1].blocks)
            difference = float(np.minimum(change, 60.0).mean())
            changed = float((change > _CHANGED_LEVELS).mean())
        self._looks.append(_FrameSample(self._next, blocks, difference, changed))
        self._next += 1
        self._judge(self._next - 1 - _AFTER)

    @property
    def flash_candidates(self) -> frozenset[int]:
        """Frames that differ plainly from the one before: cuts, flashes, and what may be either."""
        return frozenset(self._jolts)

    def finish(self) -> tuple[int, ...]:
        """The cuts: for each, the index of the first frame after it."""
        for index in range(max(1, self._next - _AFTER), self._next):
            self._judge(index)
        return tuple(self._cuts)

    def _judge(self, index: int) -> None:
        """Note whether a cut lies before frame ``index``, some frames after it being known."""
        if index < 1:
            return
        looks = [look for look in self._looks if look.index >= index - _BEFORE]
        at = next(k for k, look in enumerate(looks) if look.index == index)
        here = looks[at]
        self._note_flash_candidate(here, [look for look in looks if look.index not in (0, index)])
        if here.changed < _CHANGED_SHARE or here.difference < _CUT_LEVELS:
            return
        around = [look.difference for look in looks if look.index not in (0, index)]
        if around and here.difference < _PEAK_RATIO * float(np.median(around)):
            return
        if not self._returns(looks, at):
            self._cuts.append(index)

    def _note_flash_candidate(self, here: _FrameSample, around: list[_FrameSample]) -> None:
        """Note a frame that differs from the one before plainly more than those around it do."""
        usual = _usual([look.difference for look in around])
        usual_share = _usual([look.changed for look in around])
        plain = here.difference > _JOLT * usual + _JOLT_LEVELS
        if plain or here.changed > _JOLT * usual_share + _JOLT_SHARE:
            self._jolts.append(here.index)

    def _returns(self, looks: list[_FrameSample], at: int) -> bool:
        """Whether the picture before ``at`` is back soon after it: a flash, or its end."""
        here = looks[at].difference
        before = looks[max(0, at - _AFTER) : at]
        after = looks[at + 1 : at + 1 + _AFTER]
        flash_begins = any(_distance(looks[at - 1], look) < 0.4 * here for look in after)
        flash_ends = any(_distance(look, looks[at]) < 0.4 * here for look in before[:-1])
        return flash_begins or flash_ends


def _usual(values: list[float]) -> float:
    return float(np.median(values)) if values else 0.0


def _distance(one: _FrameSample, other: _FrameSample) -> float:
    """How much two looks differ, in levels; no block counts for more than 60."""
    return float(np.minimum(np.abs(one.blocks - other.blocks), 60.0).mean())
