"""Plans: made by a command, edited, and obeyed by the command line and the daemon."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import cv2
import pytest
import yaml

from tests.clips import Caption, Coding, draw, ffmpeg, make_film, write
from tests.conftest import wait_for
from tests.process.house import REPOSITORY, House
from tests.process.test_real_worker import run

CAPTIONS = [Caption("Where have you been?", 6, 30), Caption("Nobody saw him", 34, 60)]


@pytest.fixture(scope="module")
def planned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with film.mp4, its plan and contact sheet, and erased.mp4, made without a plan."""
    folder = tmp_path_factory.mktemp("planned")
    # Of 180 lines x264 does not make the same packets twice; of 176 it does.
    make_film(folder / "film.mp4", CAPTIONS, frames=66, height=176)
    erased = run("erase", folder / "film.mp4", folder / "erased.mp4")
    assert erased.returncode == 0, erased.stderr
    made = run("plan", folder / "film.mp4")
    assert made.returncode == 0, made.stderr
    assert "2 to erase, " in " ".join(made.stderr.split())
    return folder


def plan_of(folder: Path) -> dict[str, Any]:
    """The plan as any YAML reader sees it."""
    plan: dict[str, Any] = yaml.safe_load((folder / "film.mp4.plan.yaml").read_text("utf-8"))
    return plan


def packets_of(film: Path) -> str:
    """SHA-256 of all packets of all streams, with their times."""
    digest = hashlib.sha256()
    with av.open(str(film)) as container:
        for packet in container.demux():
            digest.update(repr((packet.stream.index, packet.pts, packet.dts)).encode())
            digest.update(bytes(packet))
    return digest.hexdigest()


def edited(folder: Path, goal: Path, *changes: tuple[str, str]) -> Path:
    """A copy of the film's plan with some texts replaced, each once."""
    text = (folder / "film.mp4.plan.yaml").read_text("utf-8")
    for before, after in changes:
        assert before in text
        head, objects = text.split("objects:", 1)
        text = f"{head}objects:{objects.replace(before, after, 1)}"
    goal.write_text(text, "utf-8")
    return goal


def test_a_plan_says_what_is_found(planned: Path) -> None:
    """Times, box, text and verdict of each object, the forecast, and a sheet of pictures."""
    plan = plan_of(planned)
    assert plan["schema"] == 1
    assert plan["film"]["sha256"] == hashlib.sha256((planned / "film.mp4").read_bytes()).hexdigest()
    first, second = [one for one in plan["objects"] if one["erase"]]
    assert first["why"] == "subtitle"
    assert [one["id"] for one in plan["objects"]] == list(range(1, len(plan["objects"]) + 1))
    assert (first["start"], first["stop"]) == (0.24, 1.2)
    assert first["text"] == "Where have you been?"
    assert second["text"] == "Nobody saw him"
    left, top, right, bottom = first["box"]
    assert 0 < left < right < 320
    assert 120 < top < bottom <= 176
    size = (planned / "erased.mp4").stat().st_size
    assert 0.5 < plan["expected"]["bytes"] / size < 2
    sheet = cv2.imread(str(planned / "film.mp4.plan.jpg"))
    assert sheet is not None and sheet.shape[1] > 320


def test_a_plan_without_edits_changes_nothing(planned: Path, tmp_path: Path) -> None:
    """Obeyed from beside the film or by option, it gives the packets that no plan gives."""
    done = run("erase", planned / "film.mp4", tmp_path / "beside.mp4")
    assert done.returncode == 0, done.stderr
    assert "is obeyed" in " ".join(done.stderr.split())
    film = tmp_path / "elsewhere.mp4"
    film.write_bytes((planned / "film.mp4").read_bytes())
    plan = planned / "film.mp4.plan.yaml"
    done = run("erase", "--plan", plan, film, tmp_path / "named.mp4")
    assert done.returncode == 0, done.stderr
    wanted = packets_of(planned / "erased.mp4")
    assert packets_of(tmp_path / "beside.mp4") == wanted
    assert packets_of(tmp_path / "named.mp4") == wanted


def test_edits_are_obeyed(planned: Path, tmp_path: Path) -> None:
    """A line that is to stay stays, one that is added goes, and times are moved."""
    added = "- {erase: yes, start: 0:00:01.200, stop: 0:00:01.360, box: [10, 10, 90, 40]}\n"
    plan = edited(
        planned,
        tmp_path / "plan.yaml",
        ("  erase: yes", "  erase: no"),
        ("detection:", f"{added}detection:"),
        ("  start: 0:00:01.360", "  start: 0:00:01.600"),
    )
    done = run("erase", "--plan", plan, planned / "film.mp4", tmp_path / "out.mp4")
    assert done.returncode == 0, done.stderr
    source, result = (frames_of(path) for path in (planned / "film.mp4", tmp_path / "out.mp4"))
    box = slice(140, 175), slice(60, 260)
    assert abs(source[18][box] - result[18][box]).mean() < 2  # the first line is kept
    assert abs(source[36][box] - result[36][box]).mean() < 2  # the second one begins later now
    assert abs(source[50][box] - result[50][box]).mean() > 4


def frames_of(film: Path) -> list[Any]:
    """The luma of all frames, as floats."""
    with av.open(str(film)) as container:
        return [one.to_ndarray(format="gray").astype(float) for one in container.decode(video=0)]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        ("  erase: yes", "  erase: maybe", ".erase: must be true or false"),
        ("  stop: 0:00:01.200", "  stop: 0:00:00.100", ".stop: must be after start"),
        ("  box: [", "  box: [-5, ", ".box: needs [left, top, right, bottom]"),
        ("- id: 2", "- id: 1", ".id: 1 is given twice"),
        ("  kind:", "  knid:", "no such key"),
        ("  exact: {start: 6", "  exact: {start: 600", ".exact: is damaged"),
        ("cuts: [", "cuts: [900, ", "detection.measured: is damaged"),
    ],
)
def test_wrong_edits_are_named(
    planned: Path, tmp_path: Path, before: str, after: str, sentence: str
) -> None:
    """Each with its line, before any work is done."""
    plan = edited(planned, tmp_path / "plan.yaml", (before, after))
    texts = (planned / "film.mp4.plan.yaml").read_text("utf-8"), plan.read_text("utf-8")
    pairs = zip(*(text.splitlines() for text in texts), strict=True)
    line = next(number for number, (old, new) in enumerate(pairs, start=1) if old != new)
    done = run("erase", "--plan", plan, planned / "film.mp4", tmp_path / "out.mp4")
    assert done.returncode == 1
    assert sentence in done.stderr
    assert f"plan.yaml: line {line}: " in done.stderr
    assert not (tmp_path / "out.mp4").exists()


def test_a_plan_for_another_film_is_refused(planned: Path, tmp_path: Path) -> None:
    """One of the same size, too: the content decides."""
    film = bytearray((planned / "film.mp4").read_bytes())
    film[-1] ^= 1
    (tmp_path / "other.mp4").write_bytes(film)
    done = run(
        "erase",
        "--plan",
        planned / "film.mp4.plan.yaml",
        tmp_path / "other.mp4",
        tmp_path / "o.mp4",
    )
    assert done.returncode == 1
    assert "is for another film than other.mp4; make a new plan" in done.stderr


def test_a_plan_is_not_overwritten(planned: Path) -> None:
    """It may have been edited."""
    again = run("plan", planned / "film.mp4")
    assert again.returncode == 1
    assert "is there already; edits would be lost" in " ".join(again.stderr.split())


def test_a_plan_comes_with_its_film(house: House, planned: Path, tmp_path: Path) -> None:
    """The daemon takes it along and obeys it; a wrong one goes to failed/ with its film."""
    film = (planned / "film.mp4").read_bytes()
    house.drop("film.mp4.plan.yaml", (planned / "film.mp4.plan.yaml").read_text("utf-8"))
    house.drop("film.mp4", film)
    wrong = edited(planned, tmp_path / "plan.yaml", ("  erase: yes", "  erase: maybe"))
    house.drop("wrong.mp4.plan.yaml", wrong.read_text("utf-8"))
    house.drop("wrong.mp4", film)
    assert house.once(quick=False, seconds=110) == 1
    assert [one["text"] for one in house.report("film.mp4")["report"]["events"]] == [
        one.text for one in CAPTIONS
    ]
    assert "plan.obeyed events=2" in (house.done / "film.mp4.log").read_text("utf-8")
    assert (house.originals / "film.mp4.plan.yaml").exists()
    sentence = house.explanation("wrong.mp4")["sentence"]
    assert sentence.startswith("wrong.mp4.plan.yaml: line ")
    assert (house.failed / "wrong.mp4.plan.yaml").exists()
    assert house.work_is_empty()


def test_films_that_are_turned(tmp_path: Path) -> None:
    """Boxes are those of the picture as it is seen, and obeyed as such."""
    make_film(tmp_path / "film.mov", CAPTIONS[:1], frames=36, coding=Coding(rotation=90))
    made = run("plan", tmp_path / "film.mov")
    assert made.returncode == 0, made.stderr
    plan = yaml.safe_load((tmp_path / "film.mov.plan.yaml").read_text("utf-8"))
    assert (plan["film"]["width"], plan["film"]["height"]) == (180, 320)


@pytest.fixture(scope="module")
def with_sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film of three seconds with a tone and two lines; the second one fills its shot."""
    folder = tmp_path_factory.mktemp("sound")
    captions = [Caption("Where have you been?", 6, 24), Caption("Nobody saw him", 40, 75)]
    film = draw(320, 176, 75, captions=captions, cuts=(40,))
    write(folder / "silent.mp4", film.shown)
    ffmpeg(
        *("-i", folder / "silent.mp4", "-f", "lavfi", "-i", "sine=440:duration=3"),
        *("-c:v", "copy", "-c:a", "aac", folder / "film.mp4"),
    )
    return folder


def test_a_stretch_of_a_film(with_sound: Path, tmp_path: Path) -> None:
    """Its pictures and what is heard meanwhile; times begin at 0."""
    film, out = with_sound / "film.mp4", tmp_path / "out.mp4"
    done = run("erase", "--start", "0.2", "--duration", "1s", film, out)
    assert done.returncode == 0, done.stderr
    assert "1 subtitle, 25 frames" in " ".join(done.stderr.split())
    source, result = frames_of(film), frames_of(out)
    assert len(result) == 25
    assert abs(source[5][:100] - result[0][:100]).mean() < 2
    with av.open(str(out)) as container:
        sound = container.streams.audio[0]
        heard = [
            float((one.pts or 0) * one.time_base) for one in container.demux(sound) if one.size
        ]
    assert min(heard) < 0.05
    assert 0.9 < max(heard) < 1.05
    late = run("erase", "--start", "1:00", film, tmp_path / "late.mp4")
    assert late.returncode == 1
    assert "shows no picture from 60" in late.stderr


def test_a_preview_is_the_hardest_stretch(with_sound: Path, tmp_path: Path) -> None:
    """Before and after, with what a plan says."""
    film, out = with_sound / "film.mp4", tmp_path / "out.mp4"
    done = run("erase", "--preview", "1s", film, out)
    assert done.returncode == 0, done.stderr
    source, after, before = map(frames_of, (film, out, tmp_path / "out.before.mp4"))
    assert len(after) == len(before) == 25
    ink = slice(140, 172), slice(60, 260)
    first = min(range(76 - 25), key=lambda k: abs(source[k] - before[0]).mean())
    assert first >= 27  # the second line is in it
    assert abs(before[20] - source[first + 20]).mean() < 2
    assert abs(before[20][ink] - after[20][ink]).mean() > 4
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "out.before.mp4", "out.mp4", "out.und.srt",
    ]  # fmt: skip


def test_a_killed_command_goes_on(with_sound: Path, tmp_path: Path) -> None:
    """With the segments that are finished; a stopped one says so and has the signal's code."""
    (tmp_path / "two.yaml").write_text("segment_seconds: 2\n")
    words: list[str | Path] = [
        "--settings",
        tmp_path / "two.yaml",
        with_sound / "film.mp4",
        tmp_path / "out.mp4",
    ]
    command = [sys.executable, "-m", "daemon", "erase", *map(str, words)]
    for number, code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)):
        told = tmp_path / "told"
        with (
            told.open("w") as output,
            subprocess.Popen(command, cwd=REPOSITORY, stderr=output) as program,
        ):
            wait_for(lambda: "film.mp4: " in (tmp_path / "told").read_text())
            wait_for(lambda: any(tmp_path.glob(".*.erase.part/events.json")))
            program.send_signal(number)
            assert program.wait(30) == code
        assert not (tmp_path / "out.mp4").exists()
    assert "goes on with what is finished" in told.read_text()
    done = run("erase", "-v", *words)
    assert done.returncode == 0, done.stderr
    assert "text.known" in done.stderr
    assert list(tmp_path.glob(".*")) == []


def test_folders_and_patterns(planned: Path, tmp_path: Path) -> None:
    """Sub-folders are kept; what is there is skipped; one that fails does not stop the others."""
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "film.mp4").write_bytes((planned / "film.mp4").read_bytes())
    (tmp_path / "in" / "bad.mkv").write_bytes(b"words " * 1000)
    (tmp_path / "in" / "notes.txt").write_text("no film")
    (tmp_path / "out").mkdir()
    pattern = f"{tmp_path}/in/*"
    done = run("erase", "-q", "--no-srt", pattern, tmp_path / "out")
    assert done.returncode == 1
    assert "bad.mkv" in done.stderr
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["film.mp4"]
    again = run("erase", "--no-srt", tmp_path / "in" / "a", tmp_path / "out")
    assert (again.returncode, "is there already; skipped" in " ".join(again.stderr.split())) == (
        0,
        True,
    )
