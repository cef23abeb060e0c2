"""Selection of the frames and pixels for diffusion: those that the prior had to invent."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from erasecore.engines.base import Filled, FilledFrame, Origin
from erasecore.engines.diffueraser.temporal import WINDOW, unet_frames
from erasecore.model.inpaint_input import Bools, InpaintInput
from erasecore.settings import DiffusionSettings

_CONTEXT_FRAMES = (2, 1, 0)
"""Frames of context before and after the filled ones, in order of preference (guess).

The first that minimises the number of frames computed by the UNet is used.
"""


@dataclass(frozen=True, slots=True)
class Run:
    """Consecutive frames ``[start, stop)`` of one shot that go through the model as one clip.

    Attributes:
        start: first frame, counted in the strip.
        stop: frame after the last.
        fill: frames with doubtful pixels, which get the model's output, ascending; the others are
            context.
    """

    start: int
    stop: int
    fill: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Selection:
    """Frames of a strip that are selected for diffusion.

    Attributes:
        shots: for each shot with any, its runs.
        windows: number of windows of the fill span that have a hole.
        chosen: number of those that are selected.
    """

    shots: tuple[tuple[Run, ...], ...]
    windows: int
    chosen: int


def select_runs(strip: InpaintInput, prior: Filled, settings: DiffusionSettings) -> Selection:
    """Select the windows of which more than ``min_invented_share`` is doubtful, grouped into runs.

    Args:
        strip: frames and holes.
        prior: the prior engine's fill of them.
        settings: thresholds.
    """
    shots: list[tuple[Run, ...]] = []
    windows = chosen = 0
    for start, stop in _shots(strip):
        of_shot = list(_windows(strip, start, stop))
        least = settings.min_invented_share
        wanted = [w for w in of_shot if _doubtful_share(strip, prior, w, settings) > least]
        windows, chosen = windows + len(of_shot), chosen + len(wanted)
        fill = [
            f for w in wanted for f in w if doubtful(_frame_fill(strip, prior, f), settings).any()
        ]
        if fill:
            shots.append(tuple(_runs(fill, start, stop, settings.steps)))
    return Selection(tuple(shots), windows, chosen)


def doubtful(frame: FilledFrame, settings: DiffusionSettings) -> Bools:
    """Return the pixels of a fill that are invented with a large expected error, bool ``(n,)``."""
    invented = frame.origin == Origin.INVENTED
    return np.asarray(invented & (frame.error > settings.min_error_levels), np.bool_)


def _shots(strip: InpaintInput) -> Iterator[tuple[int, int]]:
    """Generate start and stop of each shot of the strip, context included."""
    yield from itertools.pairwise((0, *strip.cuts, strip.frames))


def _windows(strip: InpaintInput, start: int, stop: int) -> Iterator[range]:
    """Generate spans of frames to be filled with the same hole, at most `WINDOW` long each."""
    frames = range(max(start, strip.fill_start), min(stop, strip.fill_stop))
    has_hole = [bool(mask.any()) for mask in strip.masks]
    for number, group in itertools.groupby(frames, key=lambda frame: int(strip.mask_of[frame])):
        same = list(group)
        if has_hole[number]:
            yield from _split_evenly(same[0], same[-1] + 1)


def _split_evenly(start: int, stop: int) -> Iterator[range]:
    """Generate equal parts of ``[start, stop)``, as few as fit into `WINDOW` frames each."""
    count = -(-(stop - start) // WINDOW)
    for part in range(count):
        first = start + (stop - start) * part // count
        yield range(first, start + (stop - start) * (part + 1) // count)


def _frame_fill(strip: InpaintInput, prior: Filled, frame: int) -> FilledFrame:
    """Return the prior's fill of a frame, counted in the strip."""
    return prior.frames[frame - strip.fill_start]


def _doubtful_share(
    strip: InpaintInput, prior: Filled, window: range, settings: DiffusionSettings
) -> float:
    """Return the share of a window's hole pixels that are doubtful, 0 to 1."""
    frames = [_frame_fill(strip, prior, frame) for frame in window]
    pixels = sum(frame.origin.size for frame in frames)
    return sum(int(doubtful(frame, settings).sum()) for frame in frames) / max(pixels, 1)


def _runs(fill: list[int], start: int, stop: int, steps: int) -> Iterator[Run]:
    """Generate the runs of one shot: frames to be filled, joined over gaps of half a window.

    Args:
        fill: frames to be filled, ascending.
        start: first frame of the shot.
        stop: frame after its last.
        steps: denoising steps, for the cost.
    """
    near: list[int] = []
    for frame in fill:
        if near and frame - near[-1] > WINDOW // 2:
            yield _with_context(near, start, stop, steps)
            near = []
        near.append(frame)
    yield _with_context(near, start, stop, steps)


def _with_context(fill: list[int], start: int, stop: int, steps: int) -> Run:
    """Return the run for ``fill`` with context frames; a whole window if the shot is that long."""
    spans = [_context_span(fill, start, stop, margin) for margin in _CONTEXT_FRAMES]
    first, last = min(spans, key=lambda span: unet_frames(span[1] - span[0], steps))
    return Run(first, last, tuple(fill))


def _context_span(fill: list[int], start: int, stop: int, margin: int) -> tuple[int, int]:
    """Return ``fill`` with ``margin`` frames on both sides, extended to `WINDOW`, in the shot."""
    first, last = max(start, fill[0] - margin), min(stop, fill[-1] + 1 + margin)
    lacking = max(0, WINDOW - (last - first))
    first = max(start, first - lacking // 2)
    last = min(stop, max(last, first + WINDOW))
    return max(start, min(first, last - WINDOW)), last
