"""How films are divided: every frame in one segment, every subtitle in reach of its clip."""

from __future__ import annotations

import itertools
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from erasecore.model.clips import CLIP_BYTES, Picture, Segment
from erasecore.model.events import Event
from erasecore.model.inpaint_input import ContextNeeds
from erasecore.recovery.planning import plan_clips, plan_segments
from erasecore.video.color import PlaneLayout

LAYOUT = PlaneLayout("yuv420p", 8, 1, 1, 3, full_range=False)
PICTURE = Picture(640, 360, LAYOUT)


def event(start: int, stop: int, box: tuple[float, float, float, float]) -> Event:
    """An event that is opaque all the time."""
    return Event(start, stop, start, stop, box, 24.0, 1.0)


@st.composite
def events(draw: st.DrawFn, frames: int) -> tuple[Event, ...]:
    """Some subtitles of a film of ``frames``, by start."""
    found = []
    for _ in range(draw(st.integers(0, 8))):
        start = draw(st.integers(0, frames - 1))
        stop = draw(st.integers(start + 1, frames))
        left, top = draw(st.floats(0, 400)), draw(st.floats(0, 320))
        found.append(event(start, stop, (left, top, left + 200, top + 30)))
    return tuple(sorted(found, key=lambda e: e.start))


@given(st.data(), st.integers(1, 3000), st.integers(1, 400))
def test_segments_cover_every_frame_once_in_order(
    data: st.DataObject, frames: int, length: int
) -> None:
    """Whatever the film: the segments join without gap or overlap, none longer than 4/3."""
    cuts = data.draw(st.lists(st.integers(1, max(1, frames - 1)), max_size=10))
    segments = plan_segments(frames, data.draw(events(frames)), cuts, length=length)
    assert segments[0].start == 0
    assert segments[-1].stop == frames
    assert all(a.stop == b.start for a, b in itertools.pairwise(segments))
    assert all(0 < s.stop - s.start <= max(2, length * 4 / 3) for s in segments)
    assert [s.number for s in segments] == list(range(len(segments)))


def test_a_border_lies_at_a_cut_that_no_subtitle_crosses() -> None:
    """Of two cuts in reach, the one in the middle of a subtitle is not taken."""
    crossing = event(90, 120, (100, 300, 300, 330))
    segments = plan_segments(300, [crossing], [105, 130], length=105)
    assert segments[0].stop == 130


def test_without_a_cut_a_border_lies_between_subtitles() -> None:
    """The nearest frame to the wished length at which no subtitle is on screen."""
    shown = [event(60, 100, (0, 300, 200, 330)), event(101, 128, (0, 300, 200, 330))]
    assert plan_segments(300, shown, [], length=110)[0].stop in {100, 101}


@given(st.data(), st.integers(30, 600), st.integers(0, 20))
def test_every_inked_frame_of_a_segment_is_filled_by_a_clip(
    data: st.DataObject, frames: int, context: int
) -> None:
    """And the clip's box holds the event, its frames hold the fill span, in the film."""
    shown = data.draw(events(frames))
    start = data.draw(st.integers(0, frames - 1))
    segment = Segment(0, start, data.draw(st.integers(start + 1, frames)))
    clips = plan_clips(segment, shown, PICTURE, frames=frames, context=context)
    for one in shown:
        for frame in range(max(one.start, segment.start), min(one.stop, segment.stop)):
            assert any(
                clip.fill_start <= frame < clip.fill_stop
                and one in clip.events
                and clip.box[0] <= one.box_xyxy[0]
                and clip.box[3] >= min(one.box_xyxy[3], PICTURE.height)
                for clip in clips
            )
    for clip in clips:
        assert 0 <= clip.start <= clip.fill_start < clip.fill_stop <= clip.stop <= frames
        assert segment.start <= clip.fill_start
        assert clip.fill_stop <= segment.stop
        assert clip.box[0] % 2 == clip.box[1] % 2 == 0


def test_a_long_clip_is_worked_on_in_parts_that_fit_the_memory() -> None:
    """Ten minutes of one caption in 4K do not have to be held at once."""
    picture = Picture(3840, 2160, LAYOUT)
    caption = event(0, 36_000, (200.0, 1900.0, 3600.0, 2000.0))
    clips = plan_clips(Segment(0, 0, 36_000), [caption], picture, frames=36_000, context=30)
    assert len(clips) > 1
    assert [c.fill_start for c in clips[1:]] == [c.fill_stop for c in clips[:-1]]
    for clip in clips:
        left, top, right, bottom = clip.box
        assert (clip.stop - clip.start) * (right - left) * (bottom - top) * 1.5 <= CLIP_BYTES


def test_a_clip_shows_context_and_the_neighbours_ink() -> None:
    """Frames around the event come along, and so do other subtitles that can be seen in them."""
    first = event(100, 150, (100, 300, 400, 330))
    other = event(155, 200, (100, 300, 400, 330))
    (clip,) = plan_clips(Segment(0, 90, 152), [first, other], PICTURE, frames=400, context=12)
    assert (clip.start, clip.stop) == (88, 162)
    assert (clip.fill_start, clip.fill_stop) == (100, 150)
    assert clip.events == (first, other)


@given(st.data(), st.integers(30, 600))
def test_an_engine_that_wants_to_see_more_changes_no_clip(data: st.DataObject, frames: int) -> None:
    """The rectangle around is a second one: all else is planned as for an engine without wishes."""
    shown = data.draw(events(frames))
    segment, wish = Segment(0, 0, frames), ContextNeeds(64, 256, 64, 1024)
    plain = plan_clips(segment, shown, PICTURE, frames=frames, context=12)
    clips = plan_clips(segment, shown, PICTURE, frames=frames, context=12, context_needs=wish)
    assert tuple(replace(clip, context_box=None, context_events=()) for clip in clips) == plain
    for clip in clips:
        assert clip.context_box is not None
        left, top, right, bottom = clip.context_box
        assert left <= clip.box[0] < clip.box[2] <= right
        assert top <= clip.box[1] < clip.box[3] <= bottom
        assert (left % 2, top % 2) == (0, 0)
        assert bottom - top >= 256
        assert not set(clip.context_events) & set(clip.events)


def test_ink_that_is_seen_only_beside_a_clip_is_told() -> None:
    """A line too far away to belong to the clip, but within what the engine sees around it."""
    below, above = event(10, 50, (200, 300, 400, 330)), event(10, 50, (200, 170, 400, 200))
    wish = ContextNeeds(64, 256, 64, 1024)
    clips = plan_clips(
        Segment(0, 0, 60), [below, above], PICTURE, frames=60, context=5, context_needs=wish
    )
    assert [(clip.events, clip.context_events) for clip in clips] == [
        ((below,), (above,)),
        ((above,), (below,)),
    ]
