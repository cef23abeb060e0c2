"""Before-and-after pictures of the events that were hardest to erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.durable import whole_file
from erasecore.recover import EventShare

_PER_SEGMENT = 3  # events of each segment that may come into the preview
_IN_PREVIEW = 8
_COLUMNS_PX = 960  # width of the preview
_GAP_PX = 4
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


@dataclass(slots=True)
class Snapshot:
    """The strip around one event in one frame, as it came and as it goes."""

    frame: int
    box_xyxy: tuple[float, float, float, float]
    margin_px: float
    pair: NDArray[np.uint8] | None = field(default=None)

    def take(self, source: av.VideoFrame, result: av.VideoFrame) -> None:
        """Keep the strip of both pictures, one above the other."""
        strips = [self._strip(picture) for picture in (source, result)]
        gap = np.full((_GAP_PX, strips[0].shape[1], 3), 128, np.uint8)
        self.pair = np.vstack([strips[0], gap, strips[1]])

    def save(self, path: Path) -> None:
        """Store the pair at ``path``."""
        if self.pair is not None:
            _save(path, ".png", self.pair, [])

    def _strip(self, picture: av.VideoFrame) -> NDArray[np.uint8]:
        left, top, right, bottom = self.box_xyxy
        margin = self.margin_px
        rows = slice(max(0, int(top - margin)), int(bottom + margin) + 1)
        columns = slice(max(0, int(left - 3 * margin)), int(right + 3 * margin) + 1)
        whole = picture.to_ndarray(format="bgr24")
        strip: NDArray[np.uint8] = whole[rows, columns].astype(np.uint8, copy=True)
        return strip


class Snapshots:
    """The snapshots to be taken in one segment: of every event, in its middle."""

    def __init__(self, by_share: dict[int, Snapshot]) -> None:
        self._by_share = by_share

    @staticmethod
    def of(shares: tuple[EventShare, ...], start: int, stop: int) -> Snapshots:
        """Plan for ``shares`` within the frames ``[start, stop)``."""
        planned = {}
        for number, share in enumerate(shares):
            event = share.event
            middle = (max(event.start, start) + min(event.stop, stop)) // 2
            planned[number] = Snapshot(middle, event.box_xyxy, 0.4 * event.text_height_px)
        return Snapshots(planned)

    def at(self, frame: int) -> list[Snapshot]:
        """Those to be taken of ``frame``."""
        return [snapshot for snapshot in self._by_share.values() if snapshot.frame == frame]

    def save_hardest(
        self, ranks: Sequence[tuple[bool, float]], folder: Path, *, prefix: str
    ) -> dict[int, str]:
        """The file names in ``folder`` of the snapshots of the hardest shares, by share.

        Args:
            ranks: of each share, the lowest for the hardest.
            folder: where they are stored.
            prefix: of their names.
        """
        taken = [k for k, snapshot in self._by_share.items() if snapshot.pair is not None]
        names = {}
        for number in sorted(taken, key=lambda k: ranks[k])[:_PER_SEGMENT]:
            names[number] = f"{prefix}.{number:02d}.png"
            self._by_share[number].save(folder / names[number])
        return names


def save_preview(pairs: list[Path], path: Path) -> None:
    """Join the stored ``pairs``, hardest first, into one JPEG at ``path``."""
    pictures = [_load(pair) for pair in pairs[:_IN_PREVIEW]]
    if not pictures:
        return
    rows = []
    for picture in pictures:
        scale = min(1.0, _COLUMNS_PX / picture.shape[1])
        size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
        small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        row = np.full((small.shape[0] + 3 * _GAP_PX, _COLUMNS_PX, 3), 24, np.uint8)
        row[: small.shape[0], : small.shape[1]] = small
        rows.append(row)
    _save(path, ".jpg", np.vstack(rows), _JPEG)


def _load(path: Path) -> NDArray[np.uint8]:
    decoded = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise OSError(f"{path} is not the picture we stored")
    return np.asarray(decoded, np.uint8)


def _save(path: Path, kind: str, picture: NDArray[np.uint8], options: list[int]) -> None:
    encoded, data = cv2.imencode(kind, picture, options)
    if not encoded:
        raise OSError(f"{path}: OpenCV could not encode the picture")
    with whole_file(path) as part:
        part.write_bytes(data.tobytes())
