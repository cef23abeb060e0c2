"""Before-and-after pictures of the events that were hardest to erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import touch, union
from erasecore.model.clips import EventShare
from erasecore.model.events import BoxXyxy
from erasecore.system.atomic_files import whole_file

_PER_SEGMENT = 3  # events of each segment that may come into the preview
_IN_PREVIEW = 8
_COLUMNS_PX = 960  # width of the preview
_GAP_PX = 4
_CAPTION_PX = 22  # height of the line above each pair
_GRAY, _DARK = 200, 24
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 90]


@dataclass(slots=True)
class Snapshot:
    """The strip around one event in one frame, as it came and as it goes."""

    frame: int
    box_xyxy: BoxXyxy  # of the event, and of all that a strip around it would cut through
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
        left, top, right, bottom = _with_margin(self.box_xyxy, self.margin_px)
        rows = slice(max(0, int(top)), int(bottom) + 1)
        columns = slice(max(0, int(left)), int(right) + 1)
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
        events = [share.event for share in shares]
        for number, event in enumerate(events):
            middle = (max(event.start, start) + min(event.stop, stop)) // 2
            margin_px = 0.4 * event.text_height_px
            shown = [one.box_xyxy for one in events if one.shows_at(middle)]
            box = _with_neighbours(event.box_xyxy, shown, margin_px)
            planned[number] = Snapshot(middle, box, margin_px)
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
        # Lines that are shown together make one picture.
        hardest: dict[tuple[int, BoxXyxy], int] = {}
        for number in sorted(taken, key=lambda k: ranks[k]):
            snapshot = self._by_share[number]
            hardest.setdefault((snapshot.frame, snapshot.box_xyxy), number)
        names = {}
        for number in list(hardest.values())[:_PER_SEGMENT]:
            names[number] = f"{prefix}.{number:02d}.png"
            self._by_share[number].save(folder / names[number])
        return names


def save_preview(pairs: Sequence[tuple[Path, str]], path: Path) -> None:
    """Join the stored pairs, hardest first, each below its caption (ASCII), into a JPEG."""
    rows = [_row(_load(pair), caption) for pair, caption in pairs[:_IN_PREVIEW]]
    if rows:
        _save(path, ".jpg", np.vstack(rows), _JPEG)


def _row(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """A pair below its caption, as wide as the preview; BGR."""
    scale = min(1.0, _COLUMNS_PX / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bottom = _CAPTION_PX + small.shape[0]
    row = np.full((bottom + 2 * _GAP_PX, _COLUMNS_PX, 3), _DARK, np.uint8)
    row[_CAPTION_PX:bottom, : small.shape[1]] = small
    place, gray = (_GAP_PX, _CAPTION_PX - 7), (_GRAY,) * 3
    cv2.putText(row, caption, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, gray, 1, cv2.LINE_AA)
    return row


def _with_neighbours(box: BoxXyxy, shown: Sequence[BoxXyxy], margin_px: float) -> BoxXyxy:
    """The box around ``box`` and all of ``shown`` that a strip with this margin would cut."""
    rest = [one for one in shown if one != box]
    while near := [one for one in rest if touch(_with_margin(box, margin_px), one)]:
        box = union((box, *near))
        rest = [one for one in rest if one not in near]
    return box


def _with_margin(box: BoxXyxy, margin_px: float) -> BoxXyxy:
    """What a strip around ``box`` shows; letters' sides want more air than their heads."""
    left, top, right, bottom = box
    return left - 3 * margin_px, top - margin_px, right + 3 * margin_px, bottom + margin_px


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
