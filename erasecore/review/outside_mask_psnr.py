"""PSNR of the result against the source outside the ink, measured on a few reference frames.

All planes are compared: a film with mirrored, swapped or lost chroma planes has a perfect luma.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.errors import VerifyFailed
from erasecore.model.boxes import inside
from erasecore.model.events import Event
from erasecore.model.inpaint_input import reduce_mask
from erasecore.system.atomic_files import whole_file
from erasecore.video.color import Plane, PlaneLayout, Planes

MAX_REFERENCES = 48  # largest number of reference frames of a film; a guess
MIN_PSNR_DB = 20.0
"""Lowest accepted PSNR, dB; a guess. Below it the result shows another picture, rather than the
same one encoded at a low quality."""

_CHROMA_ERROR_RATIO = 1.0  # of the luma's mean squared error; docs/decisions.md 93
_CHROMA_ERROR = 4.0  # squared 8-bit levels; a mean squared error that is small in any film; 93
_LOW_PASS_SAMPLES = 8  # side of the window whose mean error an encoder leaves near 0; 158
_LOW_PASS_SHARE = 0.25  # of an error in such means: from here on it is no coding noise; 158
_MARGIN_LINES = 0.9  # margin around an event that its ink may reach, letter heights; a guess
_MARGIN_PX = 8  # added to it; a guess


class ReferenceFrames:
    """Planes of some source frames, evenly spread over the film and stored losslessly (PNG).

    Luma is one picture; the chroma planes, which have one size, are another, one below the other.
    """

    def __init__(self, frames: int, folder: Path) -> None:
        """Choose the frames of a film of ``frames`` frames; they are stored in ``folder``."""
        count = min(frames, MAX_REFERENCES)
        self._frames = {frames * (2 * k + 1) // (2 * count) for k in range(count)}
        self._folder = folder

    def keep(self, index: int, planes: Planes) -> None:
        """Store film frame ``index`` of the source if it is one of the chosen frames."""
        if index not in self._frames:
            return
        luma, *chroma = planes
        if chroma:
            _save(self._path(index, "chroma"), cv2.vconcat(chroma))
        _save(self._path(index, "luma"), luma)

    def load(self, index: int) -> Planes | None:
        """Return the planes of film frame ``index`` in the source's depth, if stored."""
        path = self._path(index, "luma")
        if index not in self._frames or not path.exists():
            return None
        chroma = self._path(index, "chroma")
        if not chroma.exists():
            return (_load(path),)
        both = _load(chroma)
        rows = len(both) // 2
        return _load(path), both[:rows], both[rows:]

    def _path(self, index: int, planes: str) -> Path:
        return self._folder / f"reference-{index:08d}.{planes}.png"


def _local_means(error: NDArray[np.float32], where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the means of an error in the windows that lie in ``where`` as a whole."""
    side = (_LOW_PASS_SAMPLES, _LOW_PASS_SAMPLES)
    whole = cv2.erode(where.astype(np.uint8), np.ones(side, np.uint8)) > 0
    return np.asarray(cv2.blur(error, side)[whole], np.float32)


def _save(path: Path, picture: Plane | cv2.typing.MatLike) -> None:
    encoded, data = cv2.imencode(".png", picture)
    if not encoded:
        raise OSError(f"{path}: OpenCV could not encode the picture")
    with whole_file(path) as part:
        part.write_bytes(data.tobytes())


def _load(path: Path) -> Plane:
    picture = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_UNCHANGED)
    if picture is None:
        raise OSError(f"{path} is not the picture we stored")
    return picture  # type: ignore[return-value]


class OutsideMaskPsnr:
    """Adds up the squared error of the result's planes outside the ink, frame by frame.

    Args:
        references: frames of the source.
        events: all that was erased; the pixels around them are left out.
        source: layout of the source's planes.
        result: layout of the result's planes; chroma may be subsampled in another way.
    """

    def __init__(
        self,
        references: ReferenceFrames,
        events: tuple[Event, ...],
        source: PlaneLayout,
        result: PlaneLayout,
    ) -> None:
        self._references, self._events = references, events
        self._source, self._result = source, result
        comparable = source.rgb == result.rgb
        self._planes = min(source.planes, result.planes) if comparable else 1
        self._squared_error = [0.0] * self._planes
        self._samples = [0] * self._planes
        self._low_pass_error = [0.0] * self._planes  # squared error of local means
        self._low_pass_samples = [0] * self._planes

    def add_frame(self, index: int, planes: Planes) -> None:
        """Compare film frame ``index`` of the result, if it is a reference frame."""
        references = self._references.load(index)
        if references is None:
            return
        outside = self._outside_mask(index, planes[0].shape)
        chroma_outside = ~reduce_mask(~outside, self._result) if self._planes > 1 else outside
        for number in range(self._planes):
            plane = planes[number]
            reference = references[number].astype(np.float32) / np.float32(self._source.scale)
            if reference.shape != plane.shape:
                size = plane.shape[1], plane.shape[0]
                reference = np.asarray(cv2.resize(reference, size), np.float32)
            error = plane.astype(np.float32) / np.float32(self._result.scale) - reference
            where = chroma_outside if number else outside
            self._squared_error[number] += float((error[where] ** 2).sum())
            self._samples[number] += int(where.sum())
            if number:
                means = _local_means(np.asarray(error, np.float32), where)
                self._low_pass_error[number] += float((means**2).sum())
                self._low_pass_samples[number] += means.size

    def psnr(self, plane: int = 0) -> float | None:
        """Return the PSNR of all compared samples of a plane, dB, at most 99.

        Args:
            plane: 0 for luma.

        Returns:
            ``None`` if no sample was compared.
        """
        mean = self._mean_squared_error(plane)
        if mean is None:
            return None
        return 99.0 if mean == 0 else min(99.0, 10 * math.log10(255**2 / mean))

    def check(self, result: Path) -> float | None:
        """Return ``psnr()`` of the luma.

        Raises:
            VerifyFailed: that of a plane is below ``MIN_PSNR_DB``, or a chroma plane differs far
                more than an encoder makes it.
        """
        for plane in range(self._planes):
            psnr = self.psnr(plane)
            if psnr is None:
                continue
            if psnr < MIN_PSNR_DB or (plane and self._is_wrong_chroma(plane)):
                detail = f"away from the subtitles {self._name(plane)} is {psnr:.1f} dB"
                raise VerifyFailed(result, f"{detail} from the source")
        return self.psnr()

    def _is_wrong_chroma(self, plane: int) -> bool:
        """Return True if a chroma plane's error is not explained by how the film was encoded.

        An encoder may lose noise of the chroma, but keeps its local means; a plane that is lost,
        mirrored or another one differs in these.
        """
        luma, chroma = self._mean_squared_error(0), self._mean_squared_error(plane)
        if luma is None or chroma is None:
            return False
        if chroma <= max(_CHROMA_ERROR, _CHROMA_ERROR_RATIO * luma):
            return False
        samples = self._low_pass_samples[plane]
        low_pass = self._low_pass_error[plane] / samples if samples else chroma
        return low_pass > min(_CHROMA_ERROR, _LOW_PASS_SHARE * chroma)

    def _mean_squared_error(self, plane: int) -> float | None:
        samples = self._samples[plane]
        return self._squared_error[plane] / samples if samples else None

    def _name(self, plane: int) -> str:
        if self._result.rgb:
            return ("green", "blue", "red")[plane]
        return ("it", "its blue chroma (Cb)", "its red chroma (Cr)")[plane]

    def _outside_mask(self, index: int, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """Return the pixels of film frame ``index`` that no ink can reach: bool, ``shape``."""
        outside = np.ones(shape, bool)
        for event in self._events:
            if event.shows_at(index):
                margin = _MARGIN_LINES * event.text_height_px + _MARGIN_PX
                left, top, right, bottom = event.box_xyxy
                sides = left - margin, top - margin, right + margin, bottom + margin
                x0, y0, x1, y1 = (int(side) for side in sides)
                outside &= ~inside((x0, y0, x1, y1), shape)
        return outside
