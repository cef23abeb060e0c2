"""Forecast of erasing a film as planned: what must be invented, duration, size of the result.

Only the propagate engine is forecast; the diffusion engine takes longer where much is invented.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import av
import numpy as np
from numpy.typing import NDArray

from erasecore.engines.propagate.engine import PropagateEngine
from erasecore.model.boxes import area, intersect
from erasecore.model.events import BoxXyxy, Event
from erasecore.settings import EncodeSettings
from erasecore.video.opening import open_film, packets
from erasecore.video.probe import VideoInfo
from erasecore.video.reader import FrameReader
from erasecore.video.timeline import Timeline
from erasecore.video.writer import SegmentWriter

_STILL_LEVELS = 3.0
"""Mean change around an object, in gray levels, from which the scene moves behind it; a guess."""
_INVENTED_IF_STILL = 1.0
"""Share of an object's pixels to be invented where nothing moves and no frame is bare."""
_INVENTED_IF_MOVING = 0.25
"""The same where the scene moves behind the object; a guess."""
_AROUND = 1.5  # text heights around a box in which movement is looked for; a guess

_TRIAL_RUNS = 3  # places of the film that are encoded to estimate the result's size
_TRIAL_SHARE = 0.02  # of the film's frames that are encoded at most ...
_MIN_TRIAL_FRAMES = 6  # ... but at least so many in each run; guess
_MAX_TRIAL_FRAMES = 48  # frames of a run at most; guess
_KEY_SECONDS = 10.0  # usual distance of two keyframes of the encoders, in seconds; a guess

_BASE_TIME = 3.5
"""Seconds of erasing a film for each second of its detection, ink apart; measured on six clips."""
_INK_TIME = 120.0
"""Further seconds for each second of detection, times the share of all pixels of the film that lie
in a box to be erased; measured on two clips, which had 70 and 180."""


@dataclass(frozen=True, slots=True)
class Part:
    """Frames ``[start, stop)`` of one event within one shot, without a bare frame near by."""

    event: int  # position of the event
    start: int
    stop: int

    @property
    def ends(self) -> tuple[int, int]:
        """Its first and its last frame: compared, they show if the scene moves."""
        return self.start, self.stop - 1


# --- what must be invented ----------------------------------------------------------------------


def hidden_parts(
    events: Sequence[Event], cuts: Sequence[int], *, frames: int, rate: float
) -> tuple[Part, ...]:
    """Return the parts of events whose background is seen in no frame of the shot near by.

    The background is seen in a frame shortly before or after, if it is of the same shot and no
    other event lies over the place in it.

    Args:
        events: to be erased.
        cuts: first frame of each shot but the first.
        frames: of the film.
        rate: frames per second.
    """
    reach = round(PropagateEngine.traits.context_seconds * rate) + 1
    borders = [0, *cuts, frames]
    found = []
    for number, event in enumerate(events):
        over = [
            other
            for other in events
            if other.start < event.stop + reach
            and other.stop > event.start - reach
            and intersect(other.box_xyxy, event.box_xyxy)
        ]
        for first, last in itertools.pairwise(borders):
            start, stop = max(first, event.start), min(last, event.stop)
            near = range(max(first, start - reach), min(last, stop + reach))
            if start < stop and not _bare_frames(near, over):
                found.append(Part(number, start, stop))
    return tuple(found)


def _bare_frames(near: range, over: Sequence[Event]) -> bool:
    """Return True if a frame of ``near`` shows none of the events ``over``."""
    position = near.start
    for event in sorted(over, key=lambda one: one.start):
        if event.start > position:
            return True
        position = max(position, event.stop)
    return position < near.stop


def invented_shares(
    events: Sequence[Event],
    parts: Sequence[Part],
    levels: Mapping[int, NDArray[np.uint8]],
    width: int,
) -> list[float]:
    """Return the expected share of each event's pixels that must be invented, 0 to 1.

    Args:
        events: to be erased.
        parts: of ``hidden_parts``.
        levels: film frame -> small gray picture; of the ends of ``parts``, at least.
        width: of the film's picture as seen, px.
    """
    shares = [0.0] * len(events)
    for part in parts:
        event = events[part.event]
        first, last = (levels[frame] for frame in part.ends)
        scale = first.shape[1] / width
        moving = _change_around(event, first, last, scale) > _STILL_LEVELS
        share = _INVENTED_IF_MOVING if moving else _INVENTED_IF_STILL
        shares[part.event] += share * (part.stop - part.start) / (event.stop - event.start)
    return shares


def _change_around(
    event: Event, first: NDArray[np.uint8], last: NDArray[np.uint8], scale: float
) -> float:
    """Return the mean difference of two pictures in the ring around an event, gray levels."""
    change = np.abs(first.astype(np.int16) - last.astype(np.int16))
    pad = _AROUND * event.text_height_px
    left, top, right, bottom = event.box_xyxy
    outer = _pixels((left - pad, top - pad, right + pad, bottom + pad), scale, change.shape)
    inner = _pixels(event.box_xyxy, scale, change.shape)
    ring = np.zeros(change.shape, np.bool_)
    ring[outer] = True
    ring[inner] = False
    return float(change[ring].mean()) if ring.any() else 0.0


def _pixels(box: BoxXyxy, scale: float, shape: tuple[int, ...]) -> tuple[slice, slice]:
    left, top, right, bottom = (side * scale for side in box)
    rows = slice(max(0, int(top)), min(shape[0], int(np.ceil(bottom))))
    return rows, slice(max(0, int(left)), min(shape[1], int(np.ceil(right))))


# --- time and size ------------------------------------------------------------------------------


def erase_seconds(detect_seconds: float, events: Sequence[Event], pixels: float) -> float:
    """Return the expected duration of erasing a film.

    Args:
        detect_seconds: duration of its detection.
        events: to be erased.
        pixels: of all frames of the film.
    """
    if not events:
        return detect_seconds
    ink = sum(area(event.box_xyxy) * (event.stop - event.start) for event in events)
    return detect_seconds * (_BASE_TIME + _INK_TIME * ink / pixels)


def result_bytes(
    video: VideoInfo, timeline: Timeline, settings: EncodeSettings, cuts: Sequence[int]
) -> int:
    """Return the expected size of the result, from a trial encode of a few frames.

    The frames between keyframes are taken to grow by the same factor against the source in the
    whole film; the size of a keyframe is that of the trial.

    Args:
        video: the film; its other streams are copied, so their size is counted.
        timeline: of the film.
        settings: of the encoder.
        cuts: keyframes are set there.
    """
    source = _source_sizes(video)
    frames = len(timeline)
    keys, encoded, replaced = [], 0.0, 0.0
    with TemporaryDirectory() as folder, FrameReader(video, timeline) as reader:
        for run in _trial_runs(frames):
            sizes = _encoded_sizes(video, reader, run, settings, Path(folder) / f"{run.start}.mkv")
            keys.append(sizes[0])
            encoded += sum(sizes[1:])
            replaced += float(source.pictures[run.start + 1 : run.stop].sum())
    key_count = min(frames, 1 + len(cuts) + frames / max(1.0, _KEY_SECONDS * float(video.rate)))
    between = encoded / replaced * source.between if replaced else float(np.mean(keys)) * frames
    return round(key_count * float(np.mean(keys)) + between) + source.others


@dataclass(frozen=True, slots=True)
class _SourceSizes:
    """Sizes of a film's packets, bytes.

    Attributes:
        pictures: float64 ``(N,)``, by presentation time; keyframes as large as the others are.
        between: sum of all pictures, keyframes as large as the others are.
        others: sum of the packets of all other streams.
    """

    pictures: NDArray[np.float64]
    between: float
    others: int


def _source_sizes(video: VideoInfo) -> _SourceSizes:
    """Read the sizes of all packets of a film."""
    pictures: list[tuple[int, int, bool]] = []
    others = 0
    with open_film(video.path, video.limits) as container:
        for packet in packets(video.path, container):
            if packet is None:
                continue
            if packet.stream.index == video.stream_index:
                stamp = packet.pts if packet.pts is not None else len(pictures)
                pictures.append((stamp, packet.size, packet.is_keyframe))
            else:
                others += packet.size
    pictures = sorted(one for one in pictures if one[1])
    sizes = np.array([size for _, size, _ in pictures], np.float64)
    is_key = np.array([key for _, _, key in pictures], np.bool_)
    if not is_key.all():
        sizes[is_key] = sizes[~is_key].mean()
    return _SourceSizes(sizes, float(sizes.sum()), others)


def _trial_runs(frames: int) -> Iterator[range]:
    """Yield the spans of frames that are encoded."""
    count = _TRIAL_RUNS if frames >= _TRIAL_RUNS * 2 * _MIN_TRIAL_FRAMES else 1
    length = int(min(_MAX_TRIAL_FRAMES, _TRIAL_SHARE * frames / count))
    length = min(frames, max(_MIN_TRIAL_FRAMES, length))
    for number in range(count):
        start = max(0, round(frames * (2 * number + 1) / (2 * count)) - length // 2)
        yield range(start, min(frames, start + length))


def _encoded_sizes(
    video: VideoInfo, reader: FrameReader, run: range, settings: EncodeSettings, path: Path
) -> list[int]:
    """Encode a run of frames; return the size of each frame's packet, in bytes."""
    with SegmentWriter(path, like=video, settings=settings, first_frame=run.start) as writer:
        for frame in reader.read(run.start, run.stop):
            writer.write(frame.picture, cut=False)
    with av.open(str(path)) as container:
        return [packet.size for packet in container.demux(video=0) if packet.size]
