"""Films with known words: what is erased is read, and its subtitle file says it at its times."""

from __future__ import annotations

import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from erasecore.pipeline import SUBTITLES
from erasecore.resources import ModelCache
from erasecore.settings import EraseSettings
from erasecore.text.srt import UNREADABLE
from tests.clips import Caption, Coding, clean_film, draw, ffmpeg, make_film, small_film, write
from tests.media.erasing import run

CUE = re.compile(r"\d+\n(\S+) --> (\S+)\n((?:.+\n)+)")
FRAME_SECONDS = 1 / 25
SLACK_SECONDS = 0.0011  # of a time that SRT rounds down


def cues(folder: Path) -> list[tuple[float, float, str]]:
    """What the subtitle file in ``folder`` says."""
    text = (folder / SUBTITLES).read_bytes().decode("utf-8")
    return [(seconds(found[0]), seconds(found[1]), found[2].strip()) for found in CUE.findall(text)]


def seconds(stamp: str) -> float:
    """An SRT time in seconds."""
    hours, minutes, rest = stamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest.replace(",", "."))


def near(found: float, frame: int) -> bool:
    """Whether a time is that of a frame at 25 a second, or of the one beside it."""
    return abs(found - frame * FRAME_SECONDS) <= FRAME_SECONDS + SLACK_SECONDS


CAPTIONS = (
    Caption("Where were you, Tom?", 6, 30),
    Caption("I waited for you\nall night long.", 30, 58, plate_alpha=0.5, outline_px=0),
    Caption("It's 10 past 3!", 62, 90, fade_frames=4, color=(255, 230, 60)),
)


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p10le"])
def test_what_is_erased_is_read(tmp_path: Path, tools: ModelCache, pix_fmt: str) -> None:
    """A line, two lines on a plate right after it, a yellow one that fades: words and times."""
    coding = Coding(pix_fmt=pix_fmt)
    make_film(tmp_path / "film.mkv", CAPTIONS, width=480, height=270, frames=96, coding=coding)
    report = run(tmp_path / "film.mkv", tmp_path / "job", tools)
    found = cues(tmp_path / "job")
    assert [text for _, _, text in found] == [caption.text for caption in CAPTIONS]
    for (start, stop, _), caption in zip(found, CAPTIONS, strict=True):
        assert near(start, caption.start)
        assert near(stop, caption.stop)
    lines = [line for caption in CAPTIONS for line in caption.text.split("\n")]
    assert sorted(event.text for event in report.events) == sorted(lines)
    assert all(event.text_score > 0.9 for event in report.events)


def test_times_are_those_of_the_players_clock(tmp_path: Path, tools: ModelCache) -> None:
    """Uneven frames that begin half a second after the sound: cues lie on those frames."""
    random = np.random.default_rng(3)
    pts = tuple(int(step) for step in np.cumsum(random.integers(300, 900, 60)))
    coding = Coding(pts=pts, time_base=Fraction(1, 15360))
    film = tmp_path / "film.mkv"
    captions = [Caption("Uneven steps", 10, 50, size_px=24)]
    make_film(tmp_path / "silent.mp4", captions, frames=60, coding=coding)
    late, sound = ["-itsoffset", "0.5"], ["-f", "lavfi", "-t", "3", "-i", "anullsrc=r=48000"]
    streams = ["-map", "0:v", "-map", "1:a", "-c:v", "copy", "-c:a", "aac"]
    ffmpeg(*late, "-i", tmp_path / "silent.mp4", *sound, *streams, film)
    run(film, tmp_path / "job", tools)
    ((start, stop, text),) = cues(tmp_path / "job")
    assert text == "Uneven steps"
    shown = [0.5 + (stamp - pts[0]) / 15360 for stamp in pts]
    slack = 0.002  # Matroska's stamps are in milliseconds, and so are SRT's
    assert shown[9] - slack <= start <= shown[11] + slack
    assert shown[49] - slack <= stop <= shown[51] + slack


def test_unknown_script_is_told_not_guessed(tmp_path: Path, tools: ModelCache) -> None:
    """Letters that nobody knows (here: mirrored ones) keep their time and are called unreadable."""
    film = draw(480, 270, 50, captions=[Caption("Nobody regrets this journey", 8, 44)])
    write(tmp_path / "film.mp4", np.ascontiguousarray(film.shown[:, :, ::-1]))
    report = run(tmp_path / "film.mp4", tmp_path / "job", tools)
    ((start, stop, text),) = cues(tmp_path / "job")
    assert text == UNREADABLE
    assert near(start, 8)
    assert near(stop, 44)
    assert [event.text for event in report.events] == [""]


def test_switched_off(tmp_path: Path, tools: ModelCache) -> None:
    """Without the wish for a subtitle file nothing is read, and none is made."""
    small_film(tmp_path / "film.mp4")
    settings = replace(EraseSettings(), srt=False)
    report = run(tmp_path / "film.mp4", tmp_path / "job", tools, settings)
    assert len(report.events) == 1
    assert (report.events[0].text, report.events[0].text_score) == ("", 0.0)
    assert not (tmp_path / "job" / SUBTITLES).exists()


def test_film_without_subtitles(tmp_path: Path, tools: ModelCache) -> None:
    """Nothing is erased: there is no subtitle file, not even that of an earlier film."""
    clean_film(tmp_path / "film.mp4")
    (tmp_path / "job").mkdir()
    (tmp_path / "job" / SUBTITLES).write_text("of an earlier film")
    assert run(tmp_path / "film.mp4", tmp_path / "job", tools).untouched
    assert not (tmp_path / "job" / SUBTITLES).exists()


def test_an_event_over_several_segments_is_told_once(tmp_path: Path, tools: ModelCache) -> None:
    """A text that stays while segments end and begin is one cue."""
    make_film(tmp_path / "film.mp4", [Caption("It was always here", 4, 116)], frames=120)
    settings = replace(EraseSettings(), segment_seconds=1.2)
    report = run(tmp_path / "film.mp4", tmp_path / "job", tools, settings)
    assert report.segments > 2
    ((start, stop, text),) = cues(tmp_path / "job")
    assert text == "It was always here"
    assert near(start, 4)
    assert near(stop, 116)
