"""The picture of the hardest places: what is cut out of the film, and how it is put together."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np

from erasecore.model.clips import EventShare
from erasecore.model.events import BoxXyxy, Event
from erasecore.review.preview import Snapshots, save_preview

UPPER, LOWER, FAR = (40.0, 60.0, 160.0, 80.0), (50.0, 82.0, 150.0, 102.0), (40.0, 8.0, 160.0, 28.0)


def share(box: BoxXyxy, start: int = 0, stop: int = 10) -> EventShare:
    """What a line at ``box`` took."""
    event = Event(start, stop, start, stop, box, text_height_px=20.0, score=1.0)
    return EventShare(event, 0, 80, 20, 0, 0.5)


def saved(shares: tuple[EventShare, ...], confidences: list[float], folder: Path) -> list[int]:
    """Which shares of a segment of 10 frames got a picture, the hardest first."""
    snapshots = Snapshots.plan(shares, 0, 10)
    picture = av.VideoFrame.from_ndarray(np.full((120, 200, 3), 90, np.uint8), format="bgr24")
    for frame in range(10):
        for snapshot in snapshots.at(frame):
            snapshot.take(picture, picture)
    ranks = [(True, confidence) for confidence in confidences]
    return list(snapshots.save_hardest(ranks, folder, prefix="0000"))


def height_px(path: Path) -> int:
    """How high a stored picture is."""
    picture = cv2.imread(str(path))
    assert picture is not None
    return int(picture.shape[0])


def test_lines_shown_together_make_one_picture(tmp_path: Path) -> None:
    """No strip cuts through a neighbour: the harder line speaks for both, a far one for itself."""
    assert saved((share(UPPER), share(LOWER), share(FAR)), [0.5, 0.2, 0.9], tmp_path) == [1, 2]
    both, one = 2 * (42 + 16 + 1) + 4, 2 * (20 + 16 + 1) + 4
    assert height_px(tmp_path / "0000.01.png") == both
    assert height_px(tmp_path / "0000.02.png") == one


def test_lines_shown_one_after_the_other_make_two(tmp_path: Path) -> None:
    """A line that was not there at that frame is not waited for."""
    shares = (share(UPPER, 0, 4), share(LOWER, 4, 10))
    assert saved(shares, [0.5, 0.2], tmp_path) == [1, 0]
    assert height_px(tmp_path / "0000.00.png") == 2 * (20 + 16 + 1) + 4


def test_a_caption_stands_above_each_pair(tmp_path: Path) -> None:
    """Captions are on dark ground, pairs below them; nothing to show makes no file."""
    saved((share(UPPER),), [0.5], tmp_path)
    pair = tmp_path / "0000.00.png"
    save_preview([(pair, "0:00:01.2"), (pair, "")], tmp_path / "preview.jpg")
    picture = cv2.imread(str(tmp_path / "preview.jpg"))
    assert picture is not None
    half = picture.shape[0] // 2
    assert picture[:18].max() > 150
    assert picture[half : half + 18].max() < 60
    save_preview([], tmp_path / "none.jpg")
    assert not (tmp_path / "none.jpg").exists()
