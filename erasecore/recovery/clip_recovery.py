"""Recovery of one clip: find the ink, unblend plates, fill the holes, return patches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from erasecore.engines.base import Engine, Filled, FilledFrame, Origin, Tick
from erasecore.ink.fades import see_through
from erasecore.ink.plates import share_style, undo_plates
from erasecore.ink.strokes import Ink, find_ink
from erasecore.model.boxes import inside
from erasecore.model.clips import Clip, EventShare
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event, Pose
from erasecore.model.inpaint_input import ContextCrop, InpaintInput, NearbyText, reduce_mask
from erasecore.model.patches import Patch
from erasecore.recovery.area_fill import area_runs, fill_strip
from erasecore.recovery.bar_ink import grow_on_bars, parts_by_area
from erasecore.video.color import Box

_STYLE_SHARE = 0.4
"""Share of a clip's subtitles with a plate from which all are assumed to have one; a guess."""

_CONFIDENT_LEVELS = 8.0  # expected error with confidence 0.5, 8-bit levels; a guess


@dataclass(frozen=True, slots=True)
class Recovery:
    """Result of one clip.

    Attributes:
        patches: the new samples, by film frame.
        shares: origin of the new pixels, for each event that is filled in the clip.
        diffused_frames: film frames with pixels that a diffusion network generated.
    """

    patches: dict[int, Patch]
    shares: tuple[EventShare, ...]
    diffused_frames: frozenset[int] = frozenset()


FindInks: TypeAlias = Callable[[CropStack, Clip, tuple[int, ...]], tuple[Ink, ...]]
"""Finds the ink of all events of a clip but the kept ones, given its pixels and the film's cuts."""


def recover_clip(
    crop: CropStack,
    clip: Clip,
    cuts: tuple[int, ...],
    engine: Engine,
    tick: Tick,
    find_ink_of: FindInks | None = None,
) -> Recovery:
    """Find the ink of a clip, unblend its plates and have ``engine`` fill the holes.

    Args:
        crop: the clip's pixels; changed in place where plates are unblended.
        clip: frames to be filled, and the events that show in them.
        cuts: film frames at which a new shot begins.
        engine: fills the holes (inpainting).
        tick: progress callback, see ``Tick``.
        find_ink_of: finds the ink of the clip's events; ``None`` for ``find_inks``.

    Raises:
        EngineMisbehaved: the engine's result does not fit its input.
    """
    inks = (find_ink_of or find_inks)(crop, clip, cuts)
    unblended = _unblend_plates(crop, inks)
    strip, kept = _make_inpaint_input(crop, clip, inks, cuts)
    strip = replace(
        strip,
        seen_through=see_through(crop, inks),
        context=_context_crop(crop, clip),
    )
    filled = fill_strip(engine, strip, area_runs(crop), tick)
    patches = _patches(crop, clip, strip, filled, unblended, kept=kept)
    return Recovery(
        patches, _event_shares(clip, strip, filled, inks), _diffused_frames(clip, filled)
    )


def find_inks(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
    """Find the ink of all events of a clip that are erased.

    If a share of ``_STYLE_SHARE`` or more of them have a plate, the ink is found once more, with
    the plates' median opacity and colour for all events.
    """
    erased = [event for event in clip.events if event not in clip.kept]
    inks = [find_ink(crop, event, clip.events, cuts=cuts) for event in erased]
    plates = [ink.plate for ink in inks if ink.plate is not None]
    if plates and len(plates) >= _STYLE_SHARE * len(inks):
        style = share_style(plates)
        inks = [find_ink(crop, event, clip.events, style=style, cuts=cuts) for event in erased]
    return tuple(grow_on_bars(crop, _with_parts(crop, ink, clip.events, cuts)) for ink in inks)


def _with_parts(crop: CropStack, ink: Ink, events: tuple[Event, ...], cuts: tuple[int, ...]) -> Ink:
    """Return ``ink`` with what shows of it only where the bars lie as in a part of its time."""
    mask = ink.mask
    for part in parts_by_area(ink.event, crop):
        others = tuple(part if other == ink.event else other for other in events)
        mask = mask | find_ink(crop, part, others, cuts=cuts).mask
    return ink if mask is ink.mask else replace(ink, mask=mask)


def _unblend_plates(crop: CropStack, inks: tuple[Ink, ...]) -> dict[int, NDArray[np.bool_]]:
    """Unblend the plates in ``crop``, in place.

    Returns:
        By film frame, bool ``(H, W)``: True where a plate was unblended.
    """
    unblended = {}
    for frame in range(crop.start, crop.stop):
        plates = [plate for ink in inks if (plate := ink.plate_at(frame)) is not None]
        if plates:
            unblended[frame] = undo_plates(crop.planes, frame - crop.start, plates, crop.layout)
    return unblended


def _make_inpaint_input(
    crop: CropStack, clip: Clip, inks: tuple[Ink, ...], cuts: tuple[int, ...]
) -> tuple[InpaintInput, NDArray[np.bool_]]:
    """Return the engine's input, with one hole for each set of events that show together.

    The boxes of kept events are holes, too, so that no letter of theirs is copied from there.

    Returns:
        The input; and bool ``(K, H, W)``, True in each of its holes where only kept events are.
    """
    masks, kept = [np.zeros(crop.size, bool)], [np.zeros(crop.size, bool)]
    numbers: dict[tuple[_Shown, ...], int] = {(): 0}
    mask_of = np.zeros(len(crop.planes[0]), np.intp)
    everything = _HoleMasks(crop, clip, inks)
    for frame in range(crop.start, crop.stop):
        showing = everything.showing(frame)
        if showing not in numbers:
            numbers[showing] = len(masks)
            erased, all_masks = everything.masks(showing)
            masks.append(np.any([masks[0], *all_masks], axis=0))
            kept.append(masks[-1] & ~np.any([masks[0], *erased], axis=0))
        mask_of[frame - crop.start] = numbers[showing]
    strip = InpaintInput(
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
    return strip, np.stack(kept)


_Shown: TypeAlias = tuple[int, Pose | None]
"""Number of an event that shows in a frame, and how it stands there, if not at its place."""


class _HoleMasks:
    """Masks of a clip's erased events (numbered first) and of its kept ones.

    Args:
        crop: the clip's pixels.
        clip: gives the kept events.
        inks: of the erased ones.
    """

    def __init__(self, crop: CropStack, clip: Clip, inks: tuple[Ink, ...]) -> None:
        self._inks = inks
        self._events = [*(ink.event for ink in inks), *clip.kept]
        self._boxes = [_kept_mask(event, crop) for event in clip.kept]

    def showing(self, frame: int) -> tuple[_Shown, ...]:
        """Return the events that show in a film frame."""
        return tuple(
            (number, event.pose_at(frame))
            for number, event in enumerate(self._events)
            if event.shows_at(frame)
        )

    def masks(
        self, showing: tuple[_Shown, ...]
    ) -> tuple[list[NDArray[np.bool_]], list[NDArray[np.bool_]]]:
        """Return the masks of the erased events, and of all, of a set of events."""
        erased = [
            self._inks[number].mask_at(offset)
            for number, offset in showing
            if number < len(self._inks)
        ]
        first = len(self._inks)
        return erased, [*erased, *(self._boxes[n - first] for n, _ in showing if n >= first)]


def _kept_mask(event: Event, crop: CropStack) -> NDArray[np.bool_]:
    """Return the pixels of the crop in which a kept event may have ink: bool ``(H, W)``."""
    left, top, right, bottom = _text_box(replace(event, box_xyxy=event.swept_xyxy), 0, 0)
    x, y = crop.box[:2]
    return inside((left - x, top - y, right - x, bottom - y), crop.size)


def _context_crop(crop: CropStack, clip: Clip) -> ContextCrop | None:
    """Return the picture around the strip with the text in it, if it was collected."""
    if crop.context is None:
        return None
    context_left, context_top = crop.context.box[:2]
    texts = tuple(
        NearbyText(
            event.start - crop.start,
            event.stop - crop.start,
            _text_box(event, context_left, context_top),
        )
        for event in clip.context_events
    )
    left, top = crop.box[0] - context_left, crop.box[1] - context_top
    return ContextCrop(crop.context.planes, left, top, texts)


def _text_box(event: Event, context_left: int, context_top: int) -> Box:
    """Return the box of an event in pixels of the context crop, with a margin (a guess)."""
    left, top, right, bottom = event.box_xyxy
    margin = 0.2 * event.text_height_px
    return (
        max(0, int(left - margin) - context_left),
        max(0, int(top - margin) - context_top),
        max(0, int(right + margin) + 1 - context_left),
        max(0, int(bottom + margin) + 1 - context_top),
    )


def _diffused_frames(clip: Clip, filled: Filled) -> frozenset[int]:
    """Return the film frames with at least one diffused pixel."""
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
    unblended: dict[int, NDArray[np.bool_]],
    *,
    kept: NDArray[np.bool_],
) -> dict[int, Patch]:
    """Return a patch for each film frame in which a pixel was filled or unblended.

    Args:
        crop: the clip's pixels, plates unblended.
        clip: its box is that of the patches.
        strip: the engine's input.
        filled: its result.
        unblended: result of ``_unblend_plates``.
        kept: bool ``(K, H, W)``; pixels of each hole that keep the film's own samples.
    """
    patches: dict[int, Patch] = {}
    masks: dict[tuple[int, bytes], tuple[NDArray[np.bool_], ...]] = {}  # most frames share theirs
    for offset, frame_filled in enumerate(filled.frames):
        index = strip.fill_start + offset
        frame = crop.start + index
        hole, plate = strip.mask(index) & ~kept[strip.mask_of[index]], unblended.get(frame)
        if plate is None and not hole.any():
            continue
        key = int(strip.mask_of[index]), b"" if plate is None else np.packbits(plate).tobytes()
        if key not in masks:
            changed = hole if plate is None else hole | plate
            masks[key] = _per_plane(changed, strip)
        patches[frame] = _patch(clip.box, strip, index, frame_filled, masks[key])
    return patches


def _patch(
    box: Box,
    strip: InpaintInput,
    index: int,
    filled: FilledFrame,
    masks: tuple[NDArray[np.bool_], ...],
) -> Patch:
    """Return the patch of the strip's frame ``index``.

    Args:
        box: of the clip.
        strip: the engine's input; plates are unblended in its planes.
        index: frame of the strip.
        filled: samples of the frame's hole.
        masks: per plane, bool; samples that were filled or unblended.
    """
    holes = _per_plane(strip.mask(index), strip)
    if all(map(np.array_equal, masks, holes)):  # no plate around the hole, nothing kept in it
        return Patch(box, masks, filled.planes)
    samples = []
    for stack, hole, mask, values in zip(strip.planes, holes, masks, filled.planes, strict=True):
        picture = stack[index].copy()
        picture[hole] = values
        samples.append(picture[mask])
    return Patch(box, masks, tuple(samples))


def _per_plane(mask: NDArray[np.bool_], strip: InpaintInput) -> tuple[NDArray[np.bool_], ...]:
    """Return a luma mask as one mask for each plane; chroma planes share one."""
    chroma_planes = len(strip.planes) - 1
    if not chroma_planes:
        return (mask,)
    return (mask, *[reduce_mask(mask, strip.layout)] * chroma_planes)


def _event_shares(
    clip: Clip, strip: InpaintInput, filled: Filled, inks: tuple[Ink, ...]
) -> tuple[EventShare, ...]:
    """Return the origin of the new pixels for each event that shows in the fill span.

    Confidence of a pixel is ``1 / (1 + (error / _CONFIDENT_LEVELS) ** 2)``.
    """
    shares = []
    for ink in inks:
        first = max(ink.event.start, clip.fill_start)
        last = min(ink.event.stop, clip.fill_stop)
        if first >= last:
            continue
        origins = np.zeros(max(Origin) + 1, np.int64)
        confidence = 0.0
        for offset in range(
            first - clip.fill_start, min(last - clip.fill_start, len(filled.frames))
        ):
            frame = filled.frames[offset]
            own = ink.mask_at(ink.event.pose_at(clip.fill_start + offset))
            is_own = own[strip.mask(strip.fill_start + offset)]
            origins += np.bincount(frame.origin[is_own], minlength=origins.size)
            error = frame.error[is_own].astype(np.float32) / _CONFIDENT_LEVELS
            confidence += float((1 / (1 + error**2)).sum())
        count = int(origins.sum())
        plate_px = _plate_px(ink) * (last - first)
        shares.append(
            EventShare(
                event=ink.event,
                unblended=plate_px + int(origins[Origin.UNBLENDED]),
                propagated=int(origins[Origin.PROPAGATED]),
                invented=int(origins[Origin.INVENTED]),
                diffused=int(origins[Origin.DIFFUSED]),
                confidence=confidence / count if count else float(plate_px > 0),
            )
        )
    return tuple(shares)


def _plate_px(ink: Ink) -> int:
    """Return the number of pixels under the plate but not under letters, in one frame."""
    if ink.plate is None:
        return 0
    left, top, right, bottom = ink.plate.box
    return int((~ink.mask[top:bottom, left:right]).sum())
