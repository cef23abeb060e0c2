"""Windows along time: where they start in each step, and how their results become one."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 22  # frames; the motion modules were trained at it


def window_starts(frames: int, window: int, step_index: int) -> tuple[int, ...]:
    """The first frames of all windows of one denoising step, in order.

    Odd steps are shifted by half a window, so that no border between windows stays where it was.
    The last window always ends with the clip.
    """
    if frames <= window:
        return (0,)
    last = frames - window
    stride = window - window // 4
    if step_index % 2 == 0:
        return (*range(0, last, stride), last)
    return (0, *range(window // 2, last, stride), last)


def merge_window(merged: Tensor, covered: int, result: Tensor, start: int) -> int:
    """How many frames of ``merged`` are set once ``result`` has been put in from ``start`` on.

    The shared frames are cross-faded, except for the last of them, which is the new window's: the
    reference does so, and the golden data holds it.

    Args:
        merged: ``(T, ...)``; changed in place.
        covered: how many of its frames earlier windows have set.
        result: ``(f, ...)``; this window's frames.
        start: this window's first frame.
    """
    shared = covered - start
    fading = max(shared - 1, 0)
    if fading:
        weights = torch.arange(1, shared, device=merged.device, dtype=merged.dtype) / (shared + 1)
        weights = weights.reshape(-1, *(1,) * (merged.ndim - 1))
        before = merged[start : start + fading]
        merged[start : start + fading] = before * (1 - weights) + result[:fading] * weights
    merged[start + fading : start + len(result)] = result[fading:]
    return start + len(result)
