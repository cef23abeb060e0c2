"""BrushNet's taps, computed once for each frame and kept only while a later window needs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Batch:
    """Windows that go through the UNet together.

    Attributes:
        starts: their first frames, in order.
        window: how many frames each has.
        next_start: the first frame of the batch after this one; the clip's length for the last.
    """

    starts: Sequence[int]
    window: int
    next_start: int

    @property
    def stop(self) -> int:
        """The frame after the last one of these windows."""
        return self.starts[-1] + self.window

    def rows(self, origin: int = 0) -> Tensor:
        """The frames of all windows in a row, counted from frame ``origin``: int64."""
        firsts = torch.tensor(self.starts)[:, None]
        return (firsts + torch.arange(self.window)).flatten() - origin


def batches(starts: Sequence[int], window: int, *, frames: int, at_once: int) -> Iterator[Batch]:
    """The windows of one step, ``at_once`` at a time."""
    for index in range(0, len(starts), at_once):
        following = starts[index + at_once : index + at_once + 1]
        next_start = following[0] if following else frames
        yield Batch(starts[index : index + at_once], window, next_start)


class SharedResiduals:
    """The taps of one denoising step: what overlapping windows share is computed once."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []  # of each tap the rows of the frames [kept_from, known)
        self._kept_from = 0
        self._known = 0

    def fresh(self, batch: Batch) -> slice:
        """The frames whose taps ``batch`` needs and no batch before it had; never empty."""
        return slice(max(self._known, batch.starts[0]), batch.stop)

    def serve(self, batch: Batch, computed: Iterator[Tensor]) -> Iterator[Tensor]:
        """The taps for the rows of ``batch``, one after the other, as they are asked for.

        Args:
            batch: the windows; batches are served in the order of ``batches``.
            computed: the taps of its ``fresh`` frames.
        """
        earlier = self._kept
        origin = self._kept_from if earlier else batch.starts[0]
        keep_from = min(batch.next_start, batch.stop)
        self._kept, self._kept_from, self._known = [], keep_from, batch.stop
        return self._serve(batch, computed, earlier, origin)

    def _serve(
        self, batch: Batch, computed: Iterator[Tensor], earlier: list[Tensor], origin: int
    ) -> Iterator[Tensor]:
        """What ``serve`` gives; ``earlier`` is kept of the frames from ``origin`` on."""
        earlier.reverse()
        keep_from, rows = self._kept_from - origin, batch.rows(origin)
        for tap in computed:
            known = torch.cat([earlier.pop(), tap]) if earlier else tap
            if keep_from < len(known):
                self._kept.append(known[keep_from:].clone())  # lets go of the rest
            if len(batch.starts) == 1:
                yield known[batch.starts[0] - origin :]
            else:
                yield known[rows.to(known.device)]
