"""Video inpainting of arrays: RGB frames and masks in, frames out, by the pipeline's own engines.

The masked areas are tracked over time and worked on in crops around them, as the pipeline does for
a film that comes with a mask.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.detection.shots import ShotFinder
from erasecore.engines.base import Engine, Tick, tick_of_part
from erasecore.memory.malloc import trim_heap
from erasecore.model.boxes import bounds
from erasecore.model.clips import CLIP_BYTES, Clip, Picture, Segment
from erasecore.model.crop_stacks import CropCollector
from erasecore.model.events import Event
from erasecore.model.patches import Patch, composite
from erasecore.recovery.clip_recovery import recover_clip
from erasecore.recovery.ink_from_mask import ink_from_mask
from erasecore.recovery.planning import plan_clips
from erasecore.selection.connected_components import (
    ComponentTracker,
    connected_components,
    event_of,
)
from erasecore.selection.masks import MaskRun, Span
from erasecore.video.color import Box, PlaneLayout, Planes

Frames: TypeAlias = NDArray[np.uint8]
"""RGB, ``(T, H, W, 3)``, 0 to 255."""
Masks: TypeAlias = NDArray[np.bool_]
"""``(T, H, W)``; True where a pixel is to be replaced."""

_GREEN_BLUE_RED = PlaneLayout("gbrp", 8, 0, 0, 3, full_range=True, rgb=True, matrix=0)
_CUT_ROWS = 180  # pictures are reduced to about so many rows to find cuts; it needs 18
_MIN_SIDE_PX = 32  # smaller pictures are padded: OpenCV's DIS optical flow needs 12 px at half size
_MOST_AREAS = 30  # in a frame; above it, one box is put around all of them (guess)
_MOST_EVENTS = 300  # in a clip; the same. Planning is quadratic in them (guess)
_MIN_CONTEXT_FRAMES = 12  # before and after an area is masked: half a second, as for films
_MAX_CONTEXT_FRAMES = 60  # measured on a pan: 1.3 dB better than 25, and no slower
_CONTEXT_SHARE = 4  # the context on one side is at most a fourth of the frames of a clip
_MIN_CLIP_BYTES = 1 << 20  # clips are not made smaller than that (nor than 16 frames)
_WORK_BYTES = 1 << 30  # a clip is made smaller until the engine needs no more for it
_BYTES_PER_PX = 100  # of the engine's memory for a masked pixel; measured at 1080p
_BYTES_PER_CHANGING_PX = 250  # and more, where each frame has a mask of its own; measured


@dataclass(frozen=True, slots=True)
class ArrayMask:
    """A mask for each frame, held in memory: bool ``(T, H, W)``."""

    bits: Masks

    def events(
        self, frames: int, spans: Sequence[Span], tick: Callable[[int], None]
    ) -> tuple[Event, ...]:
        """Return the masked areas as events, tracked while they overlap from frame to frame."""
        for most_areas in (_MOST_AREAS, 1):
            tracker = ComponentTracker()
            for frame in itertools.chain.from_iterable(itertools.starmap(range, spans)):
                tracker.add(frame, _areas(self.bits[frame], most_areas))
                tick(frame)
            if len(tracker) <= _MOST_EVENTS:
                break
        height = self.bits.shape[1]
        return tuple(event_of(area, height) for area in tracker.finish())

    def runs(self, start: int, stop: int, box: Box) -> Iterator[MaskRun]:
        """Yield the masks of ``[start, stop)`` in ``box``; equal ones in a row as one run."""
        left, top, right, bottom = box
        part = self.bits[start:stop, top:bottom, left:right]
        first = 0
        for frame in range(1, len(part) + 1):
            if frame == len(part) or not np.array_equal(part[frame], part[first]):
                yield MaskRun(start + first, start + frame, part[first])
                first = frame

    def close(self) -> None:
        """Do nothing; no file is open."""


def inpaint_frames(
    frames: Frames,
    masks: Masks,
    engine: Engine,
    *,
    cuts: Sequence[int] | None = None,
    tick: Callable[[float], None] = lambda _: None,
) -> Frames:
    """Return a copy of ``frames`` with the masked pixels replaced; no other pixel is changed.

    Args:
        frames: not modified.
        masks: same number, height and width; not modified.
        engine: what fills the holes.
        cuts: first frame of every shot but the first; nothing is copied across them. ``None``:
            they are detected.
        tick: called with the share that is done, 0 to 1.
    """
    size = frames.shape[1:3]
    if not masks.any():
        return np.array(frames, order="C")
    if min(size) < _MIN_SIDE_PX:
        frames, masks = _padded(frames), _padded(masks.view(np.uint8)).view(np.bool_)
    result = np.array(frames, order="C")
    borders = find_cuts(frames, masks) if cuts is None else tuple(sorted(cuts))
    masks = _without_hidden_shots(result, masks, borders)
    mask = ArrayMask(masks)
    clips = _plan(mask, result.shape, engine)
    for number, clip in enumerate(clips):
        part = tick_of_part(tick, number / len(clips), (number + 1) / len(clips))
        for frame, patch in _recover(frames, clip, borders, engine, mask, part).items():
            composite(_planes(result[frame]), [patch], _GREEN_BLUE_RED)
        trim_heap()
    _repeat_over_hidden_frames(result, masks, borders)
    return np.ascontiguousarray(result[:, : size[0], : size[1]])


def find_cuts(frames: Frames, masks: Masks) -> tuple[int, ...]:
    """Return the first frame after each hard cut; masked pixels have no say."""
    step = max(1, min(frames.shape[1:3]) // _CUT_ROWS)
    greens, hidden = frames[:, ::step, ::step, 1], masks[:, ::step, ::step]
    before = _first_seen(greens, hidden)
    shots = ShotFinder()
    for green, mask in zip(greens, hidden, strict=True):
        before = np.asarray(np.where(mask, before, green), np.uint8)
        shots.add(before)
    return shots.finish()


def _first_seen(greens: NDArray[np.uint8], hidden: Masks) -> NDArray[np.uint8]:
    """Return for each pixel its value in the first frame in which it is not masked."""
    first: NDArray[np.uint8] = np.zeros_like(greens[0])
    unknown = np.ones_like(hidden[0])
    for green, mask in zip(greens, hidden, strict=True):
        shows = unknown & ~mask
        first[shows] = green[shows]
        unknown &= mask
        if not unknown.any():
            break
    return first


def _padded(pictures: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the last row and column until each side has ``_MIN_SIDE_PX``."""
    down, right = (max(0, _MIN_SIDE_PX - side) for side in pictures.shape[1:3])
    padding = [(0, 0), (0, down), (0, right), (0, 0)]
    return np.pad(pictures, padding[: pictures.ndim], mode="edge")


def _without_hidden_shots(result: Frames, masks: Masks, cuts: Sequence[int]) -> Masks:
    """Return the masks without shots that are masked completely; these are black in ``result``."""
    borders = [0, *cuts, len(masks)]
    for start, stop in itertools.pairwise(borders):
        if stop > start and masks[start:stop].all():
            masks = masks.copy()
            masks[start:stop] = False
            result[start:stop] = 0
    return masks


def _repeat_over_hidden_frames(result: Frames, masks: Masks, cuts: Sequence[int]) -> None:
    """Fill each frame that is masked completely with the nearest one of its shot that is not."""
    hidden = np.array([mask.all() for mask in masks])
    for start, stop in itertools.pairwise([0, *cuts, len(masks)]):
        seen = np.flatnonzero(~hidden[start:stop]) + start
        for frame in np.flatnonzero(hidden[start:stop]) + start:
            result[frame] = result[seen[np.abs(seen - frame).argmin()]]


def _areas(bits: NDArray[np.bool_], most: int) -> tuple[Box, ...]:
    """Return the boxes around a mask's areas, or one around all if there are more than ``most``."""
    boxes = connected_components(bits) if most > 1 and bits.any() else ()
    if boxes and len(boxes) <= most:
        return boxes
    return (bounds(bits),) if bits.any() else ()


def _plan(mask: ArrayMask, shape: tuple[int, ...], engine: Engine) -> tuple[Clip, ...]:
    """Return the crops to work on, each with its frames and as much context as memory allows."""
    if not mask.bits.any():
        return ()
    events = mask.events(shape[0], [(0, shape[0])], lambda _: None)
    clip_bytes = CLIP_BYTES
    while True:
        clips = _plan_within(clip_bytes, events, mask, shape, engine)
        if clip_bytes <= _MIN_CLIP_BYTES or _most_bytes(clips, mask) <= _WORK_BYTES:
            return clips
        clip_bytes //= 2


def _plan_within(
    clip_bytes: int,
    events: Sequence[Event],
    mask: ArrayMask,
    shape: tuple[int, ...],
    engine: Engine,
) -> tuple[Clip, ...]:
    """Return crops of at most ``clip_bytes`` of pixels each."""
    count, height, width = shape[:3]
    left, top, right, bottom = bounds(np.logical_or.reduce(mask.bits))
    context = clip_bytes // (3 * (right - left) * (bottom - top)) // _CONTEXT_SHARE
    return plan_clips(
        Segment(0, 0, count),
        events,
        Picture(width, height, _GREEN_BLUE_RED, clip_bytes),
        frames=count,
        context=min(_MAX_CONTEXT_FRAMES, max(_MIN_CONTEXT_FRAMES, context)),
        context_needs=engine.traits.surroundings,
    )


def _most_bytes(clips: Sequence[Clip], mask: ArrayMask) -> float:
    """Return about how much memory the engine needs for the most expensive of ``clips``."""
    return max(_bytes_for(clip, mask) for clip in clips)


def _bytes_for(clip: Clip, mask: ArrayMask) -> float:
    left, top, right, bottom = clip.box
    masked_px = np.count_nonzero(mask.bits[clip.start : clip.stop, top:bottom, left:right])
    distinct = sum(1 for _ in mask.runs(clip.start, clip.stop, clip.box))
    changing = distinct / (clip.stop - clip.start)
    return masked_px * (_BYTES_PER_PX + changing * _BYTES_PER_CHANGING_PX)


def _recover(
    frames: Frames,
    clip: Clip,
    cuts: tuple[int, ...],
    engine: Engine,
    mask: ArrayMask,
    tick: Tick,
) -> dict[int, Patch]:
    """Return the patches of a clip, by frame."""
    collector = CropCollector(
        clip.start, clip.stop, clip.box, _GREEN_BLUE_RED, context_box=clip.context_box
    )
    for frame in range(clip.start, clip.stop):
        collector.add(frame, _planes(frames[frame]))
    # Expected errors of pixels of which nothing is known are huge, and harmless.
    with np.errstate(over="ignore"):
        return recover_clip(
            collector.finish(), clip, cuts, engine, tick, ink_from_mask(mask)
        ).patches


def _planes(picture: NDArray[np.uint8]) -> Planes:
    """Return views of the green, blue and red plane of an RGB picture ``(H, W, 3)``."""
    return picture[..., 1], picture[..., 2], picture[..., 0]
