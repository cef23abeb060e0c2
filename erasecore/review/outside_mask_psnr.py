"""Is the picture away from the ink still the source's? Told by a few frames kept losslessly."""

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

MOST_REFERENCES = 48
WORST_DB = 20.0
"""Below it the result is another picture, not the same one encoded at a low quality."""

_MARGIN_LINES = 0.9  # around an event's box, in lines: where its ink may reach


class References:
    """Frames of the source, spread over the film, kept until the result is verified."""

    def __init__(self, frames: int, folder: Path) -> None:
        """Choose among ``frames`` frames; store in ``folder``."""
        count = min(frames, MOST_REFERENCES)
        self._frames = {frames * (2 * k + 1) // (2 * count) for k in range(count)}
        self._folder = folder

    def keep(self, index: int, planes: Planes) -> None:
        """Store frame ``index`` of the source, if it is one of the chosen."""
        if index in self._frames:
            encoded, data = cv2.imencode(".png", planes[0])
            if not encoded:
                raise OSError(f"{self._path(index)}: OpenCV could not encode the picture")
            with whole_file(self._path(index)) as part:
                part.write_bytes(data.tobytes())

    def load(self, index: int) -> Plane | None:
        """The luma of frame ``index`` of the source, if it was kept."""
        path = self._path(index)
        if index not in self._frames or not path.exists():
            return None
        data = np.frombuffer(path.read_bytes(), np.uint8)
        return cv2.imdecode(data, cv2.IMREAD_UNCHANGED)  # type: ignore[return-value]

    def _path(self, index: int) -> Path:
        return self._folder / f"reference-{index:08d}.png"


class OutsideMaskPsnr:
    """Compares frames of the result with the references, away from the ink."""

    def __init__(
        self,
        references: References,
        events: tuple[Event, ...],
        source_scale: int,
        result_scale: int,
    ) -> None:
        """Take the references and the samples' levels for one level at 8 bits on both sides."""
        self._references, self._events = references, events
        self._source_scale, self._result_scale = source_scale, result_scale
        self._squares, self._samples = 0.0, 0

    def add_frame(self, index: int, planes: Planes) -> None:
        """Compare frame ``index`` of the result."""
        reference = self._references.load(index)
        if reference is None:
            return
        found = planes[0].astype(np.float32) / np.float32(self._result_scale)
        difference = found - reference.astype(np.float32) / np.float32(self._source_scale)
        kept = difference[self._outside(index, reference.shape)]
        self._squares += float((kept**2).sum())
        self._samples += kept.size

    def psnr(self) -> float | None:
        """Peak signal to noise of the luma over all that was compared, dB; at most 99."""
        if not self._samples:
            return None
        mean = self._squares / self._samples
        return 99.0 if mean == 0 else min(99.0, 10 * math.log10(255**2 / mean))

    def check(self, result: Path) -> float | None:
        """The same, if the result is the source's picture.

        Raises:
            VerifyFailed: it is another.
        """
        found = self.psnr()
        if found is not None and found < WORST_DB:
            detail = f"away from the subtitles it is {found:.1f} dB from the source"
            raise VerifyFailed(result, detail)
        return found

    def _outside(self, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Where no ink may be in frame ``index``: bool of ``shape``."""
        outside = np.ones(shape, bool)
        for event in self._events:
            if event.shows_at(index):
                margin = _MARGIN_LINES * event.text_height_px + 8
                left, top, right, bottom = event.box_xyxy
                rows = slice(max(0, int(top - margin)), int(bottom + margin))
                outside[rows, max(0, int(left - margin)) : int(right + margin)] = False
        return outside
