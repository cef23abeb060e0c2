"""PSNR of the result against the source outside the ink, measured on a few reference frames."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.errors import VerifyFailed
from erasecore.model.events import Event
from erasecore.system.atomic_files import whole_file
from erasecore.video.color import Plane, Planes

MAX_REFERENCES = 48  # largest number of reference frames of a film; a guess
MIN_PSNR_DB = 20.0
"""Lowest accepted PSNR, dB; a guess. Below it the result shows another picture, rather than the
same one encoded at a low quality."""

_MARGIN_LINES = 0.9  # margin around an event that its ink may reach, letter heights; a guess
_MARGIN_PX = 8  # added to it; a guess


class ReferenceFrames:
    """Luma of some source frames, evenly spread over the film and stored losslessly (PNG)."""

    def __init__(self, frames: int, folder: Path) -> None:
        """Choose the frames of a film of ``frames`` frames; they are stored in ``folder``."""
        count = min(frames, MAX_REFERENCES)
        self._frames = {frames * (2 * k + 1) // (2 * count) for k in range(count)}
        self._folder = folder

    def keep(self, index: int, planes: Planes) -> None:
        """Store film frame ``index`` of the source if it is one of the chosen frames."""
        if index in self._frames:
            encoded, data = cv2.imencode(".png", planes[0])
            if not encoded:
                raise OSError(f"{self._path(index)}: OpenCV could not encode the picture")
            with whole_file(self._path(index)) as part:
                part.write_bytes(data.tobytes())

    def load(self, index: int) -> Plane | None:
        """Return the luma of film frame ``index``, ``(H, W)`` in the source's depth, if stored."""
        path = self._path(index)
        if index not in self._frames or not path.exists():
            return None
        data = np.frombuffer(path.read_bytes(), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]

    def _path(self, index: int) -> Path:
        return self._folder / f"reference-{index:08d}.png"


class OutsideMaskPsnr:
    """Adds up the squared error of the result's luma outside the ink, frame by frame.

    Args:
        references: frames of the source.
        events: all that was erased; the pixels around them are left out.
        source_scale: levels of the source's depth for one 8-bit level.
        result_scale: levels of the result's depth for one 8-bit level.
    """

    def __init__(
        self,
        references: ReferenceFrames,
        events: tuple[Event, ...],
        source_scale: int,
        result_scale: int,
    ) -> None:
        self._references, self._events = references, events
        self._source_scale, self._result_scale = source_scale, result_scale
        self._squared_error, self._samples = 0.0, 0

    def add_frame(self, index: int, planes: Planes) -> None:
        """Compare film frame ``index`` of the result, if it is a reference frame."""
        reference = self._references.load(index)
        if reference is None:
            return
        luma = planes[0].astype(np.float32) / np.float32(self._result_scale)
        difference = luma - reference.astype(np.float32) / np.float32(self._source_scale)
        kept = difference[self._outside_mask(index, reference.shape)]
        self._squared_error += float((kept**2).sum())
        self._samples += kept.size

    def psnr(self) -> float | None:
        """Return the PSNR of all compared luma, dB, at most 99; ``None`` without any."""
        if not self._samples:
            return None
        mean = self._squared_error / self._samples
        return 99.0 if mean == 0 else min(99.0, 10 * math.log10(255**2 / mean))

    def check(self, result: Path) -> float | None:
        """Return ``psnr()``.

        Raises:
            VerifyFailed: it is below ``MIN_PSNR_DB``.
        """
        psnr = self.psnr()
        if psnr is not None and psnr < MIN_PSNR_DB:
            detail = f"away from the subtitles it is {psnr:.1f} dB from the source"
            raise VerifyFailed(result, detail)
        return psnr

    def _outside_mask(self, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the pixels of film frame ``index`` that no ink can reach: bool, ``shape``."""
        outside = np.ones(shape, bool)
        for event in self._events:
            if event.shows_at(index):
                margin = _MARGIN_LINES * event.text_height_px + _MARGIN_PX
                left, top, right, bottom = event.box_xyxy
                rows = slice(max(0, int(top - margin)), int(bottom + margin))
                outside[rows, max(0, int(left - margin)) : int(right + margin)] = False
        return outside
