"""Erasing a drawn film, and how near the result comes to the film as it was drawn."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from erasecore.pipeline import erase
from erasecore.reports import EraseReport, Progress
from erasecore.resources import ModelCache
from erasecore.settings import EraseSettings
from tests.clips import DrawnFilm


def run(
    source: Path,
    folder: Path,
    tools: ModelCache,
    settings: EraseSettings | None = None,
    seen: list[Progress] | None = None,
) -> EraseReport:
    """``erase`` in a folder of its own."""
    folder.mkdir(exist_ok=True)
    observe = seen.append if seen is not None else lambda _: None
    return erase(source, folder, settings or EraseSettings(), models=tools, observe=observe)


def planes_of(path: Path) -> list[tuple[NDArray[np.uint16], ...]]:
    """All frames of a film, native planes as uint16."""
    frames = []
    with av.open(str(path)) as container:
        for picture in container.decode(video=0):
            kind = "<u2" if picture.format.components[0].bits > 8 else "u1"
            frames.append(
                tuple(
                    np.frombuffer(bytes(plane), kind)
                    .reshape(plane.height, -1)[:, : plane.width]
                    .astype(np.uint16)
                    for plane in picture.planes
                )
            )
    return frames


def luma(film: DrawnFilm, frame: int) -> NDArray[np.float32]:
    """The clean picture's luma in limited range, 8-bit levels."""
    rgb = film.clean[frame].astype(np.float32)
    weights = np.array([65.481, 128.553, 24.966], np.float32) / 255
    return np.asarray(16 + rgb @ weights, np.float32)


def ink_psnr(film: DrawnFilm, result: Path, scale: int = 1) -> float:
    """PSNR of the result's luma against the clean film where there was ink, dB."""
    errors = []
    for frame, planes in enumerate(planes_of(result)):
        inked = film.alpha[frame] > 0.02
        errors.append(((planes[0] / scale - luma(film, frame))[inked]) ** 2)
    return float(10 * np.log10(255**2 / np.concatenate(errors).mean()))
