"""Text larger than subtitles are: not followed, but noted, so that the log can say so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import area, shared_area

_MOST = 200  # different ones are kept


@dataclass(slots=True)
class Oversize:
    """One line of large text, as samples have shown it."""

    first: int
    last: int
    box: NDArray[np.float64]  # left, top, right, bottom in working pixels
    score: float
    sightings: int = 1


class OversizeText:
    """The large text of a film.

    Args:
        step: frames between two samples; text that two in a row lack is another one afterwards.
    """

    def __init__(self, step: int) -> None:
        self._step = step
        self._seen: list[Oversize] = []

    def note(self, index: int, box: NDArray[np.float64], score: float) -> None:
        """Text was seen in a sample; what hardly moved from sample to sample is one."""
        for seen in reversed(self._seen):
            if seen.last >= index - 4 * self._step and _same(seen.box, box):
                seen.sightings += seen.last < index
                seen.last, seen.box = index, box
                return
        if len(self._seen) < _MOST:
            self._seen.append(Oversize(index, index, box, score))

    def lasting(self) -> list[Oversize]:
        """Those that more than one sample has shown."""
        return [seen for seen in self._seen if seen.sightings > 1]


def _same(one: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return shared_area(one, other) > 0.5 * max(area(one), area(other))
