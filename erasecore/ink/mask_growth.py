"""How far outline, shadow and coding halo reach beyond the letters.

Four observations tell: where the picture changed as the subtitle came or went, as a function of
the distance to the letters; how far it changed faintly, by a glow; how far from the letters it
stands still while the scene around moves; and which pixels beside them are then darker than the
picture around, over the whole of the subtitle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import cv2
import numpy as np

from erasecore.ink.statistics import InkStatistics, Transition, context_mask
from erasecore.model.inpaint_input import Bools, Floats

_MOVING_LEVELS = 4.0  # spread of a picture that moves, in levels
_LIVELY_LEVELS = 6.0  # of one in whose mean what stands still is seen
_COVERED = 0.75  # of the spread of the picture around: what ink lets through of it at most
_PLAIN_LEVELS = 10.0  # darker by so much, and by
_PLAIN = 4.0  # times what a mean differs from its surroundings elsewhere: plain to see
_GLOW_LEVELS, _GLOW = (
    3.0,
    2.0,
)  # a glow changes more than these, the second times what changes anyway
_GLOW_LINES = 0.7  # letter heights that it may reach
_SHADOW_PX = 3  # beyond what was grown without it
_LEAST_FREE_PX = 100  # pixels without text that can stand for the picture
_KERNEL = np.ones((3, 3), np.uint8)


def grow_mask(
    distance: Floats, transitions: list[Transition], stats: InkStatistics, line_px: float
) -> Bools:
    """The letters and what was drawn around them: bool of the region's size.

    Args:
        distance: float32 ``(H, W)``; how far each pixel is from the nearest letter, in pixels.
        transitions: the region without and with the subtitle, other text or not.
        stats: what else is known of the region.
        line_px: the letters' height.
    """
    least_px = max(_steady_px(distance, stats, line_px), _glow_px(distance, stats, line_px))
    wide = _changed(distance, transitions, stats, line_px) | (distance <= least_px)
    return _in_shadow(wide, distance, stats, line_px)


def _changed(
    distance: Floats, transitions: list[Transition], stats: InkStatistics, line_px: float
) -> Bools:
    """The letters grown as far as the picture is seen to change.

    How much the picture changes by itself at such a moment is read off the pixels without text;
    where other text comes or goes at it too, off the shell that changes least.
    """
    guess: Bools = distance <= max(3.0, 0.12 * line_px) + 1.5
    if not transitions:
        return guess
    reach = _reach_px(line_px)
    change = np.min([moment.size for moment in transitions], axis=0)
    far = (distance > reach + 2) & stats.free
    level = max(8.0, 1.5 * float(np.percentile(change[far], 75))) if far.any() else 8.0
    hot = change > level
    base = float(hot[far].mean()) if far.any() else 0.0
    if base >= 0.5:  # everything changes at that moment: a cut
        return guess
    others = 0.0 if stats.transitions else _least_shell(distance, hot, reach)
    width = _outline_px(distance, hot, max(base, others), reach)
    mask = distance <= width + 1.1
    mask |= (change > max(2 * level, 20.0)) & (distance <= width + 3)
    if base < 0.1:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        near = (hot & (distance <= reach)).astype(np.uint8)
        solid = cv2.morphologyEx(near, cv2.MORPH_OPEN, ellipse) > 0
        mask |= solid & (distance <= width + 0.12 * line_px)
    changed: Bools = mask
    return changed


def _steady_px(distance: Floats, stats: InkStatistics, line_px: float) -> float:
    """How far from the letters the picture stands still while everything around them moves.

    0 where the scene itself is still and so tells nothing.
    """
    reach, spread = _reach_px(line_px), stats.spread
    far = (distance > reach + 2) & stats.free
    usual = float(np.median(spread[far])) if far.any() else 0.0
    if usual < _MOVING_LEVELS:
        return 0.0
    width = _shells(distance, reach, lambda shell: float(np.median(spread[shell])) <= 0.35 * usual)
    return width + 1.1 if width else 0.0


def _glow_px(distance: Floats, stats: InkStatistics, line_px: float) -> float:
    """How far from the letters the picture changes, be it faintly, more than it does elsewhere.

    A glow is soft: each shell around the letters is told by its middle, not by its single pixels.
    """
    reach = _GLOW_LINES * line_px
    far = (distance > reach + 2) & stats.free
    change = stats.change(far) if int(far.sum()) >= _LEAST_FREE_PX else None
    if change is None:
        return 0.0
    usual = float(np.median(change[far]))
    least = _GLOW_LEVELS + _GLOW * usual
    return float(_shells(distance, reach, lambda shell: float(np.median(change[shell])) > least))


def _in_shadow(wide: Bools, distance: Floats, stats: InkStatistics, line_px: float) -> Bools:
    """``wide``, and what is next to it and darker in the mean in time, where the scene moves.

    What moves leaves a blur in the mean over a subtitle's frames, and what stands still is sharp in
    it. So a shadow that reaches to one side only, and lets the picture through, is told by it.
    Letters that are dark have bright things around them.
    """
    reach = _reach_px(line_px)
    far = (distance > reach + 2) & stats.free
    if int(far.sum()) < _LEAST_FREE_PX:
        return wide
    usual = context_mask(stats.spread, far)
    covered = (usual > _LIVELY_LEVELS) & (stats.spread < _COVERED * usual)
    off = stats.mean - context_mask(stats.mean, far)
    texture = context_mask(np.abs(off), far)
    darker = -off if float(off[distance == 0].mean()) > 0 else off
    ink = covered & (darker > np.maximum(_PLAIN_LEVELS, _PLAIN * texture))
    shadow = (ink & (distance <= reach)).astype(np.uint8)
    layer = wide.astype(np.uint8)
    for _ in range(_SHADOW_PX):
        layer |= np.asarray(cv2.dilate(layer, _KERNEL), np.uint8) & shadow
    return layer > 0


def _outline_px(distance: Floats, hot: Bools, base: float, reach: float) -> float:
    """How far from the letters most pixels are ``hot``, ``base`` being the share that always is."""
    least = base + 0.3 * (1 - base)
    return max(1.5, float(_shells(distance, reach, lambda shell: float(hot[shell].mean()) > least)))


def _least_shell(distance: Floats, hot: Bools, reach: float) -> float:
    """The share that is ``hot`` of the shell around the letters of which the least is."""
    shares = (float(hot[shell].mean()) for shell in _each_shell(distance, reach) if shell.any())
    return min(shares, default=0.0)


def _shells(distance: Floats, reach: float, is_ink: Callable[[Bools], bool]) -> int:
    """How many shells around the letters, each a pixel thick, are ink; none behind a gap counts."""
    width = 0
    for shell in _each_shell(distance, reach):
        if not shell.any() or not is_ink(shell):
            break
        width += 1
    return width


def _each_shell(distance: Floats, reach: float) -> Iterator[Bools]:
    """The shells around the letters, each a pixel thick, from the nearest on."""
    for step in range(1, int(reach) + 1):
        yield (distance > step - 1) & (distance <= step)


def _reach_px(line_px: float) -> float:
    """How far from a letter its ink may reach at all."""
    return max(4.0, 0.30 * line_px)
