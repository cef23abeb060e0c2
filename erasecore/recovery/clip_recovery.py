"""One clip, from pixels with ink to the patches that take it away."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Engine, Filled, FilledFrame, Origin, Tick, check_filled
from erasecore.ink.fades import see_through
from erasecore.ink.plates import share_style, undo_plates
from erasecore.ink.strokes import Ink, find_ink
from erasecore.model.clips import Clip, EventShare
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import BoxXyxy
from erasecore.model.inpaint_input import ContextCrop, InpaintInput, NearbyText, reduce_mask
from erasecore.model.patches import Patch
from erasecore.video.color import Box

_STYLE_SHARE = 0.4  # of a clip's subtitles on a plate, for all to be taken as being on one
_CONFIDENT_LEVELS = 8.0  # expected error at which confidence is one half


@dataclass(frozen=True, slots=True)
class Recovery:
    """What replaces the ink of one clip: a patch for each film frame that has any.

    ``diffused`` are the film frames in which a network made pixels up.
    """

    patches: dict[int, Patch]
    shares: tuple[EventShare, ...]
    diffused: frozenset[int] = frozenset()


FindInks: TypeAlias = Callable[[CropStack, Clip, tuple[int, ...]], tuple[Ink, ...]]
"""Tells the ink of every event in sight of a clip, given its pixels and the film's cuts."""


def recover(
    crop: CropStack,
    clip: Clip,
    cuts: tuple[int, ...],
    engine: Engine,
    tick: Tick,
    find: FindInks | None = None,
) -> Recovery:
    """The patches for ``clip``: ink found, plates undone, the rest filled by ``engine``.

    Args:
        crop: the clip's pixels; its planes are changed in place where plates are undone.
        clip: which frames are to be filled, and the events in sight.
        cuts: of the whole film.
        engine: fills the hole.
        tick: a sign of life.
        find: tells the ink; ``find_inks`` unless there is a better guess.
    """
    inks = (find or find_inks)(crop, clip, cuts)
    undone = _undo_all(crop, inks)
    strip = replace(
        _strip(crop, clip, inks, cuts),
        seen_through=see_through(crop, inks),
        context=_context_crop(crop, clip),
    )
    filled = engine.fill(strip, None, tick)
    check_filled(engine.traits.name, strip, filled)
    patches = _patches(crop, clip, strip, filled, undone)
    return Recovery(patches, _shares(clip, strip, filled, inks), _diffused(clip, filled))


def find_inks(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
    """The ink of every event in sight; plates share one style where most have one."""
    inks = [find_ink(crop, event, clip.events, cuts=cuts) for event in clip.events]
    plates = [ink.plate for ink in inks if ink.plate is not None]
    if plates and len(plates) >= _STYLE_SHARE * len(inks):
        style = share_style(plates)
        inks = [find_ink(crop, event, clip.events, style=style, cuts=cuts) for event in clip.events]
    return tuple(inks)


def _undo_all(crop: CropStack, inks: tuple[Ink, ...]) -> dict[int, NDArray[np.bool_]]:
    """Undo the plates in the cutout, in place; where, by film frame."""
    undone = {}
    for frame in range(crop.start, crop.stop):
        plates = [plate for ink in inks if (plate := ink.plate_at(frame)) is not None]
        if plates:
            undone[frame] = undo_plates(crop.planes, frame - crop.start, plates, crop.layout)
    return undone


def _strip(
    crop: CropStack, clip: Clip, inks: tuple[Ink, ...], cuts: tuple[int, ...]
) -> InpaintInput:
    """The clip as engines see it: a hole for each set of events that are shown together."""
    masks = [np.zeros(crop.size, bool)]
    known: dict[tuple[int, ...], int] = {(): 0}
    mask_of = np.zeros(len(crop.planes[0]), np.intp)
    for frame in range(crop.start, crop.stop):
        showing = tuple(k for k, ink in enumerate(inks) if ink.event.shows_at(frame))
        if showing not in known:
            known[showing] = len(masks)
            masks.append(np.any([inks[k].mask for k in showing], axis=0))
        mask_of[frame - crop.start] = known[showing]
    return InpaintInput(
        planes=crop.planes,
        masks=np.stack(masks),
        mask_of=mask_of,
        fill_start=clip.fill_start - crop.start,
        fill_stop=min(clip.fill_stop, crop.stop) - crop.start,
        cuts=tuple(cut - crop.start for cut in cuts if crop.start < cut < crop.stop),
        thumbnails=crop.thumbnails,
        thumbnail_scale=crop.thumbnail_scale,
        layout=crop.layout,
    )


def _context_crop(crop: CropStack, clip: Clip) -> ContextCrop | None:
    """The picture around the strip, if it was wanted and there is any."""
    if crop.context is None:
        return None
    x, y = crop.context.box[:2]
    texts = tuple(
        NearbyText(
            event.start - crop.start,
            event.stop - crop.start,
            _context_box(event.box_xyxy, 0.2 * event.text_height_px, x, y),
        )
        for event in clip.beside
    )
    left, top = crop.box[0] - x, crop.box[1] - y
    return ContextCrop(crop.context.planes, left, top, texts)


def _context_box(box: BoxXyxy, pad: float, x: int, y: int) -> Box:
    left, top, right, bottom = box
    return (
        max(0, int(left - pad) - x),
        max(0, int(top - pad) - y),
        max(0, int(right + pad) + 1 - x),
        max(0, int(bottom + pad) + 1 - y),
    )


def _diffused(clip: Clip, filled: Filled) -> frozenset[int]:
    return frozenset(
        clip.fill_start + offset
        for offset, frame in enumerate(filled.frames)
        if (frame.origin == Origin.DIFFUSED).any()
    )


def _patches(
    crop: CropStack,
    clip: Clip,
    strip: InpaintInput,
    filled: Filled,
    undone: dict[int, NDArray[np.bool_]],
) -> dict[int, Patch]:
    """The patch of each film frame in which something is filled or was undone."""
    patches: dict[int, Patch] = {}
    masks: dict[tuple[int, bytes], tuple[NDArray[np.bool_], ...]] = {}  # most frames share theirs
    for offset, frame_filled in enumerate(filled.frames):
        index = strip.fill_start + offset
        frame = crop.start + index
        hole, plate = strip.mask(index), undone.get(frame)
        if plate is None and not hole.any():
            continue
        key = int(strip.mask_of[index]), b"" if plate is None else np.packbits(plate).tobytes()
        if key not in masks:
            touched = hole if plate is None else hole | plate
            masks[key] = _per_plane(touched, strip)
        patches[frame] = _patch(clip.box, strip, index, frame_filled, masks[key])
    return patches


def _patch(
    box: Box,
    strip: InpaintInput,
    index: int,
    filled: FilledFrame,
    masks: tuple[NDArray[np.bool_], ...],
) -> Patch:
    """The new samples of one frame: filled in the hole, solved for under plates."""
    if np.count_nonzero(masks[0]) == filled.planes[0].size:  # no plate around the hole
        return Patch(box, masks, filled.planes)
    samples = []
    for stack, hole, mask, values in zip(
        strip.planes, _per_plane(strip.mask(index), strip), masks, filled.planes, strict=True
    ):
        picture = stack[index].copy()
        picture[hole] = values
        samples.append(picture[mask])
    return Patch(box, masks, tuple(samples))


def _per_plane(mask: NDArray[np.bool_], strip: InpaintInput) -> tuple[NDArray[np.bool_], ...]:
    """``mask`` for each plane."""
    colours = len(strip.planes) - 1
    return (mask, *[reduce_mask(mask, strip.layout)] * colours) if colours else (mask,)


def _shares(
    clip: Clip, strip: InpaintInput, filled: Filled, inks: tuple[Ink, ...]
) -> tuple[EventShare, ...]:
    """How each event's ink was taken away in the frames that were filled."""
    shares = []
    for ink in inks:
        first = max(ink.event.start, clip.fill_start)
        last = min(ink.event.stop, clip.fill_stop)
        if first >= last:
            continue
        origins = np.zeros(max(Origin) + 1, np.int64)
        trust = 0.0
        for offset in range(
            first - clip.fill_start, min(last - clip.fill_start, len(filled.frames))
        ):
            frame = filled.frames[offset]
            of_ink = ink.mask[strip.mask(strip.fill_start + offset)]
            origins += np.bincount(frame.origin[of_ink], minlength=origins.size)
            error = frame.error[of_ink].astype(np.float32) / _CONFIDENT_LEVELS
            trust += float((1 / (1 + error**2)).sum())
        count = int(origins.sum())
        plate_px = _plate_px(ink) * (last - first)
        shares.append(
            EventShare(
                event=ink.event,
                unblended=plate_px + int(origins[Origin.UNBLENDED]),
                propagated=int(origins[Origin.PROPAGATED]),
                invented=int(origins[Origin.INVENTED]),
                diffused=int(origins[Origin.DIFFUSED]),
                confidence=trust / count if count else float(plate_px > 0),
            )
        )
    return tuple(shares)


def _plate_px(ink: Ink) -> int:
    """Pixels of one frame that the plate covers and no letter does."""
    if ink.plate is None:
        return 0
    left, top, right, bottom = ink.plate.box
    return int((~ink.mask[top:bottom, left:right]).sum())
