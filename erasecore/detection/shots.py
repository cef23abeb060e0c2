"""Shot boundary detection: hard cuts of a film, from thumbnails of its frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_BLOCKS_ACROSS = 32  # blocks of a thumbnail in each row; guess
_BLOCKS_DOWN = 18  # blocks in each column; guess
_CHANGED_LEVELS = 10.0  # levels; a block that differs by more has changed; guess
_MAX_BLOCK_LEVELS = 60.0  # levels; cap on one block's difference; guess
_CHANGED_SHARE = 0.42  # of the blocks that change at a cut; a subtitle covers far fewer; guess
_CUT_LEVELS = 9.0  # levels; least mean difference at a cut; guess
_PEAK_RATIO = 2.2  # of a cut's difference to that of the frames around: a pan has no peak; guess
_FLASH_RATIO = 1.6  # of the usual difference and share of blocks; a flash has more ...; guess
_FLASH_LEVELS = 3.0  # levels; ... by so much, or ...; guess
_FLASH_SHARE = 0.2  # of the blocks; ... by so many: more than a subtitle changes; guess
_RETURN_RATIO = 0.4  # of the difference; frames that differ by less are the same picture; guess
_FRAMES_AFTER = 4  # frames after a candidate that tell a flash from a cut; guess
_FRAMES_BEFORE = 6  # frames before it that tell the usual difference; guess


@dataclass(frozen=True, slots=True)
class _FrameSample:
    """A frame's thumbnail, and its difference from the frame before."""

    index: int
    blocks: NDArray[np.float32]
    difference: float  # levels; mean over the blocks
    changed: float  # share of the blocks, 0 to 1


class ShotFinder:
    """Finds hard cuts; ``add`` every frame's luma in order, then ``finish``.

    A cut is a frame whose picture differs from the one before over most of its area, far more
    than the frames around differ from each other (a pan differs all the time), and to which the
    picture does not return within a few frames (a flash does).
    """

    def __init__(self) -> None:
        self._samples: deque[_FrameSample] = deque(maxlen=_FRAMES_BEFORE + _FRAMES_AFTER + 1)
        self._cuts: list[int] = []
        self._flash_candidates: list[int] = []
        self._next = 0

    def add(self, luma: NDArray[np.uint8]) -> None:
        """Take the next frame.

        Args:
            luma: uint8 ``(H, W)``, of any size.
        """
        height, width = luma.shape
        step = max(1, min(height // (4 * _BLOCKS_DOWN), width // (4 * _BLOCKS_ACROSS)))
        few = np.ascontiguousarray(luma[::step, ::step])  # a block's mean needs no more of them
        size = (_BLOCKS_ACROSS, _BLOCKS_DOWN)
        blocks = cv2.resize(few, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        difference, changed = 0.0, 0.0
        if self._samples:
            change = np.abs(blocks - self._samples[-1].blocks)
            difference = float(np.minimum(change, _MAX_BLOCK_LEVELS).mean())
            changed = float((change > _CHANGED_LEVELS).mean())
        self._samples.append(_FrameSample(self._next, blocks, difference, changed))
        self._next += 1
        self._classify(self._next - 1 - _FRAMES_AFTER)

    @property
    def flash_candidates(self) -> frozenset[int]:
        """Frames that differ plainly from the one before: cuts, flashes, and possible ones."""
        return frozenset(self._flash_candidates)

    @property
    def found(self) -> tuple[int, ...]:
        """Cuts found so far, in order."""
        return tuple(self._cuts)

    @property
    def settled(self) -> int:
        """Number of frames of which it is known whether they are cuts."""
        return max(0, self._next - _FRAMES_AFTER)

    def finish(self) -> tuple[int, ...]:
        """Return the cuts: for each, the index of the first frame after it."""
        for index in range(max(1, self._next - _FRAMES_AFTER), self._next):
            self._classify(index)
        return tuple(self._cuts)

    def _classify(self, index: int) -> None:
        """Note frame ``index`` if it is a flash candidate or a cut; later frames must be known."""
        if index < 1:
            return
        samples = [sample for sample in self._samples if sample.index >= index - _FRAMES_BEFORE]
        at = next(k for k, sample in enumerate(samples) if sample.index == index)
        here = samples[at]
        around = [sample for sample in samples if sample.index not in (0, index)]
        self._note_flash_candidate(here, around)
        if here.changed < _CHANGED_SHARE or here.difference < _CUT_LEVELS:
            return
        differences = [sample.difference for sample in around]
        if differences and here.difference < _PEAK_RATIO * float(np.median(differences)):
            return
        if not self._returns(samples, at):
            self._cuts.append(index)

    def _note_flash_candidate(self, here: _FrameSample, around: list[_FrameSample]) -> None:
        """Note a frame that differs from the one before plainly more than those around it do."""
        usual = _usual([sample.difference for sample in around])
        usual_share = _usual([sample.changed for sample in around])
        plain = here.difference > _FLASH_RATIO * usual + _FLASH_LEVELS
        if plain or here.changed > _FLASH_RATIO * usual_share + _FLASH_SHARE:
            self._flash_candidates.append(here.index)

    def _returns(self, samples: list[_FrameSample], at: int) -> bool:
        """Return True if the picture before sample ``at`` is back soon: a flash, or its end."""
        same_levels = _RETURN_RATIO * samples[at].difference
        before = samples[max(0, at - _FRAMES_AFTER) : at]
        after = samples[at + 1 : at + 1 + _FRAMES_AFTER]
        flash_begins = any(_distance(samples[at - 1], sample) < same_levels for sample in after)
        flash_ends = any(_distance(sample, samples[at]) < same_levels for sample in before[:-1])
        return flash_begins or flash_ends


def _usual(values: list[float]) -> float:
    """Median, or 0 of an empty list."""
    return float(np.median(values)) if values else 0.0


def _distance(one: _FrameSample, other: _FrameSample) -> float:
    """Mean difference of two thumbnails, in levels, each block's capped at 60."""
    return float(np.minimum(np.abs(one.blocks - other.blocks), _MAX_BLOCK_LEVELS).mean())
