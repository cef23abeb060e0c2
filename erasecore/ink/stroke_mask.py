"""Stroke mask of one line: glyph pixels found, grown by what was drawn around them, then trimmed.

1. `find_letters`: strokes that stand out in nearly every frame (top-hat filter, Otsu threshold).
2. `grow_mask`: outline, shadow, glow and coding halo, in 1-px rings around the letters. Measured by
   the change as the subtitle comes or goes, by a faint change (a glow), by the width that stays
   static while the scene moves, and by pixels that are darker in the temporal mean (a shadow).
3. `trim_mask`: border pixels that are picture are peeled off, since a mask of constant width is too
   wide wherever the true outline is narrower. They did not change as the subtitle came or went, or
   they vary over its whole time as the picture around does. A letter pixel goes too if it changed
   at no transition and is not static in a moving scene; without a transition, if it varies almost
   fully as the picture does: a cloud's edge or the gap between two outlines looks like a stroke.
   Each pixel too many costs quality where nothing is ever revealed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.transitions import (
    CALM_LEVELS,
    NOISY_LEVELS,
    InkStatistics,
    Transition,
    local_mean,
    noise,
)
from erasecore.model.boxes import inside
from erasecore.model.inpaint_input import Bools, Floats
from erasecore.video.color import Box

_HATS = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
_KERNEL = np.ones((3, 3), np.uint8)

_MIN_FREE_PX = 100  # pixels without text that trimming needs to know the picture by; guess
_TRIM_LAYERS_PX = 4  # pixels that are peeled off a border at most; guess
_TRIM_UNCHANGED_LAYERS_PX = 12  # the same for pixels that changed at no transition; guess
_VARYING_LEVELS = 3.0  # levels; a smaller temporal spread may be coding noise; guess
_PICTURE_SPREAD_RATIO = 0.6  # of the spread around: from here on a border pixel is picture; guess
_NO_LETTER_SPREAD_RATIO = 0.8  # from here on a letter pixel is picture, too; guess
_STATIC_SPREAD_RATIO = 0.3  # of the spread around: below it a pixel is static; guess
_STATIC_WINDOW_PX = 31  # pixels; side of the window whose least spread counts as around; guess
_MIN_CHANGE_LEVELS = 3.0  # levels; smaller changes are noise in any scene; guess
_MAX_CHANGE_LEVELS = 5.0  # levels; larger changes are ink in any scene; guess


@dataclass(frozen=True, slots=True)
class MaskGrowthTuning:
    """Numbers that steer `grow_mask`.

    Guesses, each kept since the bench cases of its decision gained by it (docs/decisions.md 73, 82,
    85, 89). A "line" is the letters' height.
    """

    min_reach_px: float = 4.0  # pixels; ink is searched at least so far from the letters
    reach_lines: float = 0.30  # lines; and at least so far
    default_outline_px: float = 3.0  # pixels; least outline where no transition measures it
    default_outline_lines: float = 0.12  # lines; the same
    default_halo_px: float = 1.5  # pixels; coding halo around that outline
    halo_px: float = 1.1  # pixels; coding halo around a measured outline
    min_outline_px: float = 1.5  # pixels; least width of a measured outline
    changed_levels: float = 8.0  # levels; least change that may be ink
    changed_ratio: float = 1.5  # times the usual change without text; least change that may be ink
    changed_percentile: float = 75.0  # percentile of the change without text that is the usual one
    ring_changed_share: float = 0.3  # of the pixels not changed anyway: from here a ring is outline
    cut_share: float = 0.5  # of the pixels without text that changed: from here on it is a cut
    strong_levels: float = 20.0  # levels; a change as strong is ink beyond the outline, too
    strong_reach_px: float = 3.0  # pixels beyond the outline within which it is
    calm_share: float = 0.1  # of the pixels without text that changed: below it solid areas are ink
    solid_reach_lines: float = 0.12  # lines beyond the outline within which solid areas are ink
    moving_levels: float = 4.0  # levels; least temporal spread of a scene that moves
    static_ratio: float = 0.35  # of the scene's temporal spread: most that a static ring has
    glow_levels: float = 3.0  # levels; a glow changes by so much ...
    glow_ratio: float = 2.0  # ... plus so many times the usual change (decision 89)
    glow_reach_lines: float = 0.7  # lines; farthest reach of a glow (decision 89)
    shadow_moving_levels: float = 6.0  # levels; least spread of a scene whose mean shows shadows
    shadow_spread_ratio: float = 0.75  # of the spread around: most that shows through a shadow
    shadow_levels: float = 10.0  # levels; a shadow is darker than its surroundings by so much ...
    shadow_texture_ratio: float = 4.0  # ... and by so many times the usual texture
    shadow_layers: int = 3  # pixels that a shadow reaches beyond the mask (decision 73)
    min_free_px: int = 100  # pixels without text that are needed to know the picture by


DEFAULT_GROWTH = MaskGrowthTuning()


def find_letters(planes: Floats, text_box: Box, text_height_px: float) -> Bools:
    """Pixels that are part of a stroke in nearly every sampled frame: bool ``(H, W)``.

    Args:
        planes: float32 ``(N, P, H, W)``; frames that show the line, 8-bit levels, 0 to 255.
        text_box: rectangle of them in which letters may be, in pixels.
        text_height_px: height of the letters.
    """
    size = int(0.42 * text_height_px) // 2 * 2 + 1
    kernel = np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)
    text = inside(text_box, planes.shape[2:])
    if not text.any():
        return text
    contrast = _stroke_contrast(planes, kernel, text)
    values = np.clip(contrast[text], 0, 255).astype(np.uint8)
    otsu, _ = cv2.threshold(values.reshape(1, -1), 0, 255, cv2.THRESH_OTSU)
    letters = text & (contrast > max(18.0, 0.75 * otsu))
    return _without_specks(letters, max(3.0, 0.004 * text_height_px**2))


def _stroke_contrast(planes: Floats, kernel: NDArray[np.uint8], text: Bools) -> Floats:
    """Top-hat response of each pixel, 20th percentile over the frames: ``(H, W)``, in levels."""

    def hat(stack: Floats, operation: int) -> Floats:
        hats = np.stack([cv2.morphologyEx(frame, operation, kernel) for frame in stack])
        low: Floats = np.percentile(hats, 20, axis=0).astype(np.float32)
        return low

    bright, dark = (hat(planes[:, 0], operation) for operation in _HATS)
    score_bright, score_dark = (float(np.percentile(h[text], 90)) for h in (bright, dark))
    # Dark letters are rare, and bright ones have dark outlines: they must be far stronger.
    is_dark = score_dark > 2.2 * score_bright
    contrast, score = (dark, score_dark) if is_dark else (bright, score_bright)
    # Coloured letters on a background of equal luma: let a much stronger colour contrast join in.
    for plane in range(1, planes.shape[1]):
        for operation in _HATS:
            colour = hat(planes[::2, plane], operation)
            if float(np.percentile(colour[text], 90)) > 0.8 * score:
                contrast = np.maximum(contrast, colour)
    return contrast


def _without_specks(letters: Bools, min_px: float) -> Bools:
    """Return ``letters`` without 8-connected components of fewer than ``min_px`` pixels."""
    pieces = letters.astype(np.uint8)
    _, labels, stats, _ = cv2.connectedComponentsWithStats(pieces, connectivity=8)
    small = stats[:, cv2.CC_STAT_AREA] < min_px
    kept: Bools = letters & ~small[labels]
    return kept


@dataclass(frozen=True)  # without slots, which leave no room for cached properties
class _GrowthRegion:
    """Inputs of mask growth that all of its steps share; see `grow_mask`."""

    distance: Floats
    stats: InkStatistics
    line_px: float
    tuning: MaskGrowthTuning

    @cached_property
    def reach_px(self) -> float:
        """Farthest distance from a letter at which its outline or shadow may lie, in pixels."""
        return max(self.tuning.min_reach_px, self.tuning.reach_lines * self.line_px)

    @cached_property
    def far(self) -> Bools:
        """Pixels without text and out of ``reach_px``: the picture itself."""
        return self.far_from(self.reach_px)

    def far_from(self, reach_px: float) -> Bools:
        """Pixels without text that are more than 2 px farther from the letters than that."""
        far: Bools = (self.distance > reach_px + 2) & self.stats.free
        return far

    def rings(self, reach_px: float) -> Iterator[Bools]:
        """Yield masks of the 1-px rings around the letters, from the nearest on."""
        for step in range(1, int(reach_px) + 1):
            yield (self.distance > step - 1) & (self.distance <= step)

    def ink_rings(self, reach_px: float, is_ink: Callable[[Bools], bool]) -> int:
        """Number of rings up to the first one that is empty or not ink."""
        count = 0
        for ring in self.rings(reach_px):
            if not ring.any() or not is_ink(ring):
                break
            count += 1
        return count


def grow_mask(
    distance: Floats,
    transitions: list[Transition],
    stats: InkStatistics,
    line_px: float,
    *,
    tuning: MaskGrowthTuning = DEFAULT_GROWTH,
) -> Bools:
    """Letters with outline, shadow, glow and coding halo: bool ``(H, W)``.

    Args:
        distance: float32 ``(H, W)``; distance of each pixel to the nearest letter, in pixels.
        transitions: before/after pairs of the region, with or without other text in them.
        stats: statistics of the region.
        line_px: height of the letters, in pixels.
        tuning: thresholds.
    """
    region = _GrowthRegion(distance, stats, line_px, tuning)
    min_px = max(_static_reach_px(region), _glow_reach_px(region))
    wide = _grow_by_change(region, transitions) | (distance <= min_px)
    return _add_shadow(wide, region)


def _grow_by_change(region: _GrowthRegion, transitions: list[Transition]) -> Bools:
    """Letters grown as far as most pixels change at the transitions.

    The share of pixels that change anyway is measured on pixels without text; where other text
    comes or goes too, on the ring that changes least (decision 85).
    """
    tuning, distance, line_px = region.tuning, region.distance, region.line_px
    outline_px = max(tuning.default_outline_px, tuning.default_outline_lines * line_px)
    default: Bools = distance <= outline_px + tuning.default_halo_px
    if not transitions:
        return default
    change, far = np.min([pair.magnitude for pair in transitions], axis=0), region.far
    level = tuning.changed_levels
    if far.any():
        usual = float(np.percentile(change[far], tuning.changed_percentile))
        level = max(level, tuning.changed_ratio * usual)
    hot = change > level
    base = float(hot[far].mean()) if far.any() else 0.0
    if base >= tuning.cut_share:
        return default
    others = 0.0 if region.stats.transitions else _min_ring_share(region, hot)
    width = _outline_px(region, hot, max(base, others))
    mask = distance <= width + tuning.halo_px
    strong = change > max(2 * level, tuning.strong_levels)
    mask |= strong & (distance <= width + tuning.strong_reach_px)
    if base < tuning.calm_share:
        ellipse = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
        near = (hot & (distance <= region.reach_px)).astype(np.uint8)
        solid = cv2.morphologyEx(near, cv2.MORPH_OPEN, ellipse) > 0
        mask |= solid & (distance <= width + tuning.solid_reach_lines * line_px)
    changed: Bools = mask
    return changed


def _static_reach_px(region: _GrowthRegion) -> float:
    """Width of the static rings around the letters, with the coding halo, in pixels.

    0 where the scene itself is still and so tells nothing.
    """
    tuning, spread, far = region.tuning, region.stats.spread, region.far
    usual = float(np.median(spread[far])) if far.any() else 0.0
    if usual < tuning.moving_levels:
        return 0.0
    width = region.ink_rings(
        region.reach_px,
        lambda ring: float(np.median(spread[ring])) <= tuning.static_ratio * usual,
    )
    return width + tuning.halo_px if width else 0.0


def _glow_reach_px(region: _GrowthRegion) -> float:
    """Width of the rings that change, if only faintly, more than the picture does; in pixels.

    A glow is soft: each ring is judged by its median, not by single pixels.
    """
    tuning = region.tuning
    reach_px = tuning.glow_reach_lines * region.line_px
    far = region.far_from(reach_px)
    change = region.stats.change(far) if int(far.sum()) >= tuning.min_free_px else None
    if change is None:
        return 0.0
    usual = float(np.median(change[far]))
    least = tuning.glow_levels + tuning.glow_ratio * usual
    return float(region.ink_rings(reach_px, lambda ring: float(np.median(change[ring])) > least))


def _add_shadow(wide: Bools, region: _GrowthRegion) -> Bools:
    """Return ``wide`` and adjacent pixels that are darker in the temporal mean of a moving scene.

    A moving scene is blurred in the mean over a subtitle's frames, and what stands still is sharp
    in it; so a translucent shadow to one side shows there. Around dark letters, brighter pixels
    count instead.
    """
    tuning, stats, far = region.tuning, region.stats, region.far
    if int(far.sum()) < tuning.min_free_px:
        return wide
    usual = local_mean(stats.spread, far)
    covered = usual > tuning.shadow_moving_levels
    covered &= stats.spread < tuning.shadow_spread_ratio * usual
    deviation = stats.mean - local_mean(stats.mean, far)
    texture = local_mean(np.abs(deviation), far)
    bright_letters = float(deviation[region.distance == 0].mean()) > 0
    darker = -deviation if bright_letters else deviation
    limit = np.maximum(tuning.shadow_levels, tuning.shadow_texture_ratio * texture)
    ink = covered & (darker > limit)
    shadow = (ink & (region.distance <= region.reach_px)).astype(np.uint8)
    layer = wide.astype(np.uint8)
    for _ in range(tuning.shadow_layers):
        layer |= np.asarray(cv2.dilate(layer, _KERNEL), np.uint8) & shadow
    return layer > 0


def _outline_px(region: _GrowthRegion, hot: Bools, base: float) -> float:
    """Width of the rings in which enough pixels changed (``hot``), ``base`` of which always do."""
    tuning = region.tuning
    least = base + tuning.ring_changed_share * (1 - base)
    count = region.ink_rings(region.reach_px, lambda ring: float(hot[ring].mean()) > least)
    return max(tuning.min_outline_px, float(count))


def _min_ring_share(region: _GrowthRegion, hot: Bools) -> float:
    """Smallest fraction of changed (``hot``) pixels in any 1-px ring around the letters, 0 to 1."""
    rings = region.rings(region.reach_px)
    return min((float(hot[ring].mean()) for ring in rings if ring.any()), default=0.0)


def trim_mask(mask: Bools, letters: Bools, stats: InkStatistics) -> Bools:
    """Return ``mask`` without border pixels that are picture; most ``letters`` stay.

    Args:
        mask: bool ``(H, W)``; a grown stroke mask.
        letters: bool ``(H, W)``; the letters it was grown from.
        stats: statistics of the region.
    """
    free = stats.free & (cv2.dilate(mask.astype(np.uint8), _KERNEL, iterations=2) == 0)
    if int(free.sum()) < _MIN_FREE_PX:
        return mask
    change = stats.change(free)
    picture = None if change is None else _unchanged(change, free)
    usual = local_mean(stats.spread, free)
    picture = _varying(stats, usual, free, _PICTURE_SPREAD_RATIO) if picture is None else picture
    if picture is None:
        return mask
    picture &= ~_static(stats, usual, free)
    kept = _peel(mask, picture & ~letters, _TRIM_LAYERS_PX)
    never = _never_changed(stats, free)
    if never is not None:
        return _peel(kept, never & picture, _TRIM_UNCHANGED_LAYERS_PX)
    varying = _varying(stats, usual, free, _NO_LETTER_SPREAD_RATIO)
    return kept if varying is None else _peel(kept, varying & picture, _TRIM_LAYERS_PX)


def _peel(mask: Bools, loose: Bools, layers: int) -> Bools:
    """Return ``mask`` with its ``loose`` border pixels eroded, ``layers`` times."""
    kept = mask.astype(np.uint8)
    for _ in range(layers):
        kept = np.where(loose, np.asarray(cv2.erode(kept, _KERNEL), np.uint8), kept)
    return kept > 0


def _unchanged(change: Floats, free: Bools) -> Bools | None:
    """Pixels that changed no more than ``free`` ones do; ``None`` if those changed much."""
    if noise(change, free) > NOISY_LEVELS:
        return None
    usual = np.percentile(change[free], 98)
    most = float(np.clip(usual, _MIN_CHANGE_LEVELS, _MAX_CHANGE_LEVELS))
    unchanged: Bools = change <= most
    return unchanged


def _never_changed(stats: InkStatistics, free: Bools) -> Bools | None:
    """Pixels that changed at no transition; ``None`` without any, or if the only one is noisy."""
    magnitudes = [transition.magnitude for transition in stats.transitions]
    if not magnitudes or (len(magnitudes) == 1 and noise(magnitudes[0], free) > CALM_LEVELS):
        return None
    return _unchanged(np.max(magnitudes, axis=0), free)


def _varying(stats: InkStatistics, usual: Floats, free: Bools, ratio: float) -> Bools | None:
    """Pixels that vary in time like the picture around them; ``None`` where that is still.

    Their temporal spread is more than ``ratio`` of the ``usual`` one around, and their mean is near
    the mean around.
    """
    spread, mean = stats.spread, stats.mean
    if float(np.median(spread[free])) < _VARYING_LEVELS:
        return None
    usual_mean = local_mean(mean, free)
    texture = local_mean(np.abs(mean - usual_mean), free)
    lively = (usual > _VARYING_LEVELS) & (spread > ratio * usual)
    picture: Bools = lively & (np.abs(mean - usual_mean) < 3 + texture)
    return picture


def _static(stats: InkStatistics, usual: Floats, free: Bools) -> Bools:
    """Pixels that hardly vary in time where all of the picture around does."""
    spread = stats.spread
    free_spread = np.where(free, spread, np.float32(np.inf)).astype(np.float32)
    window = np.ones((_STATIC_WINDOW_PX, _STATIC_WINDOW_PX), np.uint8)
    least = np.minimum(usual, cv2.erode(free_spread, window))
    static: Bools = (least > _VARYING_LEVELS) & (spread < _STATIC_SPREAD_RATIO * least)
    return static
