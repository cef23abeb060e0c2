"""Recovery of a clip in which an event may fail: the others are erased, and it is left as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from erasecore.isolation import EventFailure, isolate
from erasecore.model.clips import Clip, EventShare
from erasecore.model.events import Event
from erasecore.recovery.clip_recovery import Recovery
from erasecore.recovery.segment_results import RecoveredClip


def recover_isolated(
    clip: Clip, recover: Callable[[Clip], RecoveredClip], left: Mapping[Event, str]
) -> dict[Clip, RecoveredClip]:
    """Recover a clip; if that fails, recover its events one by one.

    Args:
        clip: as planned.
        recover: reads and recovers a clip; may be called several times.
        left: events that failed before, with the reason; they are left as they are.

    Returns:
        The result under the key ``clip``, or one result for each event that is filled. An event
        that fails alone has no patches, and a share with the reason.
    """
    known = {event: reason for event, reason in left.items() if event in clip.events}
    stay = {*clip.kept, *known}
    own = [event for event in clip.events if clip.fills(event) and event not in stay]
    if not own:
        return {clip: _untouched(clip, known)}
    whole = replace(clip, kept=(*clip.kept, *known))
    outcome = _attempt(recover, whole)
    if isinstance(outcome, RecoveredClip):
        recovery = outcome.recovery
        shares = (*recovery.shares, *_left_shares(clip, known))
        return {clip: replace(outcome, recovery=replace(recovery, shares=shares))}
    if len(own) == 1:
        return {clip: _untouched(clip, {**known, own[0]: outcome.reason})}
    parts = {clip: _untouched(clip, known)} if known else {}
    for event in own:
        part = clip.only(event)
        alone = _attempt(recover, part)
        if isinstance(alone, EventFailure):
            alone = _untouched(part, {event: alone.reason})
        parts[part] = alone
    return parts


def _attempt(recover: Callable[[Clip], RecoveredClip], clip: Clip) -> RecoveredClip | EventFailure:
    return isolate(
        partial(recover, clip),
        step="recover",
        start=clip.fill_start,
        stop=clip.fill_stop,
        box=clip.box,
        events=sum(clip.fills(event) for event in clip.events if event not in clip.kept),
    )


def _untouched(clip: Clip, left: Mapping[Event, str]) -> RecoveredClip:
    """Return the result of a clip in which no pixel is changed."""
    return RecoveredClip({}, Recovery({}, _left_shares(clip, left)))


def _left_shares(clip: Clip, left: Mapping[Event, str]) -> tuple[EventShare, ...]:
    return tuple(
        EventShare(event, 0, 0, 0, 0, 0.0, left=reason)
        for event, reason in left.items()
        if clip.fills(event)
    )
