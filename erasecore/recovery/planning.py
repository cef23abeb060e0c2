"""How a film is divided: segments to be stored, clips to be worked on.

Pure arithmetic on frame numbers; ranges are half-open.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from erasecore.model.boxes import touch, union
from erasecore.model.clips import Clip, Picture, Segment
from erasecore.model.events import Event
from erasecore.model.inpaint_input import ContextNeeds
from erasecore.video.color import Box

_SHORTEST, _LONGEST = 2 / 3, 4 / 3  # of the wished length of a segment
_NEIGHBOUR_FRAMES = 12  # events closer than this share a clip


def plan_segments(
    frames: int, events: Sequence[Event], cuts: Sequence[int], *, length: int
) -> tuple[Segment, ...]:
    """Segments that cover ``[0, frames)``, each about ``length`` frames long.

    A border lies at a cut that no subtitle crosses, else between two subtitles, else at a cut,
    else where the wished length ends.
    """
    borders = [0]
    while frames - borders[-1] > length * _LONGEST:
        start = borders[-1]
        first, last = start + max(1, int(length * _SHORTEST)), start + int(length * _LONGEST)
        borders.append(_best_border(range(first, last + 1), start + length, events, cuts))
    borders.append(frames)
    pairs = itertools.pairwise(borders)
    return tuple(Segment(number, a, b) for number, (a, b) in enumerate(pairs) if b > a)


def _best_border(places: range, wished: int, events: Sequence[Event], cuts: Sequence[int]) -> int:
    near = [e for e in events if e.start < places.stop and e.stop > places.start]
    busy = {frame for e in near for frame in range(e.start + 1, e.stop) if frame in places}
    cut_set = set(cuts)
    return min(places, key=lambda f: (f in busy, f not in cut_set, abs(f - wished)))


def plan_clips(
    segment: Segment,
    events: Sequence[Event],
    picture: Picture,
    *,
    frames: int,
    context: int,
    around: ContextNeeds | None = None,
) -> tuple[Clip, ...]:
    """The clips of a segment: groups of subtitles near in time and place.

    Args:
        segment: the frames to be filled.
        events: all of the film, in order of their start.
        picture: what the film looks like.
        frames: of the whole film.
        context: frames wanted before and after the subtitles of a clip.
        around: how much of the picture around a clip's rectangle is wanted besides.
    """
    here = [e for e in events if e.start < segment.stop and e.stop > segment.start]
    clips: list[Clip] = []
    for group in _groups(here, picture):
        box = _box(group, picture)
        fill_start = max(segment.start, min(e.start for e in group))
        fill_stop = min(segment.stop, max(e.stop for e in group))
        reach = (min(e.start for e in group) - context, max(e.stop for e in group) + context)
        wider = None if around is None else _wider(group, box, picture, around)
        for first, last in _parts(fill_start, fill_stop, box, picture, context):
            start, stop = _around(first, last, reach, box, picture)
            start, stop = max(0, start), min(frames, stop)
            then = [e for e in events if e.start < stop and e.stop > start]
            inside = _touching(then, box, picture)
            beside = tuple(e for e in _touching(then, wider or box, picture) if e not in inside)
            clips.append(Clip(start, stop, first, last, box, inside, wider, beside))
    return tuple(sorted(clips, key=lambda clip: clip.start))


def _groups(events: Sequence[Event], picture: Picture) -> list[list[Event]]:
    """Events near in time whose rows overlap, in order of their first start."""
    groups: list[list[Event]] = []
    for event in sorted(events, key=lambda e: e.start):
        region = _region(event, picture)
        for group in groups:
            close = event.start <= max(e.stop for e in group) + _NEIGHBOUR_FRAMES
            box = union([_region(e, picture) for e in group])
            if close and region[1] < box[3] and region[3] > box[1]:
                group.append(event)
                break
        else:
            groups.append([event])
    return groups


def _region(event: Event, picture: Picture) -> Box:
    """Where the event's ink may be."""
    pad = event.reach_px
    x0, y0, x1, y1 = event.box_xyxy
    return (
        max(0, int(x0 - pad)),
        max(0, int(y0 - pad)),
        min(picture.width, int(x1 + pad) + 1),
        min(picture.height, int(y1 + pad) + 1),
    )


def _box(group: list[Event], picture: Picture) -> Box:
    """The group's region with room for motion around it, in whole colour samples."""
    pad = int(max(e.text_height_px for e in group)) + 16
    left, top, right, bottom = union([_region(e, picture) for e in group])
    step_x, step_y = 1 << picture.layout.shift_x, 1 << picture.layout.shift_y
    left, top = max(0, left - pad) // step_x * step_x, max(0, top - pad) // step_y * step_y
    right = min(picture.width, -(-(right + pad) // step_x) * step_x)
    bottom = min(picture.height, -(-(bottom + pad) // step_y) * step_y)
    return left, top, right, bottom


def _wider(group: list[Event], box: Box, picture: Picture, wish: ContextNeeds) -> Box:
    """``box`` with as much of the picture around it as is wished for and there is."""
    layout = picture.layout
    left, top, right, bottom = union([_region(e, picture) for e in group])
    columns = wish.span(left, right, room=picture.width, step=1 << layout.shift_x)
    rows = wish.span(top, bottom, room=picture.height, step=1 << layout.shift_y)
    return union([box, (columns[0], rows[0], columns[1], rows[1])])


def _touching(events: Sequence[Event], box: Box, picture: Picture) -> tuple[Event, ...]:
    """Those of ``events`` whose ink may be seen in ``box``."""
    return tuple(e for e in events if touch(_region(e, picture), box))


def _most_frames(box: Box, picture: Picture) -> int:
    left, top, right, bottom = box
    layout = picture.layout
    colour = (layout.planes - 1) / (1 << (layout.shift_x + layout.shift_y))
    bytes_each = (right - left) * (bottom - top) * (1 + colour) * (1 if layout.bits == 8 else 2)
    return max(16, int(picture.clip_bytes / max(bytes_each, 1)))


def _parts(
    start: int, stop: int, box: Box, picture: Picture, context: int
) -> Iterator[tuple[int, int]]:
    """The fill span in parts that fit the memory with their context."""
    room = max(8, _most_frames(box, picture) - 2 * context)
    count = max(1, -(-(stop - start) // room))
    for part in range(count):
        first = start + (stop - start) * part // count
        last = start + (stop - start) * (part + 1) // count
        if last > first:
            yield first, last


def _around(
    first: int, last: int, reach: tuple[int, int], box: Box, picture: Picture
) -> tuple[int, int]:
    """As much of ``reach`` around ``[first, last)`` as the memory allows, evenly on both sides."""
    spare = max(0, _most_frames(box, picture) - (last - first))
    before, after = max(0, first - reach[0]), max(0, reach[1] - last)
    take_before = min(before, max(spare // 2, spare - after))
    take_after = min(after, spare - take_before)
    return first - take_before, last + take_after
