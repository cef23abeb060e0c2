"""How far outline, shadow and coding halo reach beyond the letters.

Two observations tell: where the picture changed as the subtitle came or went, as a function of the
distance to the letters; and how far from them it stands still while the scene around moves.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from erasecore.engines.base import Bools, Floats
from erasecore.ink.evidence import Change, Evidence

_MOVING_LEVELS = 4.0  # spread of a picture that moves, in levels


def grown(distance: Floats, moments: list[Change], evidence: Evidence, line_px: float) -> Bools:
    """The letters and what was drawn around them: bool of the region's size.

    Args:
        distance: float32 ``(H, W)``; how far each pixel is from the nearest letter, in pixels.
        moments: the region without and with the subtitle, other text or not.
        evidence: what else is known of the region.
        line_px: the letters' height.
    """
    steady_px = _steady_px(distance, evidence, line_px)
    return _changed(distance, moments, evidence.free, line_px) | (distance <= steady_px)


def _changed(distance: Floats, moments: list[Change], free: Bools, line_px: float) -> Bools:
    """The letters grown as far as the picture is seen to change.

    How much the picture changes by itself at such a moment is read off the ``free`` pixels.
    """
    guess: Bools = distance <= max(3.0, 0.12 * line_px) + 1.5
    if not moments:
        return guess
    reach = _reach_px(line_px)
    change = np.min([moment.size for moment in moments], axis=0)
    far = (distance > reach + 2) & free
    level = max(8.0, 1.5 * float(np.percentile(change[far], 75))) if far.any() else 8.0
    hot = change > level
    base = float(hot[far].mean()) if far.any() else 0.0
    if base >= 0.5:  # everything changes at that moment: a cut
        return guess
    width = _outline_px(distance, hot, base, reach)
    mask = distance <= width + 1.1
    mask |= (change > max(2 * level, 20.0)) & (distance <= width + 3)
    if base < 0.1:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        near = (hot & (distance <= reach)).astype(np.uint8)
        solid = cv2.morphologyEx(near, cv2.MORPH_OPEN, ellipse) > 0
        mask |= solid & (distance <= width + 0.12 * line_px)
    changed: Bools = mask
    return changed


def _steady_px(distance: Floats, evidence: Evidence, line_px: float) -> float:
    """How far from the letters the picture stands still while everything around them moves.

    0 where the scene itself is still and so tells nothing.
    """
    reach, spread = _reach_px(line_px), evidence.spread
    far = (distance > reach + 2) & evidence.free
    usual = float(np.median(spread[far])) if far.any() else 0.0
    if usual < _MOVING_LEVELS:
        return 0.0
    width = _shells(distance, reach, lambda shell: float(np.median(spread[shell])) <= 0.35 * usual)
    return width + 1.1 if width else 0.0


def _outline_px(distance: Floats, hot: Bools, base: float, reach: float) -> float:
    """How far from the letters most pixels are ``hot``, ``base`` being the share that always is."""
    least = base + 0.3 * (1 - base)
    return max(1.5, float(_shells(distance, reach, lambda shell: float(hot[shell].mean()) > least)))


def _shells(distance: Floats, reach: float, is_ink: Callable[[Bools], bool]) -> int:
    """How many shells around the letters, each a pixel thick, are ink; none behind a gap counts."""
    width = 0
    for step in range(1, int(reach) + 1):
        shell = (distance > step - 1) & (distance <= step)
        if not shell.any() or not is_ink(shell):
            break
        width = step
    return width


def _reach_px(line_px: float) -> float:
    """How far from a letter its ink may reach at all."""
    return max(4.0, 0.30 * line_px)
