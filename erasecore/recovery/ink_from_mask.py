"""Ink taken from a user's mask as it is: no strokes are estimated, no plate is unblended."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from erasecore.ink.strokes import Ink
from erasecore.model.clips import Clip, EventShare
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.recovery.clip_recovery import FindInks
from erasecore.selection.masks import Mask, MaskRun


def ink_from_mask(mask: Mask) -> FindInks:
    """Return a function that takes the ink from ``mask``.

    It gives one ink for each event and each run of frames with equal masks.
    """

    def find(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
        del cuts
        runs = list(mask.runs(crop.start, crop.stop, crop.box))
        erased = [event for event in clip.events if event not in clip.kept]
        return tuple(ink for event in erased for run in runs for ink in _ink(event, run, crop))

    return find


def _ink(event: Event, run: MaskRun, crop: CropStack) -> list[Ink]:
    """Return the event's ink in a run of equal masks, as one element; empty if it shows in none."""
    start, stop = max(event.start, run.start), min(event.stop, run.stop)
    if start >= stop:
        return []
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    x, y = crop.box[0], crop.box[1]
    mask = np.zeros(crop.size, np.bool_)
    window = np.s_[max(0, top - y) : max(0, bottom - y), max(0, left - x) : max(0, right - x)]
    mask[window] = run.bits[window]
    part = replace(event, start=start, stop=stop, full_start=start, full_stop=stop)
    return [Ink(part, mask, None)]


def sum_shares_by_event(
    shares: Iterable[EventShare], events: Iterable[Event]
) -> tuple[EventShare, ...]:
    """Return one share for each event, the sum over the parts that ``ink_from_mask`` made of it.

    Args:
        shares: of parts of events; all are inside one of ``events``.
        events: of the clip.
    """
    parts: dict[Event, list[EventShare]] = defaultdict(list)
    clip_events = list(events)
    for share in shares:
        parts[_event_of_part(share.event, clip_events)].append(share)
    return tuple(_sum_shares(event, event_shares) for event, event_shares in parts.items())


def _event_of_part(part: Event, events: list[Event]) -> Event:
    """Return the event with the box of ``part`` in whose time it starts."""
    return next(
        event
        for event in events
        if event.box_xyxy == part.box_xyxy and event.start <= part.start < event.stop
    )


def _sum_shares(event: Event, shares: list[EventShare]) -> EventShare:
    """Return the sum of ``shares``; confidence is the mean weighted by the filled pixels."""
    filled = sum(share.filled_px for share in shares)
    confidence = sum(share.confidence * share.filled_px for share in shares)
    return replace(
        shares[0],
        event=event,
        unblended=0,
        propagated=sum(share.propagated for share in shares),
        invented=sum(share.invented for share in shares),
        diffused=sum(share.diffused for share in shares),
        confidence=confidence / filled if filled else 0.0,
    )
