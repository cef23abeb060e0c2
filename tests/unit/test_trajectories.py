"""Where hidden pixels are said to be seen, they can be seen."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.holes import find_holes
from erasecore.engines.propagate.subpixel_align import Aligner
from erasecore.engines.propagate.trajectories import FlowChainer, Sources
from erasecore.model.inpaint_input import InpaintInput
from erasecore.motion.flow import Motion
from erasecore.video.color import PlaneLayout

LAYOUT = PlaneLayout("gray", 8, 0, 0, 1, full_range=True)
HEIGHT, WIDTH, FRAMES = 80, 240, 40
HOLE = np.zeros((HEIGHT, WIDTH), bool)
for left in range(60, 180, 14):  # strokes of a line of text
    HOLE[34:50, left : left + 6] = True


def swaying(noise: float) -> NDArray[np.uint8]:
    """Frames of leaves: a camera that pans slowly over a scene that waves, with coding noise."""
    random = np.random.default_rng(6)
    picture = cv2.GaussianBlur(random.uniform(0, 255, (200, 500)).astype(np.float32), (0, 0), 2)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float32)
    frames = []
    for k in range(FRAMES):
        x = columns + 120 + 0.4 * k + 2 * np.sin(rows / 7 + k / 3)
        y = rows + 60 + 0.2 * k + 2 * np.sin(columns / 9 + k / 4)
        seen = cv2.remap(picture, x.astype(np.float32), y.astype(np.float32), cv2.INTER_CUBIC)
        frames.append(seen + random.normal(0, noise, seen.shape))
    return np.clip(np.rint(np.stack(frames)), 0, 255).astype(np.uint8)


def strip_of(frames: NDArray[np.uint8]) -> InpaintInput:
    """The frames with letters in all but the first and the last four."""
    mask_of = np.ones(len(frames), np.intp)
    mask_of[:4] = mask_of[-4:] = 0
    frames[4:-4, HOLE] = 255
    return InpaintInput(
        planes=(frames,),
        masks=np.stack([np.zeros_like(HOLE), HOLE]),
        mask_of=mask_of,
        fill_start=0,
        fill_stop=len(frames),
        cuts=(),
        thumbnails=np.stack([cv2.resize(f, (60, 20)).astype(np.float32) for f in frames]),
        thumbnail_scale=4.0,
        layout=LAYOUT,
    )


def in_ink(strip: InpaintInput, sources: Sources) -> int:
    """How many sources lie on letters of the frame that is said to show them."""
    known = sources.frame >= 0
    rows = np.clip(np.rint(sources.y[known]), 0, HEIGHT - 1).astype(int)
    columns = np.clip(np.rint(sources.x[known]), 0, WIDTH - 1).astype(int)
    return int(strip.masks[strip.mask_of[sources.frame[known]], rows, columns].sum())


def test_no_source_lies_in_ink() -> None:
    """However a chain drifts, and wherever its ring would have it: a letter is never copied."""
    strip = strip_of(swaying(noise=6))
    holes = find_holes(strip)
    motion = Motion(strip, np.stack([hole.hidden for hole in holes]))
    chainer = FlowChainer(strip, holes, motion, Aligner(strip, holes), step=1)
    known = 0
    for frame in range(FRAMES - 1, -1, -1):
        weighted = chainer.sources_of(frame)
        known += int((weighted.best.frame >= 0).sum())
        for sources, share in weighted.alternatives:
            assert in_ink(strip, sources) == 0 or not share.any()
    assert known > 10_000
