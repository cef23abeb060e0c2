"""Before/after frame pairs at which a subtitle appears or vanishes, and statistics of its region.

A frame passes between the two pictures of a pair, and in it the camera moves. So the picture
without ink is warped to the camera position of the one with ink: corners are tracked (Shi and
Tomasi, "Good Features to Track", 1994; Lucas and Kanade, 1981, in pyramids) and one similarity
transform is fitted to them by RANSAC (Fischler and Bolles, 1981). What still differs is ink, or an
object that moves by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.inpaint_input import Bools, Floats

CALM_LEVELS = 5.0  # levels; most noise of a transition that is trusted pixel by pixel; guess
NOISY_LEVELS = 8.0  # levels; with more noise a transition says nothing of single pixels; guess

_CONTEXT_PX = 15  # pixels; side of the smaller window of `local_mean`; guess
_STILL_LEVELS = 0.5  # levels; a smaller mean difference means that the camera has not moved; guess
_ALIGNED_ERROR_RATIO = 0.8  # of the unaligned error; a larger one rejects the motion; guess
_MAX_ERROR_LEVELS = 20.0  # levels; cap on one pixel's share of that error; guess
_MIN_COMPARED_PX = 200  # pixels without text that the comparison needs; guess
_MAX_CORNERS = 600  # corners that are tracked; guess
_MIN_CORNERS = 12  # tracked corners that the fit needs; guess
_CORNER_QUALITY = 0.005  # cv2.goodFeaturesToTrack's qualityLevel; guess
_CORNER_DISTANCE_PX = 4  # pixels; its minDistance; guess
_TRACK_WINDOW_PX = 21  # pixels; side of the window that cv2.calcOpticalFlowPyrLK matches (default)
_PYRAMID_LEVELS = 4  # its maxLevel: reductions by two; guess
_RANSAC_PX = 0.5  # pixels; inliers of the camera's motion lie no farther from it; guess


@dataclass(frozen=True)  # without slots, which leave no room for cached properties
class Transition:
    """Before/after pair: the same place just outside and just inside a subtitle's time.

    Attributes:
        without: float32 ``(P, H, W)``; all planes without the subtitle, 8-bit levels, 0 to 255.
        with_ink: the same with the subtitle.
    """

    without: Floats
    with_ink: Floats

    @cached_property
    def magnitude(self) -> Floats:
        """Largest absolute difference over the planes: float32 ``(H, W)``, in levels."""
        magnitude: Floats = np.abs(self.with_ink - self.without).max(axis=0)
        return magnitude

    def cropped(self, view: tuple[slice, slice]) -> Transition:
        """Return the pair cropped to the rows and columns of ``view``."""
        part = (slice(None), *view)
        return Transition(self.without[part], self.with_ink[part])


@dataclass(frozen=True)
class InkStatistics:
    """Pixel statistics of an event's region, all of size ``(H, W)``.

    Attributes:
        frames: float32 ``(N, H, W)``; luma of frames of the event, 8-bit levels.
        transitions: pairs at which this subtitle comes or goes and no other text does.
        free: bool; pixels on which no subtitle is at any of these times.
    """

    frames: Floats
    transitions: list[Transition]
    free: Bools

    def change(self, free: Bools) -> Floats | None:
        """Change of each pixel as the subtitle came or went; ``None`` without transitions.

        A dark outline changes nothing in a picture that is dark at one of the transitions; so the
        largest change counts, over the transitions at which ``free`` pixels hardly changed. If
        there is none of these it is the change at the calmest one, or the smallest change if all
        are noisy.

        Args:
            free: bool ``(H, W)``; pixels without text, which measure the noise.

        Returns:
            float32 ``(H, W)``, in levels.
        """
        magnitudes = [transition.magnitude for transition in self.transitions]
        if not magnitudes:
            return None
        noises = [noise(magnitude, free) for magnitude in magnitudes]
        calm = [m for m, level in zip(magnitudes, noises, strict=True) if level <= CALM_LEVELS]
        if not calm and min(noises) <= NOISY_LEVELS:
            calm = [magnitudes[int(np.argmin(noises))]]
        change: Floats = np.max(calm, axis=0) if calm else np.min(magnitudes, axis=0)
        return change

    @cached_property
    def spread(self) -> Floats:
        """Standard deviation of each pixel over the event's frames, in levels."""
        spread: Floats = self.frames.std(axis=0)
        return spread

    @cached_property
    def mean(self) -> Floats:
        """Mean of each pixel over the event's frames, in levels."""
        mean: Floats = self.frames.mean(axis=0)
        return mean


def noise(change: Floats, free: Bools) -> float:
    """Change without any subtitle: 95th percentile of ``change`` where ``free``, in levels."""
    return float(np.percentile(change[free], 95))


def local_mean(values: Floats, known: Bools) -> Floats:
    """Mean of the ``known`` pixels around each pixel (normalized box filter).

    The 15-px window counts where at least 2 % of it are known, then a 61-px one, then the mean of
    all known pixels.

    Args:
        values: float32 ``(H, W)``.
        known: bool ``(H, W)``; at least one is set.

    Returns:
        float32 ``(H, W)``, in the unit of ``values``.
    """
    weight = known.astype(np.float32)
    result = np.full(values.shape, float(values[known].mean()), np.float32)
    for side in (4 * _CONTEXT_PX + 1, _CONTEXT_PX):
        share = cv2.blur(weight, (side, side))
        mean = cv2.blur(np.asarray(values * weight, np.float32), (side, side))
        enough = share > 0.02
        result = np.where(enough, mean / np.maximum(share, np.float32(1e-6)), result)
    return np.asarray(result, np.float32)


def find_transitions(
    crop: CropStack,
    event: Event,
    others: tuple[Event, ...],
    *,
    around: Bools,
    cuts: tuple[int, ...],
) -> tuple[list[Transition], list[Transition]]:
    """Return the aligned pairs around the event's first and last frame.

    Args:
        crop: pixels of the event and, where the film has them, a frame before and after.
        event: the subtitle.
        others: the events of the film that may reach into the crop.
        around: bool ``(H, W)``; pixels of the crop without any text.
        cuts: first frames of the film's shots; frames on both sides of one are not compared.

    Returns:
        All pairs (at most two), and those of them whose frame without ink shows no other text
        near the event.
    """
    everything, quiet = [], []
    for shown, absent in (
        (event.full_start, event.start - 1),
        (event.full_stop - 1, event.stop),
    ):
        if not (crop.start <= absent < crop.stop and crop.start <= shown < crop.stop):
            continue
        if any(min(shown, absent) < cut <= max(shown, absent) for cut in cuts):
            continue
        transition = Transition(crop.levels(absent), crop.levels(shown))
        transition = aligned(transition, around, crop.picture_mask(shown))
        everything.append(transition)
        if not any(meets(other, event, absent) for other in others if other != event):
            quiet.append(transition)
    return everything, quiet


def aligned(transition: Transition, around: Bools, picture: Bools | None = None) -> Transition:
    """Return the pair with ``without`` warped to the camera position of ``with_ink``.

    Unchanged where no camera motion explains the difference of the two.

    Args:
        transition: two frames of the same place.
        around: bool ``(H, W)``; pixels without any text, over which the two are compared.
        picture: bool ``(H, W)``; False on bars, which the camera does not move; ``None``: no bars.
    """
    before, after = transition.without[0], transition.with_ink[0]
    if picture is not None:
        around = around & picture
    if around.sum() < _MIN_COMPARED_PX:
        return transition
    unmoved = _mean_error(before, after, around)
    if unmoved < _STILL_LEVELS:
        return transition
    motion = _camera_motion(before, after, around)
    if motion is None:
        return transition
    without = np.stack([_warped(plane, motion) for plane in transition.without])
    if picture is not None:
        without = np.where(picture, without, transition.without)
    gained = _mean_error(without[0], after, around) < _ALIGNED_ERROR_RATIO * unmoved
    return Transition(without, transition.with_ink) if gained else transition


def _camera_motion(before: Floats, after: Floats, around: Bools) -> NDArray[np.float64] | None:
    """Similarity transform, ``(2, 3)``, from places in ``after`` to those in ``before``, if any."""
    there, here = (np.clip(luma, 0, 255).astype(np.uint8) for luma in (before, after))
    found_corners = cv2.goodFeaturesToTrack(
        here, _MAX_CORNERS, _CORNER_QUALITY, _CORNER_DISTANCE_PX, mask=around.astype(np.uint8)
    )
    corners = cast("Floats | None", found_corners)  # None without corners, whatever the types say
    if corners is None:
        return None
    window = (_TRACK_WINDOW_PX, _TRACK_WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        here, there, corners, np.zeros_like(corners), winSize=window, maxLevel=_PYRAMID_LEVELS
    )
    tracked = found.ravel() > 0
    if tracked.sum() < _MIN_CORNERS:
        return None
    motion, _ = cv2.estimateAffinePartial2D(
        corners[tracked],
        moved[tracked],
        method=cv2.RANSAC,
        ransacReprojThreshold=_RANSAC_PX,
    )
    return None if motion is None else np.asarray(motion, np.float64)


def _warped(plane: Floats, motion: NDArray[np.float64]) -> Floats:
    """Return ``plane`` sampled (bicubic, border repeated) at the places that ``motion`` maps to."""
    size = (plane.shape[1], plane.shape[0])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    warped = cv2.warpAffine(plane, motion, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(warped, np.float32)


def _mean_error(before: Floats, after: Floats, around: Bools) -> float:
    """Mean absolute difference over ``around``, each pixel's capped at 20 levels."""
    return float(np.minimum(np.abs(before - after)[around], _MAX_ERROR_LEVELS).mean())


def meets(other: Event, event: Event, frame: int) -> bool:
    """Return True if ``other`` is shown in ``frame`` within reach of ``event``'s box."""
    pad = event.reach_px
    a, b = other.box_xyxy, event.box_xyxy
    apart = a[0] > b[2] + pad or a[2] < b[0] - pad or a[1] > b[3] + pad or a[3] < b[1] - pad
    return other.shows_at(frame) and not apart
