"""Plans: a film is divided into segments (stored units) and clips (units of recovery).

Pure arithmetic on frame numbers and boxes; spans are half-open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

from erasecore.model.boxes import area, clip_box, intersect, union
from erasecore.model.clips import Clip, Picture, Segment
from erasecore.model.events import Event
from erasecore.model.inpaint_input import ContextNeeds
from erasecore.video.color import Box

_MIN_LENGTH = 2 / 3  # shortest segment, in wished lengths (the last one may be shorter); a guess
_MAX_LENGTH = 4 / 3  # longest segment, in wished lengths; a guess
_NEIGHBOUR_FRAMES = 12  # largest gap between events that share a clip, frames; a guess


def plan_segments(
    frames: int, events: Sequence[Event], cuts: Sequence[int], *, length: int
) -> tuple[Segment, ...]:
    """Return segments that cover ``[0, frames)``, each about ``length`` frames long.

    A border is placed at a cut that no event crosses, else between two events, else at a cut, else
    after the wished length; the nearest to the wished length of equally good ones.

    Args:
        frames: number of frames of the film.
        events: of the film.
        cuts: film frames at which a new shot begins.
        length: wished length, frames; segments have 2/3 to 4/3 of it.
    """
    borders = [0]
    while frames - borders[-1] > length * _MAX_LENGTH:
        start = borders[-1]
        first, last = start + max(1, int(length * _MIN_LENGTH)), start + int(length * _MAX_LENGTH)
        borders.append(_best_border(range(first, last + 1), start + length, events, cuts))
    borders.append(frames)
    pairs = itertools.pairwise(borders)
    return tuple(Segment(number, a, b) for number, (a, b) in enumerate(pairs) if b > a)


def _best_border(
    candidates: range, wished: int, events: Sequence[Event], cuts: Sequence[int]
) -> int:
    """Return the best of ``candidates`` (film frames) as the first frame of the next segment."""
    near = [e for e in events if e.start < candidates.stop and e.stop > candidates.start]
    crossed = {frame for e in near for frame in range(e.start + 1, e.stop) if frame in candidates}
    cut_set = set(cuts)
    return min(candidates, key=lambda f: (f in crossed, f not in cut_set, abs(f - wished)))


def plan_clips(
    segment: Segment,
    events: Sequence[Event],
    picture: Picture,
    *,
    frames: int,
    context: int,
    context_needs: ContextNeeds | None = None,
) -> tuple[Clip, ...]:
    """Return the clips of a segment, each for a group of events near in time and place.

    Clips too large for the memory limit are split in time. An event outside the picture has none.

    Args:
        segment: film frames to be filled.
        events: of the whole film, by start.
        picture: frame size, plane layout and memory limit.
        frames: number of frames of the film.
        context: frames wanted before and after the events of a clip.
        context_needs: size of the context crop that the engine wants; ``None`` for none.
    """
    in_segment = [event for event in events if _shows_in(event, segment, picture)]
    clips: list[Clip] = []
    for group in _group_events(in_segment, picture):
        box = _clip_box(group, picture)
        fill_start = max(segment.start, min(e.start for e in group))
        fill_stop = min(segment.stop, max(e.stop for e in group))
        reach = (min(e.start for e in group) - context, max(e.stop for e in group) + context)
        context_box = (
            None if context_needs is None else _context_box(group, box, picture, context_needs)
        )
        for first, last in _split_fill_span(fill_start, fill_stop, box, picture, context):
            start, stop = _with_context(first, last, reach, box, picture)
            start, stop = max(0, start), min(frames, stop)
            shown = [e for e in events if e.start < stop and e.stop > start]
            visible = _visible_in(shown, box, picture)
            nearby = _visible_in(shown, context_box or box, picture)
            context_events = tuple(event for event in nearby if event not in visible)
            clips.append(Clip(start, stop, first, last, box, visible, context_box, context_events))
    return tuple(sorted(clips, key=lambda clip: clip.start))


def keep_forbidden(clips: Sequence[Clip], forbidden: Sequence[Event]) -> tuple[Clip, ...]:
    """Return clips with the forbidden text that shows in them as events that are kept.

    Text that shows as long as the event that it overlaps, or longer, is the event's background.

    Args:
        clips: of one segment, as planned.
        forbidden: text of the whole film that stays and is no source of background.
    """
    start = min((clip.start for clip in clips), default=0)
    stop = max((clip.stop for clip in clips), default=0)
    near = [text for text in forbidden if text.start < stop and text.stop > start]
    return tuple(_with_kept(clip, near) for clip in clips)


def _with_kept(clip: Clip, forbidden: Sequence[Event]) -> Clip:
    """Return the clip with the forbidden text that shows in it."""
    own = [event for event in clip.events if clip.fills(event)]
    near = [
        text
        for text in forbidden
        if text.start < clip.stop
        and text.stop > clip.start
        and text not in clip.events
        and not any(_lies_behind(text, event) for event in own)
    ]
    kept = tuple(text for text in near if intersect(text.swept_xyxy, clip.box))
    around = clip.context_box or clip.box
    beside = tuple(text for text in near if text not in kept and intersect(text.swept_xyxy, around))
    return replace(
        clip,
        events=(*clip.events, *kept),
        kept=(*clip.kept, *kept),
        context_events=(*clip.context_events, *beside),
    )


def _lies_behind(text: Event, event: Event) -> bool:
    """Return True if ``text`` overlaps ``event`` and shows in all of its frames."""
    lasts = text.start <= event.start and text.stop >= event.stop
    return lasts and intersect(text.box_xyxy, event.box_xyxy)


def _shows_in(event: Event, segment: Segment, picture: Picture) -> bool:
    """Return True if ink of ``event`` may lie in the picture in a frame of ``segment``."""
    in_time = event.start < segment.stop and event.stop > segment.start
    return in_time and area(_ink_region(event, picture)) > 0


def _group_events(events: Sequence[Event], picture: Picture) -> list[list[Event]]:
    """Return groups of events that are near in time and share rows, by the first start."""
    groups: list[list[Event]] = []
    for event in sorted(events, key=lambda e: e.start):
        region = _ink_region(event, picture)
        for group in groups:
            is_near = event.start <= max(e.stop for e in group) + _NEIGHBOUR_FRAMES
            box = union([_ink_region(e, picture) for e in group])
            if is_near and region[1] < box[3] and region[3] > box[1]:
                group.append(event)
                break
        else:
            groups.append([event])
    return groups


def _ink_region(event: Event, picture: Picture) -> Box:
    """Return the box that holds all ink of an event, luma px, clipped to the picture."""
    pad = event.reach_px
    x0, y0, x1, y1 = event.swept_xyxy
    region = int(x0 - pad), int(y0 - pad), int(x1 + pad) + 1, int(y1 + pad) + 1
    return clip_box(region, (picture.height, picture.width))


def _clip_box(group: list[Event], picture: Picture) -> Box:
    """Return the clip's box: the group's ink with room for motion, in whole chroma samples."""
    pad = int(max(e.text_height_px for e in group)) + 16
    left, top, right, bottom = union([_ink_region(e, picture) for e in group])
    step_x, step_y = 1 << picture.layout.shift_x, 1 << picture.layout.shift_y
    left, top = max(0, left - pad) // step_x * step_x, max(0, top - pad) // step_y * step_y
    right = min(picture.width, -(-(right + pad) // step_x) * step_x)
    bottom = min(picture.height, -(-(bottom + pad) // step_y) * step_y)
    return left, top, right, bottom


def _context_box(group: list[Event], box: Box, picture: Picture, needs: ContextNeeds) -> Box:
    """Return the box of the context crop: it holds ``box`` and what ``needs`` ask for."""
    layout = picture.layout
    left, top, right, bottom = union([_ink_region(e, picture) for e in group])
    columns = needs.span(left, right, room=picture.width, step=1 << layout.shift_x)
    rows = needs.span(top, bottom, room=picture.height, step=1 << layout.shift_y)
    return union([box, (columns[0], rows[0], columns[1], rows[1])])


def _visible_in(events: Sequence[Event], box: Box, picture: Picture) -> tuple[Event, ...]:
    """Return the ``events`` whose ink may show in ``box``."""
    return tuple(e for e in events if intersect(_ink_region(e, picture), box))


def _max_clip_frames(box: Box, picture: Picture) -> int:
    """Return the number of frames of ``box`` that fit the memory limit; at least 16 (a guess)."""
    left, top, right, bottom = box
    layout = picture.layout
    chroma = (layout.planes - 1) / (1 << (layout.shift_x + layout.shift_y))
    frame_bytes = (right - left) * (bottom - top) * (1 + chroma) * (1 if layout.bits == 8 else 2)
    return max(16, int(picture.clip_bytes / max(frame_bytes, 1)))


def _split_fill_span(
    start: int, stop: int, box: Box, picture: Picture, context: int
) -> Iterator[tuple[int, int]]:
    """Yield the fill span in parts of about equal length that fit the memory with their context."""
    room = max(8, _max_clip_frames(box, picture) - 2 * context)
    count = max(1, -(-(stop - start) // room))
    for part in range(count):
        first = start + (stop - start) * part // count
        last = start + (stop - start) * (part + 1) // count
        if last > first:
            yield first, last


def _with_context(
    first: int, last: int, reach: tuple[int, int], box: Box, picture: Picture
) -> tuple[int, int]:
    """Return ``[first, last)`` extended with context, as far as the memory limit allows.

    Args:
        first: first frame to be filled.
        last: first frame after the last one to be filled.
        reach: span with all the context that is wanted; the limit is shared evenly by both sides.
        box: of the clip.
        picture: plane layout and memory limit.
    """
    spare = max(0, _max_clip_frames(box, picture) - (last - first))
    before, after = max(0, first - reach[0]), max(0, reach[1] - last)
    take_before = min(before, max(spare // 2, spare - after))
    take_after = min(after, spare - take_before)
    return first - take_before, last + take_after
