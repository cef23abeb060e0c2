"""Which frames, and which of their pixels, diffusion is for: those that had to be made up."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from erasecore.engines.base import Filled, FilledFrame, Origin
from erasecore.engines.diffueraser.temporal import WINDOW, unet_frames
from erasecore.model.inpaint_input import Bools, InpaintInput
from erasecore.settings import DiffusionSettings

_LEADS_FRAMES = (2, 1, 0)
"""Of context before and after what is to be filled: as many as cost no window more than fewer."""


@dataclass(frozen=True, slots=True)
class Run:
    """Frames ``[start, stop)`` of one shot that go through the networks as one clip.

    ``fill`` are those of them that get pixels from it, in order; each has some that are doubtful.
    All others are context.
    """

    start: int
    stop: int
    fill: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What is to be diffused in a strip.

    Attributes:
        shots: the runs of each shot that has any.
        windows: how many windows of the fill span had a hole.
        chosen: how many of these are diffused.
    """

    shots: tuple[tuple[Run, ...], ...]
    windows: int
    chosen: int


def choose(strip: InpaintInput, prior: Filled, settings: DiffusionSettings) -> Choice:
    """The runs of frames of which ``prior`` had to make up more than is allowed for."""
    shots: list[tuple[Run, ...]] = []
    windows = chosen = 0
    for start, stop in _shots(strip):
        of_shot = list(_windows(strip, start, stop))
        least = settings.min_invented_share
        wanted = [w for w in of_shot if _share(strip, prior, w, settings) > least]
        windows, chosen = windows + len(of_shot), chosen + len(wanted)
        fill = [f for w in wanted for f in w if doubtful(_of(strip, prior, f), settings).any()]
        if fill:
            shots.append(tuple(_runs(fill, start, stop, settings.steps)))
    return Choice(tuple(shots), windows, chosen)


def doubtful(frame: FilledFrame, settings: DiffusionSettings) -> Bools:
    """Of a frame's hole, the pixels that were made up and may well be wrong: bool ``(n,)``."""
    invented = frame.origin == Origin.INVENTED
    return np.asarray(invented & (frame.error > settings.min_error_levels), np.bool_)


def _shots(strip: InpaintInput) -> Iterator[tuple[int, int]]:
    """The strip's frames, shot by shot, context included."""
    yield from itertools.pairwise((0, *strip.cuts, strip.frames))


def _windows(strip: InpaintInput, start: int, stop: int) -> Iterator[range]:
    """Frames of a shot that are to be filled and have the same hole, at most a window's worth."""
    frames = range(max(start, strip.fill_start), min(stop, strip.fill_stop))
    has_hole = [bool(mask.any()) for mask in strip.masks]
    for number, group in itertools.groupby(frames, key=lambda frame: int(strip.mask_of[frame])):
        same = list(group)
        if has_hole[number]:
            yield from _parts(same[0], same[-1] + 1)


def _parts(start: int, stop: int) -> Iterator[range]:
    count = -(-(stop - start) // WINDOW)
    for part in range(count):
        first = start + (stop - start) * part // count
        yield range(first, start + (stop - start) * (part + 1) // count)


def _of(strip: InpaintInput, prior: Filled, frame: int) -> FilledFrame:
    return prior.frames[frame - strip.fill_start]


def _share(strip: InpaintInput, prior: Filled, window: range, settings: DiffusionSettings) -> float:
    """The share of a window's ink that was made up and may well be wrong."""
    frames = [_of(strip, prior, frame) for frame in window]
    pixels = sum(frame.origin.size for frame in frames)
    return sum(int(doubtful(frame, settings).sum()) for frame in frames) / max(pixels, 1)


def _runs(fill: list[int], start: int, stop: int, steps: int) -> Iterator[Run]:
    """The frames of one shot that are to be filled, joined where they are near, with context."""
    near: list[int] = []
    for frame in fill:
        if near and frame - near[-1] > WINDOW // 2:
            yield _with_context(near, start, stop, steps)
            near = []
        near.append(frame)
    yield _with_context(near, start, stop, steps)


def _with_context(fill: list[int], start: int, stop: int, steps: int) -> Run:
    """``fill`` with some frames before and after; a whole window where the shot is long enough."""
    spans = [_around(fill, start, stop, lead) for lead in _LEADS_FRAMES]
    first, last = min(spans, key=lambda span: unet_frames(span[1] - span[0], steps))
    return Run(first, last, tuple(fill))


def _around(fill: list[int], start: int, stop: int, lead: int) -> tuple[int, int]:
    first, last = max(start, fill[0] - lead), min(stop, fill[-1] + 1 + lead)
    lacking = max(0, WINDOW - (last - first))
    first = max(start, first - lacking // 2)
    last = min(stop, max(last, first + WINDOW))
    return max(start, min(first, last - WINDOW)), last
