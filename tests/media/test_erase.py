"""The whole pipeline on drawn films: what goes, what stays, what a second attempt finds done."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from erasecore.errors import EmptyFile
from erasecore.pipeline import PREVIEW, SUBTITLES, erase
from erasecore.reports import Progress, Stage
from erasecore.resources import ModelCache
from erasecore.settings import EncodeSettings, EraseSettings, HostSettings
from tests.clips import Caption, Coding, clean_film, make_film
from tests.detectors import BrightTextDetector
from tests.media.erasing import ink_psnr, planes_of, run

LOSSLESS = ["yuv420p", "yuv420p10le", "yuv422p", "yuv422p10le", "yuv444p", "yuv444p10le"]
CAPTION = Caption("Where were you?", 8, 30)


@pytest.mark.parametrize("pix_fmt", LOSSLESS)
def test_outside_the_ink_no_bit_changes(pix_fmt: str, tmp_path: Path, tools: ModelCache) -> None:
    """Through the whole program, with a lossless codec: 8 and 10 bit, 4:2:0, 4:2:2, 4:4:4.

    Every sample further from the letters than their outline and halo is the source's own.
    """
    source = tmp_path / "film.mkv"
    film = make_film(source, [CAPTION], coding=Coding("ffv1", pix_fmt, options={}))
    report = run(source, tmp_path / "job", tools)
    assert report.video_codec == "ffv1"
    assert len(report.events) == 1
    before, after = planes_of(source), planes_of(tmp_path / "job" / report.result)
    assert len(before) == len(after) == film.frames
    changed_any = False
    for frame in range(film.frames):
        reach = np.asarray(cv2.dilate(film.alpha[frame], np.ones((13, 13), np.uint8))) > 0
        for index, (one, other) in enumerate(zip(before[frame], after[frame], strict=True)):
            rows, columns = one.shape
            near = reach
            if index:
                small = cv2.resize(reach.astype(np.float32), (columns, rows))
                near = np.asarray(cv2.dilate(small, np.ones((3, 3), np.uint8))) > 0
            assert np.array_equal(one[~near], other[~near])
            changed_any |= not np.array_equal(one, other)
    assert changed_any
    depth = 4 if "10" in pix_fmt else 1
    assert ink_psnr(film, tmp_path / "job" / report.result, scale=depth) > 28


def test_a_film_without_subtitles_stays_byte_for_byte(tmp_path: Path, tools: ModelCache) -> None:
    """The result is a copy, and the report says ``untouched``."""
    source = tmp_path / "film.mp4"
    clean_film(source)
    report = run(source, tmp_path / "job", tools)
    result = tmp_path / "job" / report.result
    assert report.untouched
    assert report.events == ()
    assert result.suffix == ".mp4"
    assert result.read_bytes() == source.read_bytes()


def test_the_report_says_what_was_done(tmp_path: Path, tools: ModelCache) -> None:
    """Times, place, shares that add up, no text left, and a preview to look at."""
    source = tmp_path / "film.mp4"
    film = make_film(source, [CAPTION])
    report = run(source, tmp_path / "job", tools)
    (event,) = report.events
    assert (event.start, event.stop) == (CAPTION.start, CAPTION.stop)
    assert event.start_seconds == pytest.approx(CAPTION.start / 25)
    assert event.stop_seconds == pytest.approx(CAPTION.stop / 25)
    rows, columns = np.nonzero(film.alpha.max(axis=0) > 0.5)
    left, top, right, bottom = event.box_xyxy
    assert np.abs(np.subtract((left, right), (columns.min(), columns.max()))).max() < 12
    assert top < rows.mean() < bottom
    shares = event.share_unblended + event.share_propagated + event.share_invented
    assert shares == pytest.approx(1.0, abs=1e-3)
    assert event.share_propagated > 0.9
    assert report.residual_events == 0
    assert report.psnr_outside is not None
    assert report.psnr_outside > 35
    assert {stage.value for stage in Stage} == set(report.seconds)
    assert ink_psnr(film, tmp_path / "job" / report.result) > 28
    preview = cv2.imread(str(tmp_path / "job" / PREVIEW))
    assert preview is not None
    assert preview.shape[1] == 960


def test_the_background_under_a_translucent_plate_is_solved_for(
    tmp_path: Path, tools: ModelCache
) -> None:
    """The plate's pixels count as unblended and come out near the clean film."""
    source = tmp_path / "film.mp4"
    caption = Caption("Under glass", 10, 32, plate_alpha=0.5)
    film = make_film(source, [caption], frames=44)
    report = run(source, tmp_path / "job", tools)
    assert report.events
    assert sum(event.share_unblended for event in report.events) > 0.2
    assert ink_psnr(film, tmp_path / "job" / report.result) > 26


@pytest.mark.parametrize("plate_alpha", [0.5, 1.0])
def test_a_plate_that_fades_in_a_moving_scene_leaves_no_ghost(
    tmp_path: Path, tools: ModelCache, plate_alpha: float
) -> None:
    """Each frame is undone, or filled, for what it shows of the plate."""
    source = tmp_path / "film.mp4"
    caption = Caption("Under glass", 10, 34, plate_alpha=plate_alpha, fade_frames=5)
    film = make_film(source, [caption], frames=44)
    report = run(source, tmp_path / "job", tools)
    assert report.events
    assert ink_psnr(film, tmp_path / "job" / report.result) > 34


def test_an_opaque_bar_goes_with_its_text(tmp_path: Path, tools: ModelCache) -> None:
    """What other frames show comes back where the bar was, and no dark bar is left."""
    source = tmp_path / "film.mp4"
    film = make_film(source, [Caption("On a bar", 8, 30, plate_alpha=1.0)])
    report = run(source, tmp_path / "job", tools)
    assert report.events
    assert ink_psnr(film, tmp_path / "job" / report.result) > 28


def test_progress_rises_to_the_end(tmp_path: Path, tools: ModelCache) -> None:
    """Every stage is told, the share of the job never falls and ends at 1."""
    source, seen = tmp_path / "film.mp4", list[Progress]()
    make_film(source, [CAPTION])
    run(source, tmp_path / "job", tools, seen=seen)
    shares = [progress.job_share for progress in seen]
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1.0)
    told = [progress.stage for progress in seen]
    assert set(told) >= {Stage.DETECT, Stage.ERASE, Stage.ASSEMBLE, Stage.VERIFY}


def digest(path: Path) -> str:
    """What a file holds, in short."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


class Stopped(Exception):
    """Stands for a crash in the middle of the work."""


def test_a_second_attempt_goes_on_at_the_next_segment(tmp_path: Path, tools: ModelCache) -> None:
    """Stopped while the last segment is encoded: finished ones are kept, not made again.

    The result shows what an uninterrupted run's does, within the encoder's own noise: x264 is not
    reproducible to the bit on every processor.
    """
    source = tmp_path / "film.mp4"
    captions = [
        Caption("First of all", 5, 28, size_px=20),
        Caption("And then some", 45, 70, size_px=20),
    ]
    make_film(source, captions, frames=80)
    settings = EraseSettings(segment_seconds=1.2)
    whole = run(source, tmp_path / "whole", tools, settings)
    assert whole.segments >= 2
    folder = tmp_path / "job"
    folder.mkdir()

    def stop_late(progress: Progress) -> None:
        if (folder / "segments" / "0000.json").exists() and progress.stage is Stage.ERASE:
            raise Stopped

    with pytest.raises(Stopped):
        erase(source, folder, settings, models=tools, observe=stop_late)
    done = sorted(path.name for path in (folder / "segments").glob("*.json"))
    kept = {name: (folder / "segments" / name).stat().st_mtime_ns for name in done}
    assert "0000.json" in done
    report = run(source, folder, tools, settings)
    assert report.segments_resumed == len(done)
    assert {name: (folder / "segments" / name).stat().st_mtime_ns for name in done} == kept
    assert report.events == whole.events
    assert [event.text for event in report.events] == ["First of all", "And then some"]
    told = (folder / SUBTITLES).read_bytes()
    assert told == (tmp_path / "whole" / SUBTITLES).read_bytes()
    pairs = zip(
        planes_of(folder / report.result), planes_of(tmp_path / "whole" / whole.result), strict=True
    )
    errors = [np.square(a[0].astype(np.int32) - b[0]).mean() for a, b in pairs]
    assert max(errors) < 4


def test_other_settings_do_not_go_on_from_old_checkpoints(
    tmp_path: Path, tools: ModelCache
) -> None:
    """What was made for one wish is not passed off as made for another."""
    source = tmp_path / "film.mp4"
    make_film(source, [CAPTION])
    run(source, tmp_path / "job", tools)
    other = EraseSettings(segment_seconds=10.0)
    assert run(source, tmp_path / "job", tools, other).segments_resumed == 0
    assert run(source, tmp_path / "job", tools, other).segments_resumed == 1


def test_only_the_jobs_folder_is_written(tmp_path: Path, tools: ModelCache) -> None:
    """Neither the source nor anything beside it changes."""
    home = tmp_path / "home"
    home.mkdir()
    make_film(home / "film.mp4", [CAPTION])
    before = digest(home / "film.mp4")
    run(home / "film.mp4", tmp_path / "job", tools)
    assert [path.name for path in home.iterdir()] == ["film.mp4"]
    assert digest(home / "film.mp4") == before
    events = json.loads((tmp_path / "job" / "events.json").read_text("utf-8"))
    assert len(events["events"]) == 1


def test_a_variable_rate_film_keeps_its_stamps_through_segments(
    tmp_path: Path, tools: ModelCache
) -> None:
    """Uneven steps, several segments: every time stamp comes out as it went in."""
    source = tmp_path / "film.mp4"
    random = np.random.default_rng(3)
    pts = tuple(int(step) for step in 700 + np.cumsum(random.integers(300, 1500, 70)))
    coding = Coding(pts=pts, time_base=Fraction(1, 15360))
    make_film(source, [Caption("Uneven steps", 10, 50)], frames=70, coding=coding)
    settings = EraseSettings(segment_seconds=1.0)
    report = run(source, tmp_path / "job", tools, settings)
    assert report.segments >= 2
    assert stamps(tmp_path / "job" / report.result) == stamps(source)


def stamps(path: Path) -> list[Fraction]:
    """When each frame is shown, in exact seconds."""
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [Fraction(frame.pts or 0) * (frame.time_base or 1) for frame in frames]


def test_an_unusable_film_raises_its_own_error(tmp_path: Path, tools: ModelCache) -> None:
    """The pipeline lets the reader's errors through as they are."""
    source = tmp_path / "film.mp4"
    source.touch()
    with pytest.raises(EmptyFile, match=r"film\.mp4"):
        run(source, tmp_path / "job", tools)


@pytest.mark.parametrize(("asked", "most", "used"), [(0, 0, 0), (0, 2, 2), (4, 2, 2), (1, 2, 1)])
def test_encoders_keep_to_the_workers_threads(asked: int, most: int, used: int) -> None:
    """Of what the settings ask for and what the worker may use, the less; else all there are."""
    settings = EraseSettings(encode=EncodeSettings(threads=asked))
    tools = ModelCache(BrightTextDetector(), host=HostSettings(threads=most))
    assert tools.limit_encoder_threads(settings).encode.threads == used
