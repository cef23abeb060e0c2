"""Preview: before-and-after pictures of the events that were hardest to erase."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from erasecore.model.boxes import clip_box, intersect, union
from erasecore.model.clips import EventShare
from erasecore.model.events import BoxXyxy
from erasecore.system.atomic_files import whole_file
from erasecore.video.orientation import UPRIGHT, Orientation

_PER_SEGMENT = 3  # largest number of pictures stored for one segment; a guess
_IN_PREVIEW = 8  # largest number of pictures in the preview; a guess
_COLUMNS_PX = 960  # width of the preview
_GAP_PX = 4  # between the pictures of a pair, and between pairs
_CAPTION_PX = 22  # height of the caption above each pair
_CAPTION_LEVEL = 200  # gray level of the caption's letters, 0 to 255
_BACKGROUND_LEVEL = 24  # gray level around the pictures, 0 to 255
_GAP_LEVEL = 128  # gray level between the pictures of a pair, 0 to 255
_JPEG_OPTIONS = [cv2.IMWRITE_JPEG_QUALITY, 90]  # quality, 0 to 100


@dataclass(slots=True)
class Snapshot:
    """Strip around one event in one film frame, before and after erasing.

    Attributes:
        frame: the film frame.
        box_xyxy: box of the event and of the events that a strip around it would cut through.
        margin_px: margin of the strip above and below; three times as much at the sides.
        pair: BGR uint8 ``(H, W, 3)``, before above after; ``None`` until ``take``.
    """

    frame: int
    box_xyxy: BoxXyxy
    margin_px: float
    pair: NDArray[np.uint8] | None = field(default=None)

    def take(
        self, source: av.VideoFrame, result: av.VideoFrame, orientation: Orientation = UPRIGHT
    ) -> None:
        """Keep the strip of both pictures as ``pair``, unless it is outside the picture.

        Args:
            source: the film's frame, as stored.
            result: the same, erased.
            orientation: how players turn it; the strip is shown as they do.
        """
        strips = [self._strip(picture, orientation) for picture in (source, result)]
        if not strips[0].size:
            return
        gap = np.full((_GAP_PX, strips[0].shape[1], 3), _GAP_LEVEL, np.uint8)
        self.pair = np.vstack([strips[0], gap, strips[1]])

    def save(self, path: Path) -> None:
        """Store the pair at ``path`` (PNG), if it was taken."""
        if self.pair is not None:
            _save(path, ".png", self.pair, [])

    def _strip(self, picture: av.VideoFrame, orientation: Orientation) -> NDArray[np.uint8]:
        """Return the part of ``picture`` around the event, turned: BGR uint8 ``(H, W, 3)``."""
        bgr = orientation.view(picture.to_ndarray(format="bgr24"))
        x0, y0, x1, y1 = (int(side) for side in _with_margin(self.box_xyxy, self.margin_px))
        left, top, right, bottom = clip_box((x0, y0, x1 + 1, y1 + 1), bgr.shape[:2])
        strip: NDArray[np.uint8] = bgr[top:bottom, left:right].astype(np.uint8, copy=True)
        return strip


class Snapshots:
    """Snapshots of one segment: one of every event, in its middle frame."""

    def __init__(self, by_share: dict[int, Snapshot]) -> None:
        self._by_share = by_share

    @staticmethod
    def plan(shares: tuple[EventShare, ...], start: int, stop: int) -> Snapshots:
        """Return the snapshots to be taken of ``shares`` in the film frames ``[start, stop)``."""
        planned = {}
        events = [share.event for share in shares]
        for number, event in enumerate(events):
            middle = (max(event.start, start) + min(event.stop, stop)) // 2
            margin_px = 0.4 * event.text_height_px
            shown = [other.box_xyxy for other in events if other.shows_at(middle)]
            box = _with_neighbours(event.box_xyxy, shown, margin_px)
            planned[number] = Snapshot(middle, box, margin_px)
        return Snapshots(planned)

    def at(self, frame: int) -> list[Snapshot]:
        """Return the snapshots to be taken of film frame ``frame``."""
        return [snapshot for snapshot in self._by_share.values() if snapshot.frame == frame]

    def save_hardest(
        self, ranks: Sequence[tuple[bool, float]], folder: Path, *, prefix: str
    ) -> dict[int, str]:
        """Store the snapshots of the hardest shares.

        Args:
            ranks: of each share; lower is harder.
            folder: the pictures are stored here.
            prefix: of their file names.

        Returns:
            The file names, by number of the share.
        """
        taken = [k for k, snapshot in self._by_share.items() if snapshot.pair is not None]
        # Lines that show together share one picture.
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
    """Write the preview to ``path`` (JPEG); without ``pairs`` write no file.

    Args:
        pairs: stored pictures with their captions (ASCII), hardest first.
        path: the file to write.
    """
    rows = [_preview_row(_load(pair), caption) for pair, caption in pairs[:_IN_PREVIEW]]
    if rows:
        _save(path, ".jpg", np.vstack(rows), _JPEG_OPTIONS)


def _preview_row(picture: NDArray[np.uint8], caption: str) -> NDArray[np.uint8]:
    """Return a pair below its caption, as wide as the preview: BGR uint8."""
    scale = min(1.0, _COLUMNS_PX / picture.shape[1])
    size = (max(1, round(picture.shape[1] * scale)), max(1, round(picture.shape[0] * scale)))
    small = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    bottom = _CAPTION_PX + small.shape[0]
    row = np.full((bottom + 2 * _GAP_PX, _COLUMNS_PX, 3), _BACKGROUND_LEVEL, np.uint8)
    row[_CAPTION_PX:bottom, : small.shape[1]] = small
    baseline, gray = (_GAP_PX, _CAPTION_PX - 7), (_CAPTION_LEVEL,) * 3
    cv2.putText(row, caption, baseline, cv2.FONT_HERSHEY_SIMPLEX, 0.5, gray, 1, cv2.LINE_AA)
    return row


def _with_neighbours(box: BoxXyxy, shown: Sequence[BoxXyxy], margin_px: float) -> BoxXyxy:
    """Return ``box`` extended by the boxes of ``shown`` that a strip around it would cut."""
    rest = [other for other in shown if other != box]
    while near := [other for other in rest if intersect(_with_margin(box, margin_px), other)]:
        box = union((box, *near))
        rest = [other for other in rest if other not in near]
    return box


def _with_margin(box: BoxXyxy, margin_px: float) -> BoxXyxy:
    """Return the box of the strip around ``box``; the side margins are three times as wide."""
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
