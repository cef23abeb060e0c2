"""Planning, recovery and the second pass on random geometry."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from erasecore.engines.base import Filled, FilledFrame, Origin, Tick, Traits
from erasecore.model.boxes import intersect
from erasecore.model.clips import Clip, Picture, Segment
from erasecore.model.crop_stacks import CropStack
from erasecore.model.inpaint_input import ContextNeeds, InpaintInput, reduce_mask
from erasecore.recovery.clip_recovery import Recovery, recover_clip
from erasecore.recovery.ink_from_mask import ink_from_mask, sum_shares_by_event
from erasecore.recovery.planning import plan_clips, plan_segments
from erasecore.recovery.second_pass import (
    MaskDilation,
    dilate_ink,
    dilations_for,
    find_dilated_inks,
)
from erasecore.review.residual_text import Findings
from erasecore.selection.masks import PictureMask
from erasecore.video.color import PlaneLayout
from tests import geometry

pytestmark = pytest.mark.filterwarnings("error")


class FlatEngine:
    """Fills every hole with one level."""

    @property
    def traits(self) -> Traits:
        """No context."""
        return Traits(name="flat", context_seconds=0.0)

    def fill(self, strip: InpaintInput, prior: Filled | None, tick: Tick) -> Filled:
        """Return a filled frame for each of the fill span."""
        del prior, tick
        return Filled(tuple(map(self._frame(strip), range(strip.fill_start, strip.fill_stop))))

    @staticmethod
    def _frame(strip: InpaintInput):  # type: ignore[no-untyped-def] # noqa: ANN205 - a local function
        def fill(index: int) -> FilledFrame:
            luma = strip.mask(index)
            holes = [luma, *[reduce_mask(luma, strip.layout)] * (len(strip.planes) - 1)]
            count = int(luma.sum())
            return FilledFrame(
                tuple(np.full(int(h.sum()), 9, strip.planes[0].dtype) for h in holes),
                np.full(count, Origin.INVENTED, np.uint8),
                np.full(count, 2, np.float16),
            )

        return fill


@given(data=st.data(), frames=st.integers(1, 60), length=st.integers(1, 30))
def test_segments_cover_the_film(data: st.DataObject, frames: int, length: int) -> None:
    """Every frame lies in just one segment, whatever events reach beyond the film's ends."""
    events = data.draw(st.lists(geometry.events((64, 64), first=-4, last=70), max_size=4))
    cuts = sorted(data.draw(st.sets(st.integers(1, 60), max_size=4)))
    segments = plan_segments(frames, events, cuts, length=length)
    covered = [frame for segment in segments for frame in range(segment.start, segment.stop)]
    assert covered == list(range(frames))


needs = st.sampled_from((None, ContextNeeds(16, 64, 8, 96)))


@settings(max_examples=200, deadline=None)
@given(data=st.data(), size=geometry.sizes, layout=geometry.layouts, context_needs=needs)
def test_clips_lie_in_the_film(
    data: st.DataObject,
    size: tuple[int, int],
    layout: PlaneLayout,
    context_needs: ContextNeeds | None,
) -> None:
    """A clip has pixels and frames inside the film; an event that can be seen is filled in one."""
    frames = data.draw(st.integers(1, 20))
    start = data.draw(st.integers(0, frames - 1))
    segment = Segment(0, start, data.draw(st.integers(start + 1, frames)))
    events = sorted(
        data.draw(st.lists(geometry.events(size, last=24), max_size=5, unique=True)),
        key=lambda event: event.start,
    )
    limit = data.draw(st.sampled_from((1, 4000, 10**9)))
    clips = plan_clips(
        segment,
        events,
        Picture(*size, layout, limit),
        frames=frames,
        context=data.draw(st.integers(0, 6)),
        context_needs=context_needs,
    )
    for clip in clips:
        assert 0 <= clip.start <= clip.fill_start < clip.fill_stop <= clip.stop <= frames
        assert segment.start <= clip.fill_start < clip.fill_stop <= segment.stop
        for box in (clip.box, clip.context_box or clip.box):
            assert 0 <= box[0] < box[2] <= size[0]
            assert 0 <= box[1] < box[3] <= size[1]
    for event in events:
        first, last = max(event.start, segment.start), min(event.stop, segment.stop)
        if first < last and intersect(event.box_xyxy, (0, 0, *size)):
            for frame in (first, last - 1):
                assert any(
                    clip.fill_start <= frame < clip.fill_stop and event in clip.events
                    for clip in clips
                )


def check_recovery(recovery: Recovery, clip: Clip, crop: CropStack) -> None:
    """Patches lie in the fill span and fit the crop; shares count no pixel twice."""
    assert all(clip.fill_start <= frame < clip.fill_stop for frame in recovery.patches)
    for patch in recovery.patches.values():
        for mask, samples, stack in zip(patch.masks, patch.samples, crop.planes, strict=True):
            assert mask.shape == stack.shape[1:]
            assert samples.shape == (int(mask.sum()),)
            assert samples.dtype == stack.dtype
    for share in recovery.shares:
        assert clip.fills(share.event)
        assert share.event not in clip.kept
        assert min(share.unblended, share.propagated, share.invented) >= 0
        assert 0 <= share.confidence <= 1


@settings(max_examples=150, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_recovery_of_a_clip(data: st.DataObject, size: tuple[int, int]) -> None:
    """Whatever its events' places and times, the patches fit the crop."""
    crop = data.draw(geometry.crops(size))
    clip = data.draw(geometry.clips_of(crop, size))
    cuts = tuple(sorted(data.draw(st.sets(st.integers(0, 16), max_size=3))))
    check_recovery(recover_clip(crop, clip, cuts, FlatEngine(), lambda _: None), clip, crop)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_kept_events_keep_their_pixels(data: st.DataObject, size: tuple[int, int]) -> None:
    """Where all events are kept no luma sample changes, whatever the engine says."""
    crop = data.draw(geometry.crops(size))
    clip = data.draw(geometry.clips_of(crop, size))
    clip = replace(clip, kept=clip.events)
    recovery = recover_clip(crop, clip, (), FlatEngine(), lambda _: None)
    assert recovery.shares == ()
    assert not any(mask.any() for patch in recovery.patches.values() for mask in patch.masks)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_recovery_under_a_mask(data: st.DataObject, size: tuple[int, int]) -> None:
    """Ink from a mask; the parts of an event are summed to one share."""
    crop = data.draw(geometry.crops(size))
    clip = data.draw(geometry.clips_of(crop, size))
    mask = PictureMask(data.draw(geometry.masks((size[1], size[0]))))
    recovery = recover_clip(crop, clip, (), FlatEngine(), lambda _: None, ink_from_mask(mask))
    check_recovery(recovery, clip, crop)
    shares = sum_shares_by_event(recovery.shares, clip.events)
    assert {share.event for share in shares} <= set(clip.events)
    check_recovery(replace(recovery, shares=shares), clip, crop)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), size=geometry.sizes)
def test_the_second_pass(data: st.DataObject, size: tuple[int, int]) -> None:
    """Dilated masks have the crop's size and hold the ink and the boxes of the text left."""
    crop = data.draw(geometry.crops(size))
    ink = data.draw(geometry.inks(crop, size))
    left = tuple(data.draw(st.lists(geometry.boxes(size), max_size=2)))
    dilations = dilations_for(Findings({ink.event: left}), frozenset({ink.event}))
    larger = dilate_ink(ink, dilations[ink.event], crop)
    assert larger.mask.shape == crop.size
    assert not (ink.mask & ~larger.mask).any()
    clip = Clip(crop.start, crop.stop, crop.start, crop.stop, crop.box, (ink.event,))
    found = find_dilated_inks({ink.event: MaskDilation(2, left)})(crop, clip, ())
    assert [each.mask.shape for each in found] == [crop.size]
