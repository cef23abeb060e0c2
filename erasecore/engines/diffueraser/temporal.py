"""Windows along time: how their results become one."""

from __future__ import annotations

import torch
from torch import Tensor


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
