"""Windows along time: where they start in each step, and how their results become one."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 22
"""Frames of one window; the networks' layers along time were trained at it."""
LEAD_ABOVE = 2 * WINDOW
"""Longer clips are led by a sample of their frames, a window of them."""


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


def unet_frames(frames: int, steps: int) -> int:
    """How many frames go through the UNet for a clip of ``frames``: those of all its windows."""
    window = min(WINDOW, frames)
    windows = sum(len(window_starts(frames, window, step)) for step in range(steps))
    return windows * window + (steps * WINDOW if frames > LEAD_ABOVE else 0)


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
