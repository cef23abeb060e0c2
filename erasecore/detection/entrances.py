"""Entrances and exits of a line that stands: by sliding, else by growing or shrinking."""

from __future__ import annotations

from collections.abc import Sequence

from erasecore.detection.appearance import Appearance
from erasecore.detection.line_window import TrackTiming
from erasecore.detection.pops import follow_pop
from erasecore.detection.scaling import Luma
from erasecore.detection.slides import Slide, follow


def comes_of(
    appearance: Appearance,
    frames: Sequence[tuple[int, Luma]],
    seen_in: tuple[int, int],
    timing: TrackTiming,
) -> Slide:
    """Return how a line comes.

    Args:
        appearance: of the line.
        frames: index and working luma, oldest first.
        seen_in: first and last frame that were seen to show it.
        timing: frames in which it slides or pops, at most.
    """
    first, last = seen_in
    outwards = list(reversed(frames))
    beyond = [frame for frame in outwards if frame[0] <= first]
    # Its first frames may have been the ones in which it pops.
    within = [frame for frame in outwards if frame[0] <= min(last, first + timing.pop_frames)]
    return _slide_or_pop(appearance, beyond, within, timing)


def goes_of(
    appearance: Appearance,
    frames: Sequence[tuple[int, Luma]],
    seen_in: tuple[int, int],
    timing: TrackTiming,
) -> Slide:
    """Return how a line goes; see ``comes_of``."""
    first, last = seen_in
    beyond = [frame for frame in frames if frame[0] >= last]
    within = [frame for frame in frames if frame[0] >= max(first, last - timing.pop_frames)]
    return _slide_or_pop(appearance, beyond, within, timing)


def _slide_or_pop(
    appearance: Appearance,
    beyond: Sequence[tuple[int, Luma]],
    within: Sequence[tuple[int, Luma]],
    timing: TrackTiming,
) -> Slide:
    """Return the way out of a line's life: a slide, else a pop.

    Args:
        appearance: of the line.
        beyond: frames outwards, from the last one that was seen to show it.
        within: frames outwards, from a little before that one.
        timing: frames in which it slides or pops, at most.
    """
    slide = follow(appearance, beyond, max_frames=timing.slide_frames)
    if slide.path or slide.with_scene:
        return slide
    return Slide(follow_pop(appearance, within, max_frames=timing.pop_frames))
