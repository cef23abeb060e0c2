"""Drawn camera moves, and the motion of a scene as a track of affine transforms."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from random import Random
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.media import Bgr

Grey: TypeAlias = NDArray[np.uint8]
"""One grey picture, uint8 ``(H, W)``."""
Affine: TypeAlias = NDArray[np.float32]
"""Transform of pixel coordinates, float32 ``(2, 3)``."""

MOVES = ("still", "pan", "tilt", "zoom in", "zoom out", "roll", "hand")
ROOM = 1.18  # the picture is scaled by this, so that no move shows its border
LEAST_INLIERS = 12  # of the points that are followed from frame to frame; fewer: a cut
LEAST_INLIER_SHARE = 0.4
AROUND_PX = 40  # of the place whose motion is wanted, where points are followed
_CORNERS = 200  # points followed at most


def camera_path(move: str, frames: int, size: tuple[int, int], chance: Random) -> list[Affine]:
    """Return the transform of each frame for a drawn camera move.

    Args:
        move: one of ``MOVES``.
        frames: number of transforms.
        size: width and height of the picture in pixels.
        chance: decides direction, speed and shake.
    """
    reach = (ROOM - 1) / 2 * chance.uniform(0.4, 0.8)
    way, phase = chance.choice((-1, 1)), chance.uniform(0, 6.28)
    path = []
    for frame in range(frames):
        share = 2 * frame / max(1, frames - 1) - 1  # -1 to 1
        right = down = turn = 0.0
        zoom = ROOM
        if move == "pan":
            right = way * reach * share
        elif move == "tilt":
            down = way * reach * share
        elif move in ("zoom in", "zoom out"):
            zoom = ROOM * (1 + (0.06 if move == "zoom in" else -0.06) * share)
        elif move == "roll":
            turn = way * 2.0 * share
        elif move == "hand":
            right = 0.25 * reach * np.sin(frame * 0.9 + phase)
            down = 0.25 * reach * np.sin(frame * 1.3 + 2 * phase)
        path.append(_affine(size, zoom, turn, right, down))
    return path


def _affine(size: tuple[int, int], zoom: float, turn: float, right: float, down: float) -> Affine:
    """Return zoom and turn (degrees) about the centre, then a shift in shares of the size."""
    width, height = size
    made = cv2.getRotationMatrix2D((width / 2, height / 2), turn, zoom).astype(np.float32)
    made[:, 2] += np.array([right * width, down * height], np.float32)
    return made


def moved(picture: Bgr, transform: Affine) -> Bgr:
    """Return the picture under a transform, cubic."""
    size = picture.shape[1], picture.shape[0]
    made = cv2.warpAffine(
        picture, transform, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT
    )
    return made.astype(np.uint8, copy=False)


def scene_track(pictures: Sequence[Bgr], box: tuple[int, int, int, int]) -> list[Affine]:
    """Return transforms from the first frame to each that follows, up to the first cut.

    Corner points around the box are followed by Lucas-Kanade optical flow, a similarity is fitted
    by RANSAC from frame to frame.

    Args:
        pictures: BGR, all of one size.
        box: place in the first frame whose motion is wanted, in pixels.
    """
    grey = [cv2.cvtColor(p, cv2.COLOR_BGR2GRAY).astype(np.uint8) for p in pictures]
    whole = np.eye(3, dtype=np.float32)
    track = [whole[:2].copy()]
    corners = np.array([[box[0], box[1]], [box[2], box[3]]], np.float32)
    for before, after in pairwise(grey):
        now = corners @ whole[:2, :2].T + whole[:2, 2]
        step = _step(before, after, now)
        if step is None:
            break
        whole = (np.vstack([step, [0, 0, 1]]) @ whole).astype(np.float32)
        track.append(whole[:2].copy())
    return track


def _step(before: Grey, after: Grey, corners: NDArray[np.float32]) -> Affine | None:
    """Return the motion from one frame to the next around two corners; ``None`` at a cut.

    Where too few points can be followed around the corners, those of the whole picture are.
    """
    near = np.zeros_like(before)
    low, high = corners.min(0) - AROUND_PX, corners.max(0) + AROUND_PX
    upper_left, lower_right = (int(low[0]), int(low[1])), (int(high[0]), int(high[1]))
    cv2.rectangle(near, upper_left, lower_right, 255, -1)
    step = _followed(before, after, near)
    return step if step is not None else _followed(before, after, np.full_like(before, 255))


def _followed(before: Grey, after: Grey, mask: Grey) -> Affine | None:
    """Return the similarity that most points under the mask follow; ``None`` if few do."""
    points = cv2.goodFeaturesToTrack(before, _CORNERS, 0.01, 6, mask=mask)
    if points is None or len(points) < LEAST_INLIERS:
        return None
    found, ok, _ = cv2.calcOpticalFlowPyrLK(before, after, points, np.empty_like(points))
    good = ok[:, 0] == 1
    if int(good.sum()) < LEAST_INLIERS:
        return None
    fitted, inliers = cv2.estimateAffinePartial2D(
        points[good], found[good], ransacReprojThreshold=2.0
    )
    if fitted is None or float(inliers.mean()) < LEAST_INLIER_SHARE:
        return None
    made: Affine = np.asarray(fitted, np.float32)
    return made
