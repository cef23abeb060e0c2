"""Ink as a mask gives it, exactly: nothing is estimated, nothing is solved for."""

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
from erasecore.selection.masks import Mask, Run


def ink_from_mask(mask: Mask) -> FindInks:
    """A finder of ink that goes by ``mask``: one ink for each event and run of equal frames."""

    def find(crop: CropStack, clip: Clip, cuts: tuple[int, ...]) -> tuple[Ink, ...]:
        del cuts
        runs = list(mask.runs(crop.start, crop.stop, crop.box))
        return tuple(ink for event in clip.events for run in runs for ink in _ink(event, run, crop))

    return find


def _ink(event: Event, run: Run, crop: CropStack) -> list[Ink]:
    """The event's ink in a run of equal masks, if it lies in it."""
    start, stop = max(event.start, run.start), min(event.stop, run.stop)
    if start >= stop:
        return []
    left, top, right, bottom = (round(side) for side in event.box_xyxy)
    x, y = crop.box[0], crop.box[1]
    mine = np.zeros(crop.size, np.bool_)
    place = np.s_[max(0, top - y) : max(0, bottom - y), max(0, left - x) : max(0, right - x)]
    mine[place] = run.bits[place]
    part = replace(event, start=start, stop=stop, full_start=start, full_stop=stop)
    return [Ink(part, mine, None)]


def whole_shares(shares: Iterable[EventShare], events: Iterable[Event]) -> tuple[EventShare, ...]:
    """``shares`` of parts of ``events``, added up: one for each event that has any."""
    parts: dict[Event, list[EventShare]] = defaultdict(list)
    known = list(events)
    for share in shares:
        parts[_whole(share.event, known)].append(share)
    return tuple(_sum(event, some) for event, some in parts.items())


def _whole(part: Event, events: list[Event]) -> Event:
    return next(
        event
        for event in events
        if event.box_xyxy == part.box_xyxy and event.start <= part.start < event.stop
    )


def _sum(event: Event, shares: list[EventShare]) -> EventShare:
    """Shares of one event as one; the confidence is weighted by what was filled."""
    filled = sum(share.filled_px for share in shares)
    trust = sum(share.confidence * share.filled_px for share in shares)
    return replace(
        shares[0],
        event=event,
        unblended=0,
        propagated=sum(share.propagated for share in shares),
        invented=sum(share.invented for share in shares),
        diffused=sum(share.diffused for share in shares),
        confidence=trust / filled if filled else 0.0,
    )
