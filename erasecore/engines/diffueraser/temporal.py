"""Temporal windows: their positions in each denoising step, and the cross-fade of their results."""

from __future__ import annotations

import torch
from torch import Tensor

WINDOW = 22
"""Frames per window: the length with which the motion modules were trained."""
PRE_INFERENCE_ABOVE = 2 * WINDOW
"""Frames; longer clips get a pre-inference on a window of sampled frames, as in the reference."""


def window_starts(frames: int, window: int, step_index: int) -> tuple[int, ...]:
    """Return the first frame of each window of one denoising step, ascending.

    Windows overlap by a quarter. In odd steps they are shifted by half a window, so that window
    borders do not coincide in all steps. The last window always ends at the last frame.

    Args:
        frames: number of frames of the clip.
        window: frames per window.
        step_index: index of the denoising step, from 0.
    """
    if frames <= window:
        return (0,)
    last = frames - window
    stride = window - window // 4
    if step_index % 2 == 0:
        return (*range(0, last, stride), last)
    return (0, *range(window // 2, last, stride), last)


def unet_frames(frames: int, steps: int) -> int:
    """Return the number of frames that the UNet computes for a clip, over all windows and steps.

    Args:
        frames: number of frames of the clip.
        steps: number of denoising steps.
    """
    window = min(WINDOW, frames)
    windows = sum(len(window_starts(frames, window, step)) for step in range(steps))
    return windows * window + (steps * WINDOW if frames > PRE_INFERENCE_ABOVE else 0)


def merge_window(merged: Tensor, covered: int, result: Tensor, start: int) -> int:
    """Write a window's result into ``merged``, cross-fading the overlap with earlier windows.

    The last overlapping frame is not faded but taken from the new window, as in the reference
    implementation and its golden data.

    Args:
        merged: ``(T, ...)``; modified in place.
        covered: number of frames of ``merged`` that are already written.
        result: ``(f, ...)``; the window's frames.
        start: first frame of the window.

    Returns:
        The new number of written frames.
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
