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
    back = [frame for frame in reversed(frames) if frame[0] <= first]
    slide = follow(appearance, back, max_frames=timing.slide_frames)
    if slide.path or slide.with_scene:
        return slide
    pop_frames = timing.pop_frames  # its first frames may have been the ones in which it pops
    back = [frame for frame in reversed(frames) if frame[0] <= min(last, first + pop_frames)]
    return Slide(follow_pop(appearance, back, max_frames=pop_frames))


def goes_of(
    appearance: Appearance,
    frames: Sequence[tuple[int, Luma]],
    seen_in: tuple[int, int],
    timing: TrackTiming,
) -> Slide:
    """Return how a line goes; see ``comes_of``."""
    first, last = seen_in
    on = [frame for frame in frames if frame[0] >= last]
    slide = follow(appearance, on, max_frames=timing.slide_frames)
    if slide.path or slide.with_scene:
        return slide
    pop_frames = timing.pop_frames
    on = [frame for frame in frames if frame[0] >= max(first, last - pop_frames)]
    return Slide(follow_pop(appearance, on, max_frames=pop_frames))
