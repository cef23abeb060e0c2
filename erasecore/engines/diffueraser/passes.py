"""How a clip goes through the networks: where its windows start, and how many frames that makes."""

from __future__ import annotations

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
