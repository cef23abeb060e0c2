"""The moments at which a subtitle comes and goes: the same place without it and with it.

A frame passes in between, and in it the camera moves. So the picture without ink is brought to
where the camera has it when the ink is there: corners are followed (Shi and Tomasi, "Good Features
to Track", 1994; Lucas and Kanade, 1981, in pyramids) and one similarity is fitted to them by RANSAC
(Fischler and Bolles, 1981). What changes then is ink, and whatever moves by itself.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.ink.statistics import Transition
from erasecore.model.crop_stacks import CropStack
from erasecore.model.events import Event
from erasecore.model.inpaint_input import Bools, Floats

_STILL_LEVELS = 0.5  # a picture that changes by less has not moved
_LEAST_GAIN = 0.8  # of the error that stays, for a motion to be believed
_MOST_LEVELS = 20.0  # by which one pixel counts in that error
_LEAST_PX = 200  # that are compared
_CORNERS, _LEAST_CORNERS = 600, 12
_CORNER_QUALITY, _CORNERS_APART_PX = 0.005, 4
_WINDOW_PX, _PYRAMID = 21, 4  # in which a corner is followed; reductions by two
_AGREE_PX = 0.5  # corners that move with the camera


def find_transitions(
    crop: CropStack,
    event: Event,
    others: tuple[Event, ...],
    *,
    around: Bools,
    cuts: tuple[int, ...],
) -> tuple[list[Transition], list[Transition]]:
    """The moments of appearing and vanishing; the second list only those without other text.

    Args:
        crop: pixels of the event and, where the film has them, a frame before and after.
        event: the subtitle.
        others: the events of the film that may reach into the cutout.
        around: bool ``(H, W)``; the cutout without any text.
        cuts: of the film; frames on both sides of one are not compared.
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
        change = aligned(Transition(crop.levels(absent), crop.levels(shown)), around)
        everything.append(change)
        if not any(meets(other, event, absent) for other in others if other != event):
            quiet.append(change)
    return everything, quiet


def aligned(change: Transition, around: NDArray[np.bool_]) -> Transition:
    """``change`` with the picture without ink moved to where the camera has the other one.

    As it was, where no motion explains the change of what is ``around``.

    Args:
        change: two frames of the same place.
        around: bool ``(H, W)``; the place without any text, where the two are compared.
    """
    before, after = change.without[0], change.with_ink[0]
    if around.sum() < _LEAST_PX:
        return change
    unmoved = _error(before, after, around)
    if unmoved < _STILL_LEVELS:
        return change
    motion = _camera(before, after, around)
    if motion is None:
        return change
    without = np.stack([_moved(plane, motion) for plane in change.without])
    gained = _error(without[0], after, around) < _LEAST_GAIN * unmoved
    return Transition(without, change.with_ink) if gained else change


def _camera(before: Floats, after: Floats, around: Bools) -> NDArray[np.float64] | None:
    """The similarity, ``(2, 3)``, from places in ``after`` to those in ``before``, if any."""
    there, here = (np.clip(luma, 0, 255).astype(np.uint8) for luma in (before, after))
    found_corners = cv2.goodFeaturesToTrack(
        here, _CORNERS, _CORNER_QUALITY, _CORNERS_APART_PX, mask=around.astype(np.uint8)
    )
    corners = cast("Floats | None", found_corners)  # there may be none, whatever the types say
    if corners is None:
        return None
    window = (_WINDOW_PX, _WINDOW_PX)
    moved, found, _ = cv2.calcOpticalFlowPyrLK(
        here, there, corners, np.zeros_like(corners), winSize=window, maxLevel=_PYRAMID
    )
    followed = found.ravel() > 0
    if followed.sum() < _LEAST_CORNERS:
        return None
    motion, _ = cv2.estimateAffinePartial2D(
        corners[followed],
        moved[followed],
        method=cv2.RANSAC,
        ransacReprojThreshold=_AGREE_PX,
    )
    return None if motion is None else np.asarray(motion, np.float64)


def _moved(plane: Floats, motion: NDArray[np.float64]) -> Floats:
    size = (plane.shape[1], plane.shape[0])
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(plane, motion, size, flags=how, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def _error(before: Floats, after: Floats, around: Bools) -> float:
    """How far two pictures are apart ``around``, in levels."""
    return float(np.minimum(np.abs(before - after)[around], _MOST_LEVELS).mean())


def meets(other: Event, event: Event, frame: int) -> bool:
    """Whether ``other`` is shown in ``frame``, near ``event``."""
    pad = event.reach_px
    a, b = other.box_xyxy, event.box_xyxy
    apart = a[0] > b[2] + pad or a[2] < b[0] - pad or a[1] > b[3] + pad or a[3] < b[1] - pad
    return other.shows_at(frame) and not apart
