"""Every frame of the result is shown when it was shown in the source."""

from __future__ import annotations

import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from erasecore.video.timeline import Timeline
from tests.clips import Coding, draw, ffmpeg, write
from tests.media.journeys import Journey, look, seconds, travel

PICTURES = draw(160, 96, 30).shown
X264 = {"preset": "ultrafast", "crf": "12"}
WITH_B = {"preset": "veryfast", "crf": "16", "bf": "3", "x264-params": "b-adapt=0:keyint=12"}
VFR = tuple(sorted({i * 3003 + (i % 4) * 700 + (i > 12) * 40_000 for i in range(30)}))


def stamps(path: Path, kind: str, index: int = 0) -> list[Fraction]:
    """When each packet of one stream is presented, in seconds."""
    with av.open(str(path)) as container:
        stream = [s for s in container.streams if s.type == kind][index]
        packets = [p for p in container.demux(stream) if p.pts is not None]
        return sorted(p.pts * p.time_base for p in packets if p.pts is not None)


def exactly_kept(journey: Journey) -> bool:
    """Whether every frame of the result is shown at precisely the source's second."""
    before = seconds(journey.source, journey.timeline)
    return before == seconds(journey.video, journey.verified.timeline)


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv", "ts", "avi"])
@pytest.mark.parametrize("rate", [Fraction(25), Fraction(30000, 1001)], ids=["25", "29.97"])
def test_constant_rates_are_kept_in_every_container(
    tmp_path: Path, suffix: str, rate: Fraction
) -> None:
    """25 and 29.97 frames a second: as many frames, each at its second, in all containers."""
    options = X264 if suffix == "avi" else WITH_B
    film = write(tmp_path / f"film.{suffix}", PICTURES, Coding(rate=rate, options=options))
    journey = travel(film, tmp_path)
    assert len(journey.verified.timeline) == 30
    assert exactly_kept(journey)
    assert journey.result.suffix == f".{suffix}"
    assert journey.video.container == journey.source.container


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_variable_rate_is_kept(tmp_path: Path, suffix: str) -> None:
    """A film whose frames come at uneven distances, with B-frames, keeps every one of them."""
    coding = Coding(pts=VFR, time_base=Fraction(1, 90_000), options=WITH_B)
    film = write(tmp_path / f"film.{suffix}", PICTURES[: len(VFR)], coding)
    journey = travel(film, tmp_path)
    assert len({b - a for a, b in pairwise(seconds(journey.source, journey.timeline))}) >= 3
    assert exactly_kept(journey)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_late_start_is_kept(tmp_path: Path, suffix: str) -> None:
    """A film that begins at 1.44 s, its sound at 1.2 s, begins there afterwards."""
    silent = tmp_path / f"silent.{suffix}"
    write(silent, PICTURES, Coding(pts=tuple(range(36, 66)), options=WITH_B))
    film = tmp_path / f"film.{suffix}"
    sound = ("-itsoffset", "1.2", "-f", "lavfi", "-i", "sine=d=1:r=48000")
    codecs = ("-c:v", "copy", "-c:a", "aac", "-map", "0:v", "-map", "1:a")
    ffmpeg("-copyts", "-i", silent, *sound, *codecs, "-avoid_negative_ts", "disabled", film)
    journey = travel(film, tmp_path)
    assert seconds(journey.source, journey.timeline)[0] > 1
    assert exactly_kept(journey)
    assert stamps(film, "audio") == stamps(journey.result, "audio")


def test_segment_borders_leave_no_trace_in_times(tmp_path: Path) -> None:
    """One segment or seven: the same stamps, decoding stamps strictly rising and never late."""
    film = write(tmp_path / "film.mp4", PICTURES, Coding(options=WITH_B))
    for count in (1, 7):
        journey = travel(film, tmp_path, segments=count)
        assert exactly_kept(journey)
        with av.open(str(journey.result)) as container:
            packets = [p for p in container.demux(video=0) if p.size]
        order = [p.dts for p in packets if p.dts is not None]
        assert order == sorted(set(order))
        assert all(p.dts <= p.pts for p in packets if p.dts is not None and p.pts is not None)
        assert sum(p.is_keyframe for p in packets) >= count


def test_last_frame_is_shown_as_long_as_before(tmp_path: Path) -> None:
    """The duration of the film does not shrink by its last frame."""
    film = write(tmp_path / "film.mp4", PICTURES, Coding(options=WITH_B))
    journey = travel(film, tmp_path)
    assert journey.video.duration_seconds == pytest.approx(journey.source.duration_seconds)
    assert journey.source.duration_seconds == pytest.approx(30 / 25)


def test_interlaced_film_stays_interlaced(tmp_path: Path) -> None:
    """Field order survives in H.264 and MPEG-2."""
    for name, codec in (("a.mp4", "libx264"), ("b.ts", "mpeg2video")):
        options = X264 if codec == "libx264" else {"qmin": "2", "qmax": "2", "b": "20M"}
        film = tmp_path / name
        write(film, PICTURES[:12], Coding(codec=codec, options=options, interlaced=True))
        journey = travel(film, tmp_path)
        assert journey.source.top_field_first is not None
        assert journey.video.top_field_first == journey.source.top_field_first
        assert journey.video.field_order == journey.source.field_order


def test_avi_with_b_frames_plays_in_order(tmp_path: Path) -> None:
    """AVI stores no presentation stamps; its frames still come evenly, from the first second on."""
    film = write(tmp_path / "film.avi", PICTURES, Coding(options=WITH_B))
    journey = travel(film, tmp_path)
    assert seconds(journey.source, journey.timeline) == [Fraction(i, 25) for i in range(30)]
    assert exactly_kept(journey)


def test_a_timeline_can_be_stored(tmp_path: Path) -> None:
    """What was saved is what is loaded."""
    film = write(tmp_path / "film.mp4", PICTURES, Coding(options=WITH_B))
    _, timeline = look(film)
    timeline.save(tmp_path / "timeline.npz")
    loaded = Timeline.load(tmp_path / "timeline.npz")
    assert list(loaded.pts) == list(timeline.pts)
    assert list(loaded.keyframes) == list(timeline.keyframes) == [0, 12, 24]
    assert list(loaded.key_sums) == list(timeline.key_sums)
    assert loaded.last_duration == timeline.last_duration > 0
    assert (loaded.seekable, loaded.warnings) == (True, ())


def test_a_single_frame_is_a_film(tmp_path: Path) -> None:
    """The shortest film goes all the way."""
    film = write(tmp_path / "film.mp4", PICTURES[:1], Coding(options=X264))
    journey = travel(film, tmp_path, segments=1)
    assert len(journey.verified.timeline) == 1
    assert exactly_kept(journey)


def test_memory_does_not_grow_with_length(tmp_path: Path) -> None:
    """Ten times as many frames and segments take no more than a few megabytes more."""
    peaks = []
    for times in (1, 10):
        coding = Coding(codec="mjpeg", pix_fmt="yuvj420p", options={"qmin": "2", "qmax": "2"})
        film = write(tmp_path / f"{times}.mkv", np.concatenate([PICTURES] * times), coding)
        folder = tmp_path / str(times)
        folder.mkdir()
        tracemalloc.start()
        travel(film, folder, segments=3 * times)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2_000_000
