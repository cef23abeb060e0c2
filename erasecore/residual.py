"""Looking at the finished film with the detector's eyes: is any text left where events were?"""

from __future__ import annotations

from collections import defaultdict

from erasecore.detect.detector import Detector
from erasecore.detect.events import BoxXyxy, Event
from erasecore.detect.pictures import Scaler
from erasecore.video.color import Planes
from erasecore.video.probe import VideoInfo

_LOOKS = 3  # frames of each event that are looked at
_OVERLAP = 0.3  # of the smaller box, for text to count as being in an event's place
_WIDEST_PX = 960  # strips are looked at no wider than this


class ResidualSearch:
    """Counts the events in whose place text is still found in the result."""

    def __init__(self, video: VideoInfo, events: tuple[Event, ...], detector: Detector) -> None:
        self._detector = detector
        self._scaler = Scaler(video.width, video.height, video.layout)
        self._size = video.width, video.height
        self._looks: dict[int, list[Event]] = defaultdict(list)
        for event in events:
            first, last = event.full_start, max(event.full_start, event.full_stop - 1)
            for look in range(1, _LOOKS + 1):
                self._looks[first + (last - first) * look // (_LOOKS + 1)].append(event)
        self._hits: dict[Event, int] = defaultdict(int)

    def look(self, index: int, planes: Planes) -> None:
        """Look at one frame of the result."""
        for event in self._looks.get(index, []):
            self._hits[event] += self._text_left(event, planes)

    def left(self) -> tuple[Event, ...]:
        """The events of which text was found in most looks."""
        return tuple(event for event, hits in self._hits.items() if 2 * hits > _LOOKS)

    def _text_left(self, event: Event, planes: Planes) -> bool:
        left, top, right, bottom = event.box_xyxy
        margin = max(32.0, 0.5 * (bottom - top))
        part = (
            max(0, int(left - 2 * margin)) // 2 * 2,
            max(0, int(top - margin)) // 2 * 2,
            min(self._size[0], int(right + 2 * margin)),
            min(self._size[1], int(bottom + margin)),
        )
        scale = min(1.0, _WIDEST_PX / (part[2] - part[0]))
        strip = self._scaler.bgr(planes, part, scale)
        x, y = part[0], part[1]
        place = (
            (left - x) * scale,
            (top - y) * scale,
            (right - x) * scale,
            (bottom - y) * scale,
        )
        return any(_overlaps(found.box_xyxy, place) for found in self._detector.find(strip))


def _overlaps(a: BoxXyxy, b: BoxXyxy) -> bool:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return False
    smaller = min((a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1]))
    return width * height > _OVERLAP * smaller
