"""Cache of BrushNet residuals: computed once per frame and step, kept while windows need them.

Residuals are diffusers' ``down_block_add_samples``, ``mid_block_add_sample`` and
``up_block_add_samples``, here one sequence in this order. They do not depend on other frames, so
overlapping windows can share them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class WindowBatch:
    """Windows that go through the UNet together.

    Attributes:
        starts: first frame of each window, ascending.
        window: number of frames of each window.
        next_start: first frame of the next batch; the clip's length for the last batch.
    """

    starts: Sequence[int]
    window: int
    next_start: int

    @property
    def stop(self) -> int:
        """Frame after the last frame of the batch."""
        return self.starts[-1] + self.window

    def rows(self, origin: int = 0) -> Tensor:
        """Return the frames of all windows one after the other, minus ``origin``: int64."""
        firsts = torch.tensor(self.starts)[:, None]
        return (firsts + torch.arange(self.window)).flatten() - origin


def window_batches(
    starts: Sequence[int], window: int, *, frames: int, at_once: int
) -> Iterator[WindowBatch]:
    """Group the windows of one denoising step into batches of up to ``at_once``.

    Args:
        starts: first frame of each window, ascending.
        window: number of frames of each window.
        frames: number of frames of the clip.
        at_once: most windows per batch.
    """
    for index in range(0, len(starts), at_once):
        following = starts[index + at_once : index + at_once + 1]
        next_start = following[0] if following else frames
        yield WindowBatch(starts[index : index + at_once], window, next_start)


class ResidualCache:
    """BrushNet residuals of one denoising step, computed once for overlapping windows."""

    def __init__(self) -> None:
        self._kept: list[Tensor] = []  # per residual: the rows of the frames [kept_from, known)
        self._kept_from = 0
        self._known = 0

    def missing_frames(self, batch: WindowBatch) -> slice:
        """Frames of ``batch`` whose residuals no earlier batch needed; never empty."""
        return slice(max(self._known, batch.starts[0]), batch.stop)

    def residuals(self, batch: WindowBatch, computed: Iterator[Tensor]) -> Iterator[Tensor]:
        """Return the residuals for the rows of ``batch``, lazily, in the order of ``computed``.

        Args:
            batch: the windows; batches must come in the order of `window_batches`.
            computed: residuals of its `missing_frames`.
        """
        earlier = self._kept
        origin = self._kept_from if earlier else batch.starts[0]
        keep_from = min(batch.next_start, batch.stop)
        self._kept, self._kept_from, self._known = [], keep_from, batch.stop
        return self._generate(batch, computed, earlier, origin)

    def _generate(
        self, batch: WindowBatch, computed: Iterator[Tensor], earlier: list[Tensor], origin: int
    ) -> Iterator[Tensor]:
        """Generate the result of `residuals`.

        Args:
            batch: the windows.
            computed: residuals of the missing frames.
            earlier: cached residuals of the frames before them, from frame ``origin`` on; emptied.
            origin: first frame of the joined residuals.
        """
        earlier.reverse()
        keep_from, rows = self._kept_from - origin, batch.rows(origin)
        for residual in computed:
            known = torch.cat([earlier.pop(), residual]) if earlier else residual
            if keep_from < len(known):
                self._kept.append(known[keep_from:].clone())  # a copy, so that the rest is freed
            if len(batch.starts) == 1:
                yield known[batch.starts[0] - origin :]
            else:
                yield known[rows.to(known.device)]
